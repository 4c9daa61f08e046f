"""Checkpoints: whole or not there, whatever happens."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.training.small import make_lm, settings, weights_digest

from flantune.errors import TrainingError
from flantune.training.checkpoints import CheckpointFolder, Identity, model_tensors
from flantune.training.optimizers import build_optimizer, optimizer_tensors
from flantune.training.state import TuningState


def identity(**changes):
    values = {"fingerprint": "f", "seed": 0, "settings": settings(**changes).model_dump(mode="json")}
    return Identity(**values)


def trained(architecture="llama", *, step=2, **changes):
    """A model that differs with the step, and an optimizer with all of its state."""
    lm = make_lm(architecture)
    optimizer = build_optimizer(lm.model, settings(**changes))
    for number in range(step):
        for weight in lm.model.parameters():
            weight.grad = torch.full_like(weight, 0.1 * (number + 1))
        optimizer.step()
    return lm, optimizer, TuningState(step=step, cursor=10 * step)


def state_of(lm, optimizer):
    return {name: tensor.clone() for name, tensor in optimizer_tensors(lm.model, optimizer).items()}


@pytest.mark.parametrize("optimizer_name", ["adafactor", "adamw"])
@pytest.mark.parametrize("architecture", ["llama", "t5", "gpt2"])
def test_what_was_saved_comes_back_to_the_bit(tmp_path, architecture, optimizer_name):
    lm, optimizer, state = trained(architecture, optimizer=optimizer_name, weight_decay=0.1)
    folder = CheckpointFolder(root=tmp_path, identity=identity(optimizer=optimizer_name))
    folder.save(lm.model, optimizer, state)
    other = make_lm(architecture, seed=9)
    fresh = build_optimizer(other.model, settings(optimizer=optimizer_name, weight_decay=0.1))
    assert folder.restore(other.model, fresh) == state
    assert weights_digest(other) == weights_digest(lm)
    mine, theirs = state_of(lm, optimizer), state_of(other, fresh)
    assert mine.keys() == theirs.keys()
    assert len(mine) >= 2 * len(list(lm.model.parameters()))
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert all(tensor.data_ptr() % 64 == 0 for tensor in theirs.values())


def test_shared_weights_are_stored_once_and_stay_shared(tmp_path):
    lm, optimizer, state = trained()
    folder = CheckpointFolder(root=tmp_path, identity=identity())
    path = folder.save(lm.model, optimizer, state)
    stored = load_file(path / "model.safetensors")
    assert "model.embed_tokens.weight" in stored
    assert "lm_head.weight" not in stored
    assert sum(tensor.numel() for tensor in stored.values()) == sum(w.numel() for w in lm.model.parameters())
    other = make_lm("llama", seed=9)
    folder.restore(other.model, build_optimizer(other.model, settings()))
    assert other.model.lm_head.weight is other.model.model.embed_tokens.weight


def test_trap_13_a_checkpoint_has_no_pickles(tmp_path):
    lm, optimizer, state = trained()
    path = CheckpointFolder(root=tmp_path, identity=identity()).save(lm.model, optimizer, state)
    names = {"manifest.json", "model.safetensors", "optimizer.safetensors", "state.json"}
    assert {file.name for file in path.iterdir()} == names
    json.loads((path / "state.json").read_text())
    assert json.loads((path / "manifest.json").read_text())["files"].keys() == names - {"manifest.json"}


def test_old_checkpoints_go_when_the_new_one_is_there(tmp_path):
    lm, optimizer, _ = trained()
    folder = CheckpointFolder(root=tmp_path, identity=identity(), keep=2)
    for step in (2, 4, 6, 8):
        folder.save(lm.model, optimizer, TuningState(step=step))
    assert folder.steps() == [6, 8]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["step-00000006", "step-00000008"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"fingerprint": "g"}, "fingerprint"),
        ({"seed": 1}, "seed"),
        ({"settings": settings(learning_rate=0.5).model_dump(mode="json")}, "training.learning_rate (0.01 there, 0.5"),
    ],
)
def test_a_checkpoint_of_another_run_is_not_touched(tmp_path, changes, named):
    lm, optimizer, state = trained()
    mine = identity()
    CheckpointFolder(root=tmp_path, identity=mine).save(lm.model, optimizer, state)
    other = Identity(**{"fingerprint": mine.fingerprint, "seed": mine.seed, "settings": mine.settings, **changes})
    before = weights_digest(lm)
    with pytest.raises(TrainingError) as caught:
        CheckpointFolder(root=tmp_path, identity=other).restore(lm.model, optimizer)
    assert named in str(caught.value)
    assert "hint: choose another folder" in str(caught.value)
    assert weights_digest(lm) == before


def test_how_often_to_save_and_log_may_change_between_starts(tmp_path):
    lm, optimizer, state = trained()
    CheckpointFolder(root=tmp_path, identity=identity()).save(lm.model, optimizer, state)
    later = identity(checkpoint_every=7, keep_checkpoints=3, log_every=5, micro_batch_tokens=64)
    assert CheckpointFolder(root=tmp_path, identity=later).restore(lm.model, optimizer) == state


def test_a_checkpoint_of_another_architecture_says_so(tmp_path):
    lm, optimizer, state = trained("gpt2")
    folder = CheckpointFolder(root=tmp_path, identity=identity())
    folder.save(lm.model, optimizer, state)
    other = make_lm("llama")
    with pytest.raises(TrainingError, match="the model has no tensor"):
        folder.restore(other.model, build_optimizer(other.model, settings()))


def in_child(work) -> int:
    """Exit status of a forked process that does the work: 0, 77 when it raised TrainingError, or −signal."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except TrainingError as error:
            os._exit(77 if "hint:" in str(error) else 78)
        except BaseException:
            os._exit(79)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_disk_full_leaves_the_last_checkpoint_and_no_rubbish(tmp_path):
    lm, optimizer, state = trained()
    folder = CheckpointFolder(root=tmp_path, identity=identity())
    folder.save(lm.model, optimizer, state)
    size = (folder.path(2) / "model.safetensors").stat().st_size

    def save_on_full_disk():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))
        folder.save(lm.model, optimizer, TuningState(step=4))

    assert in_child(save_on_full_disk) == 77
    assert [entry.name for entry in tmp_path.iterdir()] == ["step-00000002"]
    assert folder.restore(lm.model, optimizer) == state


