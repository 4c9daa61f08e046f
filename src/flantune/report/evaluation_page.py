"""The page and the terminal table of an evaluation: benchmarks and tasks, models side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from flantune.report import numbers
from flantune.report.tables import Cell, Column, Table, number, score, word
from flantune.report.templating import asset, digest, template

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table as RichTable
    from rich.text import Text

    from flantune.evaluation.results import Estimate
    from flantune.report.samples import Browser
    from flantune.suites.results import Comparison, EvaluationResults, ScoreResult

NOT_REPORTABLE = "Not reportable: "

_HEADINGS = (
    Column("Score", is_number=False),
    Column("Averaged over", is_number=False),
    Column("Model", is_number=False),
    Column("Metric", is_number=False),
    Column("Shots"),
    Column("Questions"),
    Column("Chance", help="What guessing scores"),
    Column("Score", help="In points on a scale of 0 to 100"),
    Column("Interval"),
    Column("Above chance", help="Share of the way from chance to perfect, part by part"),
    Column("Unparsed", help="Share of answers in which no answer was found; they count as wrong"),
)
_VOTES = (
    Column("Answers", is_number=False, help="Answers drawn to each question; the one most agree on is graded"),
    Column("Agreement", help="Mean share of the answers drawn that agree with the one graded"),
)
_TASK_HEADINGS = (
    Column("Task", is_number=False),
    Column("Model", is_number=False),
    Column("Metric", is_number=False),
    Column("Shots"),
    Column("Questions"),
    Column("Chance", help="What guessing scores"),
    Column("Mean", help="Over templates, in points"),
    Column("Interval"),
    Column("Median", help="Over templates"),
    Column("IQR", help="Interquartile range over templates"),
    Column("Best on dev", help="Test score of the template that is best on dev rows"),
)
_DIFFERENCES = (
    Column("Score", is_number=False),
    Column("Model", is_number=False),
    Column("Against", is_number=False),
    Column("Difference", help="In points, paired over the same questions"),
    Column("Interval"),
    Column("McNemar p", help="Exact test over questions"),
    Column("Questions"),
)
_PARTS = (
    Column("Part", is_number=False),
    Column("Model", is_number=False),
    Column("Questions"),
    Column("Chance"),
    Column("Score"),
    Column("Unparsed"),
    Column("Ties", help="Answers for which two options scored the same"),
    Column("Exemplars dropped"),
    Column("Shortened", help="Prompts of which more than exemplars had to go"),
    Column("Not asked"),
    Column("Seen", help="Questions that stand among the rows the model was trained on"),
    Column("Rules", is_number=False, help="Which rule read how many answers"),
)


def render_evaluation(results: EvaluationResults, browser: Browser | None = None) -> str:
    """The whole page as text; it needs no network and no other file.

    Args:
        results: What was found.
        browser: Single questions to look at (``flantune.report.evaluation_samples``).
    """
    script = asset("report.js") + asset("evaluation.js")
    css = asset("report.css")
    return template("evaluation.html.jinja").render(
        title=", ".join(model.name for model in results.models),
        css=Markup(css),
        css_hash=digest(css),
        script=Markup(script),
        script_hash=digest(script),
        n=numbers,
        results=results,
        browser=browser,
        warnings=warnings(results),
        averages=averages_table(results),
        differences=differences_table(results),
        tasks=tasks_table(results),
        parts=[parts_table(results, name) for name in dict.fromkeys(one.score for one in results.scores)],
    )


def warnings(results: EvaluationResults) -> list[str]:
    """Why these numbers compare with no one's, a sentence each."""
    found = []
    if results.limit:
        found.append(f"{NOT_REPORTABLE}at most {results.limit:,} questions of each part were asked (--limit).")
    if results.missing:
        scores = ", ".join(dict.fromkeys(one.score for one in results.missing))
        found.append(f"{NOT_REPORTABLE}data of {scores} is missing.")
    found += [
        f"{NOT_REPORTABLE}{name} was trained on what {what} measures; it is labeled seen."
        for what, name, seen in [
            *((one.score, one.model, one.seen) for one in results.scores),
            *((one.task, one.model, one.seen) for one in results.tasks),
        ]
        if seen
    ]
    return found


def averages_table(results: EvaluationResults) -> Table:
    """Every benchmark, every way of averaging it, every model."""
    rows: list[tuple[Cell, ...]] = [
        (
            word(one.score + (" (seen)" if one.seen else "")),
            word(way.name),
            word(one.model),
            word(one.metric),
            number(one.shots),
            number(way.questions),
            score(way.chance),
            score(way.raw.value),
            _span(way.raw),
            score(way.normalized.value),
            _share(one.unparsed),
        )
        for one in results.scores
        for way in one.averages
    ]
    headings: tuple[Column, ...] = _HEADINGS
    if any(one.vote_confidence is not None for one in results.scores):
        headings = (*_HEADINGS, *_VOTES)
        each = [one for one in results.scores for _ in one.averages]
        rows = [(*row, word(_drawn(one)), _confidence(one)) for row, one in zip(rows, each, strict=True)]
    return Table(name="averages", caption="Benchmarks.", columns=headings, rows=tuple(rows))


