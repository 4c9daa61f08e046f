"""The figures of scores, as inline SVG: two models on clusters, tasks and templates, for wide and narrow screens."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from flantune.evaluation.estimates import Difference
from flantune.evaluation.exam_result import TemplateScores
from flantune.evaluation.results import Verdict
from flantune.report.figures.forest import ForestRow, forest_figure
from flantune.report.figures.frame import (
    AXIS_HEIGHT,
    TONES,
    Page,
    axis,
    both,
    difference_text,
    estimate_mark,
    legend,
    missing,
    row_label,
)
from flantune.report.figures.svg import Scale, circle, group, image, line, padded_range, rectangle, shorten, text
from flantune.report.numbers import end, interval, points, shots_label, signed, span
from flantune.report.sides import ComparedPair, ShownTask, Sides

LANE = (-5.0, 5.0)
"""Vertical offset of each model's mark from the middle of its row, in pixels."""


# ---------------------------------------------------------------- the headline


def verdict_figure(verdict: Verdict, sides: Sides) -> Markup:
    """The difference and its interval on a small axis under the headline; empty if not measured."""
    difference = verdict.difference
    return both(lambda page: _verdict(difference, sides, page)) if difference else Markup("")


def _verdict(difference: Difference, sides: Sides, page: Page) -> Markup:
    width = page.width if page.is_narrow else 600.0
    reach = max(max(abs(end) for end in (difference.value, difference.low, difference.high)) * 1.3, 0.05)
    scale = Scale(-reach, reach, 4, width - 4)
    y = 56.0
    marks = [
        rectangle(scale(-reach), y - 9, scale(reach) - scale(-reach), 18, "half"),
        line(scale(0), y - 22, scale(0), y + 18, "zero"),
        # Above the number, which may be at either end of a narrow figure.
        text(4, 12, "← worse", "axis"),
        text(width - 4, 12, "better →", "axis", anchor="end"),
        text(scale(0), y + 34, "0", "axis halo", anchor="middle"),
    ]
    marks += estimate_mark(difference, scale, y, f"mark {difference.direction}", radius=7)
    tone = f"hero {difference.direction} halo"
    marks.append(text(scale(difference.value), y - 18, signed(difference.value), tone, anchor="middle"))
    marks += _ends(difference, scale, y + 34)
    label = (
        f"Difference {sides.second} − {sides.first}: {signed(difference.value)} points, interval "
        f"{interval(difference.low, difference.high)}; to the left of zero is worse, to the right better."
    )
    return image(marks, width=width, height=96, label=label, variant=page.name)


def _ends(difference: Difference, scale: Scale, y: float) -> list[Markup]:
    """The ends of the interval as numbers: left out near zero, moved apart if the interval is short."""
    low, high = difference.low, difference.high
    is_short = scale(high) - scale(low) < 48
    ends = ((low, "end" if is_short else "middle"), (high, "start" if is_short else "middle"))
    return [
        text(scale(bound), y, end(bound), "axis halo", anchor=anchor)
        for bound, anchor in ends
        if abs(scale(bound) - scale(0)) > (48 if is_short else 24)
    ]


# ---------------------------------------------------------------- clusters


def cluster_figure(
    clusters: Sequence[ComparedPair], overall: Sequence[ComparedPair], sides: Sides, *, measure: str
) -> Markup:
    """Two models on each held-out cluster, with chance and intervals: the paper's main figure.

    Args:
        clusters: One entry per cluster and number of exemplars.
        overall: One entry per number of exemplars, drawn last under a rule.
        sides: The models.
        measure: "raw" or "normalized", for the words only.

    Paper: FLAN 2021, section 3, shows the same comparison for its held-out clusters.
    """
    return both(lambda page: _clusters(clusters, overall, sides, page, measure)) if clusters else missing()


