"""Divides one optimizer step among processes: which micro-batches each one runs, and how results are combined."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from flantune.errors import TrainingError
from flantune.packing.shares import HIDDEN_SIZE, assign, balance, filler, pack_cost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedModel

    from flantune.packing.packs import Batch
    from flantune.system.processes import Processes
    from flantune.training.loss import StepLoss


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """One process's part of a step.

    Attributes:
        batch: The whole step's micro-batches, possibly with an additional one without loss.
        numbers: The numbers of those to run here, in order.
        balance: Mean work of the processes over the work of the busiest.
    """

    batch: Batch
    numbers: Sequence[int]
    balance: float = 1.0


def divide(batch: Batch, processes: Processes, *, hidden_size: int, is_padded: bool, in_rounds: bool) -> Division:
    """This process's part of a step; every process computes all parts itself, without communication.

    Args:
        batch: The step.
        processes: The processes that share it.
        hidden_size: Of the model, for the cost of attention.
        is_padded: Whether the model computes padding.
        in_rounds: All processes run the same number of passes, since each pass gathers weights from all: a process with
            one micro-batch fewer runs one without loss.
    """
    if processes.count == 1:
        return Division(batch=batch, numbers=range(len(batch.packs)))
    costs = [pack_cost(pack, hidden_size=hidden_size, is_padded=is_padded) for pack in batch.packs]
    shares = assign(costs, processes.count, in_rounds=in_rounds)
    mine, rounds = shares[processes.rank], max(map(len, shares))
    if in_rounds and len(costs) % processes.count:
        smallest = min(range(len(costs)), key=lambda at: (costs[at], at))
        batch = replace(batch, packs=(*batch.packs, filler(batch.packs[smallest])))
        mine = [*mine, *[len(costs)] * (rounds - len(mine))]
    return Division(batch=batch, numbers=mine, balance=balance(costs, shares))


def check_same(batch: Batch, processes: Processes) -> None:
    """Makes sure that all processes made the same batch.

    Raises:
        TrainingError: They did not, so their data differs.
    """
    mine = np.array([batch.next_cursor, len(batch.tasks)], dtype=np.float64)
    if (processes.total(mine) != processes.count * mine).any():
        hint = "all machines need the same run file, data, model and versions"
        raise TrainingError("the processes made different batches", where=f"draws from {batch.cursor}", hint=hint)


def sum_up(found: StepLoss, processes: Processes) -> StepLoss:
    """The sums over all processes."""
    total = processes.total(np.concatenate([[found.weighted_loss], found.item_nll, found.item_inputs_nll]))
    end = 1 + len(found.item_nll)
    return replace(found, weighted_loss=float(total[0]), item_nll=total[1:end], item_inputs_nll=total[end:])


def hidden_size(model: PreTrainedModel) -> int:
    """Width of a model's layers, under any of the names that configs use."""
    config = model.config.get_text_config()
    names = ("hidden_size", "d_model", "n_embd")
    return next((int(width) for name in names if (width := getattr(config, name, None))), HIDDEN_SIZE)
