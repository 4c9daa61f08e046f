"""Checkpoints of a sharded model: every process writes and reads its own share of each tensor, as safetensors.

This uses PyTorch's distributed checkpoint, with the storage that writes safetensors. Its default storage is not used:
it keeps its table of contents as a pickle, and reading one runs any code in it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from flantune.training.sharding import Gathering

if TYPE_CHECKING:
    from torch import Tensor


def write_parts(folder: Path, tensors: Mapping[str, Tensor]) -> list[Path]:
    """Writes this process's share of the tensors; all processes must call it with the same names.

    Returns:
        The files that this process wrote.

    Raises:
        OSError: Some process could not write; raised in all.
    """
    with _failures():
        save(dict(tensors), storage_writer=HuggingFaceStorageWriter(str(folder), save_distributed=True))
    return sorted(folder.glob(f"shard-{dist.get_rank() + 1:05d}-*"))


def read_parts(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Fills this process's share of the tensors, written by any number of processes; all processes must call it.

    Raises:
        OSError: Some process could not read; raised in all.
    """
    with _failures():
        load(dict(tensors), storage_reader=HuggingFaceStorageReader(str(folder)))


def read_assembled(folder: Path) -> dict[str, Tensor]:
    """All tensors, assembled from parts of any division; needs no other process.

    Raises:
        OSError: The files cannot be read.
    """
    whole = {name: torch.empty(size, dtype=dtype) for name, (size, dtype) in stored_tensors(folder).items()}
    with _failures():
        load(whole, storage_reader=HuggingFaceStorageReader(str(folder)), no_dist=True)
    return whole


def stored_tensors(folder: Path) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """Name, full shape and type of everything in a checkpoint, sharded or not."""
    found = HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata
    return {
        name: (entry.size, entry.properties.dtype)
        for name, entry in found.items()
        if isinstance(entry, TensorStorageMetadata)
    }


def empty_state(
    folder: Path, weights: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, *, apart_from: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Empty tensors for the optimizer's state in a checkpoint: sharded like the weight if it has the weight's rows.

    Args:
        folder: The checkpoint.
        weights: By name.
        optimizer: The optimizer; one that gathers keeps its state unsharded.
        apart_from: Other contents of the checkpoint.
    """
    is_whole = isinstance(optimizer, Gathering)
    found: dict[str, Tensor] = {}
    for name, (size, dtype) in stored_tensors(folder).items():
        if name in apart_from:
            continue
        weight = weights.get(name.rpartition("/")[0])
        if weight is not None and _has_rows_of(weight, size) and not is_whole:
            columns = weight.detach()[..., : size[-1]] if len(size) > 1 else weight.detach()
            found[name] = torch.zeros_like(columns, dtype=dtype, memory_format=torch.contiguous_format)
        else:
            found[name] = torch.zeros(size, dtype=dtype)
    return found


def _has_rows_of(weight: Tensor, size: torch.Size) -> bool:
    return size == weight.shape or (len(size) > 1 and size[:-1] == weight.shape[:-1] and size[-1] < weight.shape[-1])


@contextmanager
def _failures() -> Iterator[None]:
    """The failure of any process, as an OSError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except CheckpointException as error:
        rank, (cause, _) = next(iter(error.failures.items()))
        raise OSError(f"process {rank + 1}: {cause}") from error
