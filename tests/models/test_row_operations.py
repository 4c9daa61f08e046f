"""Gated activations and norms in one pass: PyTorch's results and gradients for all sizes and numbers of threads."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.models.test_training_form import distance, gradients, pack_of
from tests.training.small import make_lm
from torch import nn
from torch.utils.checkpoint import checkpoint

import flantune.models.forms.gated as gated
import flantune.models.forms.row_operations as operations
from flantune.models.attention import door
from flantune.models.forms.gated import LeanGatedFeedForward, gated_form
from flantune.models.forms.row_operations import gate, root_mean_square
from flantune.models.forms.training_form import TrainingForm

pytestmark = pytest.mark.usefixtures("row_program")
DTYPES = (torch.float32, torch.bfloat16)
ROUNDING = {torch.float32: 1e-5, torch.bfloat16: 1e-2}


def is_near(found: torch.Tensor, expected: torch.Tensor, dtype: torch.dtype) -> bool:
    assert found.dtype == dtype and found.shape == expected.shape
    return float((found.float() - expected).norm()) <= ROUNDING[dtype] * float(expected.norm()) + 1e-6


def values(function, inputs, towards):
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    out = function(*leaves)
    return [out.detach(), *torch.autograd.grad(out, leaves, towards)]


def compare(mine, plain, inputs, towards, dtype) -> None:
    if dtype not in door.find_program().dtypes:
        pytest.skip("the processor has no arithmetic in this dtype")
    rounded, towards = [tensor.to(dtype) for tensor in inputs], towards.to(dtype)
    expected = values(plain, [tensor.float() for tensor in rounded], towards.float())
    for one, other in zip(values(mine, rounded, towards), expected, strict=True):
        assert is_near(one, other, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1,), (3, 7), (2, 5, 48), (3, 4099)])
@pytest.mark.parametrize("is_gelu", [False, True])
def test_gates(dtype, shape, is_gelu):
    x, up, towards = (4 * torch.randn(shape) for _ in range(3))

    def plain(x, up):
        return (nn.functional.gelu(x, approximate="tanh") if is_gelu else nn.functional.silu(x)) * up

    compare(lambda x, up: gate(x, up, is_gelu=is_gelu), plain, (x, up), towards, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 16), (2, 5, 48), (300, 64)])
def test_norms(dtype, shape):
    x, towards, weight = 3 * torch.randn(shape), torch.randn(shape), torch.randn(shape[-1])

    def plain(x, weight):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * weight

    compare(lambda x, weight: root_mean_square(x, weight, 1e-6), plain, (x, weight), towards, dtype)


def test_extremes_are_those_of_pytorch():
    x = torch.tensor([-1e30, -200.0, -88.0, 0.0, 88.0, 200.0, 1e30, float("inf"), float("nan")])
    up = torch.ones_like(x)
    expected = nn.functional.silu(x)
    torch.testing.assert_close(gate(x, up, is_gelu=False), expected, equal_nan=True, rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_number_of_threads_gives_the_same_bits(dtype, monkeypatch):
    if dtype not in door.find_program().dtypes:
        pytest.skip("the processor has no arithmetic in this dtype")
    x, up, towards = (torch.randn(700, 64).to(dtype) for _ in range(3))
    weight, found = torch.randn(64).to(dtype), []
    for threads in (1, 3):
        monkeypatch.setattr(operations, "threads_for", lambda _, threads=threads: threads)
        found.append(
            [
                *values(lambda x, up: gate(x, up, is_gelu=True), (x, up), towards),
                *values(lambda x, weight: root_mean_square(x, weight, 1e-6), (x, weight), towards),
            ]
        )
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_the_trial_of_the_program_may_happen_while_a_layer_computes_its_activations_again():
    """This happens in the first pass of a run with activation checkpointing."""
    operations.agrees.cache_clear()
    x, weight = torch.randn(4, 32, requires_grad=True), torch.randn(32, requires_grad=True)

    def layer(x):
        return root_mean_square(torch.tanh(x), weight, 1e-6)

    checkpoint(layer, x, use_reentrant=False).sum().backward()
    found = x.grad, weight.grad
    x.grad = weight.grad = None
    layer(x).sum().backward()
    torch.testing.assert_close(found, (x.grad, weight.grad))


def test_nothing_is_taken_from_pytorch_where_no_program_can():
    x = torch.randn(4, 24)
    assert root_mean_square(x, torch.randn(24), 1e-6) is None
    assert root_mean_square(torch.randn(4, 32).double(), torch.randn(32).double(), 1e-6) is None
    assert gate(x, x.bfloat16(), is_gelu=False) is None


@pytest.mark.parametrize("architecture", ["llama", "t5"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_model_has_the_gradients_it_had(architecture, dtype):
    lm = replace(make_lm(architecture, width=64), compute_dtype=dtype)
    form = TrainingForm(lm)
    parts = [other for *_, other in form._modules if isinstance(other, LeanGatedFeedForward)]
    # Two layers; in T5, two in the encoder and two in the decoder.
    assert len(parts) == (4 if architecture == "t5" else 2)
    exact = replace(lm, compute_dtype=torch.float32)
    expected = gradients(exact, TrainingForm(exact, is_lean=False), [pack_of(exact)])
    assert distance(gradients(lm, form, [pack_of(lm)]), expected) < (1e-5 if dtype == torch.float32 else 0.1)


def test_a_part_whose_members_have_other_names_is_one_line(monkeypatch):
    class FeedForward(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right, self.out, self.act = nn.Linear(8, 16), nn.Linear(8, 16), nn.Linear(16, 8), nn.SiLU()

        def forward(self, x):
            return self.out(self.act(self.left(x)) * self.right(x))

    assert gated_form(FeedForward()) is None
    line = gated.GatedNames(gate="left", up="right", down="out", activation="act")
    monkeypatch.setattr(gated, "NAMES", (*gated.NAMES, line))
    assert isinstance(gated_form(FeedForward()), LeanGatedFeedForward)


def test_only_what_is_known_and_the_same_takes_another_form():
    class FeedForward(nn.Module):
        def __init__(self, activation: nn.Module, factor: float = 1.0) -> None:
            super().__init__()
            self.gate_proj, self.up_proj, self.down_proj = nn.Linear(8, 16), nn.Linear(8, 16), nn.Linear(16, 8)
            self.act_fn, self.factor = activation, factor

        def forward(self, x):
            return self.factor * self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))

    assert isinstance(gated_form(FeedForward(nn.SiLU())), LeanGatedFeedForward)
    assert gated_form(FeedForward(nn.ReLU())) is None
    assert gated_form(FeedForward(nn.SiLU(), factor=2.0)) is None
    assert gated_form(nn.Sequential(nn.Linear(8, 8))) is None
