"""The record of a tuned model's training data in the model's folder, so that measuring on it by mistake is detected.

``flantune.json`` names the tasks, clusters, families and datasets of the mixture; ``training_rows.npz`` is an index of
their training rows: hashes of 13-word sequences, or the smallest million of them if there are more. A measured row is
looked up by those of its sequences that the index could contain.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from flantune import __version__
from flantune.contamination.compared_rows import Block, ComparedRows, make_corpus
from flantune.contamination.compared_texts import make_units
from flantune.contamination.hashing import expand, ranges, smallest
from flantune.errors import FlantuneError
from flantune.mixture.permutation import scramble_array
from flantune.mixture.taxonomy import Taxonomy, plain_name
from flantune.settings.json_file import plain
from flantune.system.progress import Reporter, Silent
from flantune.tasks.same_data import contents_of, hub_name, is_same_hub
from flantune.types import Example

if TYPE_CHECKING:
    from flantune.tasks.example_store import PreparedTask
    from flantune.types import Task

FILE = "flantune.json"
INDEX_FILE = "training_rows.npz"
NGRAM = 13
"""Number of words in an indexed sequence. Paper: FLAN 2021, appendix C, after GPT-3."""
SHORTEST = 8
"""Rows with only short texts are indexed as a whole, from this many words on."""
MAX_GRAMS = 1 << 20
"""Largest number of stored sequences, eight bytes each."""
SEEN_SHARE = 0.5
"""A measured row counts as seen if at least this share of its sequences occurs in the training rows."""

UInt64 = NDArray[np.uint64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedTask:
    """A task of the mixture.

    Attributes:
        family: Its source family.
        hub: Hub id and configuration ("aps/super_glue:rte"); empty for files.
        source: Fingerprint of the rows of its training split; empty if unknown.
        rows: Training rows.
        files: Digests of the contents of its files, for all splits; empty if not available.
    """

    name: str
    clusters: tuple[str, ...]
    family: str
    hub: str
    source: str
    rows: int
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFile:
    """The file of an index of training rows, the number of words in its sequences, and the SHA-256 of its bytes."""

    file: str = INDEX_FILE
    ngram: int = NGRAM
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecord:
    """The training data of a model.

    Attributes:
        tasks: The tasks of the mixture, and those of earlier tunings.
        held_out: Clusters that were held out.
        base: The model it was tuned from.
        fingerprint: Fingerprint of the run's tasks and settings.
        version: Version of flantune.
        index: The index of rows beside it.
        sha256: Of everything above, to detect a record that was edited, or is beside the index of another model; empty
            in records of earlier versions. It detects mistakes, not deliberate deception.
    """

    schema: Literal[1] = 1
    tasks: tuple[TrainedTask, ...]
    held_out: tuple[str, ...]
    base: str
    fingerprint: str = ""
    version: str = __version__
    index: IndexFile = IndexFile()
    sha256: str = ""

    @property
    def content_sha256(self) -> str:
        """The correct value of ``sha256``."""
        text = json.dumps(plain(replace(self, sha256="")), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowIndex:
    """Sequences of words that occur in training rows.

    Attributes:
        hashes: Sorted hashes of them, shape [grams].
        limit: Sequences with a larger hash were not stored, so nothing is known about them.
    """

    hashes: UInt64
    limit: int = 2**64 - 1

    def is_seen(self, rows: Sequence[Sequence[str]]) -> NDArray[np.bool_]:
        """Which of these rows, each given as texts, occur in the training rows; shape [rows].

        >>> text = "the quick brown fox jumps over the lazy dog and runs far away from here"
        >>> index = make_index(_one_corpus([[text]]))
        >>> index.is_seen([[text + " today"], ["something that nobody has ever said to any model in all the years"]])
        array([ True, False])
        """
        if not rows:
            return np.zeros(0, dtype=np.bool_)
        corpus = _one_corpus(rows)
        known, found = np.zeros(len(rows)), np.zeros(len(rows))
        for block in corpus.blocks():
            hashes, owners = _grams(block)
            is_kept = hashes <= np.uint64(self.limit)
            hashes, owners = hashes[is_kept], owners[is_kept]
            places = np.minimum(np.searchsorted(self.hashes, hashes), max(len(self.hashes) - 1, 0))
            is_there = self.hashes[places] == hashes if len(self.hashes) else np.zeros(len(hashes), dtype=np.bool_)
            np.add.at(known, owners, 1.0)
            np.add.at(found, owners, is_there.astype(np.float64))
        seen: NDArray[np.bool_] = (known > 0) & (found >= SEEN_SHARE * known) & (found > 0)
        return seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a model will be measured on, in terms of a record.

    Attributes:
        name: Its name in sentences.
        tasks: Names of tasks that would be the same task.
        clusters: Its clusters; empty for benchmarks.
        families: Its source families.
        hub: Hub id, with its configuration if only that one would be the same.
        files: Files that its rows come from.
        rows: Number and texts of each row, read when compared; None: rows are not checked.
    """

    name: str = ""
    tasks: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    hub: str = ""
    files: tuple[Path, ...] = ()
    rows: Callable[[], Iterable[tuple[int, Sequence[str]]]] | None = None


