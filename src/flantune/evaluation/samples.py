"""Samples on disk: one row per scored prompt, from which every number can be recomputed.

``<folder>/samples/<task>.parquet`` holds the samples, the matrix of rows, templates, exemplar sets and options;
``<folder>/origins/<task>.json`` says what they were made from and is written last, so a task only counts as done if
both agree. Any program that reads Parquet can read it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flantune.errors import EvaluationError, FlantuneError
from flantune.packing.packs import Counts
from flantune.prompts.layout import Layout, inputs_text
from flantune.settings.json_file import read_value, write_value
from flantune.system.files import check_regular, file_sha256
from flantune.types import Prompt, Sample

if TYPE_CHECKING:
    import pyarrow

SUFFIX = ".parquet"

# Samples per row group, which is what reading and writing hold in memory.
_GROUP = 1_024
_TUPLES = frozenset(f.name for f in fields(Sample) if str(f.type).startswith("tuple"))
_NAMES = frozenset(f.name for f in fields(Sample))


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a file of samples was made from, and what was dropped or shortened.

    Attributes:
        fingerprint: Changes when the model, a prompt or the protocol changes.
        samples: Rows of the file.
        sha256: SHA-256 of the file.
        counts: Prompts shortened, exemplars dropped, prompts dropped.
        seconds: Time spent scoring.
        model: Identifies the model by weights, arithmetic and tokenizer.
    """

    fingerprint: str
    samples: int
    sha256: str
    counts: Counts
    seconds: float
    model: str = ""


def unanswered(prompt: Prompt, counts: Counts, *, shots: int, layout: Layout) -> Sample:
    """A sample without an answer, as the model read it.

    Args:
        prompt: The prompt.
        counts: What happened to it: exemplars dropped for lack of room are not among those shown.
        shots: Exemplars it was to have.
        layout: Its separators.
    """
    shown = replace(prompt, exemplars=prompt.exemplars[: len(prompt.exemplars) - counts.exemplars_dropped])
    return Sample(
        task=prompt.task,
        split=prompt.split,
        row=prompt.row,
        template=prompt.template,
        shots=shots,
        inputs=inputs_text(shown, layout),
        options=prompt.options,
        answer=prompt.answer,
        references=prompt.references,
        exemplar_rows=tuple(exemplar.row for exemplar in shown.exemplars),
        group=prompt.group,
        order=prompt.order,
        answer_marks=prompt.answer_marks,
        is_marked=prompt.is_marked,
    )


def samples_path(folder: Path, task: str) -> Path:
    """The path of a task's samples; characters not allowed in file names are percent-encoded.

    >>> samples_path(Path("base"), "my/task").as_posix()
    'base/samples/my%2Ftask.parquet'
    """
    return folder / "samples" / f"{quote(task, safe=' +,;=@~()[]!')}{SUFFIX}"


def origin_path(path: Path) -> Path:
    """The file that says what a file of samples was made from.

    >>> origin_path(samples_path(Path("base"), "rte")).as_posix()
    'base/origins/rte.json'
    """
    return path.parent.parent / "origins" / f"{path.name.removesuffix(SUFFIX)}.json"


def read_samples(path: Path) -> Iterator[Sample]:
    """The samples of one task, in order, a thousand in memory at a time.

    Raises:
        EvaluationError: The file is missing, truncated or has no samples.
    """
    import pyarrow as pa
    from pyarrow import parquet

    hint = "repeat the run: it scores again what is missing"
    number = 0
    try:
        check_regular(path)
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_GROUP):
                for raw in batch.to_pylist():
                    number += 1
                    yield _from_row(raw)
    except FileNotFoundError:
        raise EvaluationError("no samples here", where=str(path), hint=hint) from None
    except (OSError, EOFError, ValueError, TypeError, KeyError, pa.ArrowException) as error:
        raise EvaluationError(f"not a sample: {error}", where=f"{path}:{number}", hint=hint) from None


