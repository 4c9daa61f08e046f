"""The tables of scores and differences: one line for each later model paired with the first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from flantune.evaluation.estimates import PairedDifference
from flantune.evaluation.exam_result import ExamResult
from flantune.evaluation.group_gaps import NEUTRAL_METRICS
from flantune.evaluation.results import Measure, Results
from flantune.evaluation.statistics.discovery_rates import clear_direction
from flantune.report.clean_columns import against_all, clean_cells, clean_columns
from flantune.report.numbers import interval, shots_label
from flantune.report.sides import (
    ComparedPair,
    ShownTask,
    Sides,
    compared_clusters,
    compared_overall,
    compared_task,
    heading,
    sides_of,
)
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
    score,
    trimmed,
    word,
    words,
)

MEASURES: tuple[Measure, ...] = ("raw", "normalized", "discrimination", "calibrated_accuracy")
SHOTS = words("Exemplars", brief=" ")
MODEL = words("Model", brief="model")
START = (words("Task", brief="task"), SHOTS, MODEL)

_P = Column("p", help="How likely so large a difference would be if the two were equally good", brief="p")
_Q = Column(
    "q", help="The same, adjusted for all that is compared here and was never trained on: share of false alarms"
)
_DETECTABLE = Column(
    "Detectable", help="Smallest true difference that this many rows would detect with 80% power", brief="detectable"
)


def level(results: Results) -> str:
    """The level of the intervals: "95%"."""
    return f"{results.confidence * 100:g}%"


def clear(results: Results) -> str:
    """The false discovery rate up to which a change counts as clear among similar ones: "q ≤ 0.05"."""
    return f"q ≤ {1.0 - results.confidence:.3g}"


def headings(results: Results) -> tuple[str, str]:
    """The headings of two columns: the first model, and the later one, named in its own column if there are several."""
    first, *later = results.names
    return heading(first, results), heading(later[0], results) if len(later) == 1 else "Score"


_MEAN = "Mean over templates, in points"


def compared_columns(results: Results) -> tuple[Column, ...]:
    """Two models' scores, their difference, its interval and its p-value."""
    first, second = headings(results)
    return (
        Column(first, help=_MEAN, brief=first.lower() if results.kind == "run" else first),
        Column(second, help=_MEAN, brief=second.lower() if second in ("Tuned", "Score") else second),
        Column(
            "Difference",
            help=f"Against {results.names[0]}, in points, paired over the same rows, templates and exemplars",
            brief="difference",
        ),
        Column("Interval", help="Interval of the difference; sorts by its lower end", brief=level(results)),
        _P,
    )


def compared_cells(row: ComparedPair) -> tuple[Cell, ...]:
    """The cells of these columns."""
    p = row.difference.p if row.difference else None
    return (estimated(row.first), estimated(row.second), *change(row.difference, row.direction), chance_of(p))


def model_cell(sides: Sides) -> Cell:
    """The name of the later model, or of the only one."""
    return word(sides.second or sides.first)


def lines(results: Results, tasks: Iterable[ShownTask]) -> Iterator[tuple[tuple[Cell, ...], ShownTask, Sides]]:
    """One line per task and later model: its first cells (``START``), the task, the two models."""
    for one in tasks:
        for sides in sides_of(results):
            yield (word(one.label), word(shots_label(one.exam.shots)), model_cell(sides)), one, sides


def slim(table: Table) -> Table:
    """The table without uninformative columns."""
    return trimmed(table, "Exemplars", "Model")


def overall_table(results: Results) -> Table:
    """The total in one line for every measure, number of exemplars and later model."""
    rows = tuple(
        (
            word(measure.replace("_", " ")),
            word(shots_label(row.shots)),
            model_cell(sides),
            *compared_cells(row),
            detectable(row.difference),
            *clean_cells(row.clean),
        )
        for measure in MEASURES
        for sides in sides_of(results)
        for row in compared_overall(results, sides, measure=measure)
    )
    caption = f"All unseen clusters together. Points; intervals at {level(results)}."
    columns = (words("Measure"), SHOTS, MODEL, *compared_columns(results), _DETECTABLE, *_clean(results))
    return slim(Table(name="table-overall", caption=caption, columns=columns, rows=rows))


