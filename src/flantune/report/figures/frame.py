"""Shared parts of the figures with rows: layout, axes, labels and marks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from flantune.evaluation.estimates import Difference, Estimate
from flantune.report.figures.svg import CHARACTER_WIDTH, Scale, circle, element, group, line, shorten, text
from flantune.report.numbers import interval, signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Layout of one drawing. On narrow screens labels are above their row, not beside it.

    Attributes:
        width: Full width in pixels.
        left: Left edge of the plot, in pixels.
        right: Right edge of the plot, in pixels; on wide screens, numbers are to the right of it.
        row: Height of a row, in pixels.
        label: Height of a label above its row, in pixels; 0 if labels are beside their rows.
    """

    name: str
    width: float
    left: float
    right: float
    row: float
    label: float

    @property
    def is_narrow(self) -> bool:
        """Whether labels are above their rows."""
        return self.label > 0


WIDE = Page(name="wide", width=860, left=258, right=690, row=30, label=0)
NARROW = Page(name="narrow", width=358, left=8, right=350, row=26, label=20)


def both(draw: Callable[[Page], Markup]) -> Markup:
    """A figure drawn for wide and for narrow screens. The style sheet shows one of them."""
    return Markup("").join((draw(WIDE), draw(NARROW)))


def missing(label: str = "Not measured.") -> Markup:
    """The note that replaces a figure without data."""
    return element("p", label, class_="missing")


def interval_mark(
    value: float, ends: tuple[float, float], scale: Scale, y: float, class_: str, *, radius: float = 4.5
) -> list[Markup]:
    """A dot with its interval."""
    return [
        line(scale(ends[0]), y, scale(ends[1]), y, f"{class_} whisker"),
        circle(scale(value), y, radius, f"{class_} dot"),
    ]


def estimate_mark(found: Estimate | None, scale: Scale, y: float, class_: str, *, radius: float = 4.5) -> list[Markup]:
    """A dot with its interval for an estimate; nothing if there is none."""
    return interval_mark(found.value, (found.low, found.high), scale, y, class_, radius=radius) if found else []


def row_label(name: str, page: Page, y: float, *, is_strong: bool = False, room: float | None = None) -> list[Markup]:
    """A row's name, beside the row or above it."""
    strong = "label strong" if is_strong else "label"
    if page.is_narrow:
        return [text(page.left, y - 5, shorten(name, 170), strong)]
    return [text(0, y + page.row / 2 + 4, shorten(name, room or page.left - 74), strong)]


def difference_text(difference: Difference | None, page: Page, y: float, *, tone: str = "") -> list[Markup]:
    """The difference as numbers at the end of a row: its value, colored by the verdict, and its interval in gray."""
    if difference is None:
        return []
    tone = tone or difference.direction
    change, ends = signed(difference.value), interval(difference.low, difference.high)
    if page.is_narrow:
        return [text(page.right, y - 5, f"{change} ({ends})", f"value {tone}", anchor="end")]
    middle = y + page.row / 2 + 4
    return [
        text(page.right + 52, middle, change, f"value {tone}", anchor="end"),
        text(page.width, middle, ends, "axis", anchor="end"),
    ]


AXIS_HEIGHT = 42
"""Height of an axis' numbers and unit below the last row, in pixels."""


def axis(
    scale: Scale, page: Page, top: float, bottom: float, words: Callable[[float], str], *, unit: str
) -> list[Markup]:
    """Light vertical lines at round values, with the values and their unit below."""
    marks = []
    for tick in scale.ticks(6 if page.is_narrow else 7):
        x = scale(tick)
        marks.append(line(x, top, x, bottom, "grid"))
        marks.append(text(x, bottom + 16, words(tick).removesuffix(".0"), "axis", anchor="middle"))
    return [*marks, text((page.left + page.right) / 2, bottom + 33, unit, "axis", anchor="middle")]


TONES = ("base", "tuned")
"""Classes of the first and the second of two models: hollow and gray, filled and colored."""


def legend(page: Page, names: Sequence[str], *, at_end: str = "", dots: str = "") -> Markup:
    """The legend above the plot.

    Args:
        page: The drawing.
        names: The models, at most two.
        at_end: The meaning of the numbers at the end of each row; left out if there is no room.
        dots: The meaning of the dots; left out if there is no room.
    """
    x, y = page.left, 16.0
    marks = []
    for name, tone in zip(names, TONES, strict=False):
        said = shorten(name, 90 if page.is_narrow else 130)
        words = "legend" if tone == "base" else f"legend {tone}-text"
        marks += [circle(x + 5, y - 4, 4.5, f"mark {tone} dot"), text(x + 15, y, said, words)]
        x += 15 + len(said) * CHARACTER_WIDTH + 19
    marks += [line(x, y - 11, x, y + 3, "chance"), text(x + 8, y, "chance", "legend")]
    x += 60
    if not page.is_narrow and x + (len(at_end) + 1) * CHARACTER_WIDTH < page.width:
        marks.append(text(page.width, y, at_end, "axis", anchor="end"))
        if x + (len(dots) + 1 + len(at_end)) * CHARACTER_WIDTH < page.width:
            marks.append(text(x, y, dots, "axis"))
    return group(*marks)