def write_samples(path: Path, samples: Iterable[Sample]) -> int:
    """Writes samples as they are produced, under a temporary name until complete; returns their number.

    The same samples give the same bytes.

    Raises:
        EvaluationError: The folder cannot be written, or a score is not a finite number.
    """
    from pyarrow import parquet

    temporary = path.with_name(f".{path.name}.tmp")
    count, coming = 0, iter(samples)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The origin of the old file must not be taken for that of the new one.
        origin_path(path).unlink(missing_ok=True)
        schema = _schema()
        with parquet.ParquetWriter(
            temporary, schema, compression="zstd", use_dictionary=_TEXTS, write_statistics=False
        ) as writer:
            while block := list(islice(coming, _GROUP)):
                writer.write_table(_table(block, schema), row_group_size=_GROUP)
                count += len(block)
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
    write_value(origin_path(path), origin)


def read_origin(path: Path) -> Origin | None:
    """The origin of a file of samples; None unless the file is complete and unchanged."""
    if not path.is_file() or not origin_path(path).is_file():
        return None
    try:
        origin = read_value(origin_path(path), Origin)
        return origin if origin.sha256 == file_sha256(path) else None
    except (FlantuneError, OSError):
        return None  # asked again; stored scores cost nothing


# Texts that repeat from row to row are stored once per row group.
_TEXTS = [
    *("task", "split", "template", "inputs", "options.list.element", "references.list.element", "group"),
    "answer_marks.list.element",
]

_ARROW: Mapping[str, str] = {
    "str": "string",
    "SplitRole": "string",
    "int": "int32",
    "int | None": "int32",
    "float | None": "float64",
    "bool": "bool",
    "tuple[str, ...]": "string*",
    "tuple[int, ...]": "int32*",
    "tuple[float, ...]": "float64*",
    "tuple[bool, ...]": "bool*",
}
"""Type of a sample's field → type of its column; a star makes a list."""


def _schema() -> pyarrow.Schema:
    """One column per field of a sample, then the sizes of its options."""
    import pyarrow as pa

    def column(kind: str) -> pyarrow.DataType:
        whole = pa.type_for_alias(kind.removesuffix("*"))
        return pa.list_(whole) if kind.endswith("*") else whole

    own = {field.name: _ARROW[str(field.type)] for field in fields(Sample)}
    more = {"characters": "int32*", "bytes": "int32*"}
    return pa.schema([pa.field(name, column(kind)) for name, kind in (own | more).items()])


def _table(samples: Sequence[Sample], schema: pyarrow.Schema) -> pyarrow.Table:
    import pyarrow as pa

    rows = [_to_row(sample) for sample in samples]
    # Lone surrogates, which cannot be encoded, become question marks.
    columns = {name: [_sound(row[name]) for row in rows] for name in schema.names}
    return pa.table(columns, schema=schema)


def _to_row(sample: Sample) -> dict[str, Any]:
    """A sample as the values of its columns.

    Raises:
        EvaluationError: A score is not a finite number.
    """
    if not all(map(math.isfinite, sample.scores)):
        where = f"{sample.task}/{sample.template}/row {sample.row}"
        hint = 'the model itself produces it: try dtype = "float32", or look at its weights'
        raise EvaluationError("an option's log-likelihood is not a finite number", where=where, hint=hint)
    values = {name: getattr(sample, name) for name in Sample.__slots__}
    return values | {
        "characters": tuple(map(len, sample.options)),
        "bytes": tuple(len(option.encode("utf-8", "replace")) for option in sample.options),
    }


def _from_row(raw: Mapping[str, Any]) -> Sample:
    known: dict[str, Any] = {name: value for name, value in raw.items() if name in _NAMES}
    return Sample(**known | {name: tuple(known[name] or ()) for name in _TUPLES & known.keys()})


def _sound(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    return [_sound(item) for item in value] if isinstance(value, tuple) else value


def _sync(path: Path) -> None:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())