def _clusters(
    rows: Sequence[ComparedPair], overall: Sequence[ComparedPair], sides: Sides, page: Page, measure: str
) -> Markup:
    scale = _score_scale([*rows, *overall], page)
    names = _in_order(rows)
    y, marks = 46.0, [legend(page, sides.both, at_end=_minus(sides))]
    for name in names:
        members = sorted((row for row in rows if row.name == name), key=lambda row: row.shots)
        drawn, y = _block(members, sides, scale, page, y)
        marks += drawn
    if overall:
        marks.append(line(0, y, page.width, y, "rule"))
        whole = sorted(overall, key=lambda row: row.shots)
        drawn, y = _block(whole, sides, scale, page, y + 6, is_strong=True)
        marks += drawn
    unit = "score, points" if measure == "raw" else "share of the way from chance (0) to perfect (100)"
    grid = axis(scale, page, 38, y, points, unit=unit)
    label = f"Clusters never trained on, {measure} scores in points. "
    label += " ".join(_say(row, sides) for row in [*rows, *overall])
    return image([*grid, *marks], width=page.width, height=y + AXIS_HEIGHT, label=label, variant=page.name)


def _block(
    members: Sequence[ComparedPair], sides: Sides, scale: Scale, page: Page, y: float, *, is_strong: bool = False
) -> tuple[list[Markup], float]:
    """All rows of one cluster, from a given height on, and the height below them.

    On narrow screens, if there are several numbers of exemplars, the name and each number have their own lines.
    """
    name, several = members[0].name, len(members) > 1
    marks: list[Markup] = []
    if page.is_narrow and several:
        y += page.label
        marks += row_label(name, page, y, is_strong=True)
    for k, row in enumerate(members):
        y += page.label
        middle = y + page.row / 2
        if k == 0 and not (page.is_narrow and several):
            marks += row_label(name, page, y, is_strong=is_strong)
        if several and page.is_narrow:
            marks.append(text(page.left, y - 5, shots_label(row.shots), "axis"))
        elif several:
            marks.append(text(page.left - 10, middle + 4, shots_label(row.shots), "axis", anchor="end"))
        marks += _marks(row, sides, scale, middle)
        marks += difference_text(row.difference, page, y, tone=row.direction)
        y += page.row
    return marks, y + 8


def _in_order(rows: Sequence[ComparedPair]) -> list[str]:
    """Names of the clusters, each once, in order of first appearance."""
    return list(dict.fromkeys(row.name for row in rows))


def _score_scale(rows: Sequence[ComparedPair], page: Page) -> Scale:
    known = [row.chance for row in rows if row.chance is not None]
    known += [x for row in rows for one in (row.first, row.second) if one for x in (one.value, one.low, one.high)]
    low, high = padded_range(known, step=0.1, smallest=0.3)
    return Scale(low, high, page.left, page.right)


def _marks(row: ComparedPair, sides: Sides, scale: Scale, y: float) -> list[Markup]:
    marks: list[Markup] = []
    if row.chance is not None:
        marks.append(line(scale(row.chance), y - 11, scale(row.chance), y + 11, "chance"))
    for found, tone, lane in zip((row.first, row.second), TONES, LANE, strict=True):
        marks += estimate_mark(found, scale, y + (lane if sides.second else 0.0), f"mark {tone}")
    return [group(*marks, title=_say(row, sides))]


def _say(row: ComparedPair, sides: Sides) -> str:
    said = [
        f"{name} {points(found.value)} ({span(found.low, found.high)})"
        for name, found in zip(sides.both, (row.first, row.second), strict=False)
        if found
    ]
    said += [f"difference {_said_difference(row.difference)}"] if row.difference else []
    said += [] if row.chance is None else [f"chance {points(row.chance)}"]
    return f"{row.name}, {shots_label(row.shots)}: {', '.join(said)}."


def _said_difference(difference: Difference) -> str:
    return f"{signed(difference.value)} ({interval(difference.low, difference.high)})"


def _minus(sides: Sides) -> str:
    """The difference as a formula: "tuned − base"."""
    return f"{shorten(sides.second, 110)} − {shorten(sides.first, 110)}" if sides.second else ""


# ---------------------------------------------------------------- paired differences per task


def difference_figure(rows: Sequence[ComparedPair], sides: Sides) -> Markup:
    """How two models differ on each task, with intervals. Differences that may be chance are drawn hollow."""
    return forest_figure(
        [
            ForestRow(name=row.name, difference=row.difference, direction=row.direction)
            for row in rows
            if row.difference
        ],
        unit=f"{_minus(sides)}, points",
        label=f"Difference {sides.second} − {sides.first} on each task, in points.",
    )


