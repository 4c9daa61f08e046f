"""The report's figures, as inline SVG: each comes twice, drawn for wide and for narrow screens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from markupsafe import Markup

from flantune.report.estimates import Estimate
from flantune.report.figures.frame import (
    AXIS_HEIGHT,
    Page,
    axis,
    both,
    difference_text,
    interval_mark,
    legend,
    missing,
    row_label,
)
from flantune.report.figures.svg import Scale, circle, group, image, line, padded_range, rectangle, shorten, text
from flantune.report.numbers import end, points, shots_label, signed
from flantune.report.results import MODELS, Model, Pair, TaskResult, Verdict

LANE = {"base": -5.0, "tuned": 5.0}
"""Vertical offset of each model's mark from the middle of its row, in pixels."""


# ---------------------------------------------------------------- the headline


def verdict_figure(verdict: Verdict) -> Markup:
    """The difference and its interval against zero, drawn small under the headline; empty when unmeasured."""
    if verdict.difference.value is None:
        return Markup("")
    return both(lambda page: _verdict(verdict, page))


def _verdict(verdict: Verdict, page: Page) -> Markup:
    difference = verdict.difference
    width = page.width if page.is_narrow else 600.0
    known = [v for v in (0.0, difference.value, difference.low, difference.high) if v is not None]
    reach = max(max(map(abs, known)) * 1.3, 0.05)
    scale = Scale(-reach, reach, 4, width - 4)
    y = 56.0
    marks = [
        rectangle(scale(-reach), y - 9, scale(reach) - scale(-reach), 18, "half"),
        line(scale(0), y - 22, scale(0), y + 18, "zero"),
        # Above the number, which may stand at either end of a narrow figure.
        text(4, 12, "← worse", "axis"),
        text(width - 4, 12, "better →", "axis", anchor="end"),
        text(scale(0), y + 34, "0", "axis halo", anchor="middle"),
    ]
    marks += interval_mark(difference, scale, y, f"mark {verdict.direction}", radius=7)
    tone = f"hero {verdict.direction} halo"
    marks.append(text(scale(difference.value or 0.0), y - 18, difference.signed(), tone, anchor="middle"))
    marks += _ends(difference, scale, y + 34)
    label = (
        f"Difference of tuned and base {difference.signed()} points, interval {difference.interval()}; "
        f"to the left of zero is worse, to the right better."
    )
    return image(marks, width=width, height=96, label=label, variant=page.name)


def _ends(difference: Estimate, scale: Scale, y: float) -> list[Markup]:
    """Both ends of the interval in words, but not over the zero, and apart where the interval is short."""
    low, high = difference.low, difference.high
    if low is None or high is None:
        return []
    is_short = scale(high) - scale(low) < 48
    ends = ((low, "end" if is_short else "middle"), (high, "start" if is_short else "middle"))
    return [
        text(scale(bound), y, end(bound), "axis halo", anchor=anchor)
        for bound, anchor in ends
        if abs(scale(bound) - scale(0)) > (48 if is_short else 24)
    ]


# ---------------------------------------------------------------- held-out clusters


def cluster_figure(pairs: Sequence[Pair], overall: Sequence[Pair], *, measure: str) -> Markup:
    """Base against tuned on each held-out cluster, with chance and intervals: the paper's main figure.

    Args:
        pairs: One entry a cluster and number of exemplars.
        overall: One entry a number of exemplars; drawn last, under a rule.
        measure: "raw" or "normalized", for words only.

    Paper: FLAN 2021, section 3, shows the same comparison for its held-out clusters.
    """
    rows = [row for row in pairs if row.base.value is not None or row.tuned.value is not None]
    if not rows:
        return missing()
    return both(lambda page: _clusters(rows, list(overall), page, measure))


