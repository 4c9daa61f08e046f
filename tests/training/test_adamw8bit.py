"""AdamW with 8-bit moments: near the float32 one, far smaller, resumed to the bit, and right on any share of rows."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from tests.training.small import (
    StoppedError,
    assert_resumed_equals_straight,
    make_lm,
    settings,
    stop_at,
    tune_small,
)

from flantune.errors import TrainingError
from flantune.training import adamw8bit
from flantune.training.adamw8bit import AdamW8bit
from flantune.training.optimizers import build_optimizer, optimizer_tensors

LEAN = settings(optimizer="adamw8bit", weight_decay=0.01, steps=6, checkpoint_every=3)
UP = "model.layers.0.mlp.up_proj.weight"


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_resumed_equals_straight_to_the_bit(tmp_path, architecture):
    assert_resumed_equals_straight(tmp_path, partial(make_lm, architecture, width=64), LEAN, stop=4)


def stored_after_a_step(chosen):
    """The tensors that a checkpoint has, and the bytes a weight of those of a matrix."""
    model = make_lm("llama", width=64).model
    optimizer = build_optimizer(model, chosen)
    for weight in model.parameters():
        weight.grad = torch.randn_like(weight)
    optimizer.step()
    stored = optimizer_tensors(model, optimizer)
    mine = [tensor for key, tensor in stored.items() if key.startswith(UP)]
    return stored, sum(tensor.numel() * tensor.element_size() for tensor in mine) / model.get_parameter(UP).numel()


def test_moments_of_matrices_take_one_byte_a_weight():
    stored, size = stored_after_a_step(LEAN)
    assert stored[f"{UP}/moment1"].dtype == stored[f"{UP}/moment2"].dtype == torch.uint8 and size < 2.2
    assert stored["model.norm.weight/moment1"].dtype == torch.float32


def taken(name, gradients, *, start, **changes):
    """The weight after a step with each gradient."""
    weight = torch.nn.Parameter(start.clone())
    holder = torch.nn.Module()
    holder.register_parameter("weight", weight)
    optimizer = build_optimizer(holder, settings(optimizer=name, learning_rate=1e-3, **changes))
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()
    return weight.detach()


def test_its_steps_are_near_those_of_float32():
    torch.manual_seed(0)
    start, gradients = torch.randn(96, 128), [torch.randn(96, 128) for _ in range(20)]
    exact, mine = (taken(name, gradients, start=start) - start for name in ("adamw", "adamw8bit"))
    assert 0 < (exact - mine).norm() < 0.05 * exact.norm()


def test_small_tensors_are_stepped_as_in_float32():
    torch.manual_seed(0)
    for shape in ((128,), (40, 100), (9000,)):
        start, gradients = torch.randn(shape), [torch.randn(shape) for _ in range(5)]
        exact, mine = (
            taken(name, gradients, start=start, weight_decay=0.1, no_decay=()) for name in ("adamw", "adamw8bit")
        )
        torch.testing.assert_close(mine, exact, rtol=1e-5, atol=1e-6)


def test_words_without_a_gradient_do_not_leap():
    """What is left of a first moment is divided by a second moment that was coded, too: never by zero."""
    torch.manual_seed(0)
    start = torch.zeros(64, 256)
    seen = torch.randn(64, 256) * 10.0 ** -torch.randint(0, 8, (64, 256))
    exact, mine = (taken(name, [seen, *[torch.zeros_like(seen)] * 10], start=start) for name in ("adamw", "adamw8bit"))
    # No step of Adam is much longer than its rate.
    assert mine.abs().max() < 1.5 * exact.abs().max() < 11e-3


def test_any_chunk_gives_the_same_bits(monkeypatch):
    torch.manual_seed(0)
    start, gradients = torch.randn(50, 4, 192), [torch.randn(50, 4, 192) for _ in range(3)]
    whole = taken("adamw8bit", gradients, start=start)
    for size in (192, 5 * 192, 10**9):
        monkeypatch.setitem(adamw8bit._CHUNK, "cpu", size)
        assert torch.equal(taken("adamw8bit", gradients, start=start), whole)


def test_a_share_of_rows_is_changed_as_in_the_whole():
    torch.manual_seed(0)
    start, gradients = torch.randn(100, 576), [torch.randn(100, 576) for _ in range(3)]
    whole = taken("adamw8bit", gradients, start=start)
    for rows in (slice(0, 33), slice(33, 100)):
        mine = taken("adamw8bit", [gradient[rows] for gradient in gradients], start=start[rows])
        assert torch.equal(mine, whole[rows])


def test_a_state_of_another_kind_is_refused(tmp_path):
    with pytest.raises(StoppedError):
        tune_small(tmp_path, make_lm("llama", width=64), LEAN, progress=stop_at(4))
    weight = torch.nn.Parameter(torch.zeros(64, 64))
    with pytest.raises(ValueError, match="not that of flantune's AdamW in 8 bits"):
        AdamW8bit([weight], lr=1.0).restore({weight: {"step": torch.tensor(1.0), "moment1": torch.zeros(64, 64)}})


def test_moments_of_bitsandbytes_are_not_taken_for_its_own(tmp_path):
    pytest.importorskip("bitsandbytes")
    theirs = LEAN.model_copy(update={"optimizer": "adamw8bit-bnb"})
    with pytest.raises(StoppedError):
        tune_small(tmp_path, make_lm("llama", width=64), theirs, progress=stop_at(4))
    with pytest.raises(TrainingError, match="adamw8bit-bnb"):
        tune_small(tmp_path, make_lm("llama", width=64), LEAN)
