"""A line of ``metrics.jsonl``, which training writes and reports read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanLoss:
    """Loss of some target tokens, in nats per token; None if it is not a number."""

    loss: float | None
    target_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsLine:
    """The steps since the previous line; ``docs/training.md`` says what each number means.

    Attributes:
        tasks: Loss by task; ``clusters``: the same by cluster.
        measured: Accuracy and loss on dev rows, if measured.
        inputs_loss: Nats per input token, if they carry loss; ``loss`` is only of the targets.
        inputs_tokens: The number of these tokens.
    """

    step: int
    cursor: int
    loss: float | None
    weighted_loss: float | None
    learning_rate: float
    grad_norm: float | None
    skipped: int
    prompts: int
    target_tokens: int
    input_tokens: int
    fill: float
    tokens_per_s: float
    seconds: float
    pipeline_tokens_per_s: float
    data_wait_share: float
    balance: float
    tasks: Mapping[str, MeanLoss]
    clusters: Mapping[str, MeanLoss] = field(default_factory=dict)
    measured: Mapping[str, float | None] = field(default_factory=dict)
    inputs_loss: float | None = None
    inputs_tokens: int = 0
