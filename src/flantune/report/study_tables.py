"""The tables of a study: its arms, every task of every arm, the trends."""

from __future__ import annotations

from collections.abc import Iterator

from flantune.report.figures.cost import tokens_per_point
from flantune.report.numbers import short_count
from flantune.report.tables import (
    EMPTY,
    Cell,
    Column,
    Table,
    chance_of,
    change,
    detectable,
    estimated,
    interval_of,
    number,
    score,
    trimmed,
    word,
    words,
)
from flantune.studies.outcome import ArmOutcome, SeedDifference, StudyOutcome, TaskOutcome


def arms_table(outcome: StudyOutcome) -> Table:
    """Every arm: its score, the arm it is paired with, the difference, and the cost of its training."""
    level = f"{outcome.confidence * 100:g}%"
    counts_rows = any(arm.labeled_rows is not None for arm in outcome.arms)
    columns = (
        words("Arm", brief="arm"),
        Column("Labeled rows", help="Of the measured task, used in training", brief="rows"),
        Column("Seeds", help="Completed runs", brief="seeds"),
        Column("Chance", help="What guessing scores"),
        Column("Base", help="The base model of the same runs, on the same rows", brief="base"),
        Column("Score", help="By the study's measure, in points", brief="score"),
        Column("Interval", help="Of the score; sorts by its lower end"),
        words("Paired with", brief="against"),
        Column("Difference", help="Paired over rows, in points", brief="difference"),
        Column("Interval", help="Of the difference; sorts by its lower end", brief=level),
        Column("p", help="How likely so large a difference would be if the two were equally good", brief="p"),
        Column("q", help="The same, adjusted for all arms of the study", brief="q"),
        Column("Detectable", help="Smallest true difference that would be found with 80% power", brief="detectable"),
        Column("Tokens", help="Real tokens trained on, over all folds, mean over seeds"),
        Column(
            "Tokens per point",
            help="Tokens trained on for a point of gain on its base model, where a gain was shown",
        ),
    )
    rows = tuple(tuple(_arm(outcome, arm, counts_rows=counts_rows)) for arm in outcome.arms)
    caption = f"{outcome.measure[:1].upper()}{outcome.measure[1:]}. Points; {level} intervals over seeds and rows."
    table = Table(name="table-arms", caption=caption, columns=columns, rows=rows, title=outcome.measure)
    return trimmed(table, "Seeds", "Paired with", "Labeled rows")


def _arm(outcome: StudyOutcome, arm: ArmOutcome, *, counts_rows: bool) -> Iterator[Cell]:
    tokens = arm.cost.tokens if arm.cost and arm.cost.tokens > 0 else None
    each = None if arm.paired_with else tokens_per_point(tokens, arm.difference)
    yield word(arm.name)
    if arm.labeled_rows is None and counts_rows:
        yield word("all")
    else:
        yield number(arm.labeled_rows)
    yield Cell(_seeds(outcome, arm), len(arm.seeds))
    yield score(arm.chance, "muted")
    yield estimated(arm.base if arm.reads != "base" else None, "muted")
    yield estimated(arm.score)
    yield interval_of(arm.score)
    yield word(arm.paired_with or ("its base model" if arm.difference else ""), "muted")
    yield from _tested(arm.difference)
    yield EMPTY if tokens is None else Cell(short_count(tokens), tokens)
    yield EMPTY if each is None else Cell(short_count(each), each)


def _seeds(outcome: StudyOutcome, arm: ArmOutcome) -> str:
    done, planned = len(arm.seeds), len(outcome.seeds)
    return str(done) if done == planned else f"{done} of {planned}"


def _tested(difference: SeedDifference | None) -> Iterator[Cell]:
    yield from change(difference)
    yield chance_of(difference.p if difference else None)
    yield chance_of(difference.q if difference else None)
    yield detectable(difference)


def tasks_table(outcome: StudyOutcome) -> Table:
    """Every task of every arm."""
    columns = (
        words("Task"),
        words("Cluster"),
        words("Arm"),
        Column("Rows"),
        Column("Templates"),
        Column("Chance"),
        Column("Base"),
        Column("Score"),
        Column("Interval"),
        Column("Difference", help="Against what the arm is paired with"),
        Column("Interval", help="Of the difference; sorts by its lower end"),
        Column("p"),
        Column("q", help="Adjusted for all tasks of the arm"),
        Column("Detectable"),
        Column("Std over templates"),
    )
    rows = tuple(tuple(_task(task, arm)) for arm in outcome.arms for task in arm.tasks)
    return trimmed(
        Table(name="table-tasks", caption="Every task of every arm. Points.", columns=columns, rows=rows), "Cluster"
    )


def _task(task: TaskOutcome, arm: ArmOutcome) -> Iterator[Cell]:
    yield word(task.name)
    yield word(task.cluster)
    yield word(arm.name)
    yield number(task.rows)
    yield number(task.templates)
    yield score(task.chance, "muted")
    yield estimated(task.base, "muted")
    yield estimated(task.score)
    yield interval_of(task.score)
    yield from _tested(task.difference)
    yield score(task.template_std, "muted")


def clusters_table(outcome: StudyOutcome) -> Table:
    """What tuning changed in each cluster, in three measures, relative to the base model of the same runs."""
    columns = (
        words("Arm"),
        words("Cluster"),
        words("Measure", help="Discrimination and calibrated accuracy are not moved by a preference for an answer"),
        Column("Base"),
        Column("Tuned"),
        Column("Change", help="Against the base model of the same runs, paired over rows"),
        Column("Interval", help="Of the change; sorts by its lower end"),
        Column("p"),
        Column("q", help="Adjusted for all clusters of the arm"),
        Column("Detectable"),
    )
    rows = tuple(
        (
            word(arm.name),
            word(one.cluster or "mean over clusters"),
            word(one.measure.replace("raw", "score").replace("_", " "), "muted"),
            score(one.base, "muted"),
            score(one.tuned),
            *_tested(one.difference),
        )
        for arm in outcome.arms
        for one in arm.clusters
    )
    caption = "What tuning changed in clusters that it never saw: the score, and skill apart from a preference. Points."
    return Table(name="table-clusters", caption=caption, columns=columns, rows=rows)


def trends_table(outcome: StudyOutcome) -> Table:
    """The straight line through each series."""
    unit = "doubling" if outcome.x_scale == "log" else "unit"
    columns = (
        words("Series"),
        Column(f"Points a {unit}"),
        Column("Interval"),
        Column("p"),
        Column("q"),
        Column("Detectable"),
        Column("Arms"),
    )
    rows = tuple((word(one.series or "all arms"), *_tested(one.slope), number(len(one.arms))) for one in outcome.trends)
    return trimmed(Table(name="table-trends", caption=f"Trend over {outcome.axis}.", columns=columns, rows=rows))
