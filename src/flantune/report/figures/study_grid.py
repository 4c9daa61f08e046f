"""A crossed study: a row per series and a column per label; cells have score, interval and paired difference."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from flantune.report.figures.frame import NARROW, WIDE, Page, missing
from flantune.report.figures.published import Published
from flantune.report.figures.series import is_baseline, label_of
from flantune.report.figures.study_bars import bars
from flantune.report.figures.svg import element, group, image, line, shorten, text, two_lines
from flantune.report.numbers import interval, points, signed, span
from flantune.studies.outcome import ArmOutcome, StudyOutcome

MOST_COLUMNS = 7
"""Crossed studies with more columns are drawn as bars."""

_LEFT, _TOP, _ROW = 170.0, 64.0, 66.0


def grid_figure(outcome: StudyOutcome, published: Sequence[Published] = ()) -> Markup:
    """The crossed arms as a table; on narrow screens as bars, which need less width."""
    arms = [arm for arm in outcome.arms if arm.score is not None]
    if not arms:
        return missing("No run of it is finished.")
    columns = list(dict.fromkeys(label_of(arm) for arm in arms))
    wide = _grid(outcome, arms, columns, published, WIDE) if len(columns) <= MOST_COLUMNS else bars(outcome, WIDE)
    return wide + bars(outcome, NARROW)


def _grid(
    outcome: StudyOutcome,
    arms: Sequence[ArmOutcome],
    columns: Sequence[str],
    published: Sequence[Published],
    page: Page,
) -> Markup:
    rows = list(dict.fromkeys(arm.series for arm in arms))
    width = min((page.width - _LEFT) / len(columns), 170.0)
    values = [arm.score.value for arm in arms if arm.score]
    marks = [text(_LEFT, 12, shorten(outcome.axis, page.width - _LEFT), "axis")]
    for at, name in enumerate(columns):
        lines = two_lines(name, width - 6)
        for number, words in enumerate(reversed(lines)):
            x, y = _LEFT + (at + 0.5) * width, _TOP - 10 - 15 * number
            marks.append(text(x, y, words, "label", anchor="middle"))
    for number, series in enumerate(rows):
        y = _TOP + number * _ROW
        lines = two_lines(series or "arms", _LEFT - 16)
        for at, words in enumerate(lines):
            marks.append(text(0, y + _ROW / 2 + 4 + 15 * (at - (len(lines) - 1) / 2), words, "label strong"))
        for arm in arms:
            if arm.series == series:
                x = _LEFT + columns.index(label_of(arm)) * width
                marks.append(_cell(outcome, arm, x, y, width, low=min(values), high=max(values)))
                found = [one for one in published if (one.series, one.label) == (arm.series, label_of(arm))]
                marks += [_other(one, x + width - 8, y + 15) for one in found]
    bottom = _TOP + len(rows) * _ROW
    marks += _key(arms, bottom, page)
    label = f"{outcome.question} Scores in points. " + " ".join(
        f"{arm.name}: {points(arm.score.value)} ({span(arm.score.low, arm.score.high)})." for arm in arms if arm.score
    )
    return image(marks, width=page.width, height=bottom + 30, label=label, variant=page.name)


def _cell(
    outcome: StudyOutcome, arm: ArmOutcome, x: float, y: float, width: float, *, low: float, high: float
) -> Markup:
    if arm.score is None:
        return Markup("")
    share = (arm.score.value - low) / (high - low) if high > low else 0.5
    middle = x + width / 2
    box = element(
        "rect", x=x + 2, y=y + 2, width=width - 4, height=_ROW - 4, rx=4.0, class_="cell",
        fill_opacity=f"{0.05 + 0.27 * share:.2f}",
    )  # fmt: skip
    marks = [
        box,
        text(middle, y + 24, points(arm.score.value), "cell-score", anchor="middle"),
        text(middle, y + 39, span(arm.score.low, arm.score.high), "axis", anchor="middle"),
    ]
    if arm.difference is not None:
        tone = arm.difference.direction
        marks.append(text(middle, y + 55, signed(arm.difference.value), f"value {tone}", anchor="middle"))
        said = f"{arm.name}: {signed(arm.difference.value)} ({interval(arm.difference.low, arm.difference.high)})"
        return group(*marks, title=said)
    if is_baseline(outcome, arm):
        marks.append(text(middle, y + 55, "baseline", "axis", anchor="middle"))
    return group(*marks, title=arm.name)


def _other(one: Published, x: float, y: float) -> Markup:
    """The paper's score for the cell, small and gray in its corner."""
    return group(text(x, y, points(one.value), "axis", anchor="end"), title=one.source)


def _key(arms: Sequence[ArmOutcome], bottom: float, page: Page) -> list[Markup]:
    """Base and chance, given once: they rarely differ between arms, and the cells do not show them."""
    bases = sorted({points(arm.base.value) for arm in arms if arm.base and arm.reads != "base"})
    chances = sorted({points(arm.chance) for arm in arms})
    said = [f"chance {' to '.join(dict.fromkeys((chances[0], chances[-1])))}"]
    said += [f"base model {' to '.join(dict.fromkeys((bases[0], bases[-1])))}"] if bases else []
    return [line(0, bottom + 6, page.width, bottom + 6, "rule"), text(0, bottom + 24, " · ".join(said), "axis")]