def test_a_folder_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "checkpoints").write_text("a file where a folder should be")
    lm, optimizer, state = trained()
    with pytest.raises(TrainingError, match="cannot be written"):
        CheckpointFolder(root=tmp_path / "checkpoints", identity=identity()).save(lm.model, optimizer, state)


def kill_at(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the count-th change to the disk kills this very process, before it happens."""
    left = [count]

    def dangerous(real):
        def call(*args, **kwargs):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        return call

    for owner, name in ((os, "fsync"), (os, "unlink"), (os, "rmdir"), (Path, "rename"), (Path, "mkdir")):
        monkeypatch.setattr(owner, name, dangerous(getattr(owner, name)))
    for name in ("save_file",):
        import flantune.training.checkpoints as module

        monkeypatch.setattr(module, name, dangerous(getattr(module, name)))


def test_killed_at_any_change_to_the_disk_leaves_old_or_new(tmp_path, monkeypatch):
    """Not a sample of moments but all of them: the process dies before its first, second, … file operation."""
    old, new = trained(step=2), trained(step=4)
    digests = {2: weights_digest(old[0]), 4: weights_digest(new[0])}
    seen, deaths = set(), 0
    for moment in range(1, 60):
        root = tmp_path / str(moment)
        folder = CheckpointFolder(root=root, identity=identity(), keep=1)
        folder.save(*pieces(old))

        def save_and_die(folder=folder, moment=moment):
            kill_at(moment, monkeypatch)
            folder.save(*pieces(new))

        status = in_child(save_and_die)
        lm = make_lm("llama", seed=5)
        state = folder.restore(lm.model, build_optimizer(lm.model, settings()))
        assert weights_digest(lm) == digests[state.step], f"killed at {moment}"
        assert not list(root.glob(".tmp-*"))
        seen.add(state.step)
        deaths += status == -signal.SIGKILL
        shutil.rmtree(root)
        if status == 0:
            break
    assert status == 0
    assert deaths >= 10
    assert seen == {2, 4}


def pieces(made):
    lm, optimizer, state = made
    return lm.model, optimizer, state


def test_buffers_that_a_model_stores_are_stored():
    lm = make_lm("llama")
    lm.model.register_buffer("extra", torch.ones(3))
    assert torch.equal(model_tensors(lm.model)["extra"], torch.ones(3))
