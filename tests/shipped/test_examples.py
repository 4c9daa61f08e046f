"""The files under examples/: they are valid, and say what they hold."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from flantune.commands.plan import split_fold
from flantune.prompts.lint import lint_task
from flantune.settings.run_file import load_run_file
from flantune.tasks.every_reply import EveryReply
from flantune.tasks.load import load_tasks
from flantune.tasks.natural_instructions import TEST_CATEGORIES
from flantune.tasks.prepare import prepare_task
from flantune.tasks.rows import check_example
from flantune.tasks.sources.slices import parse_slice
from flantune.tasks.taskfile import load_task_file

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_real_files_loads_at_least_twelve_tasks_of_eight_clusters(architecture: str) -> None:
    file = load_run_file(EXAMPLES / "real_files.toml", overrides=[f"model.scratch.architecture={architecture}"])
    tasks = load_tasks(file.config.data, root=file.root)
    clusters = {cluster for task in tasks for cluster in task.clusters}
    assert len(tasks) >= 12
    assert len(clusters) >= 8
    assert {cluster for fold in file.config.holdout.folds for cluster in fold} <= clusters


FOLDER = EXAMPLES / "../../shared/data/flan2022/natural_instructions"


@pytest.mark.skipif(not FOLDER.is_dir(), reason="no real data here")
@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_tk_instruct_is_the_track_in_small(architecture: str, tmp_path: Path) -> None:
    overrides = [f"model.scratch.architecture={architecture}", f"data.cache={tmp_path}"]
    file = load_run_file(EXAMPLES / "tk_instruct.toml", overrides=overrides)
    tasks = load_tasks(file.config.data, root=file.root)
    assert len(tasks) == len(file.config.data.include) == 35
    (fold,) = file.config.holdout.folds
    assert {*fold} == {*TEST_CATEGORIES} == {name for task in tasks if "test" in task.splits for name in task.clusters}


REAL = EXAMPLES / "../../shared/data/flan2022"


@pytest.mark.skipif(not REAL.is_dir(), reason="no real data here")
def test_flan2022_small_has_tasks_of_each_sub_mixture(tmp_path: Path) -> None:
    file = load_run_file(EXAMPLES / "flan2022_small.toml", overrides=[f"data.cache={tmp_path}"])
    tasks = load_tasks(file.config.data, root=file.root)
    assert Counter(task.collection for task in tasks) == {
        "flan2021": 8, "dialogue": 1, "programs": 1, "cot": 3, "natural_instructions": 10, "t0": 5,
    }  # fmt: skip
    assert len(tasks) == len(file.config.data.include)
    split = split_fold(file.config, tasks, file.config.holdout.folds[0])
    assert [task.name for task in split.unseen] == ["rte"] and len(split.train) == 26


def test_my_task_reads_its_csv_to_the_last_row() -> None:
    task = load_task_file(EXAMPLES / "my_task.toml")
    rows = list(task.source.rows("tickets"))
    adapted = [task.adapter(row) for row in rows]
    assert len(adapted) == 12
    for example in adapted:
        assert example is not None
        check_example(example, task.kind)
    assert lint_task(task, [example for example in adapted if example is not None]) == ()


def test_my_task_uses_every_row_once() -> None:
    task = load_task_file(EXAMPLES / "my_task.toml")
    bounds = [one for text in task.splits.values() for one in parse_slice(text).bounds(12)]
    used = [row for start, stop in bounds for row in range(start, stop)]
    assert sorted(used) == list(range(12))


def test_my_chats_are_five_lines_and_every_reply_is_an_example(tmp_path: Path) -> None:
    lines = (EXAMPLES / "my_chats.toml").read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if line and not line.startswith("#")]) == 5
    task = load_task_file(EXAMPLES / "my_chats.toml")
    store = prepare_task(task, cache=tmp_path, max_bad_share=0.0).stores["train"]
    assert (len(store), len(EveryReply(store))) == (5, 9)
    assert lint_task(task, list(store)) == ()
