"""The figures of a study with captions: its main one, differences, single tasks, wording, and the cost of gains."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from flantune.report.figures.cost import CostPoint, cost_figure, differ_in_cost
from flantune.report.figures.forest import ForestRow, forest_figure
from flantune.report.figures.published import published
from flantune.report.figures.series import label_of
from flantune.report.figures.spread import SpreadRow, spread_figure
from flantune.report.figures.study_bars import bars_figure
from flantune.report.figures.study_grid import grid_figure
from flantune.report.figures.study_lines import line_figure
from flantune.report.numbers import count, interval, p_value, plural, signed
from flantune.report.plates import Plate, View
from flantune.studies.outcome import ArmOutcome, StudyOutcome, TaskOutcome

MOST_VIEWS = 12
"""Largest number of views of a figure on a page; the tables have all."""


def study_plates(outcome: StudyOutcome) -> tuple[Plate, ...]:
    """The figures of a study, first the one that answers its question."""
    found = (
        _answer(outcome),
        _differences(outcome) if outcome.figure != "forest" else None,
        _tasks(outcome),
        _wording(outcome),
        _cost(outcome),
    )
    return tuple(plate for plate in found if plate is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One way to draw a study's results.

    Attributes:
        draw: Draws the figure.
        says: Description of its marks, for the caption.
        grays: How it shows the paper's numbers; empty: not at all.
        has_seeds: Whether it shows single seeds as small dots.
    """

    draw: Callable[[StudyOutcome], Markup]
    says: str
    grays: str = ""
    has_seeds: bool = True


def _answer(outcome: StudyOutcome) -> Plate:
    form = FORMS[outcome.figure]
    marks = published(outcome.name) if form.grays else ()
    grays = f" {form.grays}: {marks[0].source}, another model on other tasks." if marks else ""
    return Plate(
        name="study",
        title=f"{'Differences' if outcome.figure == 'forest' else 'Scores'} by {outcome.axis}",
        caption=f"{form.says}{grays} {_over(outcome, has_dots=form.has_seeds)}{_trends(outcome)}",
        views=(View("", form.draw(outcome)),),
    )


def _over(outcome: StudyOutcome, *, has_dots: bool = True) -> str:
    """How much was measured, and what the intervals cover."""
    seeds = {len(arm.seeds) for arm in outcome.arms if arm.score}
    level = f"{outcome.confidence * 100:g}% intervals"
    several = max(seeds, default=0) > 1
    covers = "cover other rows and other seeds" if several else "cover other rows, not other seeds"
    dots = " Small dots: single seeds." if several and has_dots else ""
    return f"{_measured(outcome.arms)}, {_range(seeds, 'seed')}; {level} {covers}.{dots}"


def _measured(arms: Iterable[ArmOutcome]) -> str:
    """How much was measured: "5 tasks, 300 to 320 rows, 3 templates"."""
    scored = [arm for arm in arms if arm.score]
    tasks = {len(arm.tasks) for arm in scored}
    rows = {sum(task.rows for task in arm.tasks) for arm in scored}
    templates = {task.templates for arm in scored for task in arm.tasks}
    return f"{_range(tasks, 'task')}, {_range(rows, 'row')}, {_range(templates, 'template')} each"


def _range(numbers: Iterable[int], noun: str) -> str:
    found = sorted(set(numbers)) or [0]
    return plural(found[0], noun) if found[0] == found[-1] else f"{count(found[0])} to {count(found[-1])} {noun}s"


def _trends(outcome: StudyOutcome) -> str:
    unit = "a doubling" if outcome.x_scale == "log" else "a unit of the axis"
    return "".join(
        f" Straight line{f' of {one.series}' if one.series else ''}: {signed(one.slope.value)} points {unit} "
        f"({interval(one.slope.low, one.slope.high)}, p {p_value(one.slope.p)})."
        for one in outcome.trends
    )


def _differences(outcome: StudyOutcome) -> Plate | None:
    if not any(arm.difference for arm in outcome.arms):
        return None
    return Plate(
        name="differences",
        title="Each arm against what it is paired with",
        caption=(
            "Paired over rows, in points. Filled: the interval excludes zero. Hollow: it does not, so the sign may be "
            f"luck. {_over(outcome)}"
        ),
        views=(View("", _forest(outcome)),),
    )


