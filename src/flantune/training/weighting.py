"""The weight of a target token in a step's loss: by token, by example or by task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from flantune.errors import TrainingError

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from numpy.typing import NDArray

    from flantune.types import Float32

Weighting = Literal["token", "example", "task"]
"""What has equal weight in a step's loss: every target token, every example or every task of the step."""


def item_weights(
    tokens: Int[NDArray[np.int64], " items"] | Float[NDArray[np.float64], " items"],
    *,
    weighting: Weighting = "token",
    tasks: Sequence[str] = (),
) -> Float[Float32, " items"]:
    """The weight of one token of each item in the step's loss; over all tokens of the step the weights sum to 1.

    The weights are those of the whole step, before it is divided into rows, micro-batches or processes, so no division
    changes them.

    >>> tokens = np.array([1, 4, 3])
    >>> item_weights(tokens).tolist()
    [0.125, 0.125, 0.125]
    >>> (item_weights(tokens, weighting="example") * tokens).astype(float).round(3).tolist()
    [0.333, 0.333, 0.333]
    >>> (item_weights(tokens, weighting="task", tasks=["rte", "rte", "news"]) * tokens).round(3).tolist()
    [0.1, 0.4, 0.5]

    Args:
        tokens: Target tokens of each item, [items]; an item without any has no weight. Tokens with a smaller weight
            than a target's (those of inputs) count accordingly less.
        weighting: What has equal weight. With "task", all tokens of a task have equal weight.
        tasks: Task of each item, [items]; only needed by "task".

    Returns:
        Weight of a single token of each item, [items].

    Raises:
        TrainingError: The weighting is unknown.
    """
    if weighting == "token":
        shares = np.full(len(tokens), 1.0 / tokens.sum())
    elif weighting == "example":
        shares = _reciprocal(tokens) / np.count_nonzero(tokens)
    elif weighting == "task":
        _, task = np.unique(np.asarray(tasks), return_inverse=True)
        task_tokens = np.bincount(task, weights=tokens)
        shares = (_reciprocal(task_tokens) / np.count_nonzero(task_tokens))[task]
    else:
        hint = 'use "token", "example" or "task"'
        raise TrainingError(f"cannot weigh by {weighting!r}", where="training.weighting", hint=hint)
    return shares.astype(np.float32)


def _reciprocal(counts: NDArray[np.generic]) -> NDArray[np.float64]:
    """1 / count, and 0 for a count of 0."""
    values = counts.astype(np.float64)
    return np.divide(1.0, values, out=np.zeros_like(values), where=values > 0)