Relation = Literal["taught", "kin", "cluster"]
"""The relation of a training task to what is measured: the same, from the same source, or of the same kind."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something is not new to a model: its relation to a training task, and a sentence."""

    relation: Relation
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Reasons why a measurement is not unseen.

    Attributes:
        reasons: Sentences, each naming what is measured and what was trained on.
        rows: Numbers of the rows that occur in the training rows; None: not checked.
    """

    reasons: tuple[str, ...] = ()
    rows: frozenset[int] | None = None


def record_of(
    prepared: Sequence[PreparedTask], *, held_out: Sequence[str], base: str, fingerprint: str
) -> TrainingRecord:
    """The record of a mixture of these tasks."""
    return TrainingRecord(
        tasks=tuple(_trained(one) for one in prepared),
        held_out=tuple(held_out),
        base=base,
        fingerprint=fingerprint,
    )


def _trained(prepared: PreparedTask) -> TrainedTask:
    task = prepared.task
    return TrainedTask(
        name=task.name,
        clusters=task.clusters,
        family=task.source_family,
        hub=hub_of(task),
        source=_source_fingerprint(task),
        rows=len(prepared.stores.get("train", ())),
        files=contents_of(task.source.files_here()),
    )


def hub_of(task: Task) -> str:
    """Hub id and configuration of a task's source; empty if it is not on the hub."""
    return hub_name(task.source)


def _source_fingerprint(task: Task) -> str:
    try:
        return task.source.fingerprint(task.splits["train"].partition("[")[0])
    except (FlantuneError, KeyError):
        # Rows come from a cache, and their source is no longer available: the index still has them.
        return ""


def make_index(
    corpus: ComparedRows, *, max_grams: int = MAX_GRAMS, on_rows: Callable[[int], None] | None = None
) -> RowIndex:
    """The index of a corpus: all its sequences, or those with the smallest hashes if there are too many.

    This keeps a random sample of sequences, not of rows, and the same for both sides of a comparison: some sequences of
    a long row are kept for any limit. ``on_rows`` is called with the progress.
    """
    hashes, limit, waiting = np.empty(0, dtype=np.uint64), 2**64 - 1, list[UInt64]()
    for block in corpus.blocks(on_rows):
        found = _grams(block)[0]
        waiting.append(found[found <= np.uint64(limit)])
        # Merging after every block would sort the whole index once per block.
        if sum(map(len, waiting)) > max_grams:
            hashes, limit = smallest([hashes, *waiting], max_grams, limit)
            waiting = []
    hashes, limit = smallest([hashes, *waiting], max_grams, limit)
    return RowIndex(hashes=hashes, limit=limit)


def make_training_index(prepared: Sequence[PreparedTask], *, told: Reporter | None = None) -> RowIndex:
    """The index of the tasks' training rows."""
    corpus, reporter = make_corpus(prepared, "train"), told or Silent()
    return make_index(corpus, on_rows=lambda done: reporter.step(done, corpus.rows, f"index row {done:,}"))