def _forest(outcome: StudyOutcome) -> Markup:
    drawn = [arm for arm in outcome.arms if arm.difference]
    is_grouped = len({arm.series for arm in drawn}) > 1
    rows = [
        ForestRow(
            name=label_of(arm) if is_grouped else arm.name,
            difference=arm.difference,
            each=arm.difference.each,
            group=arm.series if is_grouped else "",
        )
        for arm in sorted(drawn, key=lambda arm: [one.series for one in drawn].index(arm.series))
        if arm.difference
    ]
    if outcome.overall:
        each = outcome.overall.each
        rows.append(ForestRow(name="Mean of all", difference=outcome.overall, each=each, is_strong=True))
    return forest_figure(rows, unit=f"{_minus(outcome)}, points", label="Paired differences in points.")


def _minus(outcome: StudyOutcome) -> str:
    pairs = {arm.paired_with for arm in outcome.arms if arm.difference}
    if pairs == {""}:
        return "arm − its base model"
    return f"arm − {next(iter(pairs))}" if len(pairs) == 1 else f"arm − {outcome.baseline or 'its pair'}"


def _tasks(outcome: StudyOutcome) -> Plate | None:
    """Every task's paired difference, one view per arm."""
    each = [(arm, _with_difference(arm.tasks)) for arm in outcome.arms]
    drawn = [(arm, tasks) for arm, tasks in each if len(tasks) > 1][:MOST_VIEWS]
    if not drawn:
        return None
    return Plate(
        name="tasks",
        title="Task by task",
        caption=(
            f"The same differences on each task, largest first, in points: arm minus what it is paired with. "
            f"{_over(outcome)}"
        ),
        views=tuple(
            View(
                arm.name,
                forest_figure(
                    [
                        ForestRow(name=task.name, difference=task.difference, each=task.difference.each)
                        for task in tasks
                        if task.difference
                    ],
                    unit=f"{arm.name} − {arm.paired_with or 'base model'}, points",
                    label=f"{arm.name}: paired differences on each task, in points.",
                ),
            )
            for arm, tasks in drawn
        ),
    )


def _with_difference(tasks: Sequence[TaskOutcome]) -> list[TaskOutcome]:
    found = [(task.difference.value, task) for task in tasks if task.difference]
    return [task for _, task in sorted(found, key=lambda pair: (-pair[0], pair[1].name))]


def _wording(outcome: StudyOutcome) -> Plate | None:
    rows = [
        SpreadRow(name=arm.name, values=tuple((task.name, std) for task, std in found))
        for arm in outcome.arms
        for found in [[(task, task.template_std) for task in arm.tasks if task.template_std is not None]]
        if found
    ]
    if not rows:
        return None
    return Plate(
        name="templates",
        title="How much the wording matters",
        caption=(
            "Standard deviation of a task's score over its templates, one dot per task, mean over seeds; bars span the "
            f"interquartile range, strokes mark the median. {_measured(outcome.arms)}. No intervals: these are the "
            "spreads themselves."
        ),
        views=(View("", spread_figure(rows, unit="standard deviation over templates, points")),),
    )


def _cost(outcome: StudyOutcome) -> Plate | None:
    """The gain over the untuned model and its cost; between two tuned arms, a cost would belong to neither."""
    points = [
        CostPoint(name=arm.name, tokens=arm.cost.tokens, difference=arm.difference)
        for arm in outcome.arms
        if arm.cost and arm.cost.tokens > 0 and arm.difference and not arm.paired_with
    ]
    if not differ_in_cost(points):
        return None
    return Plate(
        name="cost",
        title="What a gain cost",
        caption=(
            "Arm minus its base model against real tokens trained on, over all folds of a run, mean over seeds. Hollow:"
            f" the interval includes zero, so no gain was shown. {_over(outcome, has_dots=False)}"
        ),
        views=(View("", cost_figure(points)),),
    )


FORMS: Mapping[str, Form] = {
    "line": Form(
        draw=lambda outcome: line_figure(outcome, published(outcome.name)),
        says="Mean scores over the axis. Gray: the base model of the same runs. Dotted: chance.",
        grays="Crosses",
    ),
    "bars": Form(
        draw=bars_figure,
        says="Mean scores. Hollow dots: the base model of the same runs. Dotted strokes: chance.",
    ),
    "grid": Form(
        draw=lambda outcome: grid_figure(outcome, published(outcome.name)),
        says="In each cell the mean score, its interval, and the paired difference. Darker is higher.",
        grays="Small, in the corner",
        has_seeds=False,
    ),
    "forest": Form(
        draw=_forest,
        says="Paired differences. Filled: the interval excludes zero. Hollow: it does not.",
    ),
}
"""Name of a figure in a study → how it is drawn."""