def tasks_table(results: EvaluationResults) -> Table:
    """Tasks in flantune's own form."""
    rows = [
        (
            word(one.task + (" (seen)" if one.seen else "")),
            word(one.model),
            word(one.metric),
            number(one.shots),
            number(one.questions),
            score(one.chance),
            score(one.scores.mean.value),
            _span(one.scores.mean),
            score(one.scores.median),
            score(one.scores.iqr),
            score(one.scores.best_dev_test),
        )
        for one in results.tasks
    ]
    return Table(name="tasks", caption="Tasks.", columns=_TASK_HEADINGS, rows=tuple(rows))


def differences_table(results: EvaluationResults) -> Table:
    """Every later model against the first."""
    rows = [
        (
            word(one.score),
            word(one.second),
            word(one.first),
            Cell(numbers.signed(one.difference.value), one.difference.value, _tone(one)),
            Cell(numbers.interval(one.difference.low, one.difference.high), one.difference.low, "muted"),
            Cell(numbers.p_value(one.mcnemar_p), "" if one.mcnemar_p is None else one.mcnemar_p),
            number(one.questions),
        )
        for one in results.comparisons
    ]
    return Table(name="differences", caption="Differences between models.", columns=_DIFFERENCES, rows=tuple(rows))


def parts_table(results: EvaluationResults, name: str) -> Table:
    """The parts of one benchmark, models side by side."""
    scored = [one for one in results.scores if one.score == name]
    rows = [
        (
            word(part.name),
            word(one.model),
            number(part.questions),
            score(part.chance),
            score(part.value),
            _share(part.unparsed),
            number(part.ties),
            number(part.exemplars_dropped),
            number(part.inputs_shortened),
            number(part.prompts_dropped),
            number(part.seen_rows),
            word("; ".join(f"{rule} {count:,}" for rule, count in part.rules.items())),
        )
        for parts in zip(*(one.parts for one in scored), strict=False)
        for one, part in zip(scored, parts, strict=True)
    ]
    return Table(name=f"parts-{name}", caption=f"Parts of {name}.", columns=_PARTS, rows=tuple(rows))


def console_table(results: EvaluationResults) -> RichTable:
    """The headline of every benchmark and task for a terminal."""
    from rich.table import Table as RichTable

    has_several = len(results.models) > 1
    table = RichTable(box=None, pad_edge=False, header_style="dim")
    table.add_column("", overflow="fold", min_width=24)
    if has_several:
        table.add_column("model", overflow="fold")
    has_votes = any(one.vote_confidence is not None for one in results.scores)
    for heading in ("chance", "score", f"{results.confidence * 100:g}% interval", "unparsed"):
        table.add_column(heading, justify="right", no_wrap=True)
    if has_votes:
        table.add_column("agreement", justify="right", no_wrap=True)
    if has_several:
        table.add_column("against the first", justify="right", no_wrap=True)
    for cells in _console_rows(results):
        shown = [
            *(cells[:2] if has_several else cells[:1]),
            *cells[2:6],
            *(cells[6:7] if has_votes else ()),
            *(cells[7:] if has_several else ()),
        ]
        table.add_row(*map(_text, shown), style="bold" if cells[0] == _FLAN2022 else "")
    return table


_FLAN2022 = "Flan 2022 normalized average"


def _console_rows(results: EvaluationResults) -> list[list[str]]:
    """Name, model, chance, score, interval, unparsed, agreement of a vote, difference."""
    rows = []
    for one in results.scores:
        for at in range(len(one.averages)):
            if at == 0 or len(one.averages) <= 3:
                rows.append(_score_cells(results, one, at))
    for task in results.tasks:
        mean = task.scores.mean
        name = f"{task.task}{' (seen)' if task.seen else ''}, {task.metric}"
        values = [numbers.points(task.chance), numbers.points(mean.value), numbers.span(mean.low, mean.high), ""]
        rows.append([name, task.model, *values, "", _against(results.comparisons, task.task, task.model)])
    for flan in results.flan2022:
        value, span = numbers.MISSING, flan.reason
        if flan.average is not None:
            value, span = numbers.points(flan.average.value), numbers.span(flan.average.low, flan.average.high)
        rows.append([_FLAN2022, flan.model, "", value, span, "", "", ""])
    return rows


def _score_cells(results: EvaluationResults, one: ScoreResult, at: int) -> list[str]:
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
        "" if at else _against(results.comparisons, one.score, one.model),
    ]


def _against(comparisons: Sequence[Comparison], name: str, model: str) -> str:
    found = next((one for one in comparisons if one.score == name and one.second == model), None)
    if found is None:
        return ""
    interval = numbers.interval(found.difference.low, found.difference.high)
    return f"{numbers.signed(found.difference.value)} ({interval})"


def _text(content: str) -> Text:
    # As it is: rich would read square brackets as styles.
    from rich.text import Text

    return Text(content)


def _span(estimate: Estimate) -> Cell:
    return Cell(numbers.span(estimate.low, estimate.high), estimate.low, "muted")


def _share(value: float) -> Cell:
    return Cell(numbers.share(value), value * 100)


def _drawn(one: ScoreResult) -> str:
    return f"{one.answers} at temperature {one.temperature:g}" if one.temperature else "1, greedy"


def _confidence(one: ScoreResult) -> Cell:
    return Cell(numbers.MISSING, "") if one.vote_confidence is None else _share(one.vote_confidence)


def _tone(one: Comparison) -> str:
    if one.difference.low > 0:
        return "better"
    return "worse" if one.difference.high < 0 else "undecided"
