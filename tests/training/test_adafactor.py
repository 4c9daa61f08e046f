"""Adafactor against the paper's equations in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers

from flantune.settings.config import TrainingSettings
from flantune.settings.optimizer_settings import AdafactorSettings
from flantune.training.adafactor import Adafactor, factored_axes
from flantune.training.optimizers import build_optimizer, set_learning_rate
from flantune.training.schedules import learning_rate

SHAPES = ((256, 128), (128, 300), (130, 130), (128, 127), (64, 64), (200,), (1,), (3, 130, 140))


class Reference:
    """Shazeer and Stern 2018, algorithms 4 and 5, written out for one tensor in float64."""

    def __init__(
        self,
        weights: np.ndarray,
        *,
        step_offset: int = 0,
        decay_exponent: float = 0.8,
        clipping_threshold: float = 1.0,
        min_dim_size_to_factor: int = 128,
        parameter_scale: bool = True,
    ) -> None:
        self.x, self.t, self.offset = weights.astype(np.float64), 0, step_offset
        self.exponent, self.threshold, self.parameter_scale = decay_exponent, clipping_threshold, parameter_scale
        axes = np.argsort(weights.shape, kind="stable")[-2:]
        self.is_factored = weights.ndim >= 2 and weights.shape[axes[0]] >= min_dim_size_to_factor
        self.small, self.large = (int(axes[0]), int(axes[-1])) if self.is_factored else (0, 0)
        self.r = self.c = self.v = 0.0

    def step(self, gradient: np.ndarray, rate: float) -> None:
        self.t += 1
        g = gradient.astype(np.float64)
        beta = 1.0 - (self.t - self.offset) ** -self.exponent
        square = g**2 + 1e-30
        if self.is_factored:
            self.r = beta * self.r + (1 - beta) * square.mean(axis=self.large, keepdims=True)
            self.c = beta * self.c + (1 - beta) * square.mean(axis=self.small, keepdims=True)
            v = self.r * self.c / self.r.mean(axis=self.small, keepdims=True)
        else:
            v = self.v = beta * self.v + (1 - beta) * square
        u = g / np.sqrt(v)
        u = u / max(1.0, np.sqrt((u**2).mean()) / self.threshold)
        scale = max(1e-3, np.sqrt((self.x**2).mean())) if self.parameter_scale else 1.0
        self.x = self.x - rate * scale * u


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


@pytest.mark.parametrize(
    ("shape", "own"),
    [
        *((shape, {"parameter_scale": False}) for shape in ((64, 48), (140, 130), (200,))),
        *((shape, {"clipping_threshold": 0.25}) for shape in ((64, 48), (140, 130), (200,))),
        *((shape, {"decay_exponent": 0.5, "step_offset": -3}) for shape in ((64, 48), (140, 130), (200,))),
        ((64, 48), {"min_dim_size_to_factor": 32}),
        ((140, 130), {"min_dim_size_to_factor": 1024}),
    ],
    ids=str,
)
def test_every_setting_equals_the_papers_equations(shape, own):
    """Through the run file's settings, so that each reaches the optimizer under its name."""
    start = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    weight, reference = torch.nn.Parameter(torch.from_numpy(start.copy())), Reference(start, **own)
    model = torch.nn.ParameterDict({"w": weight})
    optimizer = build_optimizer(model, TrainingSettings(learning_rate=1e-2, adafactor=AdafactorSettings(**own)))
    plain = Reference(start)
    for gradient in gradients(shape, 6):
        weight.grad = torch.from_numpy(gradient)
        optimizer.step()
        reference.step(gradient, 1e-2)
        plain.step(gradient, 1e-2)
    np.testing.assert_allclose(weight.detach().numpy(), reference.x, rtol=2e-5, atol=1e-6)
    assert np.abs(reference.x - plain.x).max() > 1e-5, "the setting changes nothing here"


