"""Samples on disk: one line of JSON a scored prompt, from which every number can be computed again.

``<folder>/samples/<task>.jsonl.gz`` holds the samples; ``<folder>/origins/<task>.json`` says what they were made from
and is written last, so a task counts as done only when both agree.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flantune.errors import EvaluationError
from flantune.files import read_json, write_json
from flantune.types import Counts, Sample

_TUPLES = frozenset(f.name for f in fields(Sample) if str(f.type).startswith("tuple"))
_NAMES = frozenset(f.name for f in fields(Sample))


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrangedSample(Sample):
    """A sample whose options were shown in another order than the example has them.

    Attributes:
        order: Place in ``options`` → index in the example's options.
    """

    order: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a file of samples was made from, and what was lost on the way.

    Attributes:
        fingerprint: Changes when the model, a prompt or the protocol changes.
        samples: Lines of the file.
        sha256: Of the compressed file.
        counts: Prompts shortened, exemplars dropped, prompts dropped.
        seconds: Time spent scoring.
    """

    fingerprint: str
    samples: int
    sha256: str
    counts: Counts
    seconds: float


def arranged(sample: Sample, order: tuple[int, ...]) -> ArrangedSample:
    """The sample with a note of the order in which its options were shown."""
    return ArrangedSample(**{name: getattr(sample, name) for name in Sample.__slots__}, order=order)


def samples_path(folder: Path, task: str) -> Path:
    """Where a task's samples lie; characters that no file name may hold are percent-encoded.

    >>> samples_path(Path("base"), "my/task").as_posix()
    'base/samples/my%2Ftask.jsonl.gz'
    """
    return folder / "samples" / f"{quote(task, safe=' +,;=@~()[]!')}.jsonl.gz"


def origin_path(path: Path) -> Path:
    """The file that says what a file of samples was made from.

    >>> origin_path(samples_path(Path("base"), "rte")).as_posix()
    'base/origins/rte.json'
    """
    return path.parent.parent / "origins" / f"{path.name.removesuffix('.jsonl.gz')}.json"


def read_samples(path: Path) -> Iterator[Sample]:
    """The samples of one task, one at a time.

    Raises:
        EvaluationError: The file is missing, cut off or not made of samples.
    """
    hint = "repeat the run: it scores again what is missing"
    number = 0
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                number += 1
                yield _from_json(line)
    except FileNotFoundError:
        raise EvaluationError("no samples here", where=str(path), hint=hint) from None
    except (OSError, EOFError, ValueError, TypeError, KeyError) as error:
        raise EvaluationError(f"not a sample: {error}", where=f"{path}:{number}", hint=hint) from None


def write_samples(path: Path, samples: Iterable[Sample]) -> int:
    """Writes samples as they come, under another name until all are there; returns how many.

    The same samples give the same bytes.

    Raises:
        EvaluationError: The folder cannot be written, or a score is not a finite number.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    count = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # What the old file was made from must not speak for the new one.
        origin_path(path).unlink(missing_ok=True)
        with (
            temporary.open("wb") as raw,
            gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as packed,
            io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as lines,
        ):
            for sample in samples:
                lines.write(to_line(sample))
                count += 1
        _sync(temporary)
        temporary.replace(path)
    except OSError as error:
        hint = "free some space or choose another folder, then repeat the command"
        raise EvaluationError(f"cannot be written: {error.strerror or error}", where=str(path), hint=hint) from error
    finally:
        temporary.unlink(missing_ok=True)
    return count


def write_origin(path: Path, origin: Origin) -> None:
    """Marks a file of samples as complete."""
    write_json(origin_path(path), asdict(origin))


def read_origin(path: Path) -> Origin | None:
    """What a file of samples was made from; None unless the file is complete and unchanged since."""
    if not path.exists() or not origin_path(path).exists():
        return None
    raw = read_json(origin_path(path))
    try:
        origin = Origin(**{**raw, "counts": Counts(**raw["counts"])})
    except (TypeError, KeyError):
        return None
    return origin if origin.sha256 == file_sha256(path) else None


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def to_line(sample: Sample) -> str:
    """A sample as one line of JSON.

    Raises:
        EvaluationError: A score is not a finite number.
    """
    if not all(map(math.isfinite, sample.scores)):
        where = f"{sample.task}/{sample.template}/row {sample.row}"
        hint = 'the model itself gives it: try dtype = "float32", or look at its weights'
        raise EvaluationError("an option's log-likelihood is not a finite number", where=where, hint=hint)
    values = {name: getattr(sample, name) for name in Sample.__slots__}
    if isinstance(sample, ArrangedSample):
        values["order"] = sample.order
    return json.dumps(values, ensure_ascii=True, separators=(",", ":"), allow_nan=False) + "\n"


def _from_json(line: str) -> Sample:
    raw: dict[str, Any] = json.loads(line)
    known: dict[str, Any] = {name: value for name, value in raw.items() if name in _NAMES}
    known |= {name: tuple(known[name]) for name in _TUPLES & known.keys()}
    return ArrangedSample(**known, order=tuple(raw["order"])) if raw.get("order") else Sample(**known)


def _sync(path: Path) -> None:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())
