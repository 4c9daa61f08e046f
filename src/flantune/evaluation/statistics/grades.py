"""From samples to numbers in a rectangle: what was noted of each row under each template."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flantune.errors import EvaluationError
from flantune.evaluation.asking.option_labels import RankedCells
from flantune.evaluation.metrics.by_name import Metric, decided_class, find_metric
from flantune.evaluation.metrics.normalizers import SQUAD, cut_like_flan
from flantune.evaluation.metrics.rank_classification import NORMALIZATIONS, Normalization, choose, option_scores
from flantune.evaluation.metrics.readable import MOST_LOOKED_AT
from flantune.evaluation.statistics.skill import RankedOptions
from flantune.types import Kind, Sample, SplitRole

if TYPE_CHECKING:
    from flantune.settings.protocols import Ties

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_PARSERS: Mapping[str, Callable[[str], str]] = {"none": str, "flan2021": cut_like_flan}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One thing noted of every sample: a metric under a normalization and a rule for ties."""

    metric: Metric
    normalization: Normalization
    ties: Ties = "first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """All that is noted of a task's samples.

    Attributes:
        headline: The task's first metric under the run's normalization and rule for ties.
        others: The task's other metrics.
        variants: The headline metric under each normalization; empty for generation.
        tie_rules: The headline metric under each rule for ties, where it knows both.
        parse: What is kept of a written answer before it is scored.
    """

    headline: Column
    others: tuple[Column, ...]
    variants: tuple[Column, ...]
    tie_rules: tuple[Column, ...] = ()
    parse: Callable[[str], str] = str

    @property
    def all(self) -> tuple[Column, ...]:
        """Every column once."""
        return tuple(dict.fromkeys((self.headline, *self.others, *self.variants, *self.tie_rules)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One model's samples of one task, one split and one number of exemplars, as arrays.

    Attributes:
        rows: Source rows, in the order of first appearance.
        templates: Names of templates, in the task's order.
        notes: Column → notes, [rows, templates, k]; nan where a prompt was dropped. A metric that counts groups has
            its notes in each group's first row, and nan in the others.
        groups: Group of each row, numbered from 0; a row without a group is one of its own.
        answers: What was answered, as a number that is the same for the same answer, [rows, templates]; -1 where a
            prompt was dropped.
        chance: What guessing scores by the headline metric.
        ties: Samples whose best options scored the same.
        references: The fewest and the most references of a row.
        looked_at: A sample of each of the first rows, as far as anybody looks whether metrics can read them.
        options: The scores of the options, label by label; None where nothing was ranked.
    """

    rows: tuple[int, ...]
    templates: tuple[str, ...]
    notes: Mapping[Column, Floats]
    groups: Integers
    answers: Integers
    chance: float
    ties: int
    references: tuple[int, int]
    looked_at: tuple[Sample, ...] = ()
    options: RankedOptions | None = None

    def cells(self, column: Column) -> Floats:
        """Notes of one column, [rows, templates, k]."""
        return self.notes[column]

    @property
    def is_grouped(self) -> bool:
        """Whether some rows belong together."""
        return len(self.rows) > 0 and int(self.groups.max()) + 1 < len(self.rows)

    @property
    def rows_sha256(self) -> str:
        """Names the set of rows: two runs measured the same ones when it is the same."""
        return hashlib.sha256(repr(sorted(self.rows)).encode()).hexdigest()

    def rows_of_groups(self, rows: Collection[int]) -> frozenset[int]:
        """Source rows of every group that one of these rows is in."""
        groups = dict(zip(self.rows, self.groups.tolist(), strict=True))
        hit = {group for row, group in groups.items() if row in rows}
        return frozenset(row for row, group in groups.items() if group in hit)

    def without(self, rows: Collection[int]) -> Table:
        """The table without some source rows; what is no array stays that of the whole."""
        keep = np.array([row not in rows for row in self.rows], dtype=bool)
        return replace(
            self,
            rows=tuple(row for row, is_kept in zip(self.rows, keep, strict=True) if is_kept),
            notes={column: notes[keep] for column, notes in self.notes.items()},
            groups=np.unique(self.groups[keep], return_inverse=True)[1],
            answers=self.answers[keep],
            options=None if self.options is None else self.options.only(keep),
        )


def columns_of(
    kind: Kind,
    metrics: Sequence[str],
    *,
    normalization: Normalization,
    ties: Ties = "first",
    answer_parsing: str = "none",
) -> Columns:
    """What to note for a task with these metrics.

    Raises:
        EvaluationError: A metric does not exist.
    """
    found = [Column(metric=find_metric(name, kind), normalization=normalization, ties=ties) for name in metrics]
    headline = found[0]
    variants = tuple(dict.fromkeys((*NORMALIZATIONS, normalization))) if kind == "classification" else ()
    rules: tuple[Ties, ...] = ("first", "expected") if headline.metric.expected is not None else ()
    return Columns(
        headline=headline,
        others=tuple(found[1:]),
        variants=tuple(replace(headline, normalization=name) for name in variants),
        tie_rules=tuple(replace(headline, ties=rule) for rule in rules),
        parse=parser_of(answer_parsing),
    )


