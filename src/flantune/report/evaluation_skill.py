"""Skill apart from a preference for an answer, in an evaluation: a line a model and benchmark or task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flantune.evaluation.verdict import direction_of
from flantune.report import numbers
from flantune.report.tables import Cell, Column, Table, chance_of, score, word

if TYPE_CHECKING:
    from flantune.evaluation.run_results import CommonestAnswer, Difference, Estimate, SkillDifference
    from flantune.suites.results import EvaluationResults

_CHANGE = (
    Column("Difference", help="In points, paired over the same questions, against the first model"),
    Column("Interval"),
    Column("q", help="Adjusted for all benchmarks and tasks compared here that neither model had seen"),
)
_COLUMNS = (
    Column("Benchmark or task", is_number=False),
    Column("Model", is_number=False),
    Column("Discr.", help="Discrimination: area under the ROC curve; 50 is guessing"),
    *_CHANGE,
    Column("Calibr.", help="Accuracy after batch calibration"),
    *_CHANGE,
    Column("Commonest answer", is_number=False, help="Share of questions that got it, and whose right answer it is"),
    Column("Collapsed", is_number=False, help="Over 90% of questions got one answer, which is not right that often"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SkillRow:
    """One model's skill on one benchmark or task.

    Attributes:
        difference: Against the first model; None for the first.
        answers: The commonest answer of a task; None for a benchmark of several parts.
        collapsed: Where it gave one answer to nearly all: "yes" for a task, parts for a benchmark; empty: nowhere.
    """

    name: str
    model: str
    discrimination: Estimate | None
    calibrated: Estimate | None
    difference: SkillDifference | None
    answers: CommonestAnswer | None
    collapsed: str


def skill_rows(results: EvaluationResults) -> list[SkillRow]:
    """A row a model and whatever its options were ranked on; the models of one benchmark or task together."""
    differences = {(one.score, one.second, one.shots): one.skill for one in results.comparisons}
    rows = [*_benchmarks(results, differences), *_tasks(results, differences)]
    place = {name: at for at, name in enumerate(dict.fromkeys(row.name for row in rows))}
    return sorted(rows, key=lambda row: place[row.name])


_Differences = dict[tuple[str, str, int], "SkillDifference | None"]


def _benchmarks(results: EvaluationResults, differences: _Differences) -> Iterator[SkillRow]:
    for one in results.scores:
        if one.skill is None:
            continue
        alone = one.parts[0].skill if len(one.parts) == 1 else None
        yield SkillRow(
            name=one.score,
            model=one.model,
            discrimination=one.skill.discrimination,
            calibrated=one.skill.calibrated_accuracy,
            difference=differences.get((one.score, one.model, one.shots)),
            answers=alone.answers if alone else None,
            collapsed=_collapsed(len(one.skill.collapsed), one.skill.parts),
        )


def _tasks(results: EvaluationResults, differences: _Differences) -> Iterator[SkillRow]:
    for one in results.tasks:
        skill = one.scores.skill
        if skill is None:
            continue
        yield SkillRow(
            name=one.task,
            model=one.model,
            discrimination=skill.discrimination,
            calibrated=skill.calibrated_accuracy,
            difference=differences.get((one.task, one.model, one.shots)),
            answers=skill.answers,
            collapsed="yes" if skill.answers.is_collapsed else "",
        )


def _collapsed(count: int, parts: int) -> str:
    if not count:
        return ""
    return "yes" if parts == 1 else f"{count} of {numbers.plural(parts, 'part')}"


def skill_table(results: EvaluationResults) -> Table:
    """The same as a table of the page."""
    rows = [
        (
            word(row.name),
            word(row.model),
            score(row.discrimination.value if row.discrimination else None),
            *_changed(
                row.difference.discrimination if row.difference else None,
                row.difference.discrimination_q if row.difference else None,
            ),
            score(row.calibrated.value if row.calibrated else None),
            *_changed(
                row.difference.calibrated_accuracy if row.difference else None,
                row.difference.calibrated_accuracy_q if row.difference else None,
            ),
            word(_answer(row.answers)),
            Cell(row.collapsed, row.collapsed, "worse"),
        )
        for row in skill_rows(results)
    ]
    caption = (
        "Skill apart from a preference for an answer, where options were ranked. Points. A preference does not move "
        "discrimination; calibration takes only a part of it out."
    )
    return Table(name="skill", caption=caption, columns=_COLUMNS, rows=tuple(rows))


def _answer(answers: CommonestAnswer | None) -> str:
    if answers is None:
        return ""
    return f"{answers.answer} {numbers.share(answers.share)}, right {numbers.share(answers.gold)}"


def _changed(difference: Difference | None, q: float | None) -> tuple[Cell, Cell, Cell]:
    if difference is None:
        return Cell("", ""), Cell("", ""), Cell("", "")
    return (
        Cell(numbers.signed(difference.value), difference.value * 100, direction_of(difference)),
        Cell(numbers.interval(difference.low, difference.high), difference.low * 100, "muted"),
        chance_of(q),
    )
