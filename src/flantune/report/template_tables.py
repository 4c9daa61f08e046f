"""Detailed tables of single tasks: templates, metrics, rules, and rows that overlap with training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from flantune.evaluation.exam_result import ExamResult, ModelScores, TemplateScores
from flantune.evaluation.metrics.rank_classification import NORMALIZATIONS
from flantune.evaluation.results import Results
from flantune.report.clean_columns import against_all
from flantune.report.numbers import shots_label, signed
from flantune.report.score_tables import SHOTS, START, headings, lines, slim
from flantune.report.sides import ShownTask, Sides, heading
from flantune.report.tables import (
    EMPTY,
    Cell,
    Column,
    Table,
    change,
    ends,
    estimated,
    interval_of,
    number,
    score,
    share_of,
    word,
    words,
)

_EACH = (words("Task"), SHOTS, words("Model"))
_SPREAD = (
    *_EACH,
    Column("Mean"),
    Column("Interval", help="Of the mean; sorts by its lower end"),
    Column("Std", help="Standard deviation over templates"),
    Column("Median"),
    Column("IQR", help="Interquartile range over templates"),
    Column("Worst", help="Test score of the worst template"),
    Column("Range", help="Best template minus worst template"),
    Column("Agreement", help="Share of rows that get the same answer from every template"),
    words("Best-dev template", help="The template that scores best on the dev rows"),
    Column("Its test score", help="Test score of the template that is best on dev"),
)
_RULES = (
    *_EACH,
    Column("Ties", help="Prompts whose best options have the same score"),
    Column("First", help="Mean when the first of tied options is taken"),
    Column("Expected", help="Mean when each of tied options counts for its share"),
    Column("Sum", help="Mean when options are ranked by their log-likelihood as it is"),
    *(Column(n.capitalize(), help=f"Mean when it is divided by the option's {n}s") for n in NORMALIZATIONS[1:]),
)


def spread_table(tasks: Sequence[ShownTask]) -> Table:
    """How each task's score depends on the wording: one line per model."""
    rows = tuple((*start, *_spread(scores)) for start, scores in _by_model(tasks))
    return slim(Table(name="table-spread", caption="Spread over templates. Points.", columns=_SPREAD, rows=rows))


def _spread(scores: ModelScores) -> Iterable[Cell]:
    yield estimated(scores.mean)
    yield interval_of(scores.mean)
    yield score(scores.std, "muted")
    yield score(scores.median)
    yield score(scores.iqr, "muted")
    yield score(scores.worst)
    yield score(scores.range, "muted")
    yield share_of(scores.agreement)
    yield word(scores.best_dev_template or "", "muted")
    yield score(scores.best_dev_test)


def rule_table(results: Results, tasks: Sequence[ShownTask]) -> Table:
    """Scores under other rules for ties and length, for tasks with options: one line per model."""
    rows = tuple((*start, *_rules(scores)) for start, scores in _by_model(tasks) if scores.normalizations)
    used = dict.fromkeys(str(results.protocols[one.exam.protocol]["normalization"]) for one in tasks)
    caption = (
        "What other rules for ties and for the length of options would give. "
        f"The headline uses “{'”, “'.join(used)}”. Points."
    )
    return slim(Table(name="table-rules", caption=caption, columns=_RULES, rows=rows))


def _rules(scores: ModelScores) -> Iterable[Cell]:
    yield number(scores.ties)
    yield score(scores.tie_rules.get("first"))
    yield score(scores.tie_rules.get("expected"))
    for name in NORMALIZATIONS:
        yield score(scores.normalizations.get(name))


def _by_model(tasks: Sequence[ShownTask]) -> Iterator[tuple[tuple[Cell, ...], ModelScores]]:
    """One line per task and model: its first cells, and the scores for the others."""
    for one in tasks:
        for place, (model, scores) in enumerate(one.exam.scores.items()):
            tone = "tuned-text" if place else "base-text"
            yield (word(one.label), word(shots_label(one.exam.shots)), word(model, tone)), scores