# ---------------------------------------------------------------- every template of every task


def template_figure(tasks: Sequence[ShownTask], sides: Sides) -> Markup:
    """Every template of every task as a dot, with median and interquartile range: the spread over wordings.

    Paper: FLAN 2021, section 2.3 (mean over templates); T0 (median and interquartile range).
    """
    return both(lambda page: _templates(tasks, sides, page)) if tasks else missing()


def _templates(rows: Sequence[ShownTask], sides: Sides, page: Page) -> Markup:
    known = [t.value for row in rows for each in _each(row, sides) for t in each]
    low, high = padded_range([*known, *(row.exam.chance for row in rows)], step=0.1, smallest=0.3)
    scale = Scale(low, high, page.left, page.right)
    row_height = 40.0
    at_end = f"median, {' → '.join(sides.both)}"
    dots = "dot: template · bar: IQR · stroke: median"
    marks = [legend(page, sides.both, at_end=at_end if len(at_end) < 24 else "medians", dots=dots)]
    y = 40.0
    for row in rows:
        y += page.label
        middle = y + row_height / 2
        marks += _strip_label(row, sides, page, y, middle)
        chance = scale(row.exam.chance)
        marks.append(line(chance, middle - 14, chance, middle + 14, "chance"))
        for place, each in enumerate(_each(row, sides)):
            lane = (-7.5, 7.5)[place] if sides.second else 0.0
            marks += _strip(row.exam.name, sides.both[place], each, scale, middle + lane, TONES[place])
        y += row_height
    label = "Scores of every template, in points. " + " ".join(_say_spread(row, sides) for row in rows)
    grid = axis(scale, page, 30, y, points, unit="score, points")
    return image([*grid, *marks], width=page.width, height=y + AXIS_HEIGHT, label=label, variant=page.name)


def _each(row: ShownTask, sides: Sides) -> list[tuple[TemplateScores, ...]]:
    return [row.exam.scores[model].templates for model in sides.both]


def _strip_label(row: ShownTask, sides: Sides, page: Page, y: float, middle: float) -> list[Markup]:
    medians = " → ".join(points(row.exam.scores[model].median) for model in sides.both)
    if page.is_narrow:
        return [
            text(page.left, y - 3, shorten(row.label, 190), "label"),
            text(page.right, y - 3, medians, "axis", anchor="end"),
        ]
    return [
        text(0, middle + 4, shorten(row.label, page.left - 12), "label"),
        text(page.width, middle + 4, medians, "axis", anchor="end"),
    ]


def _strip(
    task: str, model: str, templates: Sequence[TemplateScores], scale: Scale, y: float, tone: str
) -> list[Markup]:
    values = sorted(one.value for one in templates)
    marks: list[Markup] = []
    if len(values) >= 2:
        low, high = quantile(values, 0.25), quantile(values, 0.75)
        marks.append(rectangle(scale(low), y - 5, max(scale(high) - scale(low), 1.5), 10, f"iqr {tone}", radius=2))
    marks += [
        circle(scale(t.value), y, 3.2, f"strip {tone}", title=f"{task} / {t.template}: {model} {points(t.value)}")
        for t in templates
    ]
    if values:
        x = scale(quantile(values, 0.5))
        marks.append(line(x, y - 6.5, x, y + 6.5, f"median {tone}"))
    return marks


def quantile(values: Sequence[float], q: float) -> float:
    """A quantile of sorted values, by linear interpolation.

    >>> quantile([1, 2, 3, 4], 0.5), quantile([5], 0.25)
    (2.5, 5.0)
    """
    place = q * (len(values) - 1)
    k = int(place)
    after = values[min(k + 1, len(values) - 1)]
    return float(values[k] + (place - k) * (after - values[k]))


def _say_spread(row: ShownTask, sides: Sides) -> str:
    said = [
        f"{model} {points(min(values))} to {points(max(values))} over {len(values)} templates"
        for model, each in zip(sides.both, _each(row, sides), strict=True)
        for values in [[one.value for one in each]]
        if values
    ]
    return f"{row.label}: {', '.join(said)}."
