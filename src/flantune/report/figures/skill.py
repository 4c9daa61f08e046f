"""Skill against preference: every ranked task as an arrow from the base model to the tuned one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from flantune.evaluation.estimates import Difference, Direction, Skill
from flantune.evaluation.statistics.discovery_rates import clear_direction
from flantune.report.figures.frame import Page, both, missing
from flantune.report.figures.svg import (
    CHARACTER_WIDTH,
    Scale,
    circle,
    group,
    image,
    line,
    padded_range,
    path,
    shorten,
    text,
)
from flantune.report.numbers import interval, points, share, shots_label, signed
from flantune.report.sides import ShownTask, Sides

GUESSING = 0.5
"""Discrimination of a model that guesses."""

_HEAD = 7.0
"""Length of an arrow's head, in pixels."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Arrow:
    """A task in the plane, in pixels."""

    name: str
    start: Point
    end: Point
    tone: str
    said: str
    size: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    """A ranked task with the skill of one or two models."""

    task: ShownTask
    ends: tuple[Skill, ...]
    areas: tuple[float, ...]
    difference: Difference | None
    tone: Direction


def skill_figure(tasks: Sequence[ShownTask], sides: Sides, *, confidence: float) -> Markup:
    """Each ranked task as an arrow in the plane of preference (horizontal) and discrimination (vertical).

    Upwards means more skill. Sideways means a changed preference, which affects raw accuracy but is not skill. Tasks
    whose discrimination is undefined are left out. A single model is drawn as one dot per task.
    """
    rows = [drawn for task in tasks if (drawn := _drawn_of(task, sides, confidence=confidence)) is not None]
    return (
        both(lambda page: _plane(rows, sides, page))
        if rows
        else missing("No ranked task whose discrimination is defined.")
    )


def _drawn_of(task: ShownTask, sides: Sides, *, confidence: float) -> _Drawn | None:
    skills = [task.exam.scores[model].skill for model in sides.both]
    ends = tuple(skill for skill in skills if skill is not None)
    areas = tuple(skill.discrimination.value for skill in ends if skill.discrimination is not None)
    if len(areas) < len(skills):
        return None
    difference = task.exam.differences[sides.second].skill if sides.second else None
    change = difference.discrimination if difference else None
    rate = difference.discrimination_q if difference else None
    return _Drawn(
        task=task,
        ends=ends,
        areas=areas,
        difference=change,
        tone=clear_direction(change, rate, confidence=confidence) if change else "undecided",
    )


def _plane(rows: Sequence[_Drawn], sides: Sides, page: Page) -> Markup:
    left, right = (34.0, page.width - 10) if page.is_narrow else (52.0, page.width - 20)
    top, bottom = 46.0, 380.0 if page.is_narrow else 440.0
    distances = [one.answers.distance for row in rows for one in row.ends]
    across = Scale(0.0, padded_range(distances, step=0.1, smallest=0.3)[1], left, right)
    areas = [GUESSING, *(area for row in rows for area in row.areas)]
    up = Scale(*padded_range(areas, step=0.1, smallest=0.3), bottom, top)
    arrows = sorted((_arrow(row, sides, across, up) for row in rows), key=lambda arrow: arrow.size)
    marks = [*_grid(across, up, page), _key(sides, page), *(_drawn(arrow) for arrow in arrows)]
    marks += _labels(list(reversed(arrows)), page, bounds=(left, top, page.width, bottom))
    label = (
        "Skill against preference, in points. For each ranked task the distance of the answers given from the right "
        f"ones, and discrimination, {' to '.join(sides.both)}. " + " ".join(arrow.said for arrow in reversed(arrows))
    )
    return image(marks, width=page.width, height=bottom + 42, label=label, variant=page.name)


def _arrow(row: _Drawn, sides: Sides, across: Scale, up: Scale) -> _Arrow:
    places = [(across(one.answers.distance), up(area)) for one, area in zip(row.ends, row.areas, strict=True)]
    difference = row.difference
    return _Arrow(
        name=row.task.label,
        start=places[0],
        end=places[-1],
        tone=row.tone,
        said=_say(row, sides, difference),
        size=abs(difference.value if difference else row.areas[0] - GUESSING),
    )


def _say(row: _Drawn, sides: Sides, difference: Difference | None) -> str:
    changed = (
        f" ({signed(difference.value)}, {interval(difference.low, difference.high)})" if difference is not None else ""
    )
    means = " to ".join(points(row.task.exam.scores[model].mean.value) for model in sides.both)
    return (
        f"{row.task.label}, {shots_label(row.task.exam.shots)}: discrimination {' to '.join(map(points, row.areas))}"
        f"{changed}; distance {' to '.join(points(one.answers.distance) for one in row.ends)}; commonest answer "
        f"{', then '.join(map(_answer, row.ends))}; raw score {means}."
    )


