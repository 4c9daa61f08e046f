"""A run goes on under another number of processes, another way of sharing and another micro-batch size."""

from __future__ import annotations

import os
import signal
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.training.small import lines, make_batches, make_lm, settings, tune_small
from tests.training.team import outcomes, together

from flantune.models.adapters import attach_adapter
from flantune.settings.config import ModelSettings
from flantune.system.processes import joined
from flantune.training.optimizers import build_optimizer, optimizer_tensors, restore_optimizer, trainable
from flantune.training.sharded_files import empty_state, read_assembled, read_parts, stored_tensors
from flantune.training.sharding import local_part, shard

STEPS = 4
LORA = {"optimizer": "adamw", "adapter": "lora", "learning_rate": 1e-2}
EIGHT = {"optimizer": "adamw8bit"}
BNB = {"optimizer": "adamw8bit-bnb"}
needs_peft = pytest.mark.skipif(find_spec("peft") is None, reason="needs peft")
needs_bitsandbytes = pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="needs bitsandbytes")


def tune_one_of(folder: Path, changes: dict, parallel: str, micro_batch_tokens: int, stop: int) -> dict:
    """How far each weight moved; the same call in every process. With ``stop`` all press Ctrl-C after that step."""
    torch.set_num_threads(1)
    wanted = {"steps": STEPS, "dropout": 0.0, "learning_rate": 1e-3, "adam": {"eps": 1e-4}, "checkpoint_every": 2}
    wanted |= {"parallel": parallel, **changes}
    # Wide enough for Adafactor to factor a matrix, and for 8-bit moments.
    chosen = ModelSettings(path="x", adapter=wanted.pop("adapter", "none"))
    lm = attach_adapter(make_lm("llama", width=128), chosen, seed=1)
    begin = {name: weight.detach().numpy().copy() for name, weight in lm.model.named_parameters()}
    batches = make_batches(lm, micro_batch_tokens=micro_batch_tokens)
    batches.processes = int(os.environ.get("WORLD_SIZE", 1))

    def press(told):
        if told.step == stop:
            os.kill(os.getpid(), signal.SIGINT)

    try:
        tune_small(folder, lm, settings(**wanted), batches=batches, progress=press)
    except KeyboardInterrupt:
        assert stop
        return {}
    moved = {name: weight.detach().numpy() - begin[name] for name, weight in lm.model.named_parameters()}
    return {name: change for name, change in moved.items() if change.any()}


def run(count: int, *args) -> dict:
    return tune_one_of(*args) if count == 1 else together(count, tune_one_of, *args)[0]


@pytest.mark.parametrize(
    ("changes", "first", "then"),
    [
        pytest.param(BNB, (2, "data"), (3, "data"), marks=needs_bitsandbytes),
        (EIGHT, (2, "sharded"), (3, "sharded")),
        (EIGHT, (3, "sharded"), (1, "data")),
        (EIGHT, (1, "data"), (2, "sharded")),
        pytest.param(LORA, (2, "data"), (1, "data"), marks=needs_peft),
        pytest.param(LORA, (2, "sharded"), (3, "sharded"), marks=needs_peft),
        pytest.param(LORA, (1, "data"), (2, "sharded"), marks=needs_peft),
        ({"optimizer": "adafactor"}, (2, "data"), (3, "data")),
        ({"optimizer": "adafactor"}, (2, "sharded"), (2, "data")),
        ({"optimizer": "adamw"}, (2, "data"), (2, "sharded")),
    ],
)
def test_a_run_goes_on_elsewhere(tmp_path, changes, first, then):
    straight = run(1, tmp_path / "straight", changes, "data", 0, 0)
    run(first[0], tmp_path / "both", changes, first[1], 0, 2)
    assert [entry.name for entry in (tmp_path / "both/checkpoints").iterdir()] == ["step-00000002"]
    found = run(then[0], tmp_path / "both", changes, then[1], 150, 0)
    mine, theirs = lines(tmp_path / "both"), lines(tmp_path / "straight")
    assert [line["cursor"] for line in mine] == [line["cursor"] for line in theirs]
    assert [line["loss"] for line in mine] == pytest.approx([line["loss"] for line in theirs], rel=1e-4)
    assert found.keys() == straight.keys()
    for name, change in straight.items():
        assert np.linalg.norm(found[name] - change) <= 0.03 * np.linalg.norm(change) + 1e-7, name


@needs_bitsandbytes
def test_what_cannot_go_on_in_parts_says_so(tmp_path):
    """The moments of bitsandbytes are coded in blocks that parts of a tensor would cut."""
    run(1, tmp_path, BNB, "data", 0, 2)
    for outcome in outcomes(2, tune_one_of, tmp_path, BNB, "sharded", 0, 0):
        assert "training.optimizer: the AdamW of bitsandbytes does not work on parts of tensors" in outcome[1]
        assert 'training.optimizer = "adamw8bit"' in outcome[1] and 'training.parallel = "data"' in outcome[1]
    assert [entry.name for entry in (tmp_path / "checkpoints").iterdir()] == ["step-00000002"]


def test_moments_in_8_bits_are_cut_anew_without_losing_a_bit(tmp_path):
    """Written in two parts, read in three, each of which is a part of the whole."""
    run(2, tmp_path, EIGHT, "sharded", 0, 2)
    folder = tmp_path / "checkpoints/step-00000002"
    whole = {name: tensor for name, tensor in read_assembled(folder).items() if "/" in name}
    assert sum(name.endswith("/scales1") for name in whole) > 10
    together(3, check_own_rows, folder, whole)


def check_own_rows(folder: Path, whole: dict[str, torch.Tensor]) -> None:
    with joined() as processes:
        sharded = shard(make_lm("llama", width=128))
        optimizer = build_optimizer(sharded.lm.model, settings(**EIGHT))
        weights = trainable(sharded.lm.model)
        names = dict.fromkeys(name for name in stored_tensors(folder) if "/" not in name)
        found = empty_state(folder, weights, optimizer, apart_from=names)
        read_parts(folder, found)
        restore_optimizer(sharded.lm.model, optimizer, found)
        for name, tensor in optimizer_tensors(sharded.lm.model, optimizer).items():
            mine = local_part(tensor)
            parts = whole[name].chunk(3) if tensor.ndim else [whole[name]] * 3
            expected = parts[processes.rank] if processes.rank < len(parts) else whole[name][:0]
            assert torch.equal(mine, expected), name
