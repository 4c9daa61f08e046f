"""Adafactor against the paper's equations in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from flantune.training.adafactor import Adafactor, factored_axes

SHAPES = ((256, 128), (128, 300), (130, 130), (128, 127), (64, 64), (200,), (1,), (3, 130, 140))


class Reference:
    """Shazeer and Stern 2018, algorithms 4 and 5, written out for one tensor in float64."""

    def __init__(self, weights: np.ndarray, *, step_offset: int = 0) -> None:
        self.x, self.t, self.offset = weights.astype(np.float64), 0, step_offset
        axes = np.argsort(weights.shape, kind="stable")[-2:]
        self.is_factored = weights.ndim >= 2 and weights.shape[axes[0]] >= 128
        self.small, self.large = (int(axes[0]), int(axes[-1])) if self.is_factored else (0, 0)
        self.r = self.c = self.v = 0.0

    def step(self, gradient: np.ndarray, rate: float) -> None:
        self.t += 1
        g = gradient.astype(np.float64)
        beta = 1.0 - (self.t - self.offset) ** -0.8
        square = g**2 + 1e-30
        if self.is_factored:
            self.r = beta * self.r + (1 - beta) * square.mean(axis=self.large, keepdims=True)
            self.c = beta * self.c + (1 - beta) * square.mean(axis=self.small, keepdims=True)
            v = self.r * self.c / self.r.mean(axis=self.small, keepdims=True)
        else:
            v = self.v = beta * self.v + (1 - beta) * square
        u = g / np.sqrt(v)
        u = u / max(1.0, np.sqrt((u**2).mean()) / 1.0)
        self.x = self.x - rate * max(1e-3, np.sqrt((self.x**2).mean())) * u


def gradients(shape: tuple[int, ...], steps: int) -> list[np.ndarray]:
    random = np.random.default_rng(sum(shape))
    drawn = [random.standard_normal(shape) * 10.0 ** random.integers(-6, 2) for _ in range(steps)]
    drawn[1] *= random.random(shape) < 0.3
    drawn[3] = np.zeros(shape)
    return [g.astype(np.float32) for g in drawn]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("scale", [1.0, 0.0, 1e-5])
def test_every_step_equals_the_papers_equations(shape, scale):
    start = (np.random.default_rng(0).standard_normal(shape) * scale).astype(np.float32)
    weight, reference = torch.nn.Parameter(torch.from_numpy(start.copy())), Reference(start)
    optimizer = Adafactor([weight], lr=1.0)
    for number, gradient in enumerate(gradients(shape, 8)):
        rate = 1e-2 / (1 + number)
        optimizer.param_groups[0]["lr"] = rate
        before, expected_before = weight.detach().clone(), reference.x
        weight.grad = torch.from_numpy(gradient)
        optimizer.step()
        reference.step(gradient, rate)
        np.testing.assert_allclose(weight.detach().numpy(), reference.x, rtol=1e-5, atol=1e-5 * max(scale, 1e-3))
        # The change itself, not drowned in the weight.
        change, expected = (weight.detach() - before).double().numpy(), reference.x - expected_before
        assert np.linalg.norm(change - expected) <= 1e-5 * np.linalg.norm(expected) + 2e-7 * np.linalg.norm(reference.x)


def test_step_offset_starts_second_moments_afresh():
    """With step_offset 0 in step 5 the memory decays by 1 − 5^−0.8; the reference has both."""
    start = np.ones((130, 140), dtype=np.float32)
    for offset in (0, -10):
        weight, reference = torch.nn.Parameter(torch.from_numpy(start.copy())), Reference(start, step_offset=offset)
        optimizer = Adafactor([weight], lr=1e-3, step_offset=offset)
        for gradient in gradients(start.shape, 5):
            weight.grad = torch.from_numpy(gradient)
            optimizer.step()
            reference.step(gradient, 1e-3)
        np.testing.assert_allclose(weight.detach().numpy(), reference.x, rtol=1e-5)


def test_memory_is_a_few_vectors_a_matrix():
    big, small = torch.nn.Parameter(torch.ones(512, 256)), torch.nn.Parameter(torch.ones(512, 64))
    optimizer = Adafactor([big, small], lr=1e-3)
    for weight in (big, small):
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    assert {key: value.numel() for key, value in optimizer.state[big].items()} == {"step": 1, "row": 256, "column": 512}
    assert {key: value.numel() for key, value in optimizer.state[small].items()} == {"step": 1, "v": 512 * 64}


def test_a_step_is_never_larger_than_rate_times_size():
    weight = torch.nn.Parameter(torch.full((200, 200), 2.0))
    optimizer = Adafactor([weight], lr=0.01)
    for exponent in (-8, 8, 0):
        before = weight.detach().clone()
        weight.grad = torch.randn(200, 200, generator=torch.Generator().manual_seed(1)) * 10.0**exponent
        optimizer.step()
        change = (weight.detach() - before).square().mean().sqrt()
        assert change <= 0.01 * before.square().mean().sqrt() * (1 + 1e-4)


def test_weights_without_gradient_stay():
    still, moved = torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(3))
    moved.grad = torch.ones(3)
    optimizer = Adafactor([still, moved], lr=0.1)
    optimizer.step()
    assert torch.equal(still, torch.ones(3))
    assert not optimizer.state[still]
    assert not torch.equal(moved, torch.ones(3))


def test_pytorchs_own_differs_as_documented():
    """If this fails, PyTorch's has become the one the papers use, and ours can go."""
    start = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    drawn = [torch.randn(64, 64, generator=torch.Generator().manual_seed(k)) * (k % 5 + 0.1) for k in range(6)]
    found = []
    for make in (Adafactor, torch.optim.Adafactor):
        weight = torch.nn.Parameter(start.clone())
        optimizer = make([weight], lr=1e-2)
        for gradient in drawn:
            weight.grad = gradient
            optimizer.step()
        found.append(weight.detach() - start)
    assert (found[0] - found[1]).norm() > 0.05 * found[0].norm()


def test_axes_are_the_two_largest():
    assert factored_axes((130, 4, 200), 128) == (0, 2)
    assert factored_axes((200, 130, 4), 128) == (1, 0)
    assert factored_axes((), 128) is None