def parser_of(answer_parsing: str) -> Callable[[str], str]:
    """What is done to a written answer before it is scored; an unknown name does nothing.

    >>> parser_of("flan2021")("Oslo Q: Where?"), parser_of("none")("Oslo Q: Where?")
    ('Oslo', 'Oslo Q: Where?')
    """
    return _PARSERS.get(answer_parsing, str)


def read_tables(samples: Iterable[Sample], columns: Columns) -> dict[tuple[int, SplitRole], Table]:
    """Notes what the columns ask for, sample by sample; texts are not kept.

    Returns:
        (shots, split) → table.

    Raises:
        EvaluationError: A row was asked twice with one template.
    """
    builders: dict[tuple[int, SplitRole], _Builder] = {}
    for sample in samples:
        builders.setdefault((sample.shots, sample.split), _Builder(columns)).add(sample)
    return {key: builder.table() for key, builder in builders.items()}


@dataclass(slots=True)
class _Builder:
    """A table while its samples come in."""

    columns: Columns
    rows: dict[int, int] = field(default_factory=dict)
    templates: dict[str, int] = field(default_factory=dict)
    cells: dict[tuple[int, int], tuple[tuple[float, ...], ...]] = field(default_factory=dict)
    groups: list[int] = field(default_factory=list)
    named: dict[str, int] = field(default_factory=dict)
    answers: dict[tuple[int, int], int] = field(default_factory=dict)
    texts: dict[str, int] = field(default_factory=dict)
    chances: list[float] = field(default_factory=list)
    references: set[int] = field(default_factory=set)
    looked_at: list[Sample] = field(default_factory=list)
    ties: int = 0
    ranked: RankedCells = field(init=False)

    def __post_init__(self) -> None:
        self.ranked = RankedCells(self.columns.headline.normalization)

    def add(self, sample: Sample) -> None:
        row = self.rows.setdefault(sample.row, len(self.rows))
        template = self.templates.setdefault(sample.template, len(self.templates))
        if (row, template) in self.cells:
            where = f"{sample.task}/{sample.template}/row {sample.row}"
            raise EvaluationError("two samples of one row and template", where=where, hint="delete the file and repeat")
        if row == len(self.groups):
            self._begin_row(sample)
        if sample.prediction:
            sample = replace(sample, prediction=self.columns.parse(sample.prediction))
        noted = self.columns.all
        self.cells[row, template] = tuple(c.metric.noted(sample, c.normalization, c.ties) for c in noted)
        self.answers[row, template] = self._answer(sample)
        self.ranked.add(sample, row=row, template=template)
        if sample.scores:
            self.ties += choose(option_scores(sample, self.columns.headline.normalization)).is_tie

    def _begin_row(self, sample: Sample) -> None:
        # A name that no group of the data can have.
        name = sample.group or f"\0{sample.row}"
        self.groups.append(self.named.setdefault(name, len(self.named)))
        self.chances.append(self.columns.headline.metric.chance(sample))
        self.references.add(len(sample.references))
        if len(self.looked_at) < MOST_LOOKED_AT:
            self.looked_at.append(sample)

    def _answer(self, sample: Sample) -> int:
        if sample.scores:
            return decided_class(sample, self.columns.headline.normalization)
        return self.texts.setdefault(SQUAD.key(sample.prediction), len(self.texts))

    def table(self) -> Table:
        groups = np.array(self.groups, dtype=np.int64)
        chances = np.array(self.chances)[:, None, None]
        if self.columns.headline.metric.is_per_group:
            chances = _per_group(chances, groups)
        answers = np.full((len(self.rows), len(self.templates)), -1, dtype=np.int64)
        answers[self._places()] = list(self.answers.values())
        return Table(
            rows=tuple(self.rows),
            templates=tuple(self.templates),
            notes={column: self._noted(number, column, groups) for number, column in enumerate(self.columns.all)},
            groups=groups,
            answers=answers,
            chance=float(np.nanmean(chances)),
            ties=self.ties,
            references=(min(self.references), max(self.references)),
            looked_at=tuple(self.looked_at),
            options=self.ranked.options(rows=len(self.rows), templates=len(self.templates), groups=groups),
        )

    def _noted(self, number: int, column: Column, groups: Integers) -> Floats:
        noted = np.array([cell[number] for cell in self.cells.values()], dtype=np.float64)
        cells = np.full((len(self.rows), len(self.templates), noted.shape[1]), np.nan)
        cells[self._places()] = noted
        return _per_group(cells, groups) if column.metric.is_per_group else cells

    def _places(self) -> tuple[Integers, Integers]:
        rows, templates = (np.array(side) for side in zip(*self.cells, strict=True))
        return rows, templates


def _per_group(cells: Floats, groups: Integers) -> Floats:
    """Each group's product in its first row, nan in its others; nan where a row of the group is missing."""
    pooled = np.full_like(cells, np.nan)
    order = np.argsort(groups, kind="stable")
    starts = np.unique(groups[order], return_index=True)[1]
    pooled[order[starts]] = np.multiply.reduceat(cells[order], starts, axis=0)
    return pooled
