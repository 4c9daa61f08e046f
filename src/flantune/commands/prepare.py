"""Draws made in advance by many processes, in numbered blocks; missing ones are made, existing ones kept."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.commands.plan import (
    make_codec,
    make_mixture,
    numbered_split,
    planned_reader,
    prepare_tasks,
)
from flantune.commands.planned_steps import draws_of
from flantune.commands.prepared_draws import draws_identity, prepared_folder
from flantune.errors import PackingError
from flantune.mixture.holdout import run_folds
from flantune.mixture.mixture import Mixture
from flantune.packing.batches import size_array
from flantune.packing.blocks import (
    BLOCK_DRAWS,
    BrokenBlockError,
    block_bytes,
    block_path,
    read_head,
    write_block,
)
from flantune.packing.packs import Counts
from flantune.packing.prepared import check_identity
from flantune.packing.stream import PromptStream
from flantune.settings.json_file import read_value, write_value
from flantune.system.files import file_sha256
from flantune.system.manifest import MANIFEST, versions
from flantune.system.progress import Silent

if TYPE_CHECKING:
    from flantune.mixture.holdout import FoldTasks
    from flantune.settings.config import RunConfig
    from flantune.settings.run_file import RunFile
    from flantune.system.engines import Engine
    from flantune.system.progress import Reporter
    from flantune.tasks.example_store import PreparedTask

_CHUNK = 512
"""Draws rendered and tokenized together."""
_SAMPLE = 2_048
"""Number of draws from whose lengths the number of draws in training is estimated."""
_MARGIN = 1.02
"""Margin for errors of the sample; missing draws are made during training."""
_LEFTOVER_AGE_S = 24 * 3600
_OTHER = "choose another --out, or remove the folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareJob:
    """Everything a process needs to make any block of a fold.

    Attributes:
        file: The run file.
        fold: The fold's number.
        cache: Folder of adapted examples.
        folder: Folder for the blocks.
        identity: What the draws are made from, by the first process.
    """

    file: RunFile
    fold: int
    cache: Path
    folder: Path
    identity: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockReceipt:
    """An existing block.

    Attributes:
        number: The block's.
        sha256: Of its file.
        bytes: Its file's size.
        counts: What happened to its draws.
    """

    number: int
    sha256: str
    bytes: int
    counts: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedManifest:
    """``manifest.json`` of a fold's blocks; written last, so its presence means that all exist.

    Attributes:
        held_out: What the fold holds out.
        draws: Number of prepared draws, from the first on.
        block_draws: Draws per block.
        identity: What they were made from.
        counts: What happened to all draws.
        blocks: Each block.
        versions: Package → version.
    """

    schema: int = 1
    held_out: tuple[str, ...]
    draws: int
    block_draws: int
    identity: Mapping[str, str]
    counts: Counts
    blocks: tuple[BlockReceipt, ...]
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedFold:
    """The result for a fold.

    Attributes:
        folder: Folder of the blocks.
        draws: Number of requested draws, in whole blocks.
        made: Number of blocks made now.
        kept: Number of existing blocks.
        missing: Blocks left to other parts.
        seconds: Time spent.
    """

    folder: Path
    draws: int
    made: int
    kept: int
    missing: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldDraws:
    """A fold whose draws are made."""

    job: PrepareJob
    split: FoldTasks
    stream: PromptStream = field(repr=False)


def prepare(
    file: RunFile,
    *,
    out: Path,
    engine: Engine,
    cache: Path,
    draws: int | None = None,
    part: tuple[int, int] = (1, 1),
    fold: int | None = None,
    reporter: Reporter | None = None,
) -> list[PreparedFold]:
    """Makes the draws that training will use, as ids, for every fold; repeating the command resumes.

    Args:
        file: The run file; only the tokenizer of its model is used.
        out: The folder for all folds; the run file's ``data.prepared`` names it later.
        engine: What does the work. The bytes do not depend on it.
        cache: Where adapted examples are stored, unless the run file sets it; a run folder's ``data`` is reused.
        draws: How many; None: what ``training.steps`` or ``epochs`` take, estimated from the length of the first 2,048.
            Whole blocks are made.
        part: Number and count of parts: each part makes every n-th block. Parts may run at the same time.
        fold: Only this fold; None: all.
        reporter: Gets the progress.

    Raises:
        FlantuneError: Something is wrong with tasks, data or folder; finished blocks are kept.
    """
    reporter = reporter or Silent()
    reporter.stage("read the tasks")
    cache = file.config.data.cache or cache
    prepared, skipped = prepare_tasks(
        file.config, root=file.root, cache=cache, on_task=reporter.step, note=reporter.note
    )  # fmt: skip
    for name, reason in skipped.items():
        reporter.note(f"{name} is left out: {reason}")
    folds = range(len(run_folds(file.config.holdout))) if fold is None else [fold]
    found = (open_fold(file, prepared, number, out=out, cache=cache) for number in folds)
    return [_prepare_fold(one, engine, draws=draws, part=part, reporter=reporter) for one in found]


def make_block(job: PrepareJob, number: int) -> BlockReceipt:
    """Makes one block from the run file: the work of any process of any engine.

    Raises:
        PackingError: This process would make different draws than the first one.
    """
    stream, first = _stream(job), number * BLOCK_DRAWS
    made = [draw for at in range(first, first + BLOCK_DRAWS, _CHUNK) for draw in stream.draws(at, _CHUNK)]
    content = block_bytes(number, made, identity=job.identity)
    write_block(block_path(job.folder, number), content)
    return BlockReceipt(
        number=number,
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        counts=sum((draw.counts for draw in made), Counts()),
    )


_streams: dict[Path, tuple[Mapping[str, str], PromptStream]] = {}
"""The stream of the last job's folder, opened once per process: tasks and tokenizer take longer than a block."""


