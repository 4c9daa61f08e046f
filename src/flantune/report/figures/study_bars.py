"""A study with named arms: a bar per arm, in groups, with base, chance and the paired difference."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from flantune.report.figures.frame import AXIS_HEIGHT, Page, axis, both, difference_text, missing
from flantune.report.figures.series import Series, is_baseline, label_of, series_of
from flantune.report.figures.svg import Scale, circle, group, image, line, padded_range, rectangle, shorten, text
from flantune.report.numbers import interval, plural, points, signed, span
from flantune.studies.outcome import ArmOutcome, StudyOutcome


def bars_figure(outcome: StudyOutcome) -> Markup:
    """A bar from zero for the score of every arm, in the order of the study."""
    return both(lambda page: bars(outcome, page)) if _measured(outcome) else missing("No run of it is finished.")


def _measured(outcome: StudyOutcome) -> list[ArmOutcome]:
    return [arm for arm in outcome.arms if arm.score is not None]


def bars(outcome: StudyOutcome, page: Page) -> Markup:
    """The drawing for one width of screen."""
    arms = _measured(outcome)
    several = series_of(arms)
    scale = Scale(*_ends(arms), page.left, page.right)
    y, marks = 40.0, list(_legend(outcome, arms, page))
    for series in several:
        if len(several) > 1:
            marks.append(text(0 if not page.is_narrow else page.left, y + 14, series.name, "label strong"))
            y += 22
        for arm in series.arms:
            y += page.label
            marks += _bar(outcome, arm, series, scale, page, y)
            y += page.row
        y += 8
    grid = axis(scale, page, 32, y, points, unit="score, points")
    label = f"{outcome.question} Scores in points. " + " ".join(_say(arm) for arm in arms)
    return image([*grid, *marks], width=page.width, height=y + AXIS_HEIGHT, label=label, variant=page.name)


def _ends(arms: Sequence[ArmOutcome]) -> tuple[float, float]:
    known = [0.0, *(arm.chance for arm in arms)]
    known += [v for arm in arms for one in (arm.score, arm.base) if one for v in (one.value, one.low, one.high)]
    low, high = padded_range(known, step=0.1, smallest=0.3)
    return (low if min(known) < 0.0 else 0.0), high


def _bar(outcome: StudyOutcome, arm: ArmOutcome, series: Series, scale: Scale, page: Page, y: float) -> list[Markup]:
    score, middle = arm.score, y + page.row / 2
    if score is None:
        return []
    left, right = sorted((scale(0.0), scale(score.value)))
    name, rows = label_of(arm), _rows(arm) if _counts_rows(outcome) else ""
    if rows and not name.endswith(rows):  # some arms are named after their number of rows
        name = f"{name} · {rows}"
    tone = "base" if arm.reads == "base" else series.tone
    marks = [
        rectangle(left, middle - 7, right - left, 14, f"mark {tone} column"),
        line(scale(score.low), middle, scale(score.high), middle, f"mark {tone} whisker"),
        line(scale(arm.chance), middle - 11, scale(arm.chance), middle + 11, "chance"),
    ]
    marks += [circle(scale(value), middle + 4, 1.5, "mark base seed") for value in score.each if len(score.each) > 1]
    if arm.base and arm.reads != "base":
        marks.append(circle(scale(arm.base.value), middle, 4.0, "mark base dot"))
    at = (page.left, y - 5) if page.is_narrow else (10.0, middle + 4)
    room = page.left - 14 if not page.is_narrow else 180.0
    return [
        text(at[0], at[1], shorten(name, room), "label"),
        group(*marks, title=_say(arm)),
        *_compared(outcome, arm, page, y),
    ]


def _compared(outcome: StudyOutcome, arm: ArmOutcome, page: Page, y: float) -> list[Markup]:
    if arm.difference is not None:
        return difference_text(arm.difference, page, y)
    if not is_baseline(outcome, arm):
        return []
    x, height = (page.right, y - 5) if page.is_narrow else (page.width, y + page.row / 2 + 4)
    return [text(x, height, "baseline", "axis", anchor="end")]


def _counts_rows(outcome: StudyOutcome) -> bool:
    return any(arm.labeled_rows is not None for arm in outcome.arms)


def _rows(arm: ArmOutcome) -> str:
    if arm.labeled_rows is None:
        return "all rows"
    return plural(arm.labeled_rows, "row") if arm.labeled_rows else "no rows"


def _legend(outcome: StudyOutcome, arms: Sequence[ArmOutcome], page: Page) -> list[Markup]:
    has_base = any(arm.base and arm.reads != "base" for arm in arms)
    x, marks = page.left, []
    if has_base:
        marks += [circle(x + 6, 12, 4.0, "mark base dot"), text(x + 16, 16, "base model", "legend")]
        x += 98
    marks += [line(x + 4, 4, x + 4, 20, "chance"), text(x + 12, 16, "chance", "legend")]
    minus = f"arm − {outcome.baseline or 'its base model'}"
    return marks if page.is_narrow else [*marks, text(page.width, 16, shorten(minus, 200), "axis", anchor="end")]


def _say(arm: ArmOutcome) -> str:
    if arm.score is None:
        return ""
    said = [f"{points(arm.score.value)} ({span(arm.score.low, arm.score.high)})"]
    if arm.difference:
        change = f"{signed(arm.difference.value)} ({interval(arm.difference.low, arm.difference.high)})"
        said.append(f"difference {change}")
    said += [f"base {points(arm.base.value)}"] if arm.base else []
    return f"{arm.name}: {', '.join(said)}, chance {points(arm.chance)}."