def test_relative_step_size_is_the_schedule_with_a_peak_of_one_hundredth():
    """Shazeer and Stern 2018, section 9: ρ = min(0.01, 1/√t); steps around 10,000, where the one takes over."""
    settings = TrainingSettings(schedule="inverse_sqrt", learning_rate=0.01, steps=200_000)
    start = np.ones((130, 140), dtype=np.float32)
    weight, reference = torch.nn.Parameter(torch.from_numpy(start.copy())), Reference(start)
    optimizer = Adafactor([weight], lr=settings.learning_rate)
    for step, gradient in zip((1, 2, 100, 9_999, 10_001, 40_000, 160_000), gradients(start.shape, 7), strict=True):
        reference.t = step - 1
        if step > 1:
            optimizer.state[weight]["step"].fill_(step - 1)
        set_learning_rate(optimizer, learning_rate(step, settings))
        weight.grad = torch.from_numpy(gradient)
        optimizer.step()
        reference.step(gradient, min(1e-2, step**-0.5))
        np.testing.assert_allclose(weight.detach().numpy(), reference.x, rtol=2e-5, atol=1e-6)


def paths(make, shape=(160, 144), *, steps=6, seed=0):
    """Weights after each step with the same gradients."""
    start = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    weight = torch.nn.Parameter(start.clone())
    optimizer, found = make(weight), []
    for k in range(steps):
        weight.grad = torch.randn(shape, generator=torch.Generator().manual_seed(k)) * (k % 5 + 0.1)
        optimizer.step()
        found.append(weight.detach() - start)
    return found


def are_equal(mine, theirs):
    return all((a - b).norm() <= 1e-4 * a.norm() for a, b in zip(mine, theirs, strict=True))


def ours(weight, **own):
    return Adafactor([weight], lr=1e-2, **own)


def transformers_own(weight, **options):
    return transformers.Adafactor([weight], **{"lr": 1e-2, "relative_step": False, "scale_parameter": True, **options})


def pytorchs_own(weight, **options):
    return torch.optim.Adafactor([weight], **{"lr": 1e-2, **options})


def test_transformers_own_differs_as_documented():
    """Where both factor and all switches agree, it takes our steps; each difference of the docstring shows alone."""
    assert are_equal(paths(ours), paths(transformers_own))
    assert are_equal(paths(ours), paths(lambda w: transformers.Adafactor([w]))), "its relative step starts at 0.01 too"
    assert not are_equal(paths(ours), paths(lambda w: transformers.Adafactor([w], warmup_init=True)))
    assert not are_equal(paths(ours), paths(lambda w: transformers_own(w, scale_parameter=False)))
    # It factors small matrices, and a tensor of more than two axes by its last two, however small.
    assert not are_equal(paths(ours, (64, 64)), paths(transformers_own, (64, 64)))
    assert are_equal(paths(lambda w: ours(w, min_dim_size_to_factor=1), (64, 64)), paths(transformers_own, (64, 64)))
    assert not are_equal(paths(ours, (160, 144, 2)), paths(transformers_own, (160, 144, 2)))
    with pytest.raises(ValueError, match="manual `lr`"):
        transformers.Adafactor([torch.nn.Parameter(torch.ones(2))], lr=1e-2)


def test_pytorchs_own_differs_as_documented():
    """If this fails, PyTorch's has become the one the papers use, and ours can go."""
    assert not are_equal(paths(ours, (64, 64)), paths(pytorchs_own, (64, 64)))
    mine = paths(lambda w: Adafactor([w], lr=1.0), steps=3)
    theirs = paths(lambda w: pytorchs_own(w, lr=1.0), steps=3)
    assert are_equal(mine[:1], theirs[:1]) and not are_equal(mine, theirs), "the limit of 1/√t shows at the second step"
    # With no limit in sight and a matrix that both factor, the steps agree.
    assert are_equal(paths(ours), paths(pytorchs_own))


def test_axes_are_the_two_largest():
    assert factored_axes((130, 4, 200), 128) == (0, 2)
    assert factored_axes((200, 130, 4), 128) == (1, 0)
    assert factored_axes((), 128) is None