def _clusters(rows: list[Pair], overall: list[Pair], page: Page, measure: str) -> Markup:
    scale = _score_scale([*rows, *overall], page)
    names = _in_order(rows)
    y, marks = 46.0, [legend(page)]
    for name in names:
        members = sorted((row for row in rows if row.name == name), key=lambda row: row.shots)
        drawn, y = _block(members, scale, page, y)
        marks += drawn
    if overall:
        marks.append(line(0, y, page.width, y, "rule"))
        drawn, y = _block(sorted(overall, key=lambda row: row.shots), scale, page, y + 6, is_strong=True)
        marks += drawn
    unit = "score, points" if measure == "raw" else "share of the way from chance (0) to perfect (100)"
    grid = axis(scale, page, 38, y, points, unit=unit)
    label = f"Held-out clusters, {measure} scores in points. " + " ".join(_say_pair(r) for r in [*rows, *overall])
    return image([*grid, *marks], width=page.width, height=y + AXIS_HEIGHT, label=label, variant=page.name)


def _block(
    members: list[Pair], scale: Scale, page: Page, y: float, *, is_strong: bool = False
) -> tuple[list[Markup], float]:
    """All rows of one cluster from a height on, and the height after them.

    On narrow screens with several numbers of exemplars the name has a line of its own, and so has each number.
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
        marks += _pair_marks(row, scale, middle)
        marks += difference_text(row.difference, page, y)
        y += page.row
    return marks, y + 8


def _in_order(rows: Sequence[Pair]) -> list[str]:
    """Names of clusters, largest first difference first; each once."""
    first = {row.name: row for row in sorted(rows, key=lambda r: -r.shots)}
    return sorted(first, key=lambda name: (-(first[name].difference.value or 0.0), name))


def _score_scale(rows: Sequence[Pair], page: Page) -> Scale:
    known = [
        v
        for row in rows
        for v in (row.chance, *(x for e in (row.base, row.tuned) for x in (e.value, e.low, e.high)))
        if v is not None
    ]
    low, high = padded_range(known, step=0.1, smallest=0.3)
    return Scale(low, high, page.left, page.right)


def _pair_marks(row: Pair, scale: Scale, y: float) -> list[Markup]:
    marks: list[Markup] = []
    if row.chance is not None:
        marks.append(line(scale(row.chance), y - 11, scale(row.chance), y + 11, "chance"))
    for model in MODELS:
        marks += interval_mark(row.of(model), scale, y + LANE[model], f"mark {model}")
    return [group(*marks, title=_say_pair(row))]


def _say_pair(row: Pair) -> str:
    chance = "" if row.chance is None else f", chance {points(row.chance)}"
    return (
        f"{row.name}, {shots_label(row.shots)}: base {row.base.score()} ({row.base.score_span()}), "
        f"tuned {row.tuned.score()} ({row.tuned.score_span()}), difference {row.difference.signed()} "
        f"({row.difference.interval()}){chance}."
    )


# ---------------------------------------------------------------- paired differences per task


def difference_figure(pairs: Sequence[Pair]) -> Markup:
    """What tuning changed on each task, sorted, with intervals: those that cross zero are drawn hollow."""
    rows = sorted((p for p in pairs if p.difference.value is not None), key=lambda p: -(p.difference.value or 0.0))
    return both(lambda page: _differences(rows, page)) if rows else missing()


def _differences(rows: list[Pair], page: Page) -> Markup:
    known = [v for r in rows for v in (0.0, r.difference.value, r.difference.low, r.difference.high) if v is not None]
    low, high = padded_range(known, step=0.05, smallest=0.2)
    scale = Scale(low, high, page.left, page.right)
    row_height = 24.0 if not page.is_narrow else 20.0
    y, marks = 30.0, []
    for row in rows:
        y += page.label
        middle = y + row_height / 2
        shape = replace(page, row=row_height)
        marks += row_label(row.name, shape, y, room=page.left - 12)
        dot = interval_mark(row.difference, scale, middle, f"mark {row.difference.direction}")
        said = f"{row.name}: {row.difference.signed()} ({row.difference.interval()})"
        marks.append(group(*dot, title=said))
        marks += difference_text(row.difference, shape, y)
        y += row_height + (2 if page.is_narrow else 0)
    zero = [
        line(scale(0), 20, scale(0), y, "zero"),
        text(scale(0) - 8, 12, "← worse", "axis", anchor="end") if scale(0) - page.left > 50 else "",
        text(scale(0) + 8, 12, "better →", "axis") if page.right - scale(0) > 50 else "",
    ]
    label = "Difference of tuned and base on each unseen task, in points. " + " ".join(
        f"{r.name}: {r.difference.signed()} ({r.difference.interval()})." for r in rows
    )
    grid = axis(scale, page, 20, y, lambda v: signed(v).removesuffix(".0"), unit="tuned − base, points")
    return image([*grid, *zero, *marks], width=page.width, height=y + AXIS_HEIGHT, label=label, variant=page.name)


# ---------------------------------------------------------------- every template of every task


def template_figure(tasks: Sequence[TaskResult]) -> Markup:
    """Every template of every unseen task as a dot, with median and inter-quartile range: the spread over phrasings.

    Paper: FLAN 2021, section 2.3 (mean over templates); T0 (median and inter-quartile range).
    """
    rows = [t for t in tasks if any(s.value is not None for m in MODELS for s in t.of(m).templates)]
    return both(lambda page: _templates(rows, page)) if rows else missing()


def _templates(rows: list[TaskResult], page: Page) -> Markup:
    known = [s.value for t in rows for m in MODELS for s in t.of(m).templates if s.value is not None]
    chances = [t.chance for t in rows if t.chance is not None]
    low, high = padded_range([*known, *chances], step=0.1, smallest=0.3)
    scale = Scale(low, high, page.left, page.right)
    row_height = 40.0
    dots = "" if page.is_narrow else "dot: template · bar: IQR · stroke: median"
    y, marks = 40.0, [legend(page, at_end="median, base → tuned", dots=dots)]
    for row in rows:
        y += page.label
        middle = y + row_height / 2
        marks += _strip_label(row, page, y, middle)
        if row.chance is not None:
            marks.append(line(scale(row.chance), middle - 14, scale(row.chance), middle + 14, "chance"))
        for model in MODELS:
            marks += _strip(row, model, scale, middle + (-7.5 if model == "base" else 7.5))
        y += row_height
    label = "Scores of every template, in points. " + " ".join(_say_spread(t) for t in rows)
    grid = axis(scale, page, 30, y, points, unit="score, points")
    return image([*grid, *marks], width=page.width, height=y + AXIS_HEIGHT, label=label, variant=page.name)


def _strip_label(row: TaskResult, page: Page, y: float, middle: float) -> list[Markup]:
    change = f"{points(row.base.median)} → {points(row.tuned.median)}"
    if page.is_narrow:
        return [
            text(page.left, y - 3, shorten(row.label, 190), "label"),
            text(page.right, y - 3, change, "axis", anchor="end"),
        ]
    return [
        text(0, middle + 4, shorten(row.label, page.left - 12), "label"),
        text(page.width, middle + 4, change, "axis", anchor="end"),
    ]


def _strip(row: TaskResult, model: Model, scale: Scale, y: float) -> list[Markup]:
    scores = row.of(model)
    values = sorted(s.value for s in scores.templates if s.value is not None)
    marks: list[Markup] = []
    if len(values) >= 2:
        low, high = quantile(values, 0.25), quantile(values, 0.75)
        marks.append(rectangle(scale(low), y - 5, max(scale(high) - scale(low), 1.5), 10, f"iqr {model}", radius=2))
    marks += [
        circle(scale(s.value), y, 3.2, f"strip {model}", title=f"{row.task} / {s.template}: {model} {points(s.value)}")
        for s in scores.templates
        if s.value is not None
    ]
    if values:
        x = scale(quantile(values, 0.5))
        marks.append(line(x, y - 6.5, x, y + 6.5, f"median {model}"))
    return marks


def quantile(values: Sequence[float], q: float) -> float:
    """The value below which a share of sorted values lies, by linear interpolation.

    >>> quantile([1, 2, 3, 4], 0.5), quantile([5], 0.25)
    (2.5, 5.0)
    """
    place = q * (len(values) - 1)
    k = int(place)
    after = values[min(k + 1, len(values) - 1)]
    return float(values[k] + (place - k) * (after - values[k]))


def _say_spread(row: TaskResult) -> str:
    said = []
    for model in MODELS:
        values = [s.value for s in row.of(model).templates if s.value is not None]
        if values:
            said.append(f"{model} {points(min(values))} to {points(max(values))} over {len(values)} templates")
    return f"{row.label}: {', '.join(said)}."
