"""Rows that occur more than once: in training, in training and in test; and how often each label occurs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from flantune.commands.check_data import Found
from flantune.contamination.compare import compare
from flantune.contamination.findings import Settings
from flantune.contamination.short_rows import short_copies
from flantune.report.numbers import plural
from flantune.tasks.rows import short

if TYPE_CHECKING:
    from flantune.system.progress import Reporter
    from flantune.tasks.example_store import PreparedTask
    from flantune.types import Example

_MOST_LABELS = 20
_NOTEWORTHY = 0.01
"""The share of repeated rows from which on they are a warning; fewer are a note."""
_FILTER = "`flantune contamination RUN_FILE --clean clean.json` writes a filter; [data] clean takes it"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRepeats:
    """How often rows and labels occur in a task.

    Attributes:
        rows: Number of training rows.
        repeated: Training rows that are exact copies of an earlier one.
        contradictory: Training rows whose inputs occur with another label as well.
        copy: Numbers of a training row and an exact copy of it, if there is one; counted like raw rows.
        contradiction: Numbers of two training rows with equal inputs and different labels.
        inputs: The beginnings of the first field of these two pairs.
        labels: Split → label → its rows; empty for tasks without labels.
    """

    task: str
    rows: int
    repeated: int
    contradictory: int
    copy: tuple[int, ...] = ()
    contradiction: tuple[int, ...] = ()
    inputs: tuple[str, str] = ("", "")
    labels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def task_repeats(one: PreparedTask) -> TaskRepeats:
    """Reads every row of a task; keeps 16 bytes for each training row."""
    store = one.stores.get("train", ())
    inputs, answers = np.empty(len(store), np.uint64), np.empty(len(store), np.uint64)
    labels: dict[str, Mapping[str, int]] = {}
    has_labels = one.task.kind == "classification"
    for role, examples in one.stores.items():
        counts: Counter[str] = Counter()
        for number, example in enumerate(examples if has_labels or role == "train" else ()):
            if len(counts) <= _MOST_LABELS:
                counts[example.references[0]] += 1
            if role == "train":
                asked = (*example.fields.values(), "", *example.options)
                inputs[number], answers[number] = _hash(asked), _hash(example.references)
        if has_labels and 0 < len(counts) <= _MOST_LABELS:
            labels[role] = dict(counts.most_common())
    order = np.lexsort((np.arange(len(store)), answers, inputs))
    inputs, answers = inputs[order], answers[order]
    is_same_input = inputs[1:] == inputs[:-1]
    is_copy = is_same_input & (answers[1:] == answers[:-1])
    is_other = is_same_input & ~is_copy & has_labels
    group = np.concatenate([[0], np.cumsum(~is_same_input)]) if len(store) else np.empty(0, np.int64)
    disputed = np.isin(group, group[1:][is_other])
    copy, contradiction = (_first(order, mask) for mask in (is_copy, is_other))
    return TaskRepeats(
        task=one.task.name,
        rows=len(store),
        repeated=int(is_copy.sum()),
        contradictory=int(disputed.sum()),
        copy=tuple(store[number].row for number in copy),
        contradiction=tuple(store[number].row for number in contradiction),
        inputs=(_shown([store[k] for k in copy]), _shown([store[k] for k in contradiction])),
        labels=labels,
    )


def _hash(texts: Sequence[str]) -> int:
    joined = "\x00".join(texts).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(joined, digest_size=8).digest(), "little")


def _first(order: np.ndarray, mask: np.ndarray) -> tuple[int, ...]:
    """The pair of rows that comes first in the file."""
    places = np.flatnonzero(mask)
    if not len(places):
        return ()
    place = int(places[np.argmin(order[places + 1])])
    return tuple(sorted(int(order[at]) for at in (place, place + 1)))


def _shown(pair: Sequence[Example]) -> str:
    return short(next(iter(pair[0].fields.values()), ""), width=60) if pair else ""


def repeat_findings(repeats: Sequence[TaskRepeats]) -> Iterator[Found]:
    """Training rows that occur twice, and those that contradict each other."""
    for one in repeats:
        for rule, count, pair, shown, what, hint in (
            (
                "repeated-rows",
                one.repeated,
                one.copy,
                one.inputs[0],
                ("is an exact copy of an earlier one", "are exact copies of earlier ones"),
                "take the copies out, unless they are meant to count more",
            ),
            (
                "contradictory-rows",
                one.contradictory,
                one.contradiction,
                one.inputs[1],
                ("differs from another only in its label", "differ from others only in their labels"),
                "correct their labels, or take these rows out",
            ),
        ):
            if count:
                yield Found(
                    severity="warning" if count >= _NOTEWORTHY * one.rows else "note",
                    about="data",
                    text=f"{one.task}: {count:,} of {plural(one.rows, 'training row')} {what[count != 1]}, such as rows"
                    f" {pair[0]:,} and {pair[1]:,} (counted from 0), {shown}",
                    hint=hint,
                    rule=rule,
                )


def label_line(one: TaskRepeats) -> str:
    """A task's labels in each split, and the score of always giving the most frequent one; empty without labels."""
    if not one.labels:
        return ""
    splits = "; ".join(
        f"{role} " + ", ".join(f"{count:,} {short(label, width=30)}" for label, count in counts.items())
        for role, counts in one.labels.items()
    )
    role = next(role for role in ("test", "dev", "train") if role in one.labels)
    label, most = next(iter(one.labels[role].items()))
    share = most / sum(one.labels[role].values())
    return f"{one.task}: {splits}; a model that always says {short(label, width=30)} would score {share:.1%} on {role}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlaps:
    """Test rows that occur in training.

    Attributes:
        dirty: Measured task → its test rows, and those that overlap with training rows.
        too_short: Number of test rows that have too few words to overlap in part and are no copies of training rows.
        found: The findings.
    """

    dirty: Mapping[str, tuple[int, int]]
    too_short: int
    found: tuple[Found, ...]


def overlaps(
    trained: Sequence[PreparedTask], measured: Sequence[PreparedTask], *, seed: int, held_out: tuple[str, ...],
    told: Reporter,
) -> Overlaps:  # fmt: skip
    """Compares test rows with training rows; those too short for n-grams are compared whole."""
    settings = Settings(seed=seed)
    compared = compare(trained, measured, settings=settings, held_out=held_out, on_rows=told.step)
    is_short = any(one.too_short for one in compared.tasks)
    copies = short_copies(trained, measured, words=settings.min_ngram) if is_short else {}
    dirty: dict[str, tuple[int, int]] = {}
    found: list[Found] = []
    too_short = 0
    for one in compared.tasks:
        short_ones = copies.get(one.task, frozenset()) - set(one.dirty)
        dirty[one.task] = (one.rows, len(one.dirty) + len(short_ones))
        too_short += max(0, one.too_short - len(short_ones))
        rows = plural(one.rows, "test row")
        if one.dirty:
            text = f"{one.task}: {len(one.dirty):,} of {rows} overlap with training rows"
            found.append(Found(severity="warning", about="contamination", text=text, hint=_FILTER))
        if short_ones:
            text = f"{one.task}: {len(short_ones):,} of {rows}, each of fewer than {settings.min_ngram} words, are"
            hint = f"take them out of one of the splits; the first is row {min(short_ones):,} (counted from 0)"
            found.append(
                Found(severity="warning", about="contamination", text=f"{text} copies of training rows", hint=hint)
            )
    return Overlaps(dirty=dirty, too_short=too_short, found=tuple(found))
