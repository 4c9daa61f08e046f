"""The look of a study's series: each has a color and a shape, so that color alone never distinguishes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from flantune.report.figures.svg import circle, path
from flantune.studies.outcome import ArmOutcome, StudyOutcome

COLORS = 6
"""Number of series colors in the style sheet; further series repeat them."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The arms of one line or group, in order.

    Attributes:
        tone: Its class in the style sheet.
        shape: The number of its shape; see ``shape``.
    """

    name: str
    arms: tuple[ArmOutcome, ...]
    tone: str
    shape: int


def series_of(arms: Sequence[ArmOutcome]) -> tuple[Series, ...]:
    """The series of a study in order. One of base models is gray and hollow, like base models in all figures."""
    names = tuple(dict.fromkeys(arm.series for arm in arms))
    found, colored = [], 0
    for name in names:
        own = tuple(arm for arm in arms if arm.series == name)
        is_base = len(names) > 1 and all(arm.reads == "base" for arm in own)
        tone = "base" if is_base else f"s{colored % COLORS}"
        found.append(Series(name=name, arms=own, tone=tone, shape=0 if is_base else colored))
        colored += not is_base
    return tuple(found)


def label_of(arm: ArmOutcome) -> str:
    """The name of an arm within its series."""
    return arm.label or arm.name


def is_baseline(outcome: StudyOutcome, arm: ArmOutcome) -> bool:
    """Whether other arms are compared with it."""
    return any(other.paired_with == arm.name for other in outcome.arms)


def shape(number: int, x: float, y: float, class_: str) -> Markup:
    """A mark: dot, square, triangle, diamond, inverted triangle or pentagon, repeating from 6 on."""
    if number % 6 == 0:
        return circle(x, y, 4.6, class_)
    corners, turn, size = ((4, 45, 1.2), (3, -90, 1.35), (4, 0, 1.25), (3, 90, 1.35), (5, -90, 1.15))[number % 6 - 1]
    return path(_polygon(x, y, 4.6 * size, corners, turn), class_, is_closed=True)


def _polygon(x: float, y: float, radius: float, corners: int, turn: float) -> list[Point]:
    angles = (math.radians(turn + 360 * k / corners) for k in range(corners))
    return [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]
