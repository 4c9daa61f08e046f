"""The page of an evaluation: benchmarks and tasks, models side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flantune.evaluation.verdict import direction_of
from flantune.report import numbers
from flantune.report.evaluation_skill import skill_table
from flantune.report.tables import Cell, Column, Table, chance_of, number, score, word
from flantune.report.templating import looks, template

if TYPE_CHECKING:
    from flantune.evaluation.run_results import Difference
    from flantune.report.samples import Browser
    from flantune.suites.results import Comparison, EvaluationResults, ScoreResult

NOT_REPORTABLE = "Not reportable: "

_ASKED = (
    Column("Model", is_number=False),
    Column("Metric", is_number=False),
    Column("Shots"),
    Column("Questions"),
    Column("Chance", help="What guessing scores"),
)
_HEADINGS = (
    Column("Benchmark", is_number=False),
    Column("Averaged over", is_number=False),
    *_ASKED,
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
    *_ASKED,
    Column("Mean", help="Over templates, in points"),
    Column("Interval"),
    Column("Median", help="Over templates"),
    Column("IQR", help="Interquartile range over templates"),
    Column("Best on dev", help="Test score of the template that is best on dev rows"),
)
_CHANGE = (
    Column("Difference", help="In points, paired over the same questions"),
    Column("Interval", help="By the standard error over questions; sorts by its lower end"),
    Column("p", help="How likely so large a difference would be if the models were equally good"),
)
_DIFFERENCES = (
    Column("Benchmark or task", is_number=False),
    Column("Model", is_number=False),
    *_CHANGE,
    Column("q", help="The same, adjusted for all benchmarks and tasks compared here that neither model had seen"),
    Column("Bootstrap interval", help="Percentiles over redrawn questions"),
    Column("Bootstrap p"),
    Column("McNemar p", help="Exact test over questions; not adjusted for many benchmarks"),
    Column("Detectable", help="Smallest true difference that this many rows would detect with 80% power"),
    Column("Questions"),
)
_PART_DIFFERENCES = (
    Column("Part", is_number=False),
    Column("Model", is_number=False),
    *_CHANGE,
    Column("q", help="The same, adjusted for looking at all these parts"),
    Column("McNemar p", help="Exact test over questions; not adjusted for many parts"),
    Column("Detectable", help="Smallest true difference that this many rows would detect with 80% power"),
    Column("Questions"),
)
_PARTS = (
    Column("Part", is_number=False),
    Column("Model", is_number=False),
    Column("Questions"),
    Column("Chance"),
    Column("Score"),
    Column("Interval", help="Over the part's questions; sorts by its lower end"),
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
    has_more = any(len(one.averages) > MOST_AVERAGES for one in results.scores)
    return template("evaluation.html.jinja").render(
        title=", ".join(model.name for model in results.models),
        looks=looks(scripts=("tables.js", "samples.js", "evaluation.js")),
        n=numbers,
        results=results,
        browser=browser,
        warnings=warnings(results),
        averages=averages_table(results),
        all_averages=averages_table(results, is_full=True) if has_more else None,
        differences=differences_table(results),
        tasks=tasks_table(results),
        skill=skill_table(results),
        parts=[
            table(results, name)
            for name in dict.fromkeys(one.score for one in results.scores)
            for table in (parts_table, part_differences_table)
        ],
        notes=notes(results),
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


MOST_AVERAGES = 3
"""A benchmark with more ways of averaging than this shows its first where all benchmarks stand together."""


def notes(results: EvaluationResults) -> list[tuple[str, list[str]]]:
    """What a reader of the scores should know, and the parts and tasks that each note is on."""
    found: dict[str, list[str]] = {}
    for one in results.scores:
        for part in one.parts:
            for note in part.notes:
                named = found.setdefault(note, [])
                named += [] if f"{one.score}/{part.name}" in named else [f"{one.score}/{part.name}"]
    for task in results.tasks:
        for note in task.notes:
            named = found.setdefault(note, [])
            named += [] if task.task in named else [task.task]
    return list(found.items())


def averages_table(results: EvaluationResults, *, is_full: bool = False) -> Table:
    """Every benchmark and every model, by the averages that matter most, or by all there are."""
    shown = [
        (one, way)
        for one in results.scores
        for way in (one.averages if is_full or len(one.averages) <= MOST_AVERAGES else one.averages[:1])
    ]
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
            _span(way.raw.low, way.raw.high),
            score(way.normalized.value),
            _share(one.unparsed),
        )
        for one, way in shown
    ]
    headings: tuple[Column, ...] = _HEADINGS
    if any(one.vote_confidence is not None for one in results.scores):
        headings = (*_HEADINGS, *_VOTES)
        rows = [(*row, word(_drawn(one)), _confidence(one)) for row, (one, _) in zip(rows, shown, strict=True)]
    name, caption = ("all-averages", "Every way of averaging.") if is_full else ("averages", "Benchmarks.")
    return Table(name=name, caption=caption, columns=headings, rows=tuple(rows))


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
            _span(one.scores.mean.low, one.scores.mean.high),
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
            *_changed(one.difference),
            chance_of(one.q),
            _redrawn(one),
            chance_of(one.bootstrap.p if one.bootstrap else None),
            chance_of(one.mcnemar_p),
            Cell(numbers.limit(one.difference.detectable), one.difference.detectable * 100),
            number(one.questions),
        )
        for one in results.comparisons
    ]
    return Table(
        name="differences",
        caption=f"Differences from {results.models[0].name}.",
        columns=_DIFFERENCES,
        rows=tuple(rows),
    )


def part_differences_table(results: EvaluationResults, name: str) -> Table:
    """Every later model against the first on each part of a benchmark."""
    rows = [
        (
            word(part.name),
            word(one.second),
            *_changed(part.difference),
            chance_of(part.q),
            chance_of(part.mcnemar_p),
            Cell(numbers.limit(part.difference.detectable), part.difference.detectable * 100),
            number(part.questions),
        )
        for one in results.comparisons
        if one.score == name
        for part in one.parts
    ]
    caption = f"Differences from {results.models[0].name}, parts of {name}."
    return Table(name=f"differences-{name}", caption=caption, columns=_PART_DIFFERENCES, rows=tuple(rows))


def _changed(difference: Difference) -> tuple[Cell, ...]:
    """A difference, its interval and its p-value."""
    return (
        Cell(numbers.signed(difference.value), difference.value * 100, direction_of(difference)),
        Cell(numbers.interval(difference.low, difference.high), difference.low * 100, "muted"),
        chance_of(difference.p),
    )


def _redrawn(one: Comparison) -> Cell:
    if one.bootstrap is None:
        return Cell(numbers.MISSING, "", "muted")
    return Cell(numbers.interval(one.bootstrap.low, one.bootstrap.high), one.bootstrap.low * 100, "muted")


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
            _span(part.low, part.high),
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


def _span(low: float, high: float) -> Cell:
    return Cell(numbers.span(low, high), low * 100, "muted")


def _share(value: float) -> Cell:
    return Cell(numbers.share(value), value * 100)


def _drawn(one: ScoreResult) -> str:
    return f"{one.answers} at temperature {one.temperature:g}" if one.temperature else "1, greedy"


def _confidence(one: ScoreResult) -> Cell:
    return Cell(numbers.MISSING, "") if one.vote_confidence is None else _share(one.vote_confidence)
