"""A study in a terminal: a line an arm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flantune.evaluation.points import score_points
from flantune.report.console import direction_text
from flantune.report.numbers import interval, limit, p_value, span

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from flantune.studies.outcome import ArmOutcome, StudyOutcome


def study_table(outcome: StudyOutcome) -> Table:
    """Every arm's score, that of its base model, and its paired difference, in points."""
    from rich.table import Table
    from rich.text import Text

    title = Text(f"{outcome.name}: {outcome.measure}", style="bold")
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    table.add_column(outcome.axis, overflow="fold", min_width=12)
    headings = ["seeds", "chance", "base", "score", f"{100 * outcome.confidence:g}%", "difference"]
    headings += [f"{100 * outcome.confidence:g}%", "p", "q", "detectable"]
    if counts_rows := any(arm.labeled_rows is not None for arm in outcome.arms):
        headings.insert(1, "labeled rows")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    series = outcome.arms[0].series
    for arm in outcome.arms:
        if arm.series != series:
            table.add_section()
            series = arm.series
        rows = [_rows(arm)] if counts_rows else []
        table.add_row(Text(arm.name), str(len(arm.seeds)), *rows, *_cells(arm))
    return table


def _rows(arm: ArmOutcome) -> str:
    return "all" if arm.labeled_rows is None else f"{arm.labeled_rows:,}"


def _cells(arm: ArmOutcome) -> list[str | Text]:
    if arm.score is None:
        return [""] * 9
    base = "" if arm.base is None else score_points(arm.base.value)
    scores = [score_points(arm.chance), base, score_points(arm.score.value), span(arm.score.low, arm.score.high)]
    found = arm.difference
    if found is None:
        return [*scores, "", "", "", "", ""]
    rate = "" if found.q is None else p_value(found.q)
    change = direction_text(found.value, found.direction)
    return [*scores, change, interval(found.low, found.high), p_value(found.p), rate, limit(found.detectable)]
