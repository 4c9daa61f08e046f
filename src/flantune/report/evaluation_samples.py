"""Single questions a reader of an evaluation can look at: every model's answer side by side, and how it was read."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flantune.evaluation.metrics.rank_classification import Normalization
from flantune.evaluation.samples import samples_path
from flantune.report.samples import (
    BUDGET,
    Browser,
    Key,
    bars,
    cut,
    fit,
    json_bytes,
    key_of,
    measured_rows,
    read_chosen,
)

if TYPE_CHECKING:
    from flantune.evaluation.exams import Exam
    from flantune.evaluation.metrics.graders import Columns, Grade
    from flantune.runs.untrusted_json import Json
    from flantune.types import Sample

MOST_ROWS = 40
"""Questions embedded of one part or task."""
OUTCOMES = ("mixed", "wrong", "right")
"""Right for some models, for none, for all: in this turn they are shown."""

_HALF = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How one answer was read.

    Attributes:
        is_right: Whether it counts as right, by half of the metric or more.
        answer: What was understood; None: nothing.
        rule: Which rule read it.
    """

    is_right: bool
    answer: str | None
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked of every model, and how an answer is judged.

    Attributes:
        key: Name of the part or task, as its samples are named.
        normalization: What options are ranked by.
        judge: How an answer counts.
    """

    key: str
    normalization: Normalization
    judge: Callable[[Sample], Verdict]


def asked_exam(exam: Exam) -> Asked:
    """An exam, judged by its own grader."""
    columns = exam.grader.columns

    def judge(sample: Sample) -> Verdict:
        grade = exam.grader.grade(sample)
        return Verdict(is_right=_score(columns, grade) >= _HALF, answer=grade.answer, rule=grade.rule)

    return Asked(key=exam.key, normalization=exam.protocol.normalization, judge=judge)


def _score(columns: Columns, grade: Grade) -> float:
    """The headline metric of one answer; of a metric over all answers, what it would be of this one alone."""
    note, score = grade.notes[0], columns.headline.metric.score
    return note[0] if score is None else float(score(np.array([note]), np.ones((1, 1)))[0])


def collect_answers(asked: Sequence[Asked], models: Mapping[str, Path], *, root: Path, budget: int = BUDGET) -> Browser:
    """Picks the questions that the page carries, the same ones every time.

    Every part gets the same share of the budget; what one leaves unused goes to those after it.

    Args:
        asked: Parts and tasks.
        models: Name → folder with its ``samples/``.
        root: What paths are told from.
        budget: Bytes of JSON in all.
    """
    groups: list[Json] = []
    shown = total = 0
    for done, one in enumerate(asked):
        group = _group(one, models, root=root, budget=budget // (len(asked) - done))
        if group is None:
            continue
        groups.append(group)
        shown, total = shown + len(group["rows"]), total + group["total"]
        budget -= json_bytes(group)
    return Browser(groups=tuple(groups), shown=shown, total=total)


def _group(asked: Asked, models: Mapping[str, Path], *, root: Path, budget: int) -> dict[str, Any] | None:
    paths = [samples_path(folder, asked.key) for folder in models.values()]
    right = [{key_of(sample): asked.judge(sample).is_right for sample in measured_rows(path)} for path in paths]
    common = [key for key in right[0] if all(key in own for own in right)] if right else []
    if not common:
        return None
    outcome = {key: _outcome([own[key] for own in right]) for key in common}
    chosen = _choose(common, outcome)
    kept = [read_chosen(path, chosen) for path in paths]
    prefix = shared_beginning([kept[0][key].inputs for key in chosen])
    rows = (_row(asked, [own[key] for own in kept], outcome[key], prefix=len(prefix)) for key in chosen)
    fitting = fit(rows, budget=budget - len(prefix))
    return {
        "task": asked.key,
        "models": list(models),
        "totals": [sum(own[key] for key in common) for own in right],
        "total": len(common),
        "prefix": cut(prefix),
        "paths": [path.relative_to(root).as_posix() for path in paths],
        "rows": sorted(fitting, key=lambda row: (row["s"], row["t"], row["r"])),
    }


def shared_beginning(texts: Sequence[str]) -> str:
    r"""What all texts start with, up to the end of a paragraph; nothing of a single one.

    >>> shared_beginning(["Q: 1\n\nQ: 2", "Q: 1\n\nQ: 3"])
    'Q: 1\n\n'
    """
    if len(texts) < 2:
        return ""
    # By characters, as wanted here.
    begin, found, _ = os.path.commonprefix(list(texts)).rpartition("\n\n")  # noqa: RUF071
    return begin + found


def _outcome(right: Sequence[bool]) -> str:
    if all(right):
        return "right"
    return "mixed" if any(right) else "wrong"


def _choose(keys: Sequence[Key], outcome: Mapping[Key, str]) -> list[Key]:
    """The outcomes in turn, each in an order fixed by a hash."""
    ours = sorted(keys, key=lambda key: zlib.crc32(repr(key).encode()))
    queues = [[key for key in ours if outcome[key] == name] for name in OUTCOMES]
    turns = [(place, turn, key) for turn, queue in enumerate(queues) for place, key in enumerate(queue)]
    return [key for _, _, key in sorted(turns)[:MOST_ROWS]]


def _row(asked: Asked, samples: Sequence[Sample], outcome: str, *, prefix: int) -> dict[str, Any]:
    """One question, with short keys, since there are thousands."""
    first = samples[0]
    row: dict[str, Any] = {"r": first.row, "t": first.template, "s": first.shots, "c": outcome}
    row["x"] = cut(first.inputs[prefix:])
    if first.scores:
        row["o"], row["g"] = [cut(option) for option in first.options], first.answer
    else:
        row["f"] = [cut(reference) for reference in first.references]
    row["m"] = [_answer(asked, sample) for sample in samples]
    return row


def _answer(asked: Asked, sample: Sample) -> dict[str, Any]:
    verdict = asked.judge(sample)
    found: dict[str, Any] = {"k": verdict.is_right, "a": verdict.answer, "l": verdict.rule}
    if sample.scores:
        found["b"] = bars(sample, asked.normalization)
    else:
        found["p"] = cut(sample.prediction)
    if sample.predictions:
        found["v"], found["d"] = sample.confidence, [cut(text) for text in sample.predictions]
    return found
