"""From samples to arrays: the notes of each row under each template."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flantune.contamination.training_record import Seen
from flantune.errors import EvaluationError
from flantune.evaluation.asking.option_labels import RankedCells
from flantune.evaluation.metrics.by_name import Statistics, decided_class
from flantune.evaluation.metrics.graders import Columns, Grader, MetricColumn
from flantune.evaluation.metrics.normalizers import SQUAD
from flantune.evaluation.metrics.readable import MOST_LOOKED_AT
from flantune.evaluation.statistics.skill import RankedOptions
from flantune.packing.packs import Counts
from flantune.types import Sample, SplitRole

if TYPE_CHECKING:
    from flantune.evaluation.exams import Exam

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class GradeTable:
    """One model's answers to one exam, in one split and with one number of exemplars, as arrays.

    Attributes:
        rows: Source rows, in the order of first appearance.
        templates: Names of templates, in the task's order; a part of a benchmark has one.
        columns: The columns of notes.
        notes: Key of a column → notes, [rows, templates, k]; nan if a prompt was dropped. A metric that counts groups
            has its notes in each group's first row, and nan in the others.
        groups: Group of each row, numbered from 0; a row without a group is a separate one.
        answers: The answers as numbers, equal for equal answers, [rows, templates]; -1 if a prompt was dropped.
        chance: The score of guessing by the headline metric.
        ties: Number of samples whose best options scored the same.
        references: The fewest and the most references of a row.
        rules: Rule → how many answers it read; "none": nothing was found.
        vote_confidence: The voted answers' mean share of the sampled answers; None without a vote.
        looked_at: A sample of each of the first rows, for the check whether metrics can read them.
        options: The scores of the options, by label; None if nothing was ranked.
    """

    rows: tuple[int, ...]
    templates: tuple[str, ...]
    columns: Columns
    notes: Mapping[tuple[str, str, str], Floats]
    groups: Integers
    answers: Integers
    chance: float
    ties: int
    references: tuple[int, int]
    rules: Mapping[str, int] = field(default_factory=dict)
    vote_confidence: float | None = None
    looked_at: tuple[Sample, ...] = ()
    options: RankedOptions | None = None

    def cells(self, column: MetricColumn) -> Floats:
        """Notes of one column, [rows, templates, k]."""
        return self.notes[column.key]

    @property
    def unparsed(self) -> float:
        """Share of answers in which no answer was found."""
        return self.rules.get("none", 0) / max(sum(self.rules.values()), 1)

    @property
    def is_grouped(self) -> bool:
        """Whether some rows are in groups."""
        return len(self.rows) > 0 and int(self.groups.max()) + 1 < len(self.rows)

    @property
    def rows_sha256(self) -> str:
        """Identifies the set of rows: equal if two runs measured the same ones."""
        return hashlib.sha256(repr(sorted(self.rows)).encode()).hexdigest()

    def rows_of_groups(self, rows: Collection[int]) -> frozenset[int]:
        """Source rows of every group with one of these rows."""
        groups = dict(zip(self.rows, self.groups.tolist(), strict=True))
        hit = {group for row, group in groups.items() if row in rows}
        return frozenset(row for row, group in groups.items() if group in hit)

    def without(self, rows: Collection[int]) -> GradeTable:
        """The table without some source rows; values that are not arrays are unchanged."""
        keep = np.array([row not in rows for row in self.rows], dtype=bool)
        return replace(
            self,
            rows=tuple(row for row, is_kept in zip(self.rows, keep, strict=True) if is_kept),
            notes={key: notes[keep] for key, notes in self.notes.items()},
            groups=np.unique(self.groups[keep], return_inverse=True)[1],
            answers=self.answers[keep],
            options=None if self.options is None else self.options.only(keep),
        )


Tables = Mapping[tuple[int, SplitRole], GradeTable]
"""(shots, split) → table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """One model's graded answers to one exam, and how they were obtained.

    Attributes:
        exam: The exam.
        model: The model's name.
        tables: Its graded answers.
        counts: What happened to its prompts.
        seen: Why the exam was not new to the model.
        answers_each: Answers sampled for each question; the most common one is graded.
        temperature: Sampling temperature; 0 is greedy.
    """

    exam: Exam
    model: str
    tables: Tables
    counts: Counts = field(default_factory=Counts)
    seen: Seen = field(default_factory=Seen)
    answers_each: int = 1
    temperature: float = 0.0


def grade(samples: Iterable[Sample], grader: Grader, *, chance: float | None = None) -> Tables:
    """Grades an exam's answers, sample by sample; texts are not kept.

    Args:
        samples: The answers.
        grader: What counts as right.
        chance: The score of guessing; None: by the headline metric, for each row.

    Returns:
        (shots, split) → table.

    Raises:
        EvaluationError: A row was asked twice with one template.
    """
    builders: dict[tuple[int, SplitRole], _Builder] = {}
    for sample in samples:
        key = (sample.shots, sample.split)
        if key not in builders:
            builders[key] = _Builder(grader)
        builders[key].add(sample)
    return {key: builder.table(chance) for key, builder in builders.items()}


