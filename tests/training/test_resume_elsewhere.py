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

STEPS = 4
LORA = {"optimizer": "adamw", "adapter": "lora", "learning_rate": 1e-2}
EIGHT = {"optimizer": "adamw8bit"}
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
        pytest.param(EIGHT, (1, "data"), (2, "data"), marks=needs_bitsandbytes),
        pytest.param(EIGHT, (2, "data"), (3, "data"), marks=needs_bitsandbytes),
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
    """The state of 8-bit moments is coded in blocks that parts of a tensor would cut."""
    run(1, tmp_path, EIGHT, "data", 0, 2)
    for outcome in outcomes(2, tune_one_of, tmp_path, EIGHT, "sharded", 0, 0):
        assert "training.optimizer: AdamW8bit does not work on parts of tensors" in outcome[1]
        assert 'training.parallel = "data"' in outcome[1]
    assert [entry.name for entry in (tmp_path / "checkpoints").iterdir()] == ["step-00000002"]
