"""The report's tables of skill apart from a preference for an answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flantune.report.estimates import Estimate
from flantune.report.numbers import MISSING, share, shots_label
from flantune.report.results import Results, TaskResult
from flantune.report.skill_results import ModelSkill
from flantune.report.tables import Cell, Column, Table, chance_of, change, score, word

_NAMES = (Column("Task", is_number=False), Column("Exemplars", is_number=False))
_SKILL = (
    *_NAMES,
    Column("Raw", help="Difference of the headline metric, tuned − base, in points"),
    Column("Discr. base", help="Discrimination: area under the ROC curve, mean over templates; 50 knows nothing"),
    Column("tuned", help="Discrimination of the tuned model"),
    Column("Difference", help="Of discrimination, paired over the same rows and templates"),
    Column("Interval", help="Of the difference of discrimination"),
    Column("q", help="Of discrimination, adjusted for looking at all these tasks"),
    Column("Calibr. base", help="Accuracy after batch calibration, mean over templates; a strong preference moves it"),
    Column("tuned", help="Calibrated accuracy of the tuned model"),
    Column("Difference", help="Of calibrated accuracy, paired"),
    Column("Interval", help="Of the difference of calibrated accuracy"),
    Column("q", help="Of calibrated accuracy, adjusted for looking at all these tasks"),
)
_ANSWERS = (
    *_NAMES,
    Column("Model", is_number=False),
    Column(
        "Commonest answer",
        is_number=False,
        help="By letter or place where letters are written, or options change",
    ),
    Column("Given", help="Share of prompts that got it"),
    Column("Right", help="Share of rows whose right answer it is"),
    Column("", is_number=False, help="Collapsed: over 90% of prompts got one answer, which is not right that often"),
)
_CLUSTERS = (Column("Cluster", is_number=False), *_SKILL[1:7], *_SKILL[8:12])


def skill_table(tasks: Sequence[TaskResult], *, level: str) -> Table:
    """What tuning did to discrimination and calibrated accuracy, beside the raw score."""
    rows = tuple(
        (
            word(t.label),
            word(shots_label(t.shots)),
            change(t.difference)[0],
            _defined(t.skill.base),
            _defined(t.skill.tuned),
            *change(t.skill.discrimination),
            chance_of(t.skill.discrimination_q),
            score(t.skill.base.calibrated.value),
            score(t.skill.tuned.calibrated.value),
            *change(t.skill.calibrated),
            chance_of(t.skill.calibrated_q),
        )
        for t in tasks
        if t.skill is not None
    )
    caption = (
        f"Skill apart from a preference for an answer, ranked tasks. Points; intervals at {level}. A preference does "
        "not move discrimination; calibration takes only a part of it out."
    )
    return Table(name="table-skill", caption=caption, columns=_SKILL, rows=rows)


def skill_cluster_table(results: Results) -> Table:
    """The same of every held-out cluster and of the whole; raw scores are those of all its tasks."""
    discrimination, calibrated = (_by_name(results, m) for m in ("discrimination", "calibrated_accuracy"))
    raw = _by_name(results, "raw")
    rows = tuple(
        (
            word(name),
            word(shots_label(shots)),
            change(raw[key])[0] if key in raw else word(""),
            *(score(one.value) for one in _ends(results, "discrimination", key)),
            *change(discrimination[key]),
            *(score(one.value) for one in _ends(results, "calibrated_accuracy", key)),
            *change(calibrated.get(key, Estimate())),
        )
        for key in discrimination
        for name, shots, _ in [key]
    )
    caption = (
        f"Skill by held-out cluster: mean over the ranked tasks that have it. Points; intervals at {results.level}."
    )
    return Table(name="table-skill-clusters", caption=caption, columns=_CLUSTERS, rows=rows)


def answer_table(tasks: Sequence[TaskResult]) -> Table:
    """What each model answers most often, beside how often that is right: two lines a task."""
    rows = tuple(row for t in tasks for row in _answer_rows(t))
    caption = "The commonest answer of each model. Shares of prompts."
    return Table(name="table-answers", caption=caption, columns=_ANSWERS, rows=rows)


def _answer_rows(task: TaskResult) -> Iterator[tuple[Cell, ...]]:
    if task.skill is None:
        return
    for model, skill in (("base", task.skill.base), ("tuned", task.skill.tuned)):
        yield (
            word(task.label),
            word(shots_label(task.shots)),
            word(model, f"{model}-text"),
            word(skill.answer),
            _share(skill.share),
            _share(skill.gold),
            word("collapsed", "worse") if skill.is_collapsed else Cell("", ""),
        )


_Key = tuple[str, int, str]


def _by_name(results: Results, measure: str) -> dict[_Key, Estimate]:
    pairs = (*results.clusters.get(measure, ()), *results.overall.get(measure, ()))
    return {(pair.name, pair.shots, pair.fold): pair.difference for pair in pairs}


def _ends(results: Results, measure: str, key: _Key) -> tuple[Estimate, Estimate]:
    pairs = (*results.clusters.get(measure, ()), *results.overall.get(measure, ()))
    found = (pair for pair in pairs if (pair.name, pair.shots, pair.fold) == key)
    return next(((pair.base, pair.tuned) for pair in found), (Estimate(), Estimate()))


def _defined(skill: ModelSkill) -> Cell:
    if skill.discrimination.value is None:
        return Cell("not defined" if skill.not_defined else MISSING, "", "muted")
    return score(skill.discrimination.value)


def _share(value: float | None) -> Cell:
    return Cell(share(value), "" if value is None else value * 100)
