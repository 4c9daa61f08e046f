"""The loss of an optimizer step and its gradient: the same however the step is cut into micro-batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import torch

from flantune.errors import TrainingError
from flantune.training.state import TaskLoss

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from flantune.types import Batch, Float32, Int32, Pack

Weighting = Literal["token", "example", "task"]
"""What counts the same in a step's loss: every target token, every prompt or every task."""

PackLogprobs = Callable[["Pack"], "Tensor"]
"""A pack → log-probability of each of its target tokens, [n], with gradient."""


class BeforePack(Protocol):
    """Called before each forward pass with the number of the micro-batch in its step."""

    def __call__(self, number: int, /) -> None:
        """Puts random numbers, say, where this micro-batch needs them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLoss:
    """What one pass over a batch found.

    Attributes:
        loss: The objective: nats a target token, over the whole step.
        item_nll: Negative log-likelihood of each item, summed over its tokens, [items].
        item_tokens: Target tokens of each item, [items].
    """

    loss: float
    item_nll: NDArray[np.float64]
    item_tokens: NDArray[np.int64]

    @property
    def is_finite(self) -> bool:
        """Whether every number is one."""
        return bool(np.isfinite(self.item_nll).all())


def accumulate_gradient(
    batch: Batch, logprobs: PackLogprobs, *, device: torch.device, before_pack: BeforePack | None = None
) -> StepLoss:
    """Adds the gradient of a whole step's loss to the weights' ``grad``, one micro-batch at a time.

    The loss is the sum over all target tokens of the step of −log p, divided by the number of those tokens. The
    divisor comes from the whole step, before the first backward pass: a mean of micro-batch means would weigh a token
    by how few others its micro-batch happens to hold.

    Raises:
        TrainingError: The batch asks for no token at all.

    Paper: FLAN 2021, section 2.4 (tokens of a batch count alike).
    """
    tokens = item_tokens(batch)
    weights = torch.from_numpy(item_weights(tokens)).to(device)
    nll = np.zeros(len(tokens), dtype=np.float64)
    waiting: list[tuple[Int32, Tensor]] = []
    for number, pack in enumerate(batch.packs):
        if before_pack is not None:
            before_pack(number)
        items = torch.from_numpy(pack.targets.item).to(device=device, dtype=torch.long)
        losses = -logprobs(pack)
        (losses * weights[items]).sum().backward()  # type: ignore[no-untyped-call]
        waiting.append((pack.targets.item, losses.detach()))
    # Read at the end, so that an accelerator is not waited for between micro-batches.
    for item, found in waiting:
        nll += np.bincount(item, weights=found.cpu().numpy().astype(np.float64), minlength=len(nll))
    return StepLoss(loss=float(nll.sum() / tokens.sum()), item_nll=nll, item_tokens=tokens)


def item_tokens(batch: Batch) -> NDArray[np.int64]:
    """Target tokens of each item of a step, [items].

    Raises:
        TrainingError: There are none at all.
    """
    tokens = np.zeros(len(batch.tasks), dtype=np.int64)
    for pack in batch.packs:
        tokens += np.bincount(pack.targets.item, minlength=len(tokens))
    if not tokens.sum():
        hint = "raise packing.max_target_tokens, or look at the prompts with `flantune preview`"
        raise TrainingError("a batch has no target tokens", where=f"draws from {batch.cursor}", hint=hint)
    return tokens


def item_weights(tokens: NDArray[np.int64], *, weighting: Weighting = "token") -> Float32:
    """What a token of each item weighs in the step's loss, [items]; over all tokens of the step the weights sum to 1.

    >>> item_weights(np.array([1, 4, 3])).tolist()
    [0.125, 0.125, 0.125]

    Raises:
        TrainingError: The weighting is not known.
    """
    if weighting != "token":
        raise TrainingError(f"cannot weigh by {weighting!r}", where="training", hint='use "token"')
    return np.full(len(tokens), 1.0 / tokens.sum(), dtype=np.float32)


def loss_by_task(found: StepLoss, tasks: tuple[str, ...]) -> dict[str, TaskLoss]:
    """The step's loss and tokens by task; tasks with no target token in the step are absent.

    >>> found = StepLoss(loss=1.0, item_nll=np.array([1.0, 2.0, 3.0]), item_tokens=np.array([1, 2, 3]))
    >>> loss_by_task(found, ("rte", "boolq", "rte"))["rte"]
    TaskLoss(nll=4.0, target_tokens=4)
    """
    names, which = np.unique(np.asarray(tasks), return_inverse=True)
    nll = np.bincount(which, weights=found.item_nll)
    tokens = np.bincount(which, weights=found.item_tokens)
    pairs = zip(names, nll, tokens, strict=True)
    return {str(name): TaskLoss(nll=float(sum_), target_tokens=int(count)) for name, sum_, count in pairs if count}


def check_finite(found: StepLoss, grad_norm: float, *, step: int, batch: Batch) -> None:
    """Stops before a step that would turn every weight into not-a-number.

    Raises:
        TrainingError: The loss or the gradient is not finite; names the tasks and rows that did it, or, when only the
            gradient overflowed, all tasks of the batch.
    """
    if found.is_finite and np.isfinite(grad_norm):
        return
    what = "gradient" if found.is_finite else "loss"
    guilty = range(len(batch.tasks)) if found.is_finite else np.flatnonzero(~np.isfinite(found.item_nll)).tolist()
    rows: dict[str, list[int]] = {}
    for item in guilty:
        rows.setdefault(batch.tasks[item], []).append(batch.rows[item])
    named = "; ".join(f"{task} rows {_some(numbers)}" for task, numbers in sorted(rows.items()))
    raise TrainingError(
        f"the {what} is not a finite number; in the batch: {named}",
        where=f"training step {step}",
        hint="lower training.learning_rate, set training.max_grad_norm = 1.0, or look at these rows; "
        "the weights are those of the last checkpoint",
    )


def _some(numbers: list[int], *, at_most: int = 8) -> str:
    shown = ", ".join(map(str, numbers[:at_most]))
    return shown if len(numbers) <= at_most else f"{shown} and {len(numbers) - at_most} more"
