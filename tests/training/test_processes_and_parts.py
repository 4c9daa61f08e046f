"""What is trained in part, weighed by task or kept from drifting: two processes do as one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.models.test_adapters import batches_of
from tests.training.small import SIZES, make_lm, settings, tune_small
from tests.training.team import together

from flantune.models.adapters import attach_adapter
from flantune.models.load import load_model, save_model
from flantune.packing.batches import Batches
from flantune.settings.config import ModelSettings

pytest.importorskip("peft")
FROZEN = ("layers.0", "norms")


def tune_one_of(base: Path, folder: Path, kind: str, parallel: str) -> dict[str, np.ndarray]:
    """The weights that can change, after four steps; the same call in every process."""
    torch.set_num_threads(1)
    chosen = ModelSettings(path=str(base), adapter="none" if kind == "freeze" else kind, device="cpu")
    lm = attach_adapter(load_model(chosen), chosen, seed=1)
    plain = batches_of(lm)
    batches = Batches(plain.stream, SIZES, micro_batch_tokens=150)
    plan = settings(
        steps=4, dropout=0.0, optimizer="adamw", learning_rate=1e-3, adam={"eps": 1e-4}, weighting="task", z_loss=1e-3,
        inputs_weight=0.3, label_smoothing=0.1, neftune_alpha=5.0, parallel=parallel,
        freeze=FROZEN if kind == "freeze" else (),
    )  # fmt: skip
    tune_small(folder, lm, plan, batches=batches)
    return {n: weight.detach().numpy().copy() for n, weight in lm.model.named_parameters() if weight.requires_grad}


@pytest.mark.parametrize(("kind", "parallel"), [("freeze", "data"), ("lora", "sharded")])
def test_two_processes_train_a_part_of_a_model_as_one_does(tmp_path, kind, parallel):
    base = save_model(make_lm("llama"), tmp_path / "base", card="")
    alone = tune_one_of(base, tmp_path / "one", kind, "data")
    first, second = together(2, tune_one_of, base, tmp_path / "two", kind, parallel)
    assert isinstance(first, dict), first
    assert first.keys() == second.keys() == alone.keys()
    for name, weight in alone.items():
        assert np.array_equal(first[name], second[name]), name
        assert np.linalg.norm(first[name] - weight) <= 1e-4 * np.linalg.norm(weight) + 1e-7, name
