"""What must be equal on the device, in float32 and bfloat16: packed and alone, cut and whole, resumed and straight."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.made_up import (
    MAX_INPUT_TOKENS,
    MAX_TARGET_TOKENS,
    MIDDLE,
    ROW_TOKENS,
    TINY,
    MadeUpStream,
    prompts,
    requests,
)
from benchmarks.gpu.made_up import model as made_up_model
from benchmarks.gpu.timing import EnoughError, Task
from flantune.models.attention.lines import reads_lines
from flantune.models.checks.isolation import logprobs_alone
from flantune.models.forms.reading_form import scoring_mode
from flantune.models.forms.training_form import TrainingForm
from flantune.models.forward import target_logprobs
from flantune.models.language_model import LanguageModel
from flantune.models.modes import quiet
from flantune.models.scoring.check import scoring_layout
from flantune.models.scoring.option_scorer import OptionScorer
from flantune.models.scoring.plan import forward_cost, plan_scoring
from flantune.packing.batches import Batches
from flantune.packing.packs import Batch
from flantune.settings.config import PackingSettings, TrainingSettings
from flantune.training.loop import tune
from flantune.training.loss import accumulate_gradient

LIMITS = {
    "float32": {"gradient": 1e-4, "loss": 1e-5, "weights": 1e-4, "score": 1e-3},
    # Rounded numbers in another order: 0.4% each, summed over layers.
    "bfloat16": {"gradient": 5e-2, "loss": 2e-3, "weights": 5e-3, "score": 0.5},
}
"""What float arithmetic in another order explains, relative (a score: in nats)."""
BATCH_TOKENS = {True: 1_024, False: 16_384}


def measure(task: Task) -> dict[str, Any]:
    """Each equality by family and dtype: how large the difference is, and whether rounding explains it."""
    shapes = TINY if task.is_small else MIDDLE
    found: dict[str, Any] = {}
    for family, shape in shapes.items():
        for dtype in LIMITS:
            lm = made_up_model(shape, task.device, dtype=dtype)
            found[f"{family}, {dtype}"] = _of(lm, dtype, task)
    return {**found, "is_right": all(each["is_right"] for each in found.values())}


def _of(lm: LanguageModel, dtype: str, task: Task) -> dict[str, Any]:
    limits, tokens = LIMITS[dtype], BATCH_TOKENS[task.is_small]
    packed, again = _gradient(lm, tokens), _gradient(lm, tokens)
    others = {
        "packed and alone": _gradient(lm, tokens, is_packed=False),
        "whole and in micro-batches": _gradient(lm, tokens, micro_batch_tokens=tokens // 4),
    }
    resumed = _resumed(lm, tokens)
    differences = {
        "gradient": {name: _far(packed, other) for name, other in others.items()},
        "loss": {name: _apart(packed[0], other[0]) for name, other in others.items()},
        "weights": {"resumed and straight": resumed["difference"]},
        "score": {"options and each alone": _scores(lm, task)},
    }
    if dtype == "float32":
        differences["loss"]["device and CPU"] = _cpu(lm, tokens)
    each = [(kind, what, size) for kind, pairs in differences.items() for what, size in pairs.items()]
    return {
        **{f"{what}: {kind}": float(f"{size:.3g}") for kind, what, size in each},
        "reads_lines": reads_lines(lm),
        "scoring": scoring_layout(lm).layout,
        "the_same_twice_to_the_bit": all(torch.equal(packed[1][name], again[1][name]) for name in packed[1]),
        "resumed_to_the_bit": resumed["is_same"],
        "is_right": all(size <= limits[kind] for kind, _, size in each),
    }


def _batches(lm: LanguageModel, tokens: int, *, is_packed: bool = True, micro_batch_tokens: int = 0) -> Batches:
    settings = PackingSettings(
        enabled=is_packed,
        max_input_tokens=MAX_INPUT_TOKENS,
        max_target_tokens=MAX_TARGET_TOKENS,
        row_tokens=ROW_TOKENS,
        batch_tokens=tokens,
    )
    stream = MadeUpStream(prompts=prompts(len(lm.tokenizer), 512), family=lm.family)
    return Batches(stream, settings, micro_batch_tokens=micro_batch_tokens, is_padded=not reads_lines(lm))


def _gradient(lm: LanguageModel, tokens: int, **laid: Any) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradient of the first batch, as a step of tuning computes them."""
    batch: Batch = _batches(lm, tokens, **laid).batch(0)
    form = TrainingForm(lm)
    lm.model.zero_grad()
    with form.in_place():
        found = accumulate_gradient(batch, lambda pack: target_logprobs(lm, pack), device=lm.device)
    gradient = {name: weight.grad.clone() for name, weight in lm.model.named_parameters() if weight.grad is not None}
    lm.model.zero_grad()
    return found.loss, gradient


