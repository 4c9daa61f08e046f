"""The report's tables as values: what is shown, what it sorts by and what is copied out of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from flantune.report.estimates import Estimate
from flantune.report.numbers import MISSING, count, limit, p_value, points, share, shots_label, signed, span
from flantune.report.results import MODELS, ModelScores, Pair, Results, TaskResult, TemplateScore

NORMALIZATIONS = ("sum", "token", "character", "byte")


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Attributes:
        text: What is shown.
        sort: What it sorts by and what is copied as CSV; a number unrounded, or the text itself.
        tone: A style: "better", "worse", "undecided", "muted", or none.
    """

    text: str
    sort: float | str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, a longer explanation, and whether it holds numbers."""

    heading: str
    is_number: bool = True
    help: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table ready to be written out; ``name`` is its anchor in the page."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


def word(value: str, tone: str = "") -> Cell:
    """A cell of text."""
    return Cell(value or MISSING, value, tone)


def score(value: float | None, tone: str = "") -> Cell:
    """A cell with a score in points."""
    return Cell(points(value), "" if value is None else value * 100, tone)


def number(value: float | None) -> Cell:
    """A cell with a count."""
    return Cell(count(value), "" if value is None else value)


def change(difference: Estimate) -> tuple[Cell, Cell]:
    """A difference and its interval."""
    value = "" if difference.value is None else difference.value * 100
    low = "" if difference.low is None else difference.low * 100
    return Cell(signed(difference.value), value, difference.direction), Cell(difference.interval(), low, "muted")


def chance_of(value: float | None) -> Cell:
    """A p-value or a false discovery rate."""
    return Cell(p_value(value), "" if value is None else value)


def detectable(difference: Estimate) -> Cell:
    """The smallest difference that a comparison could see."""
    return Cell(limit(difference.detectable), "" if difference.detectable is None else difference.detectable * 100)


def _words(heading: str) -> Column:
    """A column of text."""
    return Column(heading, is_number=False)


def compact(table: Table, *headings: str) -> Table:
    """The table without those of these columns that say the same in every row; the caption says it once.

    >>> rows = ((word("rte"), word("zero-shot")), (word("cb"), word("zero-shot")))
    >>> slim = compact(Table(name="t", caption="Tasks.", columns=(_words("Task"), _words("Exemplars")), rows=rows),
    ...     "Exemplars")
    >>> slim.caption, len(slim.columns), slim.rows[0][0].text
    ('Tasks. All zero-shot.', 1, 'rte')
    """
    dull = {
        k: table.rows[0][k].text
        for k, column in enumerate(table.columns)
        if table.rows and column.heading in headings and len({row[k].text for row in table.rows}) == 1
    }
    said = "".join(f" All {value}." for value in dull.values() if value.endswith("-shot"))
    return replace(
        table,
        caption=table.caption + said,
        columns=tuple(column for k, column in enumerate(table.columns) if k not in dull),
        rows=tuple(tuple(cell for k, cell in enumerate(row) if k not in dull) for row in table.rows),
    )


_MODELS = (
    Column("Base", help="Mean over templates before tuning, in points"),
    Column("Tuned", help="Mean over templates after tuning, in points"),
    Column("Difference", help="Tuned − base, in points, paired over the same rows, templates and exemplars"),
    Column("Interval", help="Interval of the difference; sorts by its lower end"),
    Column("p", help="How likely so large a difference would be if tuning changed nothing"),
)
_DETECTABLE = Column("Detectable", help="Smallest true difference that this many rows would detect with 80% power")
_TASK = (
    _words("Task"),
    _words("Cluster"),
    _words("Exemplars"),
    _words("Metric"),
    Column("Rows", help="Test rows measured, each with every template"),
    Column("Chance", help="What guessing scores"),
    *_MODELS,
    Column("q", help="The same, adjusted for looking at all these tasks: share of false alarms among tasks up to here"),
    _DETECTABLE,
)
_TESTS = (
    _words("Task"),
    _words("Exemplars"),
    Column("Groups", help="Observations: rows, or groups of rows that belong to one question"),
    Column("Difference"),
    Column("t interval", help="By the standard error, clustered by row or group"),
    Column("p"),
    Column("q"),
    Column("Bootstrap interval", help="Percentiles over redrawn rows, clustered likewise"),
    Column("Bootstrap p"),
    Column("McNemar p", help="Exact two-sided test on rows right in one model only; not adjusted for many tasks"),
)
_SPREAD = (
    _words("Task"),
    _words("Exemplars"),
    _words("Model"),
    Column("Mean"),
    Column("Std", help="Standard deviation over templates"),
    Column("Median"),
    Column("IQR", help="Inter-quartile range over templates"),
    Column("Worst", help="Test score of the worst template"),
    Column("Range", help="Best template minus worst template"),
    Column("Agreement", help="Share of rows that get the same answer from every template"),
    Column("Best-dev template", is_number=False, help="The template that scores best on the dev rows"),
    Column("Its test score", help="Test score of the template that is best on dev"),
)
_RULES = (
    _words("Task"),
    _words("Exemplars"),
    _words("Model"),
    Column("Ties", help="Prompts whose best options have the same score"),
    Column("First", help="Mean when the first of tied options is taken"),
    Column("Expected", help="Mean when each of tied options counts for its share"),
    Column("Sum", help="Mean when options are ranked by their log-likelihood as it is"),
    *(Column(n.capitalize(), help=f"Mean when it is divided by the option's {n}s") for n in NORMALIZATIONS[1:]),
)
_CLEAN = (
    _words("Task"),
    _words("Exemplars"),
    Column("Rows"),
    Column("Flagged", help="Rows that share a run of words, or nearly all of them, with a training row"),
    Column("Base, all"),
    Column("Base, clean", help="Without the flagged rows"),
    Column("Tuned, all"),
    Column("Tuned, clean", help="Without the flagged rows"),
    Column("Difference, all"),
    Column("Difference, clean", help="Without the flagged rows"),
    Column("Interval, clean"),
)


def overall_table(results: Results) -> Table:
    """The whole in one line for every measure and number of exemplars."""
    rows = [
        (word(measure.replace("_", " ")), word(shots_label(pair.shots)), *_scores(pair), detectable(pair.difference))
        for measure, pairs in sorted(results.overall.items(), key=lambda item: item[0] != "raw")
        for pair in sorted(pairs, key=lambda p: p.shots)
    ]
    caption = f"All unseen clusters together. Points; intervals at {results.level}."
    columns = (_words("Measure"), _words("Exemplars"), *_MODELS, _DETECTABLE)
    return Table(name="table-overall", caption=caption, columns=columns, rows=tuple(rows))


def cluster_table(results: Results) -> Table:
    """Every held-out cluster, raw and normalized against chance."""
    normalized = {(p.name, p.shots, p.fold): p for p in results.clusters.get("normalized", ())}
    rows = []
    for pair in results.clusters.get("raw", ()):
        other = normalized[pair.name, pair.shots, pair.fold]
        ends = (score(other.base.value), score(other.tuned.value))
        rows.append(
            (
                word(pair.name),
                word(shots_label(pair.shots)),
                score(pair.chance, "muted"),
                *_scores(pair),
                detectable(pair.difference),
                *ends,
            )
        )
    columns = (
        _words("Cluster"),
        _words("Exemplars"),
        Column("Chance", help="What guessing scores on average over the cluster's tasks"),
        *_MODELS,
        _DETECTABLE,
        Column("Base, norm.", help="Normalized: 0 is chance, 100 is perfect; below chance is negative"),
        Column("Tuned, norm.", help="Normalized: 0 is chance, 100 is perfect; below chance is negative"),
    )
    caption = f"Held-out clusters, each measured by a model that was never trained on it. Intervals at {results.level}."
    return Table(name="table-clusters", caption=caption, columns=columns, rows=tuple(rows))


def task_table(
    tasks: Sequence[TaskResult], *, level: str, name: str = "table-tasks", what: str = "Unseen tasks"
) -> Table:
    """Means of every task and what tuning changed."""
    rows = tuple(
        (
            word(t.label),
            word(", ".join(t.clusters), "muted"),
            word(shots_label(t.shots)),
            word(t.metric, "muted"),
            number(t.examples),
            score(t.chance, "muted"),
            *_scores(t.pair()),
            chance_of(t.q),
            detectable(t.difference),
        )
        for t in tasks
    )
    caption = f"{what}: mean over templates. Points; intervals at {level}."
    return Table(name=name, caption=caption, columns=_TASK, rows=rows)


def significance_table(tasks: Sequence[TaskResult], *, level: str) -> Table:
    """Three ways to ask whether tuning changed a task at all."""
    rows = tuple(
        (
            word(t.label),
            word(shots_label(t.shots)),
            number(t.groups),
            *change(t.difference),
            chance_of(t.difference.p),
            chance_of(t.q),
            Cell(t.bootstrap.interval(), "" if t.bootstrap.low is None else t.bootstrap.low * 100, "muted"),
            chance_of(t.bootstrap.p),
            chance_of(t.mcnemar_p),
        )
        for t in tasks
    )
    caption = f"Three tests of every difference. Points; intervals at {level}."
    return Table(name="table-tests", caption=caption, columns=_TESTS, rows=rows)


def spread_table(tasks: Sequence[TaskResult]) -> Table:
    """How each task's score hangs on the wording: two lines a task."""
    rows = tuple((*start, *_spread(scores)) for start, scores in _by_model(tasks))
    return Table(name="table-spread", caption="Spread over templates. Points.", columns=_SPREAD, rows=rows)


