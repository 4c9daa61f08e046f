"""Files of a model's training record: two in its folder, or two beside its GGUF file."""

from __future__ import annotations

import shutil
import zlib
from dataclasses import replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from flantune.contamination.training_record import (
    FILE,
    INDEX_FILE,
    IndexFile,
    RowIndex,
    TrainedTask,
    TrainingRecord,
)
from flantune.errors import SourceError
from flantune.settings.json_file import read_value, write_value
from flantune.system.files import file_sha256, is_there

# Exceptions from reading a damaged archive of arrays.
_UNREADABLE = (
    *(OSError, ValueError, KeyError, TypeError, OverflowError, EOFError, MemoryError, NotImplementedError),
    *(BadZipFile, zlib.error, SyntaxError),
)


def record_files(model: Path) -> tuple[Path, Path]:
    """Where the record of a model and the index of its training rows are, if there are any.

    >>> [path.name for path in record_files(Path("models/tuned.gguf"))]
    ['tuned.gguf.flantune.json', 'tuned.gguf.training_rows.npz']
    """
    if model.suffix.lower() == ".gguf" and not model.is_dir():
        return model.with_name(f"{model.name}.{FILE}"), model.with_name(f"{model.name}.{INDEX_FILE}")
    return model / FILE, model / INDEX_FILE


def copy_record(model: Path, to: Path) -> tuple[Path, ...]:
    """Copies a model's record, if it has one, to another form of the model; returns the new files."""
    pairs = [pair for pair in zip(record_files(model), record_files(to), strict=True) if pair[0].is_file()]
    for old, new in pairs:
        shutil.copyfile(old, new)
    return tuple(new for _, new in pairs)


def write_record(folder: Path, record: TrainingRecord, index: RowIndex) -> None:
    """Writes the record into a model's folder, including what the base model was tuned on."""
    base = Path(record.base)
    earlier = read_record(base) if record.base and is_there(base) else None
    if earlier is not None:
        record = replace(record, tasks=_both(record.tasks, earlier.tasks))
        index = _joined(index, read_index(base))
    with (folder / INDEX_FILE).open("wb") as handle:
        np.savez(handle, hashes=index.hashes, limit=np.array(index.limit, dtype=np.uint64))
    record = replace(record, index=IndexFile(sha256=file_sha256(folder / INDEX_FILE)))
    write_value(folder / FILE, replace(record, sha256=record.content_sha256))


def _both(tasks: tuple[TrainedTask, ...], earlier: tuple[TrainedTask, ...]) -> tuple[TrainedTask, ...]:
    """The tasks of both tunings; one that was only trained on again stands there once.

    Tasks of one name can be different ones: they are the same only if everything but the number of rows is.
    """
    now = {replace(task, rows=0) for task in tasks}
    return (*tasks, *(task for task in earlier if replace(task, rows=0) not in now))


def _joined(one: RowIndex, other: RowIndex) -> RowIndex:
    limit = min(one.limit, other.limit)
    hashes = np.union1d(one.hashes, other.hashes)
    return RowIndex(hashes=hashes[hashes <= np.uint64(limit)], limit=limit)


def read_record(model: Path) -> TrainingRecord | None:
    """The record of a model's folder or GGUF file; None for a model that flantune did not tune.

    Raises:
        SourceError: There is one that cannot be read or has been changed.
    """
    path, index = record_files(model)
    if not path.is_file():
        return None
    hint = "tune the model again, or delete the file and keep track yourself of what it has seen"
    record = read_value(path, TrainingRecord, mends=hint, error=SourceError, what="no training record")
    if record.sha256 and record.sha256 != record.content_sha256:
        raise SourceError("was changed after it was written: its hash is wrong", where=str(path), hint=hint)
    if record.index.sha256 and (not index.is_file() or file_sha256(index) != record.index.sha256):
        what = "is not the one that the record was written with" if index.is_file() else "is missing"
        raise SourceError(f"the index of training rows {what}", where=str(index), hint="restore a copy of the file")
    return record


def read_index(model: Path) -> RowIndex:
    """The index of a model's training rows; without one, nothing counts as seen by its rows."""
    path = record_files(model)[1]
    if not path.is_file():
        return RowIndex(hashes=np.empty(0, dtype=np.uint64))
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return RowIndex(hashes=arrays["hashes"], limit=int(arrays["limit"]))
    except _UNREADABLE as error:
        hint = "restore a copy of the file, or tune the model again"
        raise SourceError(f"cannot be read: {error}", where=str(path), hint=hint) from None
