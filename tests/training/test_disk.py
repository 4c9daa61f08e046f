"""A disk that is full, or may not be written: a clear error, and the last checkpoint whole."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.training.small import make_lm, settings, tune_small, weights_digest
from tests.training.test_checkpoints import in_child

from flantune.errors import TrainingError
from flantune.training.checkpoints import CheckpointFolder, Identity
from flantune.training.optimizers import build_optimizer
from flantune.training.state import TuningState


def mount(folder: Path, options: str) -> None:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs leave to mount: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of its own with room for one checkpoint and a half."""
    size = sum(file.stat().st_size for file in checkpoint(tmp_path / "sizing").iterdir())
    disk = tmp_path / "disk"
    disk.mkdir()
    mount(disk, f"size={int(1.5 * size)}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


CHOSEN = settings(steps=6, checkpoint_every=2, optimizer="adamw")


def checkpoint(folder: Path) -> Path:
    tune_small(folder, make_lm("llama"), CHOSEN.model_copy(update={"steps": 1}))
    return folder / "checkpoints/step-00000001"


def test_a_full_disk_keeps_the_last_checkpoint_and_the_next_start_goes_on(small_disk, tmp_path):
    with pytest.raises(TrainingError, match="cannot be written") as caught:
        tune_small(small_disk, make_lm("llama"), CHOSEN)
    assert "hint: free some space" in str(caught.value)
    # The second one did not fit; the first is whole and nothing half-written lies about.
    assert [entry.name for entry in (small_disk / "checkpoints").iterdir()] == ["step-00000002"]
    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    resumed, straight = make_lm("llama", seed=9), make_lm("llama")
    tune_small(small_disk, resumed, CHOSEN)
    tune_small(tmp_path / "straight", straight, CHOSEN)
    assert weights_digest(resumed) == weights_digest(straight)


def test_a_folder_that_may_not_be_written_keeps_the_last_checkpoint(tmp_path):
    """As another user than root, whom no permission stops."""
    last = checkpoint(tmp_path)
    before = {file.name: file.read_bytes() for file in last.iterdir()}
    (tmp_path / "metrics.jsonl").chmod(0o666)
    for folder in (tmp_path, tmp_path / "checkpoints"):
        folder.chmod(0o555)

    def go_on():
        if os.geteuid() == 0:
            os.seteuid(65534)
        lm = make_lm("llama")
        identity = Identity(fingerprint="small", seed=3, settings=CHOSEN.model_dump(mode="json"))
        found = CheckpointFolder(root=tmp_path / "checkpoints", identity=identity)
        found.save(lm.model, build_optimizer(lm.model, CHOSEN), TuningState(step=2))

    try:
        assert in_child(go_on) == 77
    finally:
        for folder in (tmp_path, tmp_path / "checkpoints"):
            folder.chmod(0o755)
    assert [entry.name for entry in (tmp_path / "checkpoints").iterdir()] == [last.name]
    assert {file.name: file.read_bytes() for file in last.iterdir()} == before