def rule_table(tasks: Sequence[TaskResult], *, normalization: str) -> Table:
    """What other rules for ties and length would give, for tasks with options: two lines a task."""
    rows = tuple((*start, *_rules(scores)) for start, scores in _by_model(tasks) if scores.normalizations)
    caption = (
        "What other rules for ties and for the length of options would give. "
        f"The headline uses “{normalization}”. Points."
    )
    return Table(name="table-rules", caption=caption, columns=_RULES, rows=rows)


def clean_table(tasks: Sequence[TaskResult]) -> Table:
    """Scores with and without the test rows that training overlaps with; empty when nobody looked."""
    rows = tuple(
        (
            word(t.label),
            word(shots_label(t.shots)),
            number(t.examples),
            number(t.clean.flagged),
            score(t.base.mean.value, "muted"),
            score(t.clean.base.value),
            score(t.tuned.mean.value, "muted"),
            score(t.clean.tuned.value),
            Cell(t.difference.signed(), "" if t.difference.value is None else t.difference.value * 100, "muted"),
            *change(t.clean.difference),
        )
        for t in tasks
        if t.clean is not None
    )
    caption = "All test rows, and only those that overlap with no training row. Points."
    return Table(name="table-clean", caption=caption, columns=_CLEAN, rows=rows)


