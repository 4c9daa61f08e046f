"""Which questions to ask for a given precision: rows and templates drawn where they are most informative.

An exam is a matrix of rows and templates, whose mean is the score. Instead of the whole matrix some rows are asked,
each in as few templates as possible: another row is more informative than another template of the same row, since the
templates of a row share its difficulty. Rows, and the templates of each row, are drawn with equal probability, so that
the mean over the questions asked is in expectation the mean over the whole matrix.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heapify, heapreplace
from typing import TYPE_CHECKING

from flantune.system.keyed_random import mix64, stream_key

if TYPE_CHECKING:
    from flantune.evaluation.exams import Exam, Question, Questions

PILOT_ROWS = 40
"""Rows asked before deciding how many are needed: enough to estimate a standard deviation to within a ninth."""
PILOT_TEMPLATES = 2
"""Templates of each of them: two are needed to separate the variance of rows and templates."""
_GROWTH = 1 / 20
"""Share of an exam's current rows that is added at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """All questions of an exam.

    Attributes:
        rows: Row, or group of rows → template → questions.
        count: Number of rows, including those in groups.
    """

    rows: Mapping[str, Mapping[str, int]]
    count: int

    @property
    def templates(self) -> int:
        """The largest number of templates of a row."""
        return max((len(asked) for asked in self.rows.values()), default=0)

    @property
    def questions(self) -> int:
        """Number of all questions."""
        return sum(sum(asked.values()) for asked in self.rows.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """How much of an exam is asked.

    Attributes:
        rows: Number of rows, or groups of rows.
        templates: Number of templates of each.
    """

    rows: int
    templates: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """What determines how much of an exam is worth asking.

    Attributes:
        rows: Number of its rows.
        templates: Number of its templates.
        weight: Its weight in the mean whose precision matters.
        between: Variance between rows of the compared quantity, as a mean over templates.
        within: Variance between the templates of a row.
    """

    rows: int
    templates: int
    weight: float
    between: float
    within: float

    def variance(self, draw: Draw) -> float:
        """The variance that this exam contributes to the mean."""
        return self.weight**2 * (self.between + self.within / draw.templates) / draw.rows


def matrix_of(exam: Exam) -> Matrix:
    """The rows and templates of an exam's test questions."""
    rows: dict[str, Counter[str]] = {}
    single: set[int] = set()
    for question in exam.questions:
        if question.prompt.split == "test":
            rows.setdefault(_unit(question), Counter())[question.prompt.template] += 1
            single.add(question.prompt.row)
    return Matrix(rows=rows, count=len(single))


def draw_questions(exam: Exam, matrix: Matrix, draw: Draw, *, seed: int) -> Exam:
    """The exam with a draw of its matrix. A larger draw contains every smaller one.

    Args:
        exam: The exam.
        matrix: Its rows and templates.
        draw: The size of the draw.
        seed: Seed of the draw, which otherwise depends only on the exam's name, the row and the template.
    """
    units = sorted(matrix.rows, key=lambda unit: (mix64(stream_key(seed, exam.key, "row", unit), 0), unit))
    chosen = {unit: _templates(exam.key, unit, matrix.rows[unit], draw, seed) for unit in units[: draw.rows]}
    count = sum(matrix.rows[unit][name] for unit, names in chosen.items() for name in names)
    note = (
        f"a draw of {count:,} of {matrix.questions:,} questions: {draw.templates} of {matrix.templates} templates a row"
    )
    questions = _Drawn(questions=exam.questions, chosen=chosen, count=count)
    return replace(exam, questions=questions, stands_for=matrix.count, notes=(*exam.notes, note))


def _templates(exam: str, unit: str, names: Iterable[str], draw: Draw, seed: int) -> frozenset[str]:
    def place(name: str) -> tuple[int, str]:
        return mix64(stream_key(seed, exam, "template", unit, name), 0), name

    return frozenset(sorted(names, key=place)[: draw.templates])


def _unit(question: Question) -> str:
    """Rows of one group are asked together."""
    return f"group {question.prompt.group}" if question.prompt.group else f"row {question.prompt.row}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    """The drawn questions of an exam."""

    questions: Questions
    chosen: Mapping[str, frozenset[str]]
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Question]:
        for question in self.questions:
            if question.prompt.split == "test" and question.prompt.template in self.chosen.get(_unit(question), ()):
                yield question


def pilot_of(matrix: Matrix) -> Draw:
    """The pilot draw, asked before deciding how much is needed."""
    return Draw(rows=min(PILOT_ROWS, len(matrix.rows)), templates=min(PILOT_TEMPLATES, matrix.templates))


def spend(spreads: Sequence[Spread], *, se: float) -> list[Draw]:
    """The cheapest draws of exams with which their weighted mean has a standard error of at most ``se``.

    Rows and templates are added step by step, always where a question reduces the variance most; when all are used it
    ends, even if that is not precise enough.

    >>> alike = Spread(rows=1_000, templates=10, weight=0.5, between=0.2, within=0.1)
    >>> calm = Spread(rows=1_000, templates=10, weight=0.5, between=0.02, within=0.01)
    >>> [draw.templates for draw in spend([alike, calm], se=0.02)]
    [1, 1]
    >>> many, few = (draw.rows for draw in spend([alike, calm], se=0.02))
    >>> 2.5 < many / few < 4  # Neyman: in proportion to the standard deviation, √10
    True
    """
    draws = [Draw(rows=max(1, min(one.rows, 10)), templates=1) for one in spreads]
    variance = sum(one.variance(draw) for one, draw in zip(spreads, draws, strict=True))
    waiting = [(-_gain(one, draw), at) for at, (one, draw) in enumerate(zip(spreads, draws, strict=True))]
    heapify(waiting)
    while waiting and variance > se**2 and waiting[0][0] < 0.0:
        at = waiting[0][1]
        larger = _larger(spreads[at], draws[at])
        variance += spreads[at].variance(larger) - spreads[at].variance(draws[at])
        draws[at] = larger
        heapreplace(waiting, (-_gain(spreads[at], larger), at))
    return draws


def _larger(spread: Spread, draw: Draw) -> Draw:
    """The next step: more rows, and more templates once there are no more rows."""
    if draw.rows < spread.rows:
        return replace(draw, rows=min(spread.rows, draw.rows + max(1, int(draw.rows * _GROWTH))))
    return replace(draw, templates=min(spread.templates, draw.templates + 1))


def _gain(spread: Spread, draw: Draw) -> float:
    """Reduction of variance per question in the next step."""
    larger = _larger(spread, draw)
    questions = larger.rows * larger.templates - draw.rows * draw.templates
    return (spread.variance(draw) - spread.variance(larger)) / questions if questions else 0.0
