"""The figures of a run or an evaluation with their titles and captions, for pages and files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from flantune.evaluation.results import Measure, Results
from flantune.report.figures import scores
from flantune.report.figures.skill import skill_figure
from flantune.report.numbers import count, plural, shots_label
from flantune.report.score_tables import clear, level
from flantune.report.sides import (
    ShownTask,
    Sides,
    compared_clusters,
    compared_overall,
    compared_task,
    sides_of,
)


@dataclass(frozen=True, slots=True)
class View:
    """One of several drawings that a reader can switch between; without a label, the only one."""

    label: str
    figure: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Plate:
    """A figure with its title and caption.

    Attributes:
        name: Its anchor in the page, after "figure-", and its name as a file.
        caption: What is drawn, from how much data, and what the intervals cover.
    """

    name: str
    title: str
    caption: str
    views: tuple[View, ...]


def plates(results: Results, tasks: Sequence[ShownTask]) -> tuple[Plate, ...]:
    """The figures of scores on tasks, in the order of the page: unseen tasks, or all tasks of a run without any."""
    is_run, is_compared = results.kind == "run", len(results.names) > 1
    has_clusters = bool(results.clusters) or (is_run and not _are_seen(tasks))
    found = [
        _clusters(results, tasks, is_run=is_run, is_compared=is_compared) if has_clusters else None,
        _differences(results, tasks, is_run=is_run) if is_compared else None,
        _skill(results, tasks, is_run=is_run, is_compared=is_compared),
        _templates(results, tasks),
    ]
    return tuple(plate for plate in found if plate is not None)


_MEASURES: tuple[tuple[Measure, str], ...] = (("raw", "Raw score"), ("normalized", "Normalized against chance"))


def _clusters(results: Results, tasks: Sequence[ShownTask], *, is_run: bool, is_compared: bool) -> Plate:
    each = sides_of(results)
    views = [
        View(_label(label, sides, each), _cluster_figure(results, sides, measure))
        for sides in each
        for measure, label in _MEASURES
        if results.clusters
    ]
    marks = " of the first model (hollow) and a later one (filled)" if is_compared else ""
    marks = " before (hollow) and after tuning (filled)" if is_run else marks
    caption = (
        f"Clusters{marks}: mean over tasks and templates, with {level(results)} intervals over rows "
        f"({asked(tasks)}). The dotted stroke is chance."
        + (" Numbers at the right: difference and its interval." if is_compared else "")
        + " Normalized scores put chance at 0 and a perfect score at 100."
    )
    title = "Kinds of task never seen" if is_run else "Kinds of task"
    return Plate(name="clusters", title=title, caption=caption, views=tuple(views))


def _cluster_figure(results: Results, sides: Sides, measure: Measure) -> Markup:
    rows = (compared_clusters(results, sides, measure=measure), compared_overall(results, sides, measure=measure))
    return scores.cluster_figure(*rows, sides, measure=measure)


def _differences(results: Results, tasks: Sequence[ShownTask], *, is_run: bool) -> Plate:
    what = "Tuned minus base" if is_run else "A later model minus the first"
    caption = (
        f"{what} on each {_kind(tasks)}, in points, with {level(results)} intervals; paired over rows and templates "
        f"({asked(tasks)}). Filled: clear even among so many ({clear(results)}). Hollow: the sign may be chance."
    )

    def draw(some: Sequence[ShownTask], sides: Sides) -> Markup:
        return scores.difference_figure([compared_task(results, one, sides) for one in some], sides)

    views = _views(results, tasks, draw)
    return Plate(name="differences", title="Task by task", caption=caption, views=views)


def _skill(results: Results, tasks: Sequence[ShownTask], *, is_run: bool, is_compared: bool) -> Plate | None:
    ranked = [one for one in tasks if any(scores.skill for scores in one.exam.scores.values())]
    if not ranked:
        return None
    first, later = ("base", "tuned") if is_run else ("first", "later")
    arrow = f", from the {first} model (hollow dot) to the {later} one (arrowhead)" if is_compared else ""
    caption = (
        f"Every {_kind(tasks)} whose options are ranked{arrow} ({asked(ranked)}). Up: its scores separate right "
        "answers better (area under the ROC curve, 50 is guessing). Only sideways: it prefers other answers, "
        "which changes the raw score but is no skill. At the left edge each answer is given as often as it is right. "
        f"Colored: the change in height is clear even among so many ({clear(results)})."
    )
    views = _views(results, tasks, lambda some, sides: skill_figure(some, sides, confidence=results.confidence))
    return Plate(name="skill", title="Skill apart from preference", caption=caption, views=views)


def _templates(results: Results, tasks: Sequence[ShownTask]) -> Plate:
    caption = (
        f"Every template of every {_kind(tasks)}: each dot is one way of phrasing the task ({asked(tasks)}). Bars span "
        "the interquartile range, strokes mark the median, the dotted stroke is chance."
    )
    views = _views(results, tasks, scores.template_figure)
    return Plate(name="templates", title="How much the wording matters", caption=caption, views=views)


def _are_seen(tasks: Sequence[ShownTask]) -> bool:
    return bool(tasks) and all(one.exam.is_seen for one in tasks)


def _kind(tasks: Sequence[ShownTask]) -> str:
    return "task" if _are_seen(tasks) else "unseen task"


def asked(tasks: Iterable[ShownTask]) -> str:
    """The number of tasks, rows and templates: "12 tasks, 2,400 rows, 3 to 10 templates each"."""
    exams = [one.exam for one in tasks]
    first = [one for one in exams if one.shots == exams[0].shots]
    names = {one.name for one in exams}
    rows = sum({one.name: one.examples for one in first}.values())
    templates = sorted({len(scores.templates) for one in first for scores in one.scores.values()})
    if not templates:
        return "no task"
    several = plural(templates[-1], "template") if len(set(templates)) == 1 else ""
    return f"{plural(len(names), 'task')}, {count(rows)} rows, " + (
        f"{several} each" if several else f"{templates[0]} to {templates[-1]} templates each"
    )


def _views(
    results: Results, tasks: Sequence[ShownTask], draw: Callable[[Sequence[ShownTask], Sides], Markup]
) -> tuple[View, ...]:
    """One view per number of exemplars and later model."""
    each = sides_of(results)
    by_shots = {
        shots: [one for one in tasks if one.exam.shots == shots] for shots in sorted({one.exam.shots for one in tasks})
    }
    return tuple(
        View(_label(label if len(by_shots) > 1 else "", sides, each), draw(some, sides))
        for sides in each
        for shots, some in by_shots.items()
        for label in [shots_label(shots).capitalize()]
    )


def _label(label: str, sides: Sides, each: Sequence[Sides]) -> str:
    return ", ".join(part for part in (label, sides.second if len(each) > 1 else "") if part)