def cluster_table(results: Results) -> Table:
    """Every cluster never trained on, raw and normalized against chance."""
    rows = tuple(
        (*_cluster_cells(row, sides), estimated(normalized.first), estimated(normalized.second))
        for sides in sides_of(results)
        for row, normalized in zip(
            compared_clusters(results, sides), compared_clusters(results, sides, measure="normalized"), strict=True
        )
    )
    below = "Normalized: 0 is chance, 100 is perfect; below chance is negative"
    columns = (*_cluster_columns(results), *(Column(f"{name}, norm.", help=below) for name in headings(results)))
    whose = (
        ", each measured by a model that was never trained on it"
        if results.kind == "run"
        else " that no model was trained on"
    )
    bold = f" Bold: {clear(results)}." if len(results.clusters) > 1 and len(results.names) > 1 else ""
    caption = f"{_held_out(results)}{whose}. Intervals at {level(results)}.{bold}"
    return slim(Table(name="table-clusters", caption=caption, columns=columns, rows=rows))


def brief_cluster_table(results: Results) -> Table:
    """Clusters and their mean for a terminal, with the total last."""
    clusters = [(row, sides) for sides in sides_of(results) for row in compared_clusters(results, sides)]
    overall = [(row, sides) for sides in sides_of(results) for row in compared_overall(results, sides)]
    table = Table(
        name="table-clusters",
        caption="",
        title=results.name or "Clusters",
        columns=_cluster_columns(results),
        rows=tuple(_cluster_cells(row, sides) for row, sides in (*clusters, *overall)),
    )
    return replace(slim(table), strong=frozenset(range(len(clusters), len(clusters) + len(overall))))


def _held_out(results: Results) -> str:
    return "Held-out clusters" if results.kind == "run" else "Clusters"


def _cluster_columns(results: Results) -> tuple[Column, ...]:
    return (
        words("Cluster", brief=_held_out(results).lower().removesuffix("s")),
        SHOTS,
        MODEL,
        Column("Chance", help="Mean score of guessing over the cluster's tasks", brief="chance"),
        *compared_columns(results),
        replace(_Q, brief="q"),
        _DETECTABLE,
        *_clean(results),
    )


def _clean(results: Results) -> tuple[Column, ...]:
    return clean_columns(headings(results), level=level(results))


def _cluster_cells(row: ComparedPair, sides: Sides) -> tuple[Cell, ...]:
    return (
        word(row.name),
        word(shots_label(row.shots)),
        model_cell(sides),
        score(row.chance, "muted"),
        *compared_cells(row),
        chance_of(row.q),
        detectable(row.difference),
        *clean_cells(row.clean),
    )


def task_table(
    results: Results, tasks: Sequence[ShownTask], *, name: str = "table-tasks", what: str = "Tasks"
) -> Table:
    """Means of every task and the models' differences."""
    rows = tuple(
        (
            start[0],
            word(", ".join(one.exam.clusters), "muted"),
            *start[1:],
            word(one.exam.metric, "muted"),
            number(one.exam.examples),
            score(one.exam.chance, "muted"),
            *compared_cells(compared_task(results, one, sides)),
            chance_of(one.exam.differences[sides.second].q if sides.second else None),
            detectable(one.exam.differences[sides.second] if sides.second else None),
            *clean_cells(one.exam.differences[sides.second].clean if sides.second else None),
        )
        for start, one, sides in lines(results, tasks)
    )
    columns = (
        START[0],
        words("Cluster"),
        *START[1:],
        words("Metric", brief="metric"),
        Column("Rows", help="Test rows measured, each with every template"),
        Column("Chance", help="What guessing scores"),
        *compared_columns(results),
        _Q,
        _DETECTABLE,
        *_clean(results),
    )
    bold = f" Bold: {clear(results)}." if len(results.names) > 1 else ""
    caption = f"{what}: mean over templates. Points; intervals at {level(results)}.{bold}"
    return slim(Table(name=name, caption=caption, columns=columns, rows=rows))