@dataclass(slots=True)
class _Builder:
    """A table under construction."""

    grader: Grader
    rows: dict[int, int] = field(default_factory=dict)
    templates: dict[str, int] = field(default_factory=dict)
    cells: dict[tuple[int, int], tuple[Statistics, ...]] = field(default_factory=dict)
    groups: list[int] = field(default_factory=list)
    named: dict[str, int] = field(default_factory=dict)
    answers: dict[tuple[int, int], int] = field(default_factory=dict)
    texts: dict[str, int] = field(default_factory=dict)
    chances: list[float] = field(default_factory=list)
    references: set[int] = field(default_factory=set)
    looked_at: list[Sample] = field(default_factory=list)
    rules: dict[str, int] = field(default_factory=dict)
    votes: list[float] = field(default_factory=list)
    ties: int = 0
    headline: MetricColumn = field(init=False)
    ranked: RankedCells = field(init=False)

    def __post_init__(self) -> None:
        self.headline = self.grader.columns.headline
        self.ranked = RankedCells(self.headline.normalization)

    def add(self, sample: Sample) -> None:
        row = self.rows.setdefault(sample.row, len(self.rows))
        template = self.templates.setdefault(sample.template, len(self.templates))
        if (row, template) in self.cells:
            where = f"{sample.task}/{sample.template}/row {sample.row}"
            raise EvaluationError("two samples of one row and template", where=where, hint="delete the file and repeat")
        if row == len(self.groups):
            self._begin_row(sample)
        graded = self.grader.grade(sample)
        self.cells[row, template] = graded.notes
        self.answers[row, template] = self._answer(sample, graded.answer or "")
        self.rules[graded.rule or "none"] = self.rules.get(graded.rule or "none", 0) + 1
        self.ties += graded.is_tie
        self.votes += [] if sample.confidence is None else [sample.confidence]
        self.ranked.add(sample, row=row, template=template)

    def _begin_row(self, sample: Sample) -> None:
        # A name that no group in the data can have.
        name = sample.group or f"\0{sample.row}"
        self.groups.append(self.named.setdefault(name, len(self.named)))
        self.chances.append(self.headline.metric.chance(sample))
        self.references.add(len(sample.references))
        if len(self.looked_at) < MOST_LOOKED_AT:
            self.looked_at.append(sample)

    def _answer(self, sample: Sample, read: str) -> int:
        if sample.scores:
            return decided_class(sample, self.headline.normalization)
        return self.texts.setdefault(SQUAD.key(read), len(self.texts))

    def table(self, chance: float | None) -> GradeTable:
        # After grading: the span of metrics from a file's own functions is only known then.
        columns, groups = self.grader.columns, np.array(self.groups, dtype=np.int64)
        chances = np.array(self.chances)[:, None, None]
        if columns.headline.metric.is_per_group:
            chances = _per_group(chances, groups)
        answers = np.full((len(self.rows), len(self.templates)), -1, dtype=np.int64)
        answers[self._places()] = list(self.answers.values())
        return GradeTable(
            rows=tuple(self.rows),
            templates=tuple(self.templates),
            columns=columns,
            notes={column.key: self._noted(number, column, groups) for number, column in enumerate(columns.all)},
            groups=groups,
            answers=answers,
            chance=float(np.nanmean(chances)) if chance is None else chance,
            ties=self.ties,
            references=(min(self.references), max(self.references)),
            rules=self.rules,
            vote_confidence=sum(self.votes) / len(self.votes) if self.votes else None,
            looked_at=tuple(self.looked_at),
            options=self.ranked.options(rows=len(self.rows), templates=len(self.templates), groups=groups),
        )

    def _noted(self, number: int, column: MetricColumn, groups: Integers) -> Floats:
        noted = np.array([cell[number] for cell in self.cells.values()], dtype=np.float64)
        cells = np.full((len(self.rows), len(self.templates), noted.shape[1]), np.nan)
        cells[self._places()] = noted
        return _per_group(cells, groups) if column.metric.is_per_group else cells

    def _places(self) -> tuple[Integers, Integers]:
        rows, templates = (np.array(side) for side in zip(*self.cells, strict=True))
        return rows, templates


def _per_group(cells: Floats, groups: Integers) -> Floats:
    """Each group's product in its first row, nan in the others; nan if a row of the group is missing."""
    pooled = np.full_like(cells, np.nan)
    order = np.argsort(groups, kind="stable")
    starts = np.unique(groups[order], return_index=True)[1]
    pooled[order[starts]] = np.multiply.reduceat(cells[order], starts, axis=0)
    return pooled
