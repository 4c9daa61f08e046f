"""The loss of an optimizer step and its gradient: the same for any division of the step into micro-batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import torch

from flantune.errors import TrainingError
from flantune.models.transfer import on_device
from flantune.training.values import NonFinite, TaskLoss
from flantune.training.weighting import Weighting, item_weights
from flantune.training.whole_prompts import asked_whole, more_tokens

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from numpy.typing import NDArray
    from torch import Tensor

    from flantune.models.forward import TargetScores
    from flantune.packing.packs import Batch, Pack
    from flantune.types import Int32

PackScores = Callable[["Pack"], "TargetScores"]
"""A pack → the model's scores of each of its target tokens, with gradient."""


class BeforePack(Protocol):
    """Called before each forward pass with the number of the micro-batch in its step."""

    def __call__(self, number: int, /) -> None:
        """Sets up the random numbers of this micro-batch, for example."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLoss:
    """The sums of one pass over a batch.

    Attributes:
        weighted_loss: What is differentiated: the weighted sum over the step, z-loss included.
        item_nll: Negative log-likelihood of each item, summed over its tokens, [items].
        item_tokens: Target tokens of each item, [items].
        item_inputs_nll: Negative log-likelihood of the tokens of each item's inputs, [items]; empty if they carry no
            loss.
        inputs_tokens: The number of these tokens in the step.
    """

    weighted_loss: float
    item_nll: Float[NDArray[np.float64], " items"]
    item_tokens: Int[NDArray[np.int64], " items"]
    item_inputs_nll: Float[NDArray[np.float64], " learned"] = field(default_factory=lambda: np.zeros(0))
    inputs_tokens: int = 0

    @property
    def loss(self) -> float:
        """Nats per target token, over the whole step, independent of the weighting, so comparable between runs."""
        return float(self.item_nll.sum() / self.item_tokens.sum())

    @property
    def inputs(self) -> TaskLoss:
        """The same for the inputs, if they carry loss."""
        return TaskLoss(nll=float(self.item_inputs_nll.sum()), target_tokens=self.inputs_tokens)

    @property
    def bad_items(self) -> list[int]:
        """Items whose loss is NaN or infinite."""
        is_bad = ~np.isfinite(self.item_nll)
        if self.item_inputs_nll.size:
            is_bad |= ~np.isfinite(self.item_inputs_nll)
        return np.flatnonzero(is_bad).tolist()

    @property
    def is_finite(self) -> bool:
        """Whether every number is finite."""
        return not self.bad_items and bool(np.isfinite(self.weighted_loss))


def accumulate_gradient(
    batch: Batch,
    scores: PackScores,
    *,
    device: torch.device,
    weighting: Weighting = "token",
    z_loss: float = 0.0,
    inputs_weight: float = 0.0,
    label_smoothing: float = 0.0,
    numbers: Sequence[int] | None = None,
    before_pack: BeforePack | None = None,
) -> StepLoss:
    """Adds the gradient of a whole step's loss to the weights' ``grad``, one micro-batch at a time.

    The loss is Σ w · (−log p + z_loss · log²Z) over the target tokens of the step, where with label smoothing −log p is
    (1 − ε) · −log p plus ε times the mean of −log q over all tokens of the vocabulary. The weights w sum to 1 over the
    whole step and are known before the first backward pass: a mean of micro-batch means would give a token more weight
    the fewer others its micro-batch has. If inputs carry loss, each of their tokens is a term too, with
    ``inputs_weight`` times the w that it would have as a token of its prompt's target.

    Args:
        batch: All micro-batches of the step, including those of other processes.
        scores: Runs the model; returns the log-sum-exp too if there is a z-loss.
        device: The device of the scores.
        weighting: What has equal weight; with "token" the loss is in nats per target token.
        z_loss: Factor of the squared log-sum-exp.
        inputs_weight: Weight of an input token relative to a target token (decoder-only).
        label_smoothing: The ε of label smoothing.
        numbers: Which micro-batches to run here; the others are run by other processes, whose results are added.
        before_pack: Called with the number of each micro-batch before it runs.

    Returns:
        The sums over the micro-batches that were run here.

    Raises:
        TrainingError: The batch has no target token.

    Paper: FLAN 2021, section 2.4 (all tokens of a batch have equal weight); z-loss: PaLM 2022, section 5.
    """
    tokens = item_tokens(batch)
    whole = asked_whole(batch) if inputs_weight else batch
    inputs = more_tokens(whole, batch)
    counted = tokens + inputs_weight * inputs if inputs_weight else tokens
    weights = on_device(torch.from_numpy(item_weights(counted, weighting=weighting, tasks=batch.tasks)), device)
    nll, inputs_nll, weighted_loss = np.zeros(len(tokens)), np.zeros(len(tokens) if inputs_weight else 0), 0.0
    waiting: list[tuple[int, Int32, Tensor, Tensor]] = []
    for number in range(len(batch.packs)) if numbers is None else numbers:
        pack, count = whole.packs[number], len(batch.packs[number].targets.item)
        if before_pack is not None:
            before_pack(number)
        found = scores(pack)
        items = on_device(torch.from_numpy(pack.targets.item), device).long()
        each = weights[items]
        each[count:] *= inputs_weight
        loss = (_token_losses(found, z_loss, label_smoothing) * each).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        waiting.append((count, pack.targets.item, found.logprobs.detach(), loss.detach()))
    # Read at the end, so as not to wait for an accelerator between micro-batches.
    for count, item, logprobs, loss in waiting:
        values = logprobs.cpu().numpy().astype(np.float64)
        nll -= np.bincount(item[:count], weights=values[:count], minlength=len(nll))
        if inputs_weight:
            inputs_nll -= np.bincount(item[count:], weights=values[count:], minlength=len(nll))
        weighted_loss += float(loss)
    return StepLoss(
        weighted_loss=weighted_loss,
        item_nll=nll,
        item_tokens=tokens,
        item_inputs_nll=inputs_nll,
        inputs_tokens=int(inputs.sum()),
    )


def _token_losses(found: TargetScores, z_loss: float, label_smoothing: float) -> Tensor:
    """Loss of each target token before weighting, [n]."""
    logprobs: Tensor = found.logprobs
    if label_smoothing:
        if found.mean_logprob is None:
            raise TrainingError("label smoothing needs the mean log-probability", where="training.label_smoothing")
        logprobs = (1 - label_smoothing) * logprobs + label_smoothing * found.mean_logprob
    if not z_loss:
        return -logprobs
    if found.logsumexp is None:
        raise TrainingError("a z-loss needs the log-sum-exp of the logits", where="training.z_loss")
    return z_loss * found.logsumexp.square() - logprobs


def item_tokens(batch: Batch) -> Int[NDArray[np.int64], " items"]:
    """Target tokens of each item of a step, [items].

    Raises:
        TrainingError: The batch has no target tokens.
    """
    tokens = np.zeros(len(batch.tasks), dtype=np.int64)
    for pack in batch.packs:
        tokens += np.bincount(pack.targets.item, minlength=len(tokens))
    if not tokens.sum():
        hint = "raise packing.max_target_tokens, or look at the prompts with `flantune preview`"
        raise TrainingError("a batch has no target tokens", where=f"draws from {batch.cursor}", hint=hint)
    return tokens


def loss_by_task(found: StepLoss, tasks: tuple[str, ...]) -> dict[str, TaskLoss]:
    """The step's loss and tokens by task; tasks with no target token in the step are absent.

    Items whose loss is not finite are left out; ``find_nonfinite`` reports them.

    >>> found = StepLoss(weighted_loss=1.0, item_nll=np.array([1.0, 2.0, 3.0]), item_tokens=np.array([1, 2, 3]))
    >>> loss_by_task(found, ("rte", "boolq", "rte"))["rte"]
    TaskLoss(nll=4.0, target_tokens=4)
    """
    names, which = np.unique(np.asarray(tasks), return_inverse=True)
    is_number = np.isfinite(found.item_nll)
    nll = np.bincount(which, weights=np.where(is_number, found.item_nll, 0.0))
    tokens = np.bincount(which, weights=found.item_tokens * is_number)
    pairs = zip(names, nll, tokens, strict=True)
    return {str(name): TaskLoss(nll=float(sum_), target_tokens=int(count)) for name, sum_, count in pairs if count}


def find_nonfinite(found: StepLoss, grad_norm: float, *, step: int, batch: Batch) -> NonFinite | None:
    """What is not finite in a step, before its gradient corrupts every weight; None if everything is finite."""
    if found.is_finite and np.isfinite(grad_norm):
        return None
    rows: dict[str, list[int]] = {}
    for item in found.bad_items or range(len(batch.tasks)):
        rows.setdefault(batch.tasks[item], []).append(batch.rows[item])
    what: Literal["loss", "gradient"] = "gradient" if found.is_finite else "loss"
    return NonFinite(step=step, what=what, rows={task: tuple(numbers) for task, numbers in sorted(rows.items())})
