"""The second half of ``flantune check``: what tokens the first prompts have, and what the whole run takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flantune.evaluation.asking.task_questions import TaskQuestions, count_questions
from flantune.models.fit import OPTIMIZER_BYTES
from flantune.models.load import load_config
from flantune.models.scratch import scratch_config
from flantune.models.size import count_weights, training_flops
from flantune.packing.batches import Batches
from flantune.packing.packs import Counts

if TYPE_CHECKING:
    from flantune.packing.codec_for import UnloadedReader
    from flantune.packing.stream import PromptStream
    from flantune.settings.config import RunConfig
    from flantune.tasks.example_store import PreparedTask

LOOKED_AT = 1_024
_BATCHES = 4
_GIGABYTE = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Tokens of the first prompts of a mixture, as the model reads them.

    Attributes:
        prompts: How many were looked at.
        inputs, targets: Median, 95th percentile and largest number of tokens.
        shortened: Share of prompts whose inputs are cut.
        left_out: Share of prompts whose target is too long.
        exemplars_dropped: Solved examples left out for want of room, a prompt.
    """

    prompts: int
    inputs: tuple[int, int, int]
    targets: tuple[int, int, int]
    shortened: float
    left_out: float
    exemplars_dropped: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the whole run takes.

    Attributes:
        weights: Of the model.
        steps: Optimizer steps.
        prompts_a_step: Prompts in one of the first batches, on average.
        fill: Share of a batch's positions that hold a token.
        draws: Prompts of the whole run.
        tokens: Tokens of the whole run.
        flops: Floating-point operations of its training.
        gigabytes: Of weights, gradients and the optimizer's state, without activations; None for an adapter or
            quantized weights.
        questions: Prompts that models answer when they are measured: the base model and the tuned one of this fold.
    """

    weights: int
    steps: int
    prompts_a_step: float
    fill: float
    draws: int
    tokens: int
    flops: float
    gigabytes: float | None
    questions: int


def look_at_lengths(stream: PromptStream) -> Lengths:
    """What tokens the first prompts have."""
    draws = stream.draws(0, LOOKED_AT)
    counts = sum((draw.counts for draw in draws), Counts())
    kept = [draw.prompt for draw in draws if draw.prompt is not None]
    return Lengths(
        prompts=len(draws),
        inputs=_spread([len(prompt.inputs) for prompt in kept]),
        targets=_spread([len(prompt.targets[0]) for prompt in kept]),
        shortened=counts.inputs_shortened / len(draws),
        left_out=counts.prompts_dropped / len(draws),
        exemplars_dropped=counts.exemplars_dropped / len(draws),
    )


def _spread(lengths: Sequence[int]) -> tuple[int, int, int]:
    if not lengths:
        return (0, 0, 0)
    median, most = np.percentile(lengths, (50, 95), method="higher")
    return (int(median), int(most), max(lengths))


def estimate_cost(
    config: RunConfig, stream: PromptStream, reader: UnloadedReader, measured: Sequence[PreparedTask]
) -> Cost:
    """What the run takes, by its first batches and the model's configuration.

    Raises:
        ModelError: There is no such model.
        PackingError: None of many prompts in a row fits.
    """
    batches = Batches(stream, config.packing)
    cursor, counts = 0, Counts()
    for _ in range(_BATCHES):
        batch = batches.batch(cursor)
        cursor, counts = batch.next_cursor, counts + batch.counts
    steps = config.training.steps
    tokens = round((counts.input_tokens + counts.target_tokens) / _BATCHES * steps)
    weights = _weights(config, reader)
    how = TaskQuestions(evaluation=config.evaluation, prompts=config.prompts, seed=config.seed)
    return Cost(
        weights=weights,
        steps=steps,
        prompts_a_step=counts.prompts / _BATCHES,
        fill=counts.fill,
        draws=round(cursor / _BATCHES * steps),
        tokens=tokens,
        flops=training_flops(weights, tokens, reader.family),
        gigabytes=_gigabytes(config, weights),
        questions=2 * sum(count_questions(one, how) for one in measured),
    )


def _weights(config: RunConfig, reader: UnloadedReader) -> int:
    model = config.model
    made = scratch_config(model.scratch, reader.tokenizer) if model.scratch is not None else load_config(model)
    return count_weights(made, reader.family, trust_remote_code=model.trust_remote_code)


def _gigabytes(config: RunConfig, weights: int) -> float | None:
    if config.model.adapter != "none" or config.model.quantize != "none":
        return None
    return weights * (4 + 4 + OPTIMIZER_BYTES[config.training.optimizer]) / _GIGABYTE
