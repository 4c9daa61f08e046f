"""The outcome of an evaluation in a terminal: benchmarks and tasks, models side by side, and their differences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flantune.report import numbers
from flantune.report.evaluation_page import MOST_AVERAGES
from flantune.report.evaluation_skill import SkillRow, skill_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.table import Table

    from flantune.evaluation.run_results import Difference
    from flantune.suites.results import EvaluationResults, ScoreResult

_FLAN2022 = "Flan 2022 normalized average"


def console_tables(results: EvaluationResults) -> Iterator[Table]:
    """The headline of every benchmark and task; with several models, each one's difference from the first, too."""
    yield _scores_table(results)
    if results.comparisons:
        yield _differences_table(results)
    if rows := skill_rows(results):
        yield _skill_table(rows)


def _scores_table(results: EvaluationResults) -> Table:
    has_several = len(results.models) > 1
    has_votes = any(one.vote_confidence is not None for one in results.scores)
    headings = ("chance", "score", f"{results.confidence * 100:g}% interval", "unparsed", "agreement")
    table = _table(["", "model"] if has_several else [""], headings if has_votes else headings[:-1])
    for name, model, *values in _score_rows(results):
        shown = [name, *([model] if has_several else []), *(values if has_votes else values[:-1])]
        _add(table, shown, is_bold=name.startswith(_FLAN2022))
    return table


def _differences_table(results: EvaluationResults) -> Table:
    first = results.models[0].name
    table = _table([f"against {first}", "model"], ("difference", "interval", "p", "q", "McNemar p", "detectable"))
    seen = {one.score for one in results.scores if one.seen} | {one.task for one in results.tasks if one.seen}
    for one in results.comparisons:
        change, is_average = one.difference, one.score == "flan2022"
        name = _FLAN2022 if is_average else f"{one.score}{' (seen)' if one.score in seen else ''}"
        values = (
            numbers.signed(change.value),
            numbers.interval(change.low, change.high),
            numbers.p_value(change.p),
            "" if one.q is None else numbers.p_value(one.q),
            "" if one.mcnemar_p is None else numbers.p_value(one.mcnemar_p),
            numbers.limit(change.detectable),
        )
        _add(table, (name, one.second, *values), is_bold=is_average)
    return table


def _skill_table(rows: Sequence[SkillRow]) -> Table:
    """Skill apart from a preference for an answer: what is ranked, each model, and its change against the first."""
    table = _table(
        ["skill of ranked options", "model"], ("discrimination", "change", "calibrated", "change", "collapsed")
    )
    for row in rows:
        values = (
            numbers.points(row.discrimination.value if row.discrimination else None),
            _change(row.difference.discrimination if row.difference else None),
            numbers.points(row.calibrated.value if row.calibrated else None),
            _change(row.difference.calibrated_accuracy if row.difference else None),
            row.collapsed,
        )
        _add(table, (row.name, row.model, *values), is_bold=False)
    return table


def _change(difference: Difference | None) -> str:
    if difference is None:
        return ""
    return f"{numbers.signed(difference.value)} ({numbers.interval(difference.low, difference.high)})"


def _table(words: Sequence[str], headings: Sequence[str]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in words:
        table.add_column(heading, overflow="fold", min_width=8)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _add(table: Table, cells: Iterable[str], *, is_bold: bool) -> None:
    from rich.text import Text

    # As texts: rich would read square brackets as styles.
    table.add_row(*map(Text, cells), style="bold" if is_bold else "")


def _score_rows(results: EvaluationResults) -> Iterator[list[str]]:
    """Name, model, chance, score, interval, unparsed, agreement of a vote."""
    for one in results.scores:
        for at in range(len(one.averages)):
            if at == 0 or len(one.averages) <= MOST_AVERAGES:
                yield _score_cells(one, at)
    for task in results.tasks:
        mean = task.scores.mean
        name = f"{task.task}{' (seen)' if task.seen else ''}, {task.metric}"
        values = (numbers.points(task.chance), numbers.points(mean.value), numbers.span(mean.low, mean.high))
        yield [name, task.model, *values, "", ""]
    for flan in results.flan2022:
        reason = f" ({flan.reason})" if flan.reason else ""
        values = ("", numbers.MISSING, "")
        if flan.average is not None:
            values = ("", numbers.points(flan.average.value), numbers.span(flan.average.low, flan.average.high))
        yield [_FLAN2022 + reason, flan.model, *values, "", ""]


def _score_cells(one: ScoreResult, at: int) -> list[str]:
    way = one.averages[at]
    seen = " (seen)" if one.seen else ""
    return [
        f"{one.score}{seen}, {way.name}" if at == 0 else f"  {way.name}",
        one.model,
        numbers.points(way.chance),
        numbers.points(way.raw.value),
        numbers.span(way.raw.low, way.raw.high),
        numbers.share(one.unparsed) if at == 0 else "",
        "" if at or one.vote_confidence is None else f"{numbers.share(one.vote_confidence)} of {one.answers}",
    ]
