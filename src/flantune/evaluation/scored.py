"""One exam, answered by several models and graded: what is reported, and what is used in means over exams."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flantune.errors import EvaluationError
from flantune.evaluation.estimates import (
    Bootstrap,
    CleanScores,
    Difference,
    Estimate,
    PairedDifference,
    SkillDifference,
)
from flantune.evaluation.exam_result import ExamResult, ModelScores
from flantune.evaluation.metrics.graders import MetricColumn
from flantune.evaluation.metrics.readable import Metered, metric_findings
from flantune.evaluation.results import Measure
from flantune.evaluation.statistics.clean_means import CleanMeans, clean_alone, clean_pairs
from flantune.evaluation.statistics.gaps import GapMeans, compare_groups, gap_result
from flantune.evaluation.statistics.grades import Graded, GradeTable
from flantune.evaluation.statistics.model_scores import model_scores
from flantune.evaluation.statistics.pairs import (
    ComparedMetric,
    ModelMeans,
    Pair,
    Span,
    bootstrap_interval,
    check_same_cells,
    compare_means,
    difference_estimate,
    mcnemar_of,
    pair_of,
    score_estimate,
    span_of,
    within,
)
from flantune.evaluation.statistics.skill_scores import (
    SkillMeasure,
    compare_skill,
    model_skill,
    skill_change,
    skill_difference,
)
from flantune.system.keyed_random import stream_key

if TYPE_CHECKING:
    from flantune.evaluation.exams import Exam
    from flantune.types import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Sitting:
    """One exam, answered by every model that is compared on it.

    Attributes:
        graded: The models' answers, the first model's first.
        fold: The fold of a run whose model is compared; empty in an evaluation.
        where: Where the answers are, for messages.
    """

    graded: tuple[Graded, ...]
    fold: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredExam:
    """One exam with one number of exemplars.

    Attributes:
        exam: The exam.
        result: The reported result.
        compared: The headline metric's means, also on bootstrap replicates.
        skill: Means of each measure of skill, as far as it is defined.
        span: Lowest and highest score possible.
        tables: Model → its graded answers, for benchmarks; empty for a task.
        pairs: Later model → the rows that it shares with the first.
        clean_alone: Model that has seen some rows → its score without them.
        clean: Later model → both models without rows that either has seen, if checked.
        gaps: Groups of its rows, compared.
    """

    exam: Exam
    result: ExamResult
    compared: ComparedMetric
    skill: Mapping[SkillMeasure, ModelMeans]
    span: Span
    tables: Mapping[str, GradeTable]
    pairs: Mapping[str, Pair]
    clean_alone: Mapping[str, CleanMeans]
    clean: Mapping[str, CleanMeans]
    gaps: tuple[GapMeans, ...] = ()

    def means(self, measure: Measure) -> ModelMeans:
        """The means for use in means over exams, by one measure."""
        if measure == "raw":
            return self.compared.means
        return self.compared.means.above_chance(self.result.chance) if measure == "normalized" else self.skill[measure]


def score_sitting(sitting: Sitting, *, confidence: float, seed: int, shots: Sequence[int] = ()) -> Iterator[ScoredExam]:
    """The models' scores in an exam, once for each number of exemplars.

    Args:
        sitting: Their answers.
        confidence: Level of the intervals.
        seed: Seed of the bootstrap draws.
        shots: The requested numbers of exemplars; none: those that it was asked with.

    Raises:
        EvaluationError: It was asked with none of them, or the models were asked different prompts.
    """
    first = sitting.graded[0]
    wanted = tuple(dict.fromkeys(shots or (number for number, split in first.tables if split == "test")))
    asked = [number for number in wanted if all((number, "test") in one.tables for one in sitting.graded)]
    if not asked:
        hint = "repeat the command with the evaluation settings that you want"
        raise EvaluationError(f"no test rows with {list(wanted)} shots", where=sitting.where, hint=hint)
    for number in asked:
        yield _scored(sitting, confidence=confidence, seed=stream_key(seed, "bootstrap", first.exam.key), shots=number)


def _scored(sitting: Sitting, *, confidence: float, seed: int, shots: int) -> ScoredExam:
    exam = sitting.graded[0].exam
    tables = {one.model: one.tables[shots, "test"] for one in sitting.graded}
    first, *later = tables
    where = f"{sitting.where or exam.key}, {shots} shots"
    if not exam.score:  # all templates of a task are used for all its rows, so means are over the same prompts
        for name in later:
            check_same_cells(tables[first], tables[name], where=where)
    pairs = {name: pair_of(tables[first], tables[name], where=where) for name in later}
    column, seen = tables[first].columns.headline, {one.model: one.seen.rows for one in sitting.graded}
    skills = {name: model_skill(table.options) for name, table in tables.items()}
    compared = compare_means(tables, pairs, column, seed=seed, confidence=confidence)
    skill = compare_skill(skills, pairs, confidence=confidence)
    alone = clean_alone(tables, seen, column, seed=seed, confidence=confidence)
    clean = clean_pairs(pairs, first, seen, column, seed=seed, confidence=confidence)
    gaps = compare_groups(exam.gaps, tables, pairs, column, confidence=confidence)
    scores = {
        one.model: model_scores(
            one,
            shots=shots,
            mean=compared.means.scores[one.model],
            clean=_clean_estimate(alone.get(one.model), tables[one.model], column, confidence=confidence),
            clean_against_all=_alone_against_all(
                alone.get(one.model), span=span_of(column, tables[one.model]), confidence=confidence
            ),
            skill=skills[one.model],
            confidence=confidence,
        )
        for one in sitting.graded
    }
    differences = {
        name: paired_difference(
            difference_estimate(compared.means.differences[name], confidence=confidence, span=pair.span(column)),
            bootstrap=bootstrap_interval(compared.replicates[name], confidence=confidence),
            mcnemar_p=mcnemar_of([pair], column),
            examples=len(pair.first.rows),
            rows_sha256=rows_sha256(exam, pair.first),
            skill=_skill_difference(skill, name, confidence=confidence) if skills[first] and skills[name] else None,
            clean=_clean_scores(clean.get(name), pair, compared, confidence=confidence),
        )
        for name, pair in pairs.items()
    }
    return ScoredExam(
        exam=exam,
        result=_result(sitting, tables[first], scores, differences, shots=shots).model_copy(
            update={"gaps": tuple(gap_result(one, confidence=confidence) for one in gaps)}
        ),
        compared=compared,
        skill=skill,
        span=span_of(column, *tables.values()),
        tables=tables if exam.score else {},
        pairs=pairs if exam.score else {},
        clean_alone=alone,
        clean=clean,
        gaps=gaps,
    )


def paired_difference(
    difference: Difference, *, bootstrap: Bootstrap | None, mcnemar_p: float | None, examples: int, rows_sha256: str,
    skill: SkillDifference | None, clean: CleanScores | None,
) -> PairedDifference:  # fmt: skip
    """A difference with everything except its false discovery rate, which needs all differences."""
    return PairedDifference(
        **difference.model_dump(),
        bootstrap=bootstrap,
        mcnemar_p=mcnemar_p,
        q=None,
        examples=examples,
        rows_sha256=rows_sha256,
        skill=skill,
        clean=clean,
    )


def rows_sha256(exam: Exam, table: GradeTable) -> str:
    """Identifies the rows: of a benchmark by content, of a task, whose exemplars depend on the seed, by number."""
    if not exam.score:
        return table.rows_sha256
    asked = {prompt.row: prompt.inputs for prompt in exam.prompts}
    named = json.dumps([exam.key, [asked.get(row, row) for row in table.rows]], ensure_ascii=True)
    return hashlib.sha256(named.encode("ascii")).hexdigest()


def _result(
    sitting: Sitting,
    table: GradeTable,
    scores: Mapping[str, ModelScores],
    differences: Mapping[str, PairedDifference],
    *,
    shots: int,
) -> ExamResult:
    first = sitting.graded[0]
    exam, metrics = first.exam, table.columns.metrics
    kind: Kind = "classification" if exam.answering == "options" else "generation"
    notes = exam.notes
    if not exam.score:
        task = Metered(name=exam.name, kind=kind, metrics=tuple(metric.name for metric in metrics))
        notes = (*notes, *(finding.message for finding in metric_findings(task, table.looked_at)))
    return ExamResult(
        name=exam.name,
        fold=sitting.fold,
        clusters=exam.groups,
        kind=kind,
        metric=table.columns.headline.metric.name,
        protocol=exam.protocol.fingerprint,
        shots=shots,
        answers_each=first.answers_each,
        temperature=first.temperature,
        chance=within(table.chance),
        groups=int(table.groups.max()) + 1,
        signatures={one.name: one.signature(table.references) for one in metrics if one.signature is not None},
        notes=notes,
        scores=dict(scores),
        differences=dict(differences),
    )


def _skill_difference(skill: Mapping[SkillMeasure, ModelMeans], name: str, *, confidence: float) -> SkillDifference:
    found = {measure: means.differences.get(name) for measure, means in skill.items()}
    return skill_difference(
        {
            measure: None if mean is None else skill_change(mean, confidence=confidence)
            for measure, mean in found.items()
        }
    )


def _clean_scores(
    found: CleanMeans | None, pair: Pair, compared: ComparedMetric, *, confidence: float
) -> CleanScores | None:
    """Two models on rows that neither has seen; None everywhere if no row is left."""
    if found is None:
        return None
    if found.means is None:
        return CleanScores(examples=found.examples, flagged=found.flagged, first=None, second=None, difference=None)
    column = compared.column
    span = span_of(column, pair.first, pair.second)
    first, second = (score_estimate(mean, confidence=confidence, span=span) for mean in found.means.scores.values())
    (change,) = found.means.differences.values()
    return CleanScores(
        examples=found.examples,
        flagged=found.flagged,
        first=first,
        second=second,
        difference=difference_estimate(change, confidence=confidence, span=pair.span(column)),
        **_against_all(found.changes, span=pair.span(column), confidence=confidence),
    )


def _against_all(changes: ModelMeans | None, *, span: Span, confidence: float) -> dict[str, Difference]:
    """The fields of ``CleanScores`` that compare clean with all examples; nothing if they are the same."""
    if changes is None:
        return {}
    (first, second), (difference,) = changes.scores.values(), changes.differences.values()
    named = {"first": first, "second": second, "difference": difference}
    return {
        f"{name}_against_all": difference_estimate(mean, confidence=confidence, span=span)
        for name, mean in named.items()
    }


def _alone_against_all(found: CleanMeans | None, *, span: Span, confidence: float) -> Difference | None:
    """The same for one model."""
    if found is None or found.changes is None:
        return None
    (mean,) = found.changes.scores.values()
    return difference_estimate(mean, confidence=confidence, span=(span[0] - span[1], span[1] - span[0]))


def _clean_estimate(
    found: CleanMeans | None, table: GradeTable, column: MetricColumn, *, confidence: float
) -> Estimate | None:
    """One model without rows it has seen; None if there are none, or nothing is left."""
    if found is None or found.means is None:
        return None
    (mean,) = found.means.scores.values()
    return score_estimate(mean, confidence=confidence, span=span_of(column, table))