def _by_model(tasks: Sequence[TaskResult]) -> Iterator[tuple[tuple[Cell, ...], ModelScores]]:
    """Two lines a task: their first cells, and the scores to go on with."""
    for t in tasks:
        for model in MODELS:
            yield (word(t.label), word(shots_label(t.shots)), word(model, f"{model}-text")), t.of(model)


def _spread(scores: ModelScores) -> Iterable[Cell]:
    yield score(scores.mean.value)
    yield score(scores.std, "muted")
    yield score(scores.median)
    yield score(scores.iqr, "muted")
    yield score(scores.worst)
    yield score(scores.range, "muted")
    yield Cell(share(scores.agreement), "" if scores.agreement is None else scores.agreement * 100)
    yield word(scores.best_dev_template, "muted")
    yield score(scores.best_dev_test)


def _rules(scores: ModelScores) -> Iterable[Cell]:
    yield number(scores.ties)
    for name in ("first", "expected"):
        yield score(scores.tie_rules.get(name))
    for name in NORMALIZATIONS:
        yield score(scores.normalizations.get(name))


def template_table(tasks: Sequence[TaskResult]) -> Table:
    """Every template of every task."""
    columns = (
        _words("Task"),
        _words("Exemplars"),
        _words("Template"),
        Column("Base"),
        Column("Interval of base", help="Of this template alone; empty for metrics that are no mean over rows"),
        Column("Tuned"),
        Column("Interval of tuned", help="Of this template alone; empty for metrics that are no mean over rows"),
        Column("Difference"),
        Column("Base, dev", help="On the dev rows, by which the best template is picked"),
        Column("Tuned, dev", help="On the dev rows, by which the best template is picked"),
    )
    rows = tuple(row for task in tasks for row in _template_rows(task))
    caption = "Every template of every unseen task. Points."
    return Table(name="table-templates", caption=caption, columns=columns, rows=rows)


def _template_rows(task: TaskResult) -> Iterable[tuple[Cell, ...]]:
    base = {t.template: t for t in task.base.templates}
    tuned = {t.template: t for t in task.tuned.templates}
    for name in dict.fromkeys([*base, *tuned]):
        before, after = base.get(name), tuned.get(name)
        values = (before.value if before else None, after.value if after else None)
        both = None if None in values else values[1] - values[0]  # type: ignore[operator]
        yield (
            word(task.label),
            word(shots_label(task.shots)),
            word(name),
            score(values[0]),
            _interval(before),
            score(values[1]),
            _interval(after),
            Cell(signed(both), "" if both is None else both * 100),
            score(before.dev if before else None, "muted"),
            score(after.dev if after else None, "muted"),
        )


def _interval(scores: TemplateScore | None) -> Cell:
    low, high = (scores.low, scores.high) if scores else (None, None)
    return Cell(span(low, high), "" if low is None else low * 100, "muted")


def metric_table(tasks: Sequence[TaskResult]) -> Table:
    """Every metric of every task, not only the headline one."""
    rows = tuple(
        (
            word(t.label),
            word(shots_label(t.shots)),
            word(name),
            score(t.base.metrics.get(name)),
            score(t.tuned.metrics.get(name)),
            word(t.signatures.get(name, ""), "muted"),
        )
        for t in tasks
        for name in dict.fromkeys([*t.base.metrics, *t.tuned.metrics])
    )
    columns = (
        _words("Task"),
        _words("Exemplars"),
        _words("Metric"),
        Column("Base"),
        Column("Tuned"),
        Column("Signature", is_number=False, help="How the library that computes it says it was computed"),
    )
    return Table(name="table-metrics", caption="All metrics, mean over templates. Points.", columns=columns, rows=rows)


def _scores(pair: Pair) -> tuple[Cell, ...]:
    base, tuned = score(pair.base.value), score(pair.tuned.value)
    return (base, tuned, *change(pair.difference), chance_of(pair.difference.p))