def _apart(one: float, other: float) -> float:
    return abs(one - other) / max(abs(one), abs(other))


def _far(one: tuple[float, dict[str, torch.Tensor]], other: tuple[float, dict[str, torch.Tensor]]) -> float:
    """Length of the difference of two gradients, as a share of the first's."""
    square = sum(float((grad - other[1][name]).double().square().sum()) for name, grad in one[1].items())
    whole = sum(float(grad.double().square().sum()) for grad in one[1].values())
    return float((square / whole) ** 0.5)


def _cpu(lm: LanguageModel, tokens: int) -> float:
    """The loss here and on the CPU."""
    batch = _batches(lm, tokens).batch(0)
    with torch.no_grad():
        here = float(target_logprobs(lm, batch.packs[0]).logprobs.sum())
        model = lm.model.cpu()
        there = float(target_logprobs(replace(lm, device=torch.device("cpu")), batch.packs[0]).logprobs.sum())
        model.to(lm.device)
    return _apart(here, there)


def _resumed(lm: LanguageModel, tokens: int) -> dict[str, Any]:
    """Four steps at a stretch, and two and two: how far a weight is off, as a share of its matrix's largest."""
    before = {name: value.clone() for name, value in lm.model.state_dict().items()}
    ends = []
    for stops in ((4,), (2, 4)):
        lm.model.load_state_dict(before)
        with tempfile.TemporaryDirectory() as folder:
            for count in stops:
                settings = TrainingSettings(
                    steps=4, optimizer="adamw", checkpoint_every=1, micro_batch_tokens=tokens // 2, log_every=1
                )
                _steps(lm, _batches(lm, tokens, micro_batch_tokens=tokens // 2), settings, Path(folder), count)
        ends.append({name: value.clone() for name, value in lm.model.named_parameters()})
    lm.model.load_state_dict(before)
    pairs = [(weight.detach(), ends[1][name].detach()) for name, weight in ends[0].items()]
    return {
        "difference": max(float((a - b).abs().max() / a.abs().max()) for a, b in pairs),
        "is_same": all(torch.equal(a, b) for a, b in pairs),
    }


def _steps(lm: LanguageModel, batches: Batches, settings: TrainingSettings, folder: Path, count: int) -> None:
    def progress(now: Any) -> None:
        if now.step == count < settings.steps:
            raise EnoughError

    with suppress(EnoughError):
        tune(lm, batches, settings, folder=folder, seed=0, fingerprint="gpu_day", progress=progress)


def _scores(lm: LanguageModel, task: Task) -> float:
    """The largest difference of an option's score from the plain float32 forward pass on it alone, in nats."""
    units = requests(len(lm.tokenizer), 8 if task.is_small else 32, shared=40)
    plan = plan_scoring(
        units,
        family=lm.family,
        layout=scoring_layout(lm).layout,
        batch_tokens=4_096,
        pass_cost=forward_cost(lm.device.type),
    )
    with scoring_mode(lm):
        scorer = OptionScorer(lm)
        found = [(batch.units, scorer.score(units, batch).sums) for batch in plan]
    worst = 0.0
    with quiet(lm.model):
        for members, sums in found:
            alone = [
                float(logprobs_alone(lm, units[at], target).double().sum())
                for at in members
                for target in units[at].targets
            ]
            worst = max(worst, float(np.abs(np.array(alone) - sums).max()))
    return worst
