"""The table of gaps between groups of rows: how differently a model treats them, and how tuning changed that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flantune.evaluation.group_gaps import Gap
from flantune.evaluation.results import BenchmarkResult, Results
from flantune.report.score_tables import level
from flantune.report.tables import (
    EMPTY,
    Cell,
    Column,
    Table,
    chance_of,
    change,
    detectable,
    estimated,
    number,
    share_of,
    trimmed,
    word,
    words,
)

MOST_IN_TERMINAL = 8
"""Number of gaps that a terminal shows for a benchmark without an average; the page has all of them."""


def gap_table(results: Results) -> Table:
    """Every gap of every benchmark and part, each model's next to the first model's; empty if none was measured."""
    rows = tuple(row for one in results.benchmarks for label, gap in _gaps(one) for row in _rows(label, gap, results))
    caption = (
        "Gaps between groups: the score on the first minus that on the second, in points; 0 treats both alike. "
        f"Intervals at {level(results)}, paired where rows of the two groups are pairs; a change is paired row by row."
    )
    return trimmed(Table(name="table-gaps", caption=caption, columns=_columns(results), rows=rows))


def brief_gap_table(results: Results) -> Table:
    """The short table for a terminal: gaps averaged over a benchmark's parts, or the first few of its only part."""
    first, later = results.names[0], results.names[1:]
    columns = (
        words("Gap", brief="gap"),
        Column("First", brief=first),
        *((Column("Interval", brief=level(results)),) if not later else ()),
        *((words("Model", brief="model"),) if len(later) > 1 else ()),
        *(
            (
                Column("Later", brief=later[0] if len(later) == 1 else "gap"),
                Column("Change", brief="change"),
                Column("Interval", brief=level(results)),
                Column("q", brief="q"),
                words("Now", brief="now"),
            )
            if later
            else ()
        ),
    )
    rows = tuple(
        (
            word(f"{one.label}: {gap.name}"),
            _width(gap, first),
            *((change(gap.scores[first].gap)[1],) if not later else ()),
            *((word(model),) if len(later) > 1 else ()),
            *((_width(gap, model), *_changes(gap, model)) if later else ()),
        )
        for one in results.benchmarks
        for gap in (one.gaps if len(one.parts) > 1 else one.parts[0].gaps[:MOST_IN_TERMINAL])
        for model in later or (first,)
    )
    return Table(name="table-gaps", caption="", columns=columns, rows=rows)


def _width(gap: Gap, model: str) -> Cell:
    found = change(gap.scores[model].gap)[0]
    return Cell(found.text, found.sort)


def _gaps(one: BenchmarkResult) -> Iterator[tuple[str, Gap]]:
    yield from _averaged(one)
    yield from _of_parts(one)


def _averaged(one: BenchmarkResult) -> Iterator[tuple[str, Gap]]:
    return ((f"{one.label}, {one.averages[0].name}", gap) for gap in one.gaps)


def _of_parts(one: BenchmarkResult) -> Iterator[tuple[str, Gap]]:
    several = len(one.parts) > 1
    return ((f"{one.label}, {part.name}" if several else one.label, gap) for part in one.parts for gap in part.gaps)


def _columns(results: Results) -> tuple[Column, ...]:
    return (
        words("Benchmark or part"),
        words("Groups", help="The first and the second"),
        words("Model"),
        Column("First", help="Score on the first group"),
        Column("Second", help="Score on the second group"),
        Column("Gap", help="The first minus the second; 0 treats both alike"),
        Column("Interval"),
        Column("Change", help=f"This model's gap minus that of {results.names[0]}"),
        Column("Interval of the change"),
        Column("q", help="False discovery rate of the change, among all gaps of the parts"),
        words("Gap is now", help="Narrower or wider where the interval of the change excludes zero"),
        Column("Same answer", help="Pairs whose two rows got the same answer"),
        Column("Rows", help="Of the first group"),
        Column("Rows of the second"),
        Column("p", help="Of no gap"),
        Column("Detectable", help="Smallest true gap that would be detected with 80% power"),
    )


def _rows(label: str, gap: Gap, results: Results) -> Iterator[tuple[Cell, ...]]:
    for model in results.names:
        found = gap.scores[model]
        same = found.same_answer
        yield (
            word(label),
            word(gap.name),
            word(model),
            estimated(found.first),
            estimated(found.second),
            _width(gap, model),
            change(found.gap)[1],
            *_changes(gap, model),
            share_of(same.value if same else None),
            number(gap.examples[0]),
            number(gap.examples[1]),
            chance_of(found.gap.p),
            detectable(found.gap),
        )


def _changes(gap: Gap, model: str) -> Sequence[Cell]:
    if model not in gap.differences:
        return (EMPTY, EMPTY, EMPTY, Cell("", ""))
    found, is_narrower = gap.differences[model], gap.is_narrower(model)
    moved, ends = change(found)
    verdict = "undecided" if is_narrower is None else "narrower" if is_narrower else "wider"
    tone = {"narrower": "better", "wider": "worse"}.get(verdict, "undecided")
    return (Cell(moved.text, moved.sort), ends, chance_of(found.q), word(verdict, tone))