def _stream(job: PrepareJob) -> PromptStream:
    identity, stream = _streams.get(job.folder, (None, None))
    if stream is None or identity != job.identity:
        prepared, _ = prepare_tasks(job.file.config, root=job.file.root, cache=job.cache)
        made = open_fold(job.file, prepared, job.fold, out=job.folder.parent, cache=job.cache)
        check_identity(made.job.identity, job.identity, where="a worker", hint="give all machines the same files")
        stream = made.stream
    return stream


def open_fold(file: RunFile, prepared: Sequence[PreparedTask], number: int, *, out: Path, cache: Path) -> FoldDraws:
    """A fold's stream, kept for this process's blocks, and the job for all others."""
    config = file.config
    split = numbered_split(config, [one.task for one in prepared], number)
    codec = make_codec(config, planned_reader(config, prepared))
    mixture = make_mixture(config, prepared, split)
    stream = PromptStream(mixture, codec, row_tokens=config.packing.row_tokens)
    job = PrepareJob(
        file=file,
        fold=number,
        cache=cache,
        folder=prepared_folder(out, split.held_out),
        identity=draws_identity(config, prepared, split, mixture, stream.codec),
    )
    _streams.clear()
    _streams[job.folder] = job.identity, stream
    return FoldDraws(job=job, split=split, stream=stream)


def _prepare_fold(
    fold: FoldDraws, engine: Engine, *, draws: int | None, part: tuple[int, int], reporter: Reporter
) -> PreparedFold:
    config, folder = fold.job.file.config, fold.job.folder
    count = math.ceil((draws_taken(config, fold.stream) if draws is None else draws) / BLOCK_DRAWS)
    _remove_leftovers(folder)
    there = {number for number in range(count) if _is_there(fold.job, number, reporter)}
    number, parts = part
    mine = [at for at in range(number - 1, count, parts) if at not in there]
    held = f", without {', '.join(fold.split.held_out)}" if fold.split.held_out else ""
    reporter.stage(f"make {len(mine):,} of {count:,} blocks of {BLOCK_DRAWS:,} draws{held}")
    began, receipts = time.monotonic(), list[BlockReceipt]()
    for receipt in engine.make(make_block, fold.job, mine):
        receipts.append(receipt)
        reporter.step(len(receipts), len(mine), progress_text(len(receipts), len(mine), time.monotonic() - began))
    seconds = time.monotonic() - began
    missing = [at for at in range(count) if not block_path(folder, at).exists()]
    if not missing:
        _write_manifest(fold, count, receipts)
    return PreparedFold(
        folder=folder,
        draws=count * BLOCK_DRAWS,
        made=len(receipts),
        kept=len(there),
        missing=len(missing),
        seconds=seconds,
    )