_TESTS = (
    words("Task or benchmark", brief="against the first"),
    SHOTS,
    words("Model", brief="model"),
    Column("Rows", help="Rows that both models answered"),
    Column("Groups", help="Observations: rows, or groups of rows that belong to one question"),
    Column("Difference", help="Against the first model, in points", brief="difference"),
    Column("Interval", help="By the standard error, clustered by row or group", brief="interval"),
    replace(_P, brief="p"),
    replace(_Q, brief="q"),
    Column("Bootstrap interval", help="Percentiles over redrawn rows, clustered in the same way"),
    Column("Bootstrap p"),
    Column(
        "McNemar p",
        help="Exact two-sided test on rows right in one model only; not adjusted for many tasks",
        brief="McNemar p",
    ),
    _DETECTABLE,
    Column("Difference, clean", help="Without the rows that a model was trained on", brief="clean"),
    Column("Interval, clean"),
    Column("Clean − all", help="How much of the difference the other rows make, with its interval"),
)


def difference_table(results: Results, tasks: Sequence[ShownTask]) -> Table:
    """Three tests of whether later models differ from the first: on tasks, benchmarks and averages of these."""
    found: list[tuple[str, str, int | None, int | None, dict[str, PairedDifference]]] = [
        (one.label, one.exam.metric, one.exam.shots, one.exam.groups, one.exam.differences) for one in tasks
    ]
    found += [
        (f"{one.label} (seen)" if one.is_seen else one.label, one.metric, one.shots, None, one.differences)
        for one in results.benchmarks
    ]
    found += [(one.name, "", None, None, one.differences) for one in results.normalized_averages]
    rows = tuple(
        (
            word(name),
            word("" if shots is None else shots_label(shots)),
            *_tested(results, model, difference, metric=metric, groups=groups),
        )
        for name, metric, shots, groups, differences in found
        for model, difference in differences.items()
    )
    caption = f"Three tests of every difference from {results.names[0]}. Points; intervals at {level(results)}."
    return slim(Table(name="table-tests", caption=caption, columns=_TESTS, rows=rows))


def part_difference_table(results: Results, name: str, parts: Sequence[ExamResult]) -> Table:
    """Likewise for each part of a benchmark."""
    rows = tuple(
        (
            word(part.name),
            word(shots_label(part.shots)),
            *_tested(results, model, difference, metric=part.metric, groups=part.groups),
        )
        for part in parts
        for model, difference in part.differences.items()
    )
    caption = f"Differences from {results.names[0]}, parts of {name}."
    columns = (words("Part"), *_TESTS[1:])
    return slim(Table(name=f"table-differences-{name}", caption=caption, columns=columns, rows=rows))


def _tested(
    results: Results, model: str, found: PairedDifference, *, metric: str, groups: int | None
) -> tuple[Cell, ...]:
    redrawn = found.bootstrap
    direction = clear_direction(found, found.q, confidence=results.confidence)
    changed, ends = change(found, "undecided" if metric in NEUTRAL_METRICS else direction)
    return (
        word(model),
        number(found.examples),
        number(groups),
        changed,
        ends,
        chance_of(found.p),
        chance_of(found.q),
        Cell(interval(redrawn.low, redrawn.high), redrawn.low * 100, "muted") if redrawn else EMPTY,
        chance_of(redrawn.p if redrawn else None),
        chance_of(found.mcnemar_p),
        detectable(found),
        *change(found.clean.difference if found.clean else None),
        against_all(found.clean.difference_against_all if found.clean else None),
    )
