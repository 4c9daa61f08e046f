"""Encoded draws in numbered blocks, one Parquet file each: made once, and read instead of rendering and tokenizing.

A block is a pure function of the stream and its number, so any process can make any block, in any order. Batches are
not stored: where one begins depends on how the previous one was packed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flantune.packing.packs import Counts, EncodedPrompt
from flantune.system.files import whole_file

if TYPE_CHECKING:
    import pyarrow as pa

    from flantune.packing.stream import EncodedDraw
    from flantune.types import Int32

BLOCK_DRAWS = 8_192
"""Draws per block, constant so that a draw is always in the same place."""
FORM = 1
"""Version of the file format."""
_SIDES = ("inputs", "targets")
_COUNTED = tuple(name for name in Counts.__slots__ if name != "positions")


class BrokenBlockError(ValueError):
    """A file is not a complete block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockHead:
    """The metadata of a block's file.

    Attributes:
        number: The block's number; its first draw is ``number * BLOCK_DRAWS``.
        identity: What its draws are made from: name → fingerprint.
        counts: What happened to all draws together.
    """

    number: int
    identity: Mapping[str, str]
    counts: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDraw:
    """A draw in a block: the parts of an ``EncodedDraw`` that can only be obtained by making it."""

    prompt: EncodedPrompt | None
    counts: Counts
    task: str
    row: int


class Block:
    """A block that was read: its draws by place, made on demand.

    Attributes:
        head: Its metadata.
    """

    def __init__(self, head: BlockHead, table: pa.Table) -> None:
        self.head = head
        self._sides = {name: _Lists(table.column(name)) for name in _SIDES}
        self._counts = np.stack([table.column(name).to_numpy() for name in _COUNTED], axis=1)
        self._tasks, self._rows = table.column("task"), table.column("row").to_numpy()

    def draw(self, place: int) -> KeptDraw:
        """The draw at a place, counted from 0."""
        inputs, targets = (self._sides[name][place] for name in _SIDES)
        counts = Counts(**dict(zip(_COUNTED, map(int, self._counts[place]), strict=True)))
        prompt = None
        if inputs is not None and targets is not None:
            prompt = EncodedPrompt(inputs=inputs, targets=(targets,))
        return KeptDraw(
            prompt=prompt,
            counts=counts,
            task=str(self._tasks[place].as_py()),
            row=int(self._rows[place]),
        )


def block_path(folder: Path, number: int) -> Path:
    """The path of a block.

    >>> block_path(Path("prepared"), 12).as_posix()
    'prepared/block-0000012.parquet'
    """
    return folder / f"block-{number:07d}.parquet"


def block_bytes(number: int, draws: Sequence[EncodedDraw], *, identity: Mapping[str, str]) -> bytes:
    """The bytes of a block's file: always the same for the same draws.

    Args:
        number: The block's number.
        draws: Its draws, in order, each with one target.
        identity: See ``BlockHead``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    prompts = [draw.prompt for draw in draws]
    sides = {
        "inputs": [None if one is None else one.inputs for one in prompts],
        "targets": [None if one is None else _target(one) for one in prompts],
    }
    first = number * BLOCK_DRAWS
    columns: dict[str, Any] = {
        "draw": pa.array(range(first, first + len(draws)), pa.int64()),
        "task": pa.array([draw.task for draw in draws], pa.string()),
        "row": pa.array([draw.row for draw in draws], pa.int64()),
        **{name: _list_array(arrays) for name, arrays in sides.items()},
        **{name: pa.array([getattr(draw.counts, name) for draw in draws], pa.int32()) for name in _COUNTED},
    }
    said = {
        "form": FORM,
        "number": number,
        "identity": dict(identity),
        "counts": {name: sum(getattr(draw.counts, name) for draw in draws) for name in _COUNTED},
    }
    table = pa.table(columns).replace_schema_metadata({"flantune": json.dumps(said, sort_keys=True)})
    sink = BytesIO()
    pq.write_table(
        table, sink, compression="zstd", use_dictionary=["task"], write_statistics=False, write_page_checksum=True
    )
    return sink.getvalue()


def write_block(path: Path, content: bytes) -> None:
    """Writes a block's file, completely or not at all.

    Raises:
        FlantuneError: The folder cannot be written or the disk is full.
    """
    with whole_file(path) as handle:
        handle.write(content)


def read_head(path: Path) -> BlockHead:
    """The metadata of a block's file, without its draws.

    Raises:
        BrokenBlockError: It is damaged, or not a block in this format.
        FileNotFoundError: It does not exist.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return _head(pq.read_schema(path).metadata)
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowInvalid) as error:
        raise BrokenBlockError(_first_line(error)) from error


def read_block(path: Path) -> Block:
    """Reads a block, and compares its checksums.

    Raises:
        BrokenBlockError: It is damaged, or not a block in this format.
        FileNotFoundError: It does not exist.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path, page_checksum_verification=True).read()
        head = _head(table.schema.metadata)
        if table.num_rows != BLOCK_DRAWS:
            raise BrokenBlockError(f"has {table.num_rows:,} draws instead of {BLOCK_DRAWS:,}")
        return Block(head, table.combine_chunks())
    except FileNotFoundError:
        raise
    except (OSError, KeyError, pa.ArrowInvalid) as error:
        raise BrokenBlockError(_first_line(error)) from error


class _Lists:
    """A column of lists of ids, each as a separate array."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        lists = column.combine_chunks()
        self._offsets = lists.offsets.to_numpy()
        self._values = lists.values.to_numpy()
        self._is_there = lists.is_valid().to_numpy(zero_copy_only=False)

    def __getitem__(self, place: int) -> Int32 | None:
        if not self._is_there[place]:
            return None
        # A copy, since it may be kept longer than the block.
        return np.array(self._values[self._offsets[place] : self._offsets[place + 1]], dtype=np.int32)


def _list_array(arrays: Sequence[Int32 | None]) -> pa.Array:
    import pyarrow as pa

    ends = np.cumsum([0, *(0 if one is None else len(one) for one in arrays)], dtype=np.int32)
    there = [one for one in arrays if one is not None]
    values = np.concatenate(there) if there else np.zeros(0, dtype=np.int32)
    is_absent = np.array([one is None for one in arrays])
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(values, pa.int32()), mask=pa.array(is_absent))


def _target(prompt: EncodedPrompt) -> Int32:
    """The only target of a training prompt."""
    (target,) = prompt.targets
    if prompt.contexts:
        raise ValueError("a prompt whose targets have separate contexts cannot be trained on")
    return target


def _head(metadata: Mapping[bytes, bytes] | None) -> BlockHead:
    try:
        said = json.loads((metadata or {})[b"flantune"])
        if said["form"] != FORM:
            raise BrokenBlockError(f"has format {said['form']}; this version reads format {FORM}")
        return BlockHead(
            number=int(said["number"]),
            identity={str(name): str(value) for name, value in said["identity"].items()},
            counts=Counts(**{name: int(said["counts"][name]) for name in _COUNTED}),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise BrokenBlockError("is not a block of prepared draws") from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
