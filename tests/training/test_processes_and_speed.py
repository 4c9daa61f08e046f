"""Compiled layers and activation checkpointing with several processes, the model whole or in parts, end as without."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest
import torch
from tests.training.small import ARCHITECTURES, lines, make_batches, make_lm, settings, tune_small
from tests.training.team import together

from flantune.models.forms.compiled import why_not_compiled

FIRST_PART = ("layers.0.self_attn", "decoder.block.0.layer.0.SelfAttention")
LEAN = {"activation_checkpointing": True}


def tune_one_of(folder: Path, architecture: str, changes: dict, backend: str = "") -> dict[str, int]:
    """The same call in every process; returns what the compiler and the layers did."""
    torch.set_num_threads(1)
    if changes.get("compile"):
        # Goes through all of a compilation but the writing of the program, which takes long.
        torch.compile = partial(torch.compile, backend=backend)
    lm = make_lm(architecture, width=64)
    passes: list[bool] = []
    if not changes.get("compile"):
        (first,) = (part for name, part in lm.model.named_modules() if name.endswith(FIRST_PART))
        # Before it runs: the second time, it is left in the middle, as soon as nothing more is needed.
        first.register_forward_pre_hook(lambda module, given: passes.append(True))
    batches = make_batches(lm, micro_batch_tokens=200)
    batches.processes = int(os.environ.get("WORLD_SIZE", 1))
    begin = batches.iterate
    # What the model is tried on before the first step does not count.
    batches.iterate = lambda cursor: (passes.clear(), begin(cursor))[1]
    chosen = {"steps": 2, "dropout": 0.0, "optimizer": "adamw", "learning_rate": 1e-3, "adam": {"eps": 1e-4}, **changes}
    tune_small(folder, lm, settings(**chosen), batches=batches)
    return {"passes": len(passes), "graphs": torch._dynamo.utils.counters["stats"]["unique_graphs"]}


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in lines(folder)]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("parallel", ["data", "sharded"])
def test_two_processes_compute_activations_again_and_train_as_one(tmp_path, architecture, parallel):
    changes = {"parallel": parallel}
    tune_one_of(tmp_path / "one", architecture, changes)
    plain = together(2, tune_one_of, tmp_path / "plain", architecture, changes)
    lean = together(2, tune_one_of, tmp_path / "lean", architecture, {**changes, **LEAN})
    assert losses(tmp_path / "lean") == pytest.approx(losses(tmp_path / "one"), rel=2e-5)
    # Each layer runs forward, and once more for the backward pass.
    assert [one["passes"] for one in lean] == [2 * one["passes"] for one in plain]
    assert all(one["passes"] >= 4 for one in plain)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "parallel", "more"),
    [("llama", "data", {}), ("t5", "data", LEAN), ("llama", "sharded", LEAN), ("t5", "sharded", {})],
)
def test_two_processes_run_compiled_layers_and_train_as_one(tmp_path, architecture, parallel, more):
    """Whole programs (llama sharded) or their traces only, which is where sharded weights could come in between."""
    if reason := why_not_compiled(make_lm(architecture)):
        pytest.skip(reason)
    tune_one_of(tmp_path / "one", architecture, {})
    changes = {"parallel": parallel, "compile": True, **more}
    backend = "aot_eager" if (architecture, parallel) == ("llama", "sharded") else "eager"
    found = together(2, tune_one_of, tmp_path / "two", architecture, changes, backend)
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=2e-5)
    # A few programs for all layers (T5's encoder and decoder have their own), in either process.
    assert all(1 <= one["graphs"] <= 4 for one in found)
