"""What is damaged in a run folder is rebuilt where it can be, and reported; else one error says how to repair it."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from flantune.commands.run import run
from flantune.errors import FlantuneError
from flantune.settings.run_file import load_run_file
from flantune.system.files import disk_explained
from flantune.system.progress import Silent
from tests.damage import worlds


class Told(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.stages: list[str] = []
        self.steps: list[tuple[float, float, str]] = []

    def stage(self, title: str) -> None:
        self.stages.append(title)

    def note(self, message: str) -> None:
        self.notes.append(message)

    def step(self, done: float, total: float, text: str) -> None:
        self.steps.append((done, total, text))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    worlds.make_run(folder, strips=False)
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def again(folder: Path) -> Told:
    told = Told()
    run(load_run_file(folder / "run.toml"), out=folder / "run", reporter=told)
    return told


def test_a_whole_run_that_was_moved_is_done_at_once(folder):
    told = again(folder)
    assert told.notes == []
    assert not any(stage.startswith("tune on") for stage in told.stages)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"train": 3}', "\x00"])
def test_what_can_be_made_again_is_made_again_and_said(folder, content):
    fold = folder / "run/folds/topic"
    before = (fold / "mixture.json").read_bytes()
    (fold / "mixture.json").write_text(content)
    (folder / "run/seconds.json").write_text("[]")
    (folder / "run/base/origins/animal.json").write_text(content)
    told = again(folder)
    assert (fold / "mixture.json").read_bytes() == before
    assert any("mixture.json" in note for note in told.notes)
    assert any("seconds.json" in note for note in told.notes)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"steps": "many"}'])
def test_a_damaged_training_json_does_not_loop_for_ever(folder, content):
    path = folder / "run/folds/topic/training.json"
    path.write_text(content)
    with pytest.raises(FlantuneError, match=r"training\.json") as caught:
        again(folder)
    assert "delete this file" in caught.value.hint
    path.unlink()
    told = again(folder)
    assert any(stage.startswith("tune on") for stage in told.stages)
    assert path.exists()


def test_measuring_that_goes_on_counts_what_was_there(folder):
    for path in (folder / "run/base/origins").iterdir():
        path.unlink()
    told = again(folder)
    counted = [done / total for done, total, text in told.steps if "prompts" in text and done]
    assert counted
    assert min(counted) == 1.0


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_an_error_in_a_sentence_whoever_raises_it(error):
    with pytest.raises(FlantuneError, match="No space left") as caught, disk_explained():
        raise error
    assert "free some space" in caught.value.hint


def test_other_errors_are_not_taken_for_a_full_disk():
    with pytest.raises(RuntimeError, match="a slip"), disk_explained():
        raise RuntimeError("a slip")
