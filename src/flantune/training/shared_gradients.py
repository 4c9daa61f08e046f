"""Communication between processes with whole copies of a model: weights at the start, gradients at each step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.distributed as dist

from flantune.system.processes import gone_explained

if TYPE_CHECKING:
    from torch import Tensor

    from flantune.system.processes import Processes

BUCKET_ELEMENTS = 2**23
"""Gradients are summed in buckets of this many values: few messages, little memory."""


def share_weights(weights: Sequence[Tensor], processes: Processes) -> None:
    """Copies the first process's weights to all others."""
    if processes.count == 1:
        return
    with gone_explained(processes):
        for weight in weights:
            dist.broadcast(weight.data, src=0)


def add_gradients(weights: Sequence[Tensor], processes: Processes) -> None:
    """Sums the gradient of every weight over all processes, in place.

    A weight with a gradient in some process gets one in all; one without any stays without.
    """
    if processes.count == 1:
        return
    found = processes.total(np.array([weight.grad is not None for weight in weights], dtype=np.float64))
    reached = [weight for weight, count in zip(weights, found, strict=True) if count]
    for weight in reached:
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
    with gone_explained(processes):
        for bucket in _buckets([weight.grad for weight in reached if weight.grad is not None]):
            _add_bucket(bucket)


def _buckets(gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Neighbors of one type and device, up to a bucket's size."""
    for _, alike in groupby(gradients, key=lambda gradient: (gradient.dtype, gradient.device)):
        bucket: list[Tensor] = []
        for gradient in alike:
            if bucket and sum(part.numel() for part in bucket) + gradient.numel() > BUCKET_ELEMENTS:
                yield bucket
                bucket = []
            bucket.append(gradient)
        yield bucket


def _add_bucket(gradients: Sequence[Tensor]) -> None:
    if len(gradients) == 1 and gradients[0].is_contiguous():
        dist.all_reduce(gradients[0])
        return
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    parts = torch.split(flat, [gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))
