"""One model's scores in one exam, over all its templates, in the format of ``results.json``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flantune.evaluation.estimates import Difference, Estimate
from flantune.evaluation.exam_result import ModelScores, TemplateScores
from flantune.evaluation.metrics.graders import MetricColumn
from flantune.evaluation.statistics.grades import Graded, GradeTable
from flantune.evaluation.statistics.means import Mean
from flantune.evaluation.statistics.over_templates import agreement_rate, spread_over_templates
from flantune.evaluation.statistics.pairs import score_estimate, span_of, template_intervals, template_scores, within
from flantune.evaluation.statistics.skill_scores import ModelSkill


def model_scores(
    graded: Graded,
    *,
    shots: int,
    mean: Mean,
    clean: Estimate | None,
    clean_against_all: Difference | None,
    skill: ModelSkill | None,
    confidence: float,
) -> ModelScores:
    """Everything reported of one model in one exam.

    Args:
        graded: Its answers, graded.
        shots: The number of exemplars.
        mean: Mean of the headline metric.
        clean: The headline without what the model has seen.
        clean_against_all: ``clean`` minus the headline.
        skill: Skill in its option scores, apart from a preference.
        confidence: Level of the intervals.
    """
    table, dev = graded.tables[shots, "test"], graded.tables.get((shots, "dev"))
    columns, counts = table.columns, graded.counts
    templates = _templates(table, dev, skill, confidence=confidence)
    spread = spread_over_templates([template.value for template in templates])
    best, worst = _best_on_dev(templates), min(templates, key=lambda template: template.value)
    span = span_of(columns.headline, table)
    return ModelScores(
        mean=score_estimate(mean, confidence=confidence, span=span),
        std=spread.std,
        median=within(spread.median, span),
        iqr=spread.iqr,
        range=spread.range,
        worst_template=worst.template,
        worst=worst.value,
        best_dev_template=best.template if best else None,
        best_dev_test=best.value if best else None,
        agreement=agreement_rate(table.answers),
        templates=templates,
        metrics={column.metric.name: _mean(table, column) for column in (columns.headline, *columns.others)},
        normalizations={column.normalization: _mean(table, column) for column in columns.variants},
        tie_rules={column.ties: _mean(table, column) for column in columns.tie_rules},
        examples=len(table.rows),
        ties=table.ties,
        unparsed=table.unparsed,
        rules=dict(table.rules),
        vote_confidence=None if table.vote_confidence is None else within(table.vote_confidence),
        exemplars_dropped=counts.exemplars_dropped,
        inputs_shortened=counts.inputs_shortened,
        prompts_dropped=counts.prompts_dropped,
        seen=graded.seen.reasons,
        seen_examples=len(frozenset(table.rows) & (graded.seen.rows or frozenset())),
        clean=clean,
        clean_against_all=clean_against_all,
        skill=None if skill is None else skill.result(confidence=confidence),
    )


def _templates(
    table: GradeTable, dev: GradeTable | None, skill: ModelSkill | None, *, confidence: float
) -> tuple[TemplateScores, ...]:
    columns = (table.columns.headline, *table.columns.others)
    scores = {column.metric.name: template_scores(table, column) for column in columns}
    headline = columns[0]
    on_dev = dict(zip(dev.templates, template_scores(dev, headline), strict=True)) if dev else {}
    intervals = template_intervals(table, headline, confidence=confidence)
    return tuple(
        TemplateScores(
            template=name,
            value=scores[headline.metric.name][at],
            low=intervals[at].low if intervals else None,
            high=intervals[at].high if intervals else None,
            dev=on_dev.get(name),
            metrics={metric: values[at] for metric, values in scores.items()},
            discrimination=skill.template("discrimination", at) if skill else None,
            calibrated_accuracy=skill.template("calibrated_accuracy", at) if skill else None,
        )
        for at, name in enumerate(table.templates)
    )


def _best_on_dev(templates: Sequence[TemplateScores]) -> TemplateScores | None:
    """The template that is best on the dev rows, the first of equals; test scores are not used.

    Paper: FLAN 2021, section 2.3.
    """
    measured = [(template.dev, template) for template in templates if template.dev is not None]
    return max(measured, key=lambda pair: pair[0])[1] if measured else None


def _mean(table: GradeTable, column: MetricColumn) -> float:
    """The mean over templates of one metric."""
    return within(float(np.mean(template_scores(table, column))), span_of(column, table))
