"""Checkpoints that something damaged after they were written: the run goes on from the one before, and says so."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.training.small import StoppedError, make_lm, settings, stop_at, timeless_lines, tune_small, weights_digest
from tests.training.team import outcomes, together
from tests.training.test_distributed import tune_as_one_of

from flantune.errors import TrainingError
from flantune.training.integrity import damage_of, record_of, write_record

CHOSEN = settings(steps=9, optimizer="adamw", checkpoint_every=2, log_every=3)
FILES = ("model.safetensors", "optimizer.safetensors", "state.json", "manifest.json")


def stopped(folder: Path, step: int = 7, chosen=CHOSEN) -> Path:
    """A run that ended after a step; what it left."""
    with pytest.raises(StoppedError):
        tune_small(folder, make_lm("llama"), chosen, progress=stop_at(step))
    return folder / "checkpoints"


class Told(list[str]):
    """What a run told of its checkpoints; not that this machine has no C++ compiler, say."""

    def note(self, text: str) -> None:
        if "checkpoint" in text:
            self.append(text)


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def flip_a_bit(file: Path) -> None:
    """In the middle of the content, where nothing but a checksum can tell."""
    content = bytearray(file.read_bytes())
    content[len(content) * 2 // 3] ^= 1
    file.write_bytes(bytes(content))


def lose(file: Path) -> None:
    file.unlink()


@pytest.fixture(scope="module")
def before(tmp_path_factory) -> Path:
    """A run stopped at step 7, with checkpoints of steps 4 and 6 and lines of steps 3 and 6."""
    folder = tmp_path_factory.mktemp("stopped")
    stopped(folder)
    return folder


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> tuple[str, list[dict]]:
    """Weights and metrics of the run that nothing happened to."""
    folder, lm = tmp_path_factory.mktemp("straight"), make_lm("llama")
    tune_small(folder, lm, CHOSEN)
    return weights_digest(lm), timeless_lines(folder)


@pytest.mark.parametrize("damage", [cut_short, empty, flip_a_bit, lose])
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_checkpoint_costs_its_steps_and_nothing_else(tmp_path, before, straight, file, damage):
    folder = tmp_path / "run"
    shutil.copytree(before, folder)
    damage(folder / "checkpoints/step-00000006" / file)
    told = Told()
    resumed = make_lm("llama", seed=99)
    tune_small(folder, resumed, CHOSEN, note=told.note)
    assert len(told) == 1
    assert told[0].startswith("the checkpoint of step 6 is damaged: ")
    assert file in told[0]
    assert "from step 4 (steps to repeat: 2)" in told[0]
    assert str(folder / "checkpoints/damaged-step-00000006") in told[0]
    assert weights_digest(resumed) == straight[0]
    # Neither gap nor repeat: the line of step 6, written before, was taken back with the checkpoint.
    assert timeless_lines(folder) == straight[1]
    assert sorted(entry.name for entry in (folder / "checkpoints").iterdir()) == ["step-00000008", "step-00000009"]


def test_what_is_wrong_is_said_in_words(tmp_path):
    file = tmp_path / "weights"
    file.write_bytes(bytes(1000))
    write_record(tmp_path, record_of([file]))
    assert damage_of(tmp_path) == ""
    flip_a_bit(file)
    assert damage_of(tmp_path) == "weights is not what was written (its checksum differs)"
    cut_short(file)
    assert damage_of(tmp_path) == "weights has 500 bytes of 1,000"
    lose(file)
    assert damage_of(tmp_path) == "weights is missing"
    cut_short(tmp_path / "manifest.json")
    assert "manifest.json cannot be read" in damage_of(tmp_path)
    lose(tmp_path / "manifest.json")
    assert damage_of(tmp_path) == "manifest.json is missing"


def test_the_damaged_one_is_kept_until_the_next_is_written(tmp_path, before):
    """And does not count among those that are kept: it would push the only whole one out."""
    folder = tmp_path / "run"
    shutil.copytree(before, folder)
    flip_a_bit(folder / "checkpoints/step-00000006/model.safetensors")
    with pytest.warns(UserWarning, match="the checkpoint of step 6 is damaged"), pytest.raises(StoppedError):
        tune_small(folder, make_lm("llama"), CHOSEN, progress=stop_at(5))
    kept = sorted(entry.name for entry in (folder / "checkpoints").iterdir())
    assert kept == ["damaged-step-00000006", "step-00000004"]
    # Told once: the next start simply goes on from step 4, here with a spare less.
    told = Told()
    leaner = CHOSEN.model_copy(update={"keep_checkpoints": 1})
    with pytest.raises(StoppedError):
        tune_small(folder, make_lm("llama"), leaner, progress=stop_at(7), note=told.note)
    assert told == []
    assert [entry.name for entry in (folder / "checkpoints").iterdir()] == ["step-00000006"]


def test_two_damaged_ones_in_a_row(tmp_path, straight):
    chosen = CHOSEN.model_copy(update={"keep_checkpoints": 3})
    checkpoints = stopped(tmp_path, chosen=chosen)
    lose(checkpoints / "step-00000006/state.json")
    cut_short(checkpoints / "step-00000004/model.safetensors")
    told = Told()
    resumed = make_lm("llama")
    tune_small(tmp_path, resumed, chosen, note=told.note)
    assert len(told) == 2
    assert "step 6 is damaged: state.json is missing. Resuming from step 2 (steps to repeat: 4)" in told[0]
    assert "step 4 is damaged: model.safetensors has" in told[1]
    assert weights_digest(resumed) == straight[0]


def test_with_none_left_it_is_an_error_and_nothing_is_touched(tmp_path, before):
    folder = tmp_path / "run"
    shutil.copytree(before, folder)
    for step, damage in ((4, lose), (6, flip_a_bit)):
        damage(folder / f"checkpoints/step-0000000{step}/optimizer.safetensors")
    lm = make_lm("llama", seed=5)
    digest, lines = weights_digest(lm), timeless_lines(folder)
    with pytest.raises(TrainingError, match="no checkpoint is intact: step 6: optimizer") as caught:
        tune_small(folder, lm, CHOSEN)
    assert "step 4: optimizer.safetensors is missing" in str(caught.value)
    assert "hint: restore a copy of one, or delete the folder to start again" in str(caught.value)
    assert weights_digest(lm) == digest
    assert timeless_lines(folder) == lines
    assert sorted(entry.name for entry in (folder / "checkpoints").iterdir()) == ["step-00000004", "step-00000006"]


def test_a_finished_run_whose_last_checkpoint_is_damaged_takes_the_last_steps_again(tmp_path, straight):
    tune_small(tmp_path, make_lm("llama"), CHOSEN)
    flip_a_bit(tmp_path / "checkpoints/step-00000009/model.safetensors")
    again, told = make_lm("llama", seed=3), Told()
    tune_small(tmp_path, again, CHOSEN, note=told.note)
    assert "Resuming from step 8 (steps to repeat: 1)" in told[0]
    assert weights_digest(again) == straight[0]
    assert timeless_lines(tmp_path) == straight[1]


def test_a_damaged_one_that_cannot_be_set_aside_is_no_reason_to_delete_the_whole_one(tmp_path, before, monkeypatch):
    folder = tmp_path / "run"
    shutil.copytree(before, folder)
    flip_a_bit(folder / "checkpoints/step-00000006/model.safetensors")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(
        TrainingError, match="checkpoints: the checkpoint cannot be written: Permission denied"
    ) as caught:
        tune_small(folder, make_lm("llama"), CHOSEN, note=Told().note)
    assert "delete" not in str(caught.value)


SHARDED = {"parallel": "sharded", "checkpoint_every": 1, "learning_rate": 1e-3}


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> tuple[Path, list[dict]]:
    """A run of two processes, and what each of them returned."""
    folder = tmp_path_factory.mktemp("shared")
    return folder, together(2, tune_as_one_of, folder, "llama", SHARDED)


@pytest.mark.parametrize("victim", ["shard-00001", "shard-00002", "manifest"])
def test_a_damaged_part_sets_all_processes_back_together(tmp_path, shared, victim):
    before, straight = shared
    shutil.copytree(before, tmp_path, dirs_exist_ok=True)
    expected = timeless_lines(tmp_path)
    (file,) = (tmp_path / "checkpoints/step-00000004").glob(f"{victim}*")
    flip_a_bit(file)
    again = together(2, tune_as_one_of, tmp_path, "llama", SHARDED)
    for mine, theirs in zip(again, straight, strict=True):
        assert all(np.array_equal(mine["weights"][name], theirs["weights"][name]) for name in mine["weights"])
    assert timeless_lines(tmp_path) == expected
    for step in (3, 4):
        for file in (tmp_path / f"checkpoints/step-0000000{step}").glob("shard-00002*"):
            lose(file)
    for outcome in outcomes(2, tune_as_one_of, tmp_path, "llama", SHARDED):
        assert "no checkpoint is intact: step 4: shard-00002" in outcome[1]