def _remove_leftovers(folder: Path) -> None:
    """Removes incomplete files that killed processes left a day or more ago."""
    for path in folder.glob(".block-*.tmp"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _LEFTOVER_AGE_S:
                path.unlink()


def progress_text(done: int, total: int, seconds: float) -> str:
    """The progress, the speed and the time left.

    >>> progress_text(3, 12, 20.0)
    'block 3 of 12, 1,229 prompts/s, 60 s left'
    """
    left = seconds / done * (total - done)
    told = f"{left:,.0f} s" if left < 120 else f"{left / 60:,.0f} min" if left < 7200 else f"{left / 3600:,.1f} h"
    return f"block {done:,} of {total:,}, {done * BLOCK_DRAWS / max(seconds, 1e-9):,.0f} prompts/s, {told} left"


def draws_taken(config: RunConfig, stream: PromptStream) -> int:
    """The number of draws in the training steps, from the lengths of the first ones."""
    sizes = size_array([draw.prompt for draw in stream.draws(0, _SAMPLE)], stream.family)
    tokens_a_draw = max(1.0, float(sizes.sum(axis=0).max())) / _SAMPLE
    packing = config.packing
    room = packing.batch_tokens // packing.row_tokens * packing.row_tokens
    by_steps = config.training.steps * room / tokens_a_draw
    if config.training.epochs and isinstance(stream.mixture, Mixture):
        by_steps = min(by_steps, draws_of(stream.mixture, epochs=config.training.epochs))
    return math.ceil(_MARGIN * by_steps)


def _is_there(job: PrepareJob, number: int, reporter: Reporter) -> bool:
    """Whether a block exists already.

    Raises:
        PackingError: It was made from something else.
    """
    path = block_path(job.folder, number)
    try:
        head = read_head(path)
    except FileNotFoundError:
        return False
    except BrokenBlockError as error:
        reporter.note(f"made again, since it was damaged: {path} ({error})")
        return False
    check_identity(head.identity, job.identity, where=str(path), hint=_OTHER)
    if head.number != number:
        raise PackingError(f"this is block {head.number:,} under another name", where=str(path), hint=_OTHER)
    return True


def _write_manifest(fold: FoldDraws, count: int, made: Sequence[BlockReceipt]) -> None:
    path = fold.job.folder / MANIFEST
    known = {one.number: one for one in (*_earlier(path), *made)}
    blocks = tuple(known.get(number) or _receipt(fold.job, number) for number in range(count))
    more = tuple(known[number] for number in sorted(known) if number >= count)
    write_value(
        path,
        PreparedManifest(
            held_out=tuple(fold.split.held_out),
            draws=(len(blocks) + len(more)) * BLOCK_DRAWS,
            block_draws=BLOCK_DRAWS,
            identity=dict(fold.job.identity),
            counts=sum((one.counts for one in (*blocks, *more)), Counts()),
            blocks=blocks + more,
            versions=versions(),
        ),
    )


def _earlier(path: Path) -> Iterator[BlockReceipt]:
    """The blocks of an earlier manifest whose files still have the same size."""
    if not path.exists():
        return
    for one in read_value(path, PreparedManifest, mends="remove this file and repeat the command").blocks:
        block = block_path(path.parent, one.number)
        if block.exists() and block.stat().st_size == one.bytes:
            yield one


def _receipt(job: PrepareJob, number: int) -> BlockReceipt:
    """The receipt of a block that another process made."""
    path = block_path(job.folder, number)
    return BlockReceipt(
        number=number, sha256=file_sha256(path), bytes=path.stat().st_size, counts=read_head(path).counts
    )
