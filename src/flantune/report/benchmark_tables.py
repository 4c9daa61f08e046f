"""The tables of an evaluation: every score of every model, and the parts of each benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flantune.evaluation.estimates import Estimate
from flantune.evaluation.exam_result import ModelScores
from flantune.evaluation.results import Average, BenchmarkResult, NormalizedAverage, Results
from flantune.report.clean_columns import against_all
from flantune.report.numbers import share, shots_label
from flantune.report.score_tables import SHOTS, level, slim
from flantune.report.sides import ShownTask
from flantune.report.tables import (
    EMPTY,
    Cell,
    Column,
    Table,
    estimated,
    interval_of,
    number,
    score,
    share_of,
    word,
    words,
)

MOST_AVERAGES = 3
"""In the table of all benchmarks, one with more averages than this shows only its first."""

_PARTS = (
    words("Part"),
    words("Model"),
    Column("Questions"),
    Column("Chance"),
    Column("Score"),
    Column("Interval", help="Over the part's questions; sorts by its lower end"),
    Column("Unparsed"),
    Column("Ties", help="Answers for which two options scored the same"),
    Column("Exemplars dropped"),
    Column("Shortened", help="Prompts shortened by more than their exemplars"),
    Column("Not asked"),
    Column("Seen", help="Questions that occur in the rows the model was trained on"),
    Column("Clean", help="Without these questions"),
    Column("Clean − all", help="That minus the score on all questions, with its interval, paired"),
    words("Rules", help="How many answers each rule read"),
)


def _columns(results: Results) -> tuple[Column, ...]:
    return (
        words("Benchmark or task", brief=" "),
        words("Averaged over", brief="averaged over"),
        words("Model", brief="model"),
        words("Metric", brief="metric"),
        SHOTS,
        Column("Questions"),
        Column("Chance", help="What guessing scores", brief="chance"),
        Column("Score", help="In points on a scale of 0 to 100", brief="score"),
        Column("Interval", brief=f"{level(results)} interval"),
        Column("Above chance", help="Share of the way from chance to perfect, part by part"),
        Column(
            "Unparsed",
            help="Share of answers in which no answer was found; they count as wrong",
            brief="unparsed",
        ),
        words("Answers", help="Answers sampled per question; the most frequent one is graded"),
        Column("Agreement", help="Mean share of the sampled answers that agree with the graded one", brief="agreement"),
        Column("Clean", help="Without the questions that this model was trained on", brief="clean"),
        Column("Clean − all", help="That minus the score on all questions, with its interval, paired"),
    )


def scores_table(results: Results, tasks: Sequence[ShownTask]) -> Table:
    """Every benchmark, task and model, with the most important averages."""
    rows = [row for one in results.benchmarks for row in _averages(one, is_full=False)]
    rows += [row for one in tasks for row in _task(one)]
    rows += [row for one in results.normalized_averages for row in _normalized(one)]
    count = sum(len(one.scores) for one in results.normalized_averages)
    return slim(
        Table(
            name="table-scores",
            caption=f"Every model on everything it was asked. Points; intervals at {level(results)}.",
            columns=_columns(results),
            rows=tuple(rows),
            strong=frozenset(range(len(rows) - count, len(rows))),
        )
    )


def averages_table(results: Results) -> Table:
    """All averages of the benchmarks that have many; no rows if none has."""
    many = [one for one in results.benchmarks if len(one.averages) > MOST_AVERAGES]
    rows = tuple(row for one in many for row in _averages(one, is_full=True))
    return slim(Table(name="table-averages", caption="Every way of averaging.", columns=_columns(results), rows=rows))


def _averages(one: BenchmarkResult, *, is_full: bool) -> Iterator[tuple[Cell, ...]]:
    shown = one.averages if is_full or len(one.averages) <= MOST_AVERAGES else one.averages[:1]
    for average in shown:
        for model in one.scores:
            yield _average(one, average, model)


def _average(one: BenchmarkResult, average: Average, model: str) -> tuple[Cell, ...]:
    scores = one.scores[model]
    is_first = average is one.averages[0]
    agreement = scores.vote_confidence if is_first else None
    return (
        word(one.label + (" (seen)" if scores.seen else "")),
        word(average.name),
        word(model),
        word(one.metric),
        word(shots_label(one.shots)),
        number(average.examples),
        score(average.chance),
        estimated(average.raw.scores[model]),
        interval_of(average.raw.scores[model]),
        estimated(average.normalized.scores[model]),
        share_of(scores.unparsed if is_first else None),
        word(_drawn(one)) if agreement is not None else Cell("", ""),
        EMPTY if agreement is None else Cell(f"{share(agreement)} of {one.answers_each}", agreement * 100),
        estimated(scores.clean if is_first else None),
        against_all(scores.clean_against_all if is_first else None),
    )


def _drawn(one: BenchmarkResult) -> str:
    return f"{one.answers_each} at temperature {one.temperature:g}" if one.temperature else "1, greedy"


def _task(one: ShownTask) -> Iterator[tuple[Cell, ...]]:
    exam = one.exam
    for model, scores in exam.scores.items():
        over = f"{len(scores.templates)} templates" if len(scores.templates) > 1 else "one template"
        yield (
            word(one.label),
            word(over),
            word(model),
            word(exam.metric),
            word(shots_label(exam.shots)),
            number(scores.examples),
            score(exam.chance),
            estimated(scores.mean),
            interval_of(scores.mean),
            EMPTY,
            share_of(scores.unparsed if exam.kind == "generation" else None),
            Cell("", ""),
            EMPTY,
            estimated(scores.clean),
            against_all(scores.clean_against_all),
        )


def _normalized(one: NormalizedAverage) -> Iterator[tuple[Cell, ...]]:
    for model, found in one.scores.items():
        reason = one.reasons.get(model, "")
        yield (word(one.name), word(reason), word(model), *_empty(4), *_mean(found), *_empty(6))


def _mean(found: Estimate | None) -> tuple[Cell, Cell]:
    return estimated(found), interval_of(found)


def _empty(count: int) -> tuple[Cell, ...]:
    return (Cell("", ""),) * count


def parts_table(one: BenchmarkResult) -> Table:
    """The parts of one benchmark, models side by side."""
    rows = tuple(
        (word(part.name), word(model), *_part(scores, chance=part.chance))
        for part in one.parts
        for model, scores in part.scores.items()
    )
    return slim(Table(name=f"table-parts-{one.label}", caption=f"Parts of {one.label}.", columns=_PARTS, rows=rows))


def _part(scores: ModelScores, *, chance: float) -> Iterator[Cell]:
    yield number(scores.examples)
    yield score(chance)
    yield estimated(scores.mean)
    yield interval_of(scores.mean)
    yield share_of(scores.unparsed)
    yield number(scores.ties)
    yield number(scores.exemplars_dropped)
    yield number(scores.inputs_shortened)
    yield number(scores.prompts_dropped)
    yield number(scores.seen_examples)
    yield estimated(scores.clean)
    yield against_all(scores.clean_against_all)
    yield word("; ".join(f"{rule} {count:,}" for rule, count in scores.rules.items()))
