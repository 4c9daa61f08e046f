"""Results in a terminal: the most important columns of the page's tables; and results of several seeds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flantune.report.numbers import interval, limit, p_value, points, shots_label, signed
from flantune.report.tables import Cell, Column
from flantune.report.tables import Table as ShownTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table
    from rich.text import Text

    from flantune.evaluation.results import Results
    from flantune.evaluation.statistics.seeds import SeedEffect, SeedSummary
    from flantune.studies.outcome import StudyOutcome

_STYLES = {"better": "bold green", "worse": "bold red", "undecided": ""}
_SHAPES = {"better": "▲", "worse": "▼", "undecided": "·"}


def console_tables(results: Results) -> Iterator[Table]:
    """The results as tables for ``rich``, in points.

    Clusters never trained on and their mean; for an evaluation, every score and difference; and skill separated from a
    preference for an answer. "detectable" is the smallest true difference that would be detected with 80% power.
    """
    from flantune.report.benchmark_tables import scores_table
    from flantune.report.gap_tables import brief_gap_table
    from flantune.report.score_tables import brief_cluster_table, difference_table, task_table
    from flantune.report.sides import shown_tasks
    from flantune.report.skill_tables import brief_skill_cluster_table, brief_skill_tables

    tasks = shown_tasks(results)
    if results.kind == "run" and results.tasks and not results.clusters:
        yield _brief(replace(task_table(results, tasks), title="Tasks that were trained on"))
    elif results.kind == "run" or results.clusters:
        yield _brief(brief_cluster_table(results), missing="nothing was measured on held-out clusters")
    asked = tasks if results.kind == "evaluation" else ()
    if asked or results.benchmarks:
        yield _brief(scores_table(results, asked))
        if len(results.names) > 1:
            yield _brief(difference_table(results, asked))
    for table in (
        brief_skill_cluster_table(results),
        brief_gap_table(results),
        *(brief_skill_tables(results, tasks) if results.kind == "evaluation" else ()),
    ):
        if table.rows:
            yield _brief(table)


def comparison_tables(results: Results) -> Iterator[Table]:
    """Two models side by side: clusters, then every task and benchmark."""
    from flantune.report.benchmark_tables import scores_table
    from flantune.report.score_tables import brief_cluster_table, difference_table
    from flantune.report.sides import shown_tasks

    tasks = shown_tasks(results)
    if results.clusters:
        yield _brief(brief_cluster_table(results))
    if results.benchmarks:
        yield _brief(scores_table(results, ()))
    yield _brief(difference_table(results, tasks))


def study_table(outcome: StudyOutcome) -> Table:
    """The arms of a study: each one's score, and its difference from the arm it is paired with."""
    from flantune.report.study_tables import arms_table

    return _brief(arms_table(outcome))


def _brief(shown: ShownTable, *, missing: str = "") -> Table:
    """A table of the page, with the columns that fit in a terminal."""
    from rich.table import Table
    from rich.text import Text

    # As text: rich would read square brackets in names as styles.
    table = Table(
        title=Text(shown.title, style="bold") if shown.title else None, title_justify="left", box=None, pad_edge=False,
        padding=(0, 1, 0, 0), header_style="dim",
    )  # fmt: skip
    kept = [k for k, column in enumerate(shown.columns) if column.brief]
    for k in kept:
        _add_column(table, shown.columns[k])
    if not shown.rows and missing:
        table.add_row(missing)
    for at, row in enumerate(shown.rows):
        if at and (at in shown.strong) != (at - 1 in shown.strong):
            table.add_section()
        table.add_row(*(_text(row[k]) for k in kept), style="bold" if at in shown.strong else "")
    return table


def _add_column(table: Table, column: Column) -> None:
    if column.is_number:
        table.add_column(column.brief, justify="right", no_wrap=True)
    else:
        table.add_column(column.brief.strip(), overflow="fold", min_width=8 if column.brief.strip() else None)


def _text(cell: Cell) -> Text:
    from rich.text import Text

    if cell.tone not in _SHAPES or cell.sort == "" or isinstance(cell.sort, str):
        return Text(cell.text)
    return Text(f"{cell.text} {_SHAPES[cell.tone]}", style=_STYLES[cell.tone])


def seeds_table(summary: SeedSummary) -> Table:
    """What tuning changed over several seeds: the mean difference, its interval and its spread, in points."""
    from rich.table import Table

    title = f"{len(summary.seeds)} seeds: {', '.join(map(str, summary.seeds))}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    table.add_column("", overflow="fold")
    level = f"{summary.confidence * 100:g}% interval"
    for heading in ("", "difference", level, "p", "detectable", "std"):
        table.add_column(heading, justify="right", no_wrap=True)
    last = ""
    for effect in summary.effects:
        if (
            effect.measure != "raw"
            and effect.level == "task"
            and any(one.level == "cluster" for one in summary.effects)
        ):
            continue  # a run has many tasks: their skill is in the JSON
        if last and f"{effect.measure} {effect.level}" != last:
            table.add_section()
        last = f"{effect.measure} {effect.level}"
        table.add_row(*_seed_cells(effect), style="bold" if effect.level == "overall" else "")
    return table


def _seed_cells(effect: SeedEffect) -> list[Text]:
    from rich.text import Text

    direction = "better" if effect.low > 0 else "worse" if effect.high < 0 else "undecided"
    change = direction_text(effect.value, direction)
    tested = (interval(effect.low, effect.high), p_value(effect.p), limit(effect.detectable), points(effect.std))
    name = effect.name if effect.measure == "raw" else f"{effect.name}, {effect.measure.replace('_', ' ')}"
    return [Text(name), Text(shots_label(effect.shots)), change, *map(Text, tested)]


def direction_text(value: float, direction: str) -> Text:
    """A difference in points with a mark for its direction."""
    from rich.text import Text

    return Text(f"{signed(value)} {_SHAPES[direction]}", style=_STYLES[direction])
