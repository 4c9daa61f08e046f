"""What is shown of runs that other processes make."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

from tests.end_to_end.small_world import write_small_world

from flantune.commands import study_progress
from flantune.commands.study import expand_study, run_study
from flantune.commands.study_progress import LatestLine, RunsInProgress, showing
from flantune.settings.run_file import load_run_file
from flantune.system.engines import LocalEngine

STUDY = """
[study]
question = "Do more steps help?"
axis = "steps"
baseline = "one"

[[arms]]
name = "one"
settings.training.steps = 1

[[arms]]
name = "two"
settings.training.steps = 2
"""
SMALLER = ('holdout.folds=[["sentiment"]]', "evaluation.max_examples=6", "evaluation.dev_examples=2",
           "evaluation.shots=[0]")  # fmt: skip


class Heard:
    """Keeps everything that is reported."""

    def __init__(self):
        self.stages, self.steps = [], []

    def stage(self, title):
        self.stages.append(title)

    def note(self, message):
        pass

    def step(self, done, total, text):
        self.steps.append((done, total, text))


def planned(folder: Path, *names: str):
    return [SimpleNamespace(label=name, progress=folder / f".{name}.progress") for name in names]


def test_a_line_is_written_once_a_second_and_every_stage_at_once(tmp_path):
    line = LatestLine(tmp_path / "below/line")
    line.stage("tune on 3 tasks")
    line.step(1, 9, "step 1/9")
    assert (tmp_path / "below/line").read_text() == "tune on 3 tasks"  # the stage was just written
    line._written -= 2
    line.step(2, 9, "step 2/9")
    assert (tmp_path / "below/line").read_text() == "tune on 3 tasks: step 2/9"
    line.close()
    line.close()
    assert not (tmp_path / "below/line").exists()


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    line = LatestLine(tmp_path / "file/line")
    line.stage("tune")
    line.close()


def test_runs_take_turns(tmp_path):
    runs = planned(tmp_path, "a", "b", "c")
    progress = RunsInProgress(runs)
    assert progress.text() == "0 of 3 runs done"
    for run in runs[:2]:
        LatestLine(run.progress).stage(f"step of {run.label}")
    progress.finished = 1
    seen = [progress.text() for _ in range(4 * study_progress._LOOKS)]
    assert set(seen) == {"1 of 3 runs done · a: step of a", "1 of 3 runs done · b: step of b"}


def test_lines_of_a_killed_call_are_not_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(study_progress, "_LOOK_EVERY", 0.01)
    (run,) = planned(tmp_path, "a")
    LatestLine(run.progress).stage("of yesterday")
    heard = Heard()
    with showing([run], heard) as progress:
        progress.finished = 1
        while not heard.steps:
            time.sleep(0.01)
    assert heard.steps[-1] == (1, 1, "1 of 1 runs done")


def test_two_runs_at_a_time_are_both_told_of(tmp_path):
    write_small_world(tmp_path, rows=40)
    (tmp_path / "steps.toml").write_text(STUDY, encoding="utf-8")
    file = load_run_file(tmp_path / "run.toml", overrides=SMALLER)
    heard = Heard()
    expanded = expand_study(tmp_path / "steps.toml", file, out=tmp_path / "study")
    ran = run_study(expanded, engine=LocalEngine(workers=2), workers=2, reporter=heard)
    assert ran.outcome.is_complete
    assert "make 2 runs, 2 at a time" in heard.stages
    texts = [text for _, total, text in heard.steps if total == 2]
    assert texts and all(" of 2 runs done" in text for text in texts)
    assert any(f"· {run.label}: " in text for run in expanded.runs for text in texts), texts
    assert not list((tmp_path / "study").rglob("*.progress"))
