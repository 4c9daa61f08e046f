"""The softmax over the vocabulary by the program: PyTorch's numbers and gradients, without a float32 copy."""

from __future__ import annotations

import pytest
import torch

import flantune.models.forms.log_softmax as softmax
from flantune.models.attention import door
from flantune.models.forms.log_softmax import log_sums, token_logprobs

pytestmark = pytest.mark.usefixtures("row_program")
DTYPES = (torch.float32, torch.bfloat16)
SHAPES = [(1, 1), (3, 15), (5, 16), (4, 50), (2, 8_193), (33, 300)]


def drawn(shape, dtype, *, scale=4.0):
    if dtype not in door.find_program().dtypes:
        pytest.skip("the processor has no arithmetic in this dtype")
    return (scale * torch.randn(shape)).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_sums_and_the_greatest_are_those_of_pytorch(dtype, shape):
    logits = drawn(shape, dtype)
    sums, greatest = log_sums(logits)
    assert sums.dtype == torch.float32 and greatest.dtype == torch.long
    torch.testing.assert_close(sums, logits.double().logsumexp(dim=-1).float(), rtol=1e-6, atol=3e-6)
    assert torch.equal(greatest, logits.float().argmax(dim=-1))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_log_probabilities_and_gradients_are_those_of_cross_entropy(dtype, shape):
    logits = drawn(shape, dtype).requires_grad_()
    tokens, towards = torch.randint(shape[1], (shape[0],)), torch.randn(shape[0])
    tokens[-1] = shape[1] - 1
    found = token_logprobs(logits, tokens)
    expected = -torch.nn.functional.cross_entropy(logits.double(), tokens, reduction="none")
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=5e-6)
    (grad,), (wanted,) = (torch.autograd.grad(values, logits, towards.to(values.dtype)) for values in (found, expected))
    assert grad.dtype == dtype
    torch.testing.assert_close(grad.float(), wanted.float(), rtol=1e-2 if dtype == torch.bfloat16 else 1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_of_equal_logits_the_first_is_the_greatest(dtype):
    logits = torch.zeros(2, 70).to(dtype)
    logits[0, [20, 41, 69]] = 3.0
    _, greatest = log_sums(logits)
    assert greatest.tolist() == [20, 0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_logits_far_apart_and_forbidden_tokens(dtype):
    logits = drawn((3, 40), dtype, scale=1.0)
    logits[0, 7], logits[1, :30], logits[2] = 1e4, float("-inf"), -1e4
    sums, greatest = log_sums(logits)
    torch.testing.assert_close(sums, logits.float().logsumexp(dim=-1))
    assert greatest[0] == 7 and greatest[1] >= 30


def test_a_logit_that_is_no_number_is_not_hidden():
    logits = torch.zeros(2, 40)
    logits[1, 3] = float("nan")
    sums, _ = log_sums(logits)
    assert sums.isnan().tolist() == [False, True]
    assert token_logprobs(logits, torch.tensor([0, 0])).isnan().tolist() == [False, True]


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_number_of_threads_gives_the_same_bits(dtype, monkeypatch):
    logits, tokens, found = drawn((300, 97), dtype), torch.randint(97, (300,)), []
    for threads in (1, 3):
        monkeypatch.setattr(softmax, "threads_for", lambda _, threads=threads: threads)
        leaf = logits.clone().requires_grad_()
        logprobs = token_logprobs(leaf, tokens)
        found.append((logprobs.detach(), *torch.autograd.grad(logprobs.sum(), leaf), *log_sums(logits)))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_rows_that_do_not_lie_side_by_side(monkeypatch):
    wide = drawn((6, 64), torch.float32)
    torch.testing.assert_close(log_sums(wide[:, ::2])[0], wide[:, ::2].logsumexp(dim=-1))
    leaf = wide[:, 1::2].detach().requires_grad_()
    tokens = torch.arange(12)[::2]
    grad = torch.autograd.grad(token_logprobs(leaf, tokens).sum(), leaf)[0]
    monkeypatch.setattr(softmax, "_is_for", lambda _: False)
    torch.testing.assert_close(grad, torch.autograd.grad(token_logprobs(leaf, tokens).sum(), leaf)[0])


def test_pytorch_computes_what_the_program_cannot():
    logits = torch.randn(4, 24).double()
    torch.testing.assert_close(log_sums(logits)[0], logits.float().logsumexp(dim=-1))
    assert log_sums(torch.zeros(0, 5))[0].shape == (0,)