def clean_table(results: Results, tasks: Sequence[ShownTask]) -> Table:
    """Scores with and without the test rows that overlap with training; empty if that was not checked."""
    without = "Without the flagged rows"
    paired = "On clean rows minus on all, with its interval, paired over the rows"
    columns = (
        *START,
        Column("Rows"),
        Column("Flagged", help="Rows that share a run of words, or nearly all of them, with a training row"),
        *(
            column
            for name in headings(results)
            for column in (
                Column(f"{name}, all"),
                Column(f"{name}, clean", help=without),
                Column(f"{name}, clean − all", help=paired),
            )
        ),
        Column("Difference, all"),
        Column("Difference, clean", help=without),
        Column("Interval, clean"),
        Column("Difference, clean − all", help=paired),
    )
    rows = tuple(
        (
            *start,
            number(one.exam.examples),
            number(clean.flagged),
            estimated(one.exam.scores[sides.first].mean, "muted"),
            estimated(clean.first),
            against_all(clean.first_against_all),
            estimated(one.exam.scores[sides.second].mean, "muted"),
            estimated(clean.second),
            against_all(clean.second_against_all),
            Cell(signed(difference.value), difference.value * 100, "muted"),
            *change(clean.difference),
            against_all(clean.difference_against_all),
        )
        for start, one, sides in lines(results, tasks)
        if sides.second
        for difference in [one.exam.differences[sides.second]]
        for clean in [difference.clean]
        if clean is not None
    )
    caption = "All test rows, and only those that overlap with no training row. Points."
    return slim(Table(name="table-clean", caption=caption, columns=columns, rows=rows))


def template_table(results: Results, tasks: Sequence[ShownTask]) -> Table:
    """Every template of every task."""
    own = "Of this template alone; empty for metrics that are not means over rows"
    dev = "On the dev rows, by which the best template is picked"
    names = headings(results)
    columns = (
        *START,
        words("Template"),
        *(column for name in names for column in (Column(name), Column(f"Interval, {name}", help=own))),
        Column("Difference"),
        *(Column(f"{name}, dev", help=dev) for name in names),
    )
    rows = tuple(
        (*start, word(name), *cells)
        for start, one, sides in lines(results, tasks)
        for name, cells in _templates(one.exam, sides)
    )
    is_unseen = results.kind == "run" and not all(one.exam.is_seen for one in tasks)
    caption = f"Every template of every {'unseen ' if is_unseen else ''}task. Points."
    return slim(Table(name="table-templates", caption=caption, columns=columns, rows=rows))


def _templates(exam: ExamResult, sides: Sides) -> Iterator[tuple[str, tuple[Cell, ...]]]:
    first, second = (_by_name(exam, model) for model in (sides.first, sides.second))
    for name in dict.fromkeys((*first, *second)):
        before, after = first.get(name), second.get(name)
        both = after.value - before.value if before and after else None
        yield (
            name,
            (
                *_own(before),
                *_own(after),
                Cell(signed(both), "" if both is None else both * 100),
                *(score(one.dev if one else None, "muted") for one in (before, after)),
            ),
        )


def _by_name(exam: ExamResult, model: str | None) -> dict[str, TemplateScores]:
    return {one.template: one for one in exam.scores[model].templates} if model else {}


def _own(scores: TemplateScores | None) -> tuple[Cell, Cell]:
    return (score(scores.value), ends(scores.low, scores.high)) if scores else (EMPTY, EMPTY)


def metric_table(results: Results, tasks: Sequence[ShownTask]) -> Table:
    """Every metric of every task, not only the headline: one column per model."""
    rows = tuple(
        (
            word(one.label),
            word(shots_label(one.exam.shots)),
            word(name),
            *(score(one.exam.scores[model].metrics.get(name)) for model in results.names),
            word(one.exam.signatures.get(name, ""), "muted"),
        )
        for one in tasks
        for name in dict.fromkeys(name for scores in one.exam.scores.values() for name in scores.metrics)
    )
    columns = (
        words("Task"),
        SHOTS,
        words("Metric"),
        *(Column(heading(model, results)) for model in results.names),
        words("Signature", help="The computing library's own description"),
    )
    caption = "All metrics, mean over templates. Points."
    return slim(Table(name="table-metrics", caption=caption, columns=columns, rows=rows))
