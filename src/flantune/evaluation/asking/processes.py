"""The processes of one evaluation, as ``torchrun`` starts them: who does what, and how each gets to know it all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from heapq import heapify, heapreplace
from typing import Any, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class World:
    """The processes that work together.

    Attributes:
        rank: This one, from 0.
        size: How many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes what all have made."""
        return self.rank == 0

    def gather(self, value: Value) -> list[Value]:
        """What every process gives, in the order of ranks, for every process. All must call it."""
        if self.size == 1:
            return [value]
        import torch.distributed as dist

        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value, group=_group())
        return found


def this_world() -> World:
    """The processes that ``torchrun`` started; one process alone where it did not.

    They talk through gloo on the CPU, whatever the models run on.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
        return World()
    import torch.distributed as dist

    if not dist.is_initialized():
        dist.init_process_group("gloo")
    return World(rank=dist.get_rank(), size=dist.get_world_size())


def share_out(costs: Sequence[float], count: int) -> list[int]:
    """Who does each piece of work: the costliest first, each to whom has least to do.

    >>> share_out([5, 9, 4, 1], 2)
    [1, 0, 1, 0]
    """
    loads = [(0.0, worker) for worker in range(count)]
    heapify(loads)
    owners = [0] * len(costs)
    for piece in sorted(range(len(costs)), key=lambda at: (-costs[at], at)):
        load, worker = loads[0]
        owners[piece] = worker
        heapreplace(loads, (load + costs[piece], worker))
    return owners


@cache
def _group() -> Any:
    """A group that exchanges objects on the CPU; None: the one of all processes does."""
    import torch.distributed as dist

    return None if "gloo" in str(dist.get_backend_config()) else dist.new_group(backend="gloo")
