"""The tables of skill separated from a preference for an answer: for tasks, benchmarks and clusters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from flantune.evaluation.estimates import CommonestAnswer, Difference, Estimate, PairedDifference, SkillDifference
from flantune.evaluation.group_gaps import NEUTRAL_METRICS
from flantune.evaluation.results import BenchmarkResult, Measure, Results
from flantune.evaluation.statistics.discovery_rates import clear_direction
from flantune.report.numbers import MISSING, plural, shots_label
from flantune.report.score_tables import MODEL, SHOTS, headings, level, model_cell, slim
from flantune.report.sides import (
    ALL_CLUSTERS,
    ComparedPair,
    ShownTask,
    Sides,
    compared_clusters,
    compared_overall,
    sides_of,
)
from flantune.report.tables import Cell, Column, Table, chance_of, change, estimated, share_of, word, words

_ANSWERS = (
    words("Task"),
    SHOTS,
    words("Model"),
    words("Commonest answer", help="Its letter or position, if models answer with letters or options vary by row"),
    Column("Given", help="Share of prompts that got it"),
    Column("Right", help="Share of rows whose right answer it is"),
    words("Collapsed", help="Over 90% of prompts got one answer, which is right less often"),
)


_NO_SKILL = SkillDifference(
    discrimination=None, discrimination_q=None, calibrated_accuracy=None, calibrated_accuracy_q=None
)
_Ends = tuple[Estimate | None, Estimate | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ranked:
    """A task, benchmark or cluster with ranked options, and two models' results.

    Attributes:
        raw: The paired difference, which includes those of skill; None for a single model.
        not_defined: Why a discrimination is not defined; empty if it is.
        collapsed: Which models nearly always gave one answer; with several parts, on how many.
    """

    name: str
    shots: int
    sides: Sides
    raw: PairedDifference | None
    discrimination: _Ends
    calibrated: _Ends
    not_defined: str = ""
    collapsed: str = ""

    @property
    def skill(self) -> SkillDifference:
        """The paired differences of skill, if any."""
        return (self.raw.skill if self.raw else None) or _NO_SKILL


def _ranked(results: Results, tasks: Sequence[ShownTask]) -> Iterator[_Ranked]:
    for one in tasks:
        yield from (found for sides in sides_of(results) if (found := _ranked_task(one, sides)) is not None)
    for benchmark in results.benchmarks:
        if benchmark.metric in NEUTRAL_METRICS:
            continue
        if benchmark.averages[0].discrimination or benchmark.averages[0].calibrated_accuracy:
            yield from (_ranked_benchmark(benchmark, sides) for sides in sides_of(results))


def _ranked_task(one: ShownTask, sides: Sides) -> _Ranked | None:
    skills = {model: one.exam.scores[model].skill for model in sides.both}
    known = {model: skill for model, skill in skills.items() if skill is not None}
    if len(known) < len(sides.both):
        return None
    return _Ranked(
        name=one.label,
        shots=one.exam.shots,
        sides=sides,
        raw=one.exam.differences[sides.second] if sides.second else None,
        discrimination=_ends({model: skill.discrimination for model, skill in known.items()}, sides),
        calibrated=_ends({model: skill.calibrated_accuracy for model, skill in known.items()}, sides),
        not_defined=next((skill.not_defined for skill in known.values() if skill.not_defined), ""),
        collapsed=", ".join(model for model, skill in known.items() if skill.answers.is_collapsed),
    )


def _ranked_benchmark(one: BenchmarkResult, sides: Sides) -> _Ranked:
    headline = one.averages[0]
    return _Ranked(
        name=one.label,
        shots=one.shots,
        sides=sides,
        raw=one.differences[sides.second] if sides.second else None,
        discrimination=_ends(headline.discrimination.scores if headline.discrimination else {}, sides),
        calibrated=_ends(headline.calibrated_accuracy.scores if headline.calibrated_accuracy else {}, sides),
        collapsed=", ".join(_collapsed(one, model) for model in sides.both if one.scores[model].collapsed),
    )


def _collapsed(one: BenchmarkResult, model: str) -> str:
    scores = one.scores[model]
    return model if len(one.parts) == 1 else f"{model} {len(scores.collapsed)} of {plural(scores.ranked, 'part')}"


def _ends(found: Mapping[str, Estimate | None], sides: Sides) -> _Ends:
    return found.get(sides.first), found.get(sides.second) if sides.second else None


def _columns(results: Results) -> tuple[Column, ...]:
    first, second = headings(results)
    brief = (first.lower() if results.kind == "run" else first, second.lower() if second in _WORDS else second)
    area = "Discrimination: area under the ROC curve, mean over templates; 50 is guessing"
    calibrated = "Accuracy after batch calibration, mean over templates; a strong preference affects it"
    return (
        Column(f"Discr. {brief[0]}", help=area, brief=brief[0]),
        Column(brief[1], help=area, brief=brief[1]),
        Column("Difference", help="Of discrimination, paired over the same rows and templates", brief="change"),
        Column("Interval", help="Of the difference of discrimination", brief=level(results)),
        Column("q", help="Of discrimination, adjusted for looking at all these"),
        Column(f"Calibr. {brief[0]}", help=calibrated, brief=brief[0]),
        Column(brief[1], help=calibrated, brief=brief[1]),
        Column("Difference", help="Of calibrated accuracy, paired", brief="change"),
        Column(
            "Interval",
            help="Of the difference of calibrated accuracy",
            brief="" if results.kind == "run" else level(results),
        ),
        Column("q", help="Of calibrated accuracy, adjusted for looking at all these"),
    )


_WORDS = ("Tuned", "Score")
_COLLAPSED = words("Collapsed", help="Gave one answer to over 90% of prompts", brief="collapsed")
_RAW = Column("Raw", help="Difference of the headline metric, in points")


def skill_table(results: Results, tasks: Sequence[ShownTask]) -> Table:
    """How models differ in discrimination and calibrated accuracy, next to the raw difference."""
    caption = (
        f"Skill apart from a preference for an answer, where options were ranked. Points; intervals at "
        f"{level(results)}. A preference does not affect discrimination; calibration removes it only in part."
    )
    return slim(replace(_skill(results, tasks), caption=caption))


def brief_skill_tables(results: Results, tasks: Sequence[ShownTask]) -> Iterator[Table]:
    """The same for a terminal, as two tables: side by side, they would be too wide."""
    whole = _skill(results, tasks)
    for title, places in (
        ("discrimination: skill apart from preference, where options were ranked", (0, 4, 5, 6, 7, 14)),
        ("calibrated accuracy", (0, 9, 10, 11, 12)),
    ):
        columns = tuple(whole.columns[place] for place in places)
        rows = tuple(tuple(row[place] for place in places) for row in whole.rows)
        yield slim(replace(whole, title=title, columns=columns, rows=rows))


def _skill(results: Results, tasks: Sequence[ShownTask]) -> Table:
    def collapsed(one: _Ranked) -> Cell:
        said = "" if results.kind == "run" else one.collapsed  # on a run's page it is in the table of answers
        return Cell(said, said, "worse")

    rows = tuple(
        (
            word(one.name),
            word(shots_label(one.shots)),
            model_cell(one.sides),
            _told(one.raw, one.raw.q if one.raw else None, results)[0],
            *(_defined(end, one.not_defined) for end in one.discrimination),
            *_told(one.skill.discrimination, one.skill.discrimination_q, results),
            chance_of(one.skill.discrimination_q),
            *map(estimated, one.calibrated),
            *_told(one.skill.calibrated_accuracy, one.skill.calibrated_accuracy_q, results),
            chance_of(one.skill.calibrated_accuracy_q),
            collapsed(one),
        )
        for one in _ranked(results, tasks)
    )
    name = "Task or benchmark" if results.benchmarks else "Task"
    columns = (words(name, brief=name.lower()), SHOTS, MODEL, _RAW, *_columns(results), _COLLAPSED)
    return Table(name="table-skill", caption="", columns=columns, rows=rows)


def _told(difference: Difference | None, rate: float | None, results: Results) -> tuple[Cell, Cell]:
    """A difference and its interval, colored by its direction among all comparisons."""
    if difference is None:
        return change(None)
    return change(difference, clear_direction(difference, rate, confidence=results.confidence))


def skill_cluster_table(results: Results) -> Table:
    """Likewise for every cluster and in total; raw scores are those of all its tasks."""
    caption = f"Skill by cluster: mean over the ranked tasks that have it. Points; intervals at {level(results)}."
    return slim(_clusters(results, caption=caption))


def brief_skill_cluster_table(results: Results) -> Table:
    """Likewise for a terminal, with the total last."""
    table = _clusters(results, caption="")
    rows = tuple(sorted(table.rows, key=lambda row: row[0].text == ALL_CLUSTERS))
    strong = frozenset(at for at, row in enumerate(rows) if row[0].text == ALL_CLUSTERS)
    # The table of clusters above states once what is the same in all rows.
    title = "skill apart from preference: discrimination, then calibrated accuracy"
    return replace(slim(replace(table, rows=rows)), title=title, strong=strong)


def _clusters(results: Results, *, caption: str) -> Table:
    held = "held-out cluster" if results.kind == "run" else "cluster"
    columns = (words("Cluster", brief=held), SHOTS, MODEL, _RAW, *_columns(results))
    rows = tuple(row for sides in sides_of(results) for row in _cluster_rows(results, sides))
    return Table(name="table-skill-clusters", caption=caption, columns=columns, rows=rows)


def _cluster_rows(results: Results, sides: Sides) -> Iterator[tuple[Cell, ...]]:
    raw, calibrated = _means(results, sides, "raw"), _means(results, sides, "calibrated_accuracy")
    for key, one in _means(results, sides, "discrimination").items():
        other = calibrated.get(key)
        yield (
            word(one.name),
            word(shots_label(one.shots)),
            model_cell(sides),
            change(raw[key].difference, raw[key].direction)[0],
            estimated(one.first),
            estimated(one.second),
            *change(one.difference, one.direction),
            chance_of(one.q),
            estimated(other.first if other else None),
            estimated(other.second if other else None),
            *(change(other.difference, other.direction) if other else change(None)),
            chance_of(other.q if other else None),
        )


def _means(results: Results, sides: Sides, measure: Measure) -> dict[tuple[str, int], ComparedPair]:
    """Clusters, then the total, by name and number of exemplars."""
    clusters = compared_clusters(results, sides, measure=measure)
    return {(one.name, one.shots): one for one in (*clusters, *compared_overall(results, sides, measure=measure))}


def answer_table(results: Results, tasks: Sequence[ShownTask]) -> Table:
    """Each model's most frequent answer, and how often it is right; for benchmarks, only if a model collapsed."""
    rows = [
        (*_start(one.label, one.exam.shots, model, place), *_answer(scores.skill.answers))
        for one in tasks
        for place, (model, scores) in enumerate(one.exam.scores.items())
        if scores.skill is not None
    ]
    rows += [
        (*_start(one.label, one.shots, model, place), *_collapse(one, model))
        for one in results.benchmarks
        for place, (model, scores) in enumerate(one.scores.items())
        if scores.ranked
    ]
    caption = "The commonest answer of each model. Shares of prompts."
    return slim(Table(name="table-answers", caption=caption, columns=_ANSWERS, rows=tuple(rows)))


def _start(name: str, shots: int, model: str, place: int) -> tuple[Cell, ...]:
    return word(name), word(shots_label(shots)), word(model, "tuned-text" if place else "base-text")


def _answer(answers: CommonestAnswer) -> tuple[Cell, ...]:
    collapsed = word("collapsed", "worse") if answers.is_collapsed else Cell("", "")
    return word(answers.answer), share_of(answers.share), share_of(answers.gold), collapsed


def _collapse(benchmark: BenchmarkResult, model: str) -> tuple[Cell, ...]:
    """For a benchmark of one part, as for a task; otherwise on how many parts the model gave one answer."""
    alone = benchmark.parts[0].scores[model].skill if len(benchmark.parts) == 1 else None
    if alone is not None:
        return _answer(alone.answers)
    scores = benchmark.scores[model]
    said = f"{len(scores.collapsed)} of {plural(scores.ranked, 'part')}"
    return Cell("", ""), Cell("", ""), Cell("", ""), word(said, "worse") if scores.collapsed else Cell("", "")


def _defined(found: Estimate | None, not_defined: str) -> Cell:
    if found is None:
        return Cell("not defined" if not_defined else MISSING, "", "muted")
    return estimated(found)
