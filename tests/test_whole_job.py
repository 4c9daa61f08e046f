"""``benchmarks/whole_job.py`` gives both sides the same work, and counts all that a command spends."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import yaml
from benchmarks import whole_job
from benchmarks.clock import Spent, timed, together
from benchmarks.whole_job_files import TAG, Question, write_questions

from flantune.settings.run_file import load_run_file

BURNS = "import time\nwhile time.process_time() < 0.3: pass"


def question(*, row: int, template: str, is_right: bool = True) -> Question:
    return Question(
        task="rte",
        name=f"{TAG}_rte_{template}",
        inputs=f"{{{{not a template}}}} row {row} in {template}",
        options=("yes", "no"),
        answer=row % 2,
        base_is_right=is_right,
        tuned_is_right=not is_right,
    )


def test_every_template_is_a_task_file_over_the_same_rows(tmp_path: Path):
    asked = [question(row=row, template=template) for template in ("first", "second") for row in range(3)]
    write_questions(asked, tmp_path / "tasks")
    rows = [json.loads(line) for line in (tmp_path / "tasks/rte.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 3
    for number, template in enumerate(("first", "second")):
        file = yaml.safe_load((tmp_path / f"tasks/{TAG}_rte_{template}.yaml").read_text(encoding="utf-8"))
        assert file["tag"] == TAG
        columns = [file[key] for key in ("doc_to_text", "doc_to_choice", "doc_to_target")]
        expected = asked[3 * number : 3 * number + 3]
        found = [[row[column] for column in columns] for row in rows]
        assert found == [[one.inputs, list(one.options), one.answer] for one in expected]


def test_a_command_counts_with_all_its_children(tmp_path: Path):
    starts_another = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURNS!r}])"
    spent = timed([sys.executable, "-c", starts_another], log=tmp_path / "log", environment=os.environ)
    assert spent.cpu_s > 0.3
    assert spent.wall_s > 0
    assert spent.peak_mib > 1


def test_a_command_that_fails_says_what_it_said_last(tmp_path: Path):
    with pytest.raises(RuntimeError, match="no such luck"):
        timed([sys.executable, "-c", "raise SystemExit('no such luck')"], log=tmp_path / "log", environment=os.environ)


def test_times_add_up_and_memory_does_not():
    one, other = Spent(cpu_s=1, wall_s=2, peak_mib=30), Spent(cpu_s=2, wall_s=3, peak_mib=20)
    assert together([one, other]) == Spent(cpu_s=3, wall_s=5, peak_mib=30)


def test_accuracies_are_means_over_templates(tmp_path: Path):
    asked = [question(row=row, template="first", is_right=row == 0) for row in range(2)]
    for model, accuracy in (("base", 0.5), ("tuned", 0.0)):
        results = {TAG: {}, asked[0].name: {"acc,none": accuracy}}
        path = tmp_path / model / "some-model" / "results_2026.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"results": results}), encoding="utf-8")
    found = whole_job.accuracies(asked, tmp_path)
    assert found == {
        "templates": 1,
        "flantune": {"base": 0.5, "tuned": 0.5},
        "others": {"base": 0.5, "tuned": 0.0},
        "largest_gap_of_a_template_of_the_base": 0.0,
    }


def test_the_job_holds_three_clusters_out():
    config = load_run_file(whole_job.RUN_FILE, overrides=["model.path=any"]).config
    assert len(config.holdout.folds) == 1
    assert len(config.holdout.folds[0]) == 3