def _answer(skill: Skill) -> str:
    answers = skill.answers
    return f"“{shorten(answers.answer, 260)}” {share(answers.share)} (right {share(answers.gold)})"


def _grid(across: Scale, up: Scale, page: Page) -> Iterator[Markup]:
    """Axes, the line of guessing, and the meaning of the directions."""
    for tick in up.ticks(6):
        yield line(across.start, up(tick), across.end, up(tick), "grid")
        yield text(across.start - 7, up(tick) + 4, points(tick).removesuffix(".0"), "axis", anchor="end")
    for tick in across.ticks(5 if page.is_narrow else 8):
        yield text(across(tick), up.start + 17, points(tick).removesuffix(".0"), "axis", anchor="middle")
    yield line(across.start, up.start, across.end, up.start, "rule")
    yield line(across.start, up(GUESSING), across.end, up(GUESSING), "chance")
    yield text(across.end, up(GUESSING) - 5, "guessing", "axis halo", anchor="end")
    yield text(across.start - 7 if not page.is_narrow else 0, 34, "↑ skill: discrimination, points", "axis")
    unit = "preference → answers given too often, points"
    if not page.is_narrow:
        unit = "preference → share of answers that would have to change to match the right answers, points"
    yield text((across.start + across.end) / 2, up.start + 35, unit, "axis", anchor="middle")


def _key(sides: Sides, page: Page) -> Markup:
    """The legend above the plot."""
    x, y = (0.0 if page.is_narrow else 45.0), 12.0
    first, *later = (shorten(name, 70 if page.is_narrow else 150) for name in sides.both)
    marks = [circle(x + 5, y - 4, 4.0, "mark base dot"), text(x + 15, y, first, "legend")]
    x += 15 + len(first) * CHARACTER_WIDTH + 11
    for name in later:
        marks += [*_shaft((x, y - 4), (x + 32, y - 4), "better"), text(x + 40, y, name, "legend")]
        x += 40 + len(name) * CHARACTER_WIDTH + 15
        marks.append(text(x, y, "gray: the interval includes zero", "axis"))
    return group(*marks)


def _drawn(arrow: _Arrow) -> Markup:
    return group(
        *_shaft(arrow.start, arrow.end, arrow.tone),
        circle(*arrow.start, 3.4, "mark base dot"),
        title=arrow.said,
    )


def _shaft(start: Point, end: Point, tone: str) -> Iterator[Markup]:
    """An arrow; a dot if both ends coincide."""
    length = math.dist(start, end)
    if length < 1.0:
        yield circle(*end, 4.0, f"mark {tone} dot")
        return
    along = ((end[0] - start[0]) / length, (end[1] - start[1]) / length)
    neck = (end[0] - along[0] * min(_HEAD, length), end[1] - along[1] * min(_HEAD, length))
    side = (-along[1] * _HEAD * 0.48, along[0] * _HEAD * 0.48)
    yield line(*start, *neck, f"mark {tone} arrow")
    corners = [end, (neck[0] + side[0], neck[1] + side[1]), (neck[0] - side[0], neck[1] - side[1])]
    yield path(corners, f"mark {tone} head", is_closed=True)


_Box = tuple[float, float, float, float]


def _labels(arrows: Sequence[_Arrow], page: Page, *, bounds: _Box) -> Iterator[Markup]:
    """Names beside the heads, largest changes first, as far as there is room; text and table have all of them."""
    taken: list[_Box] = [_around(arrow.end, 6.0) for arrow in arrows] + [_around(arrow.start, 4.0) for arrow in arrows]
    for arrow in arrows:
        name = shorten(arrow.name, 120 if page.is_narrow else 170)
        width = len(name) * CHARACTER_WIDTH * 1.1
        for x, y, anchor in _places(arrow):
            low = x if anchor == "start" else x - width if anchor == "end" else x - width / 2
            box = (low, y - 11, low + width, y + 3)
            if _is_inside(box, bounds) and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                yield text(x, y, name, f"axis halo {arrow.tone}-text", anchor=anchor)
                break


def _places(arrow: _Arrow) -> Iterator[tuple[float, float, str]]:
    x, y = arrow.end
    above, below = (x, y - 9, "middle"), (x, y + 18, "middle")
    ahead, behind = (above, below) if arrow.end[1] <= arrow.start[1] else (below, above)
    yield ahead
    # At the top edge there is room a little lower.
    for lower in (4, 14):
        yield from ((x + 9, y + lower, "start"), (x - 9, y + lower, "end"))
    # On the shaft.
    yield behind


def _around(point: Point, reach: float) -> _Box:
    return (point[0] - reach, point[1] - reach, point[0] + reach, point[1] + reach)


def _is_inside(box: _Box, bounds: _Box) -> bool:
    return box[0] >= bounds[0] and box[1] >= bounds[1] and box[2] <= bounds[2] and box[3] <= bounds[3] - 4


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