def _grams(block: Block) -> tuple[UInt64, NDArray[np.int64]]:
    """Hashes of a block's sequences, and the corpus row of each."""
    units = make_units(block, ngram=NGRAM)
    sizes = units.sizes
    long = np.flatnonzero(sizes >= NGRAM)
    counts = sizes[long] - NGRAM + 1
    places = expand(units.firsts[long], counts)
    short = np.flatnonzero((sizes < NGRAM) & (sizes >= SHORTEST) & units.may_be_short)
    hashes = np.concatenate(
        [units.sums.windows(NGRAM)[places], units.sums.between(units.firsts[short], units.firsts[short + 1])]
    )
    return scramble_array(hashes), np.concatenate([np.repeat(units.rows[long], counts), units.rows[short]])


def _one_corpus(rows: Sequence[Sequence[str]]) -> ComparedRows:
    examples = tuple(
        Example(row=at, fields={str(number): text for number, text in enumerate(texts)}, references=())
        for at, texts in enumerate(rows)
    )
    return ComparedRows(names=("measured",), stores=(examples,), firsts=ranges(np.array([len(examples)])))


def check_seen(record: TrainingRecord, index: RowIndex, measured: Measured, taxonomy: Taxonomy) -> Seen:
    """Why a measurement is not new to the model; each reason names both sides."""
    reasons = list(dict.fromkeys(one.text for one in seen_reasons(record, measured, taxonomy)))
    texts = dict(measured.rows()) if measured.rows is not None else {}
    flags = index.is_seen(list(texts.values())).tolist()
    rows = frozenset(row for row, is_seen in zip(texts, flags, strict=True) if is_seen)
    if rows:
        reasons.append(
            f"{len(rows)} of {len(texts)} questions of {measured.name} occur in its training rows, nearly word for word"
        )
    return Seen(reasons=tuple(reasons), rows=rows if texts else None)


def seen_reasons(record: TrainingRecord, measured: Measured, taxonomy: Taxonomy) -> Iterator[Reason]:
    """Each training task of a model that is related to what is measured, and how."""
    names, files = {plain_name(name) for name in measured.tasks}, {*contents_of(measured.files)}
    for task in record.tasks:
        taught = f'the task "{task.name}"'
        if plain_name(task.name) in names:
            yield Reason("taught", f"it was trained on {taught}, and {measured.name} is that task")
        elif files & {*task.files}:
            yield Reason("taught", f"{measured.name} reads the same files as {taught} it was trained on")
        elif is_same_hub(measured.hub, task.hub):
            yield Reason("taught", f"{measured.name} is made from {measured.hub}, like {taught} it was trained on")
        elif family := _common_family(task, measured, taxonomy):
            yield Reason("kin", f"{measured.name} is kin to {taught} it was trained on: {family}")
        elif clash := _common_cluster(task, measured, taxonomy):
            text = f"{measured.name} is not unseen, since it was trained on {taught}: {clash}"
            yield Reason("cluster", text)


def _common_family(task: TrainedTask, measured: Measured, taxonomy: Taxonomy) -> str:
    left = {plain_name(name) for name in (*measured.families, *measured.tasks)}
    right = {plain_name(name) for name in (task.family, task.name) if name}
    if common := left & right:
        return f'both come from the source family "{min(common)}"'
    for group in taxonomy.kin:
        if left & group.members and right & group.members:
            return group.because or group.name
    return ""


def _common_cluster(task: TrainedTask, measured: Measured, taxonomy: Taxonomy) -> str:
    """The common cluster, or the rule that forbids training on one of theirs. Paper: FLAN 2021, 2.2."""
    for cluster in measured.clusters:
        for trained in task.clusters:
            if taxonomy.cluster(cluster) == taxonomy.cluster(trained):
                return f'both belong to the cluster "{cluster}"'
            if taxonomy.overlap(evaluating=cluster, training=trained):
                return f'the cluster "{cluster}" overlaps with "{trained}"'
    return ""


def without_extras(reasons: Sequence[str], *, most: int = 5) -> str:
    """Reasons, limited to a few lines."""
    shown = [f"  {reason}" for reason in reasons[:most]]
    return "\n".join([*shown, *([f"  and {len(reasons) - most} more"] if len(reasons) > most else [])])
