"""AdamW with the 8-bit moments of bitsandbytes: near the float32 one, far smaller, and resumed to the bit."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from tests.conftest import HUNG_AFTER_S
from tests.training.small import StoppedError, make_lm, settings, stop_at, tune_small, weights_digest

from flantune.errors import TrainingError
from flantune.training.optimizers import build_optimizer, optimizer_tensors

pytest.importorskip("bitsandbytes")
LEAN = settings(optimizer="adamw8bit-bnb", weight_decay=0.01, steps=6, checkpoint_every=3)


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_resumed_equals_straight_to_the_bit(tmp_path, architecture):
    straight = make_lm(architecture, width=64)
    tune_small(tmp_path / "straight", straight, LEAN)

    stopped = make_lm(architecture, width=64)
    with pytest.raises(StoppedError):
        tune_small(tmp_path / "stopped", stopped, LEAN, progress=stop_at(4))
    resumed = make_lm(architecture, width=64)
    tune_small(tmp_path / "stopped", resumed, LEAN)
    assert weights_digest(resumed) == weights_digest(straight) != weights_digest(make_lm(architecture, width=64))


def test_moments_of_matrices_take_one_byte_a_weight():
    model = make_lm("llama", width=64).model
    optimizer = build_optimizer(model, LEAN)
    for weight in model.parameters():
        weight.grad = torch.randn_like(weight)
    optimizer.step()
    stored = optimizer_tensors(model, optimizer)
    name = "model.layers.0.mlp.up_proj.weight"
    size = model.get_parameter(name).numel()
    mine = [tensor for key, tensor in stored.items() if key.startswith(name)]
    assert stored[f"{name}/state1"].dtype == torch.uint8
    assert sum(tensor.numel() * tensor.element_size() for tensor in mine) < 2.1 * size
    assert not any("qmap" in key for key in stored)


def test_its_steps_are_near_those_of_float32():
    models = [make_lm("llama", width=64).model for _ in range(2)]
    optimizers = [
        build_optimizer(model, settings(optimizer=name, learning_rate=1e-3))
        for model, name in zip(models, ("adamw", "adamw8bit-bnb"), strict=True)
    ]
    start = models[0].model.layers[0].mlp.up_proj.weight.detach().clone()
    for step in range(5):
        for model, optimizer in zip(models, optimizers, strict=True):
            torch.manual_seed(step)
            for weight in model.parameters():
                weight.grad = torch.randn_like(weight)
            optimizer.step()
    exact, coded = (model.model.layers[0].mlp.up_proj.weight.detach() - start for model in models)
    assert 0 < (exact - coded).norm() < 0.05 * exact.norm()


def test_without_the_library_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    with pytest.raises(TrainingError, match=r"pip install -e '\.\[lean\]'"):
        build_optimizer(make_lm("llama").model, LEAN)


def test_it_is_only_imported_when_chosen_and_says_nothing():
    code = (
        "import sys, torch; from flantune.training.optimizers import build_optimizer; "
        "from flantune.settings.config import TrainingSettings; model = torch.nn.Linear(8, 8); "
        "build_optimizer(model, TrainingSettings()); assert 'bitsandbytes' not in sys.modules; "
        "build_optimizer(model, TrainingSettings(optimizer='adamw8bit-bnb')); assert 'bitsandbytes' in sys.modules"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=HUNG_AFTER_S
    )
    assert told.stdout == "" and told.stderr == ""
