"""AdamW with the 8-bit moments of bitsandbytes: near the float32 one, far smaller, and resumed to the bit."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

import pytest
import torch
from tests.conftest import HUNG_AFTER_S
from tests.training.small import assert_resumed_equals_straight, make_lm, settings
from tests.training.test_adamw8bit import UP, stored_after_a_step, taken

from flantune.errors import TrainingError
from flantune.training.optimizers import build_optimizer

pytest.importorskip("bitsandbytes")
LEAN = settings(optimizer="adamw8bit-bnb", weight_decay=0.01, steps=6, checkpoint_every=3)


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_resumed_equals_straight_to_the_bit(tmp_path, architecture):
    assert_resumed_equals_straight(tmp_path, partial(make_lm, architecture, width=64), LEAN, stop=4)


def test_moments_of_matrices_take_one_byte_a_weight():
    stored, size = stored_after_a_step(LEAN)
    assert stored[f"{UP}/state1"].dtype == torch.uint8 and size < 2.1
    assert not any("qmap" in key for key in stored)


def test_its_steps_are_near_those_of_float32():
    torch.manual_seed(0)
    start, gradients = torch.randn(96, 128), [torch.randn(96, 128) for _ in range(5)]
    exact, coded = (taken(name, gradients, start=start) - start for name in ("adamw", "adamw8bit-bnb"))
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
