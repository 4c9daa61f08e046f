"""What all figures with rows share: where things are, axes, labels and marks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from flantune.evaluation.estimates import Difference, Estimate
from flantune.report.figures.svg import CHARACTER_WIDTH, Scale, circle, element, group, line, shorten, text
from flantune.report.numbers import interval, signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Measures of one drawing: on narrow screens labels are above their row, not beside it.

    Attributes:
        width: Whole width in pixels.
        left: Where the plot begins.
        right: Where the plot ends; numbers are to the right of it.
        row: Height of a row.
        label: Height that a label above its row takes; 0 when labels are beside.
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
    """A figure drawn for both widths of screen; the style sheet shows one of them."""
    return Markup("").join((draw(WIDE), draw(NARROW)))


def missing(label: str = "Not measured.") -> Markup:
    """The note in place of a figure that has nothing to show."""
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
    """The same for an estimate; nothing where there is none."""
    return interval_mark(found.value, (found.low, found.high), scale, y, class_, radius=radius) if found else []


def row_label(name: str, page: Page, y: float, *, is_strong: bool = False, room: float | None = None) -> list[Markup]:
    """A row's name, beside it or above it."""
    strong = "label strong" if is_strong else "label"
    if page.is_narrow:
        return [text(page.left, y - 5, shorten(name, 170), strong)]
    return [text(0, y + page.row / 2 + 4, shorten(name, room or page.left - 74), strong)]


def difference_text(difference: Difference | None, page: Page, y: float, *, tone: str = "") -> list[Markup]:
    """The difference in words at the end of a row: the number, in the color of what it says, its interval in gray."""
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
"""Pixels below the last row for the numbers of an axis and for what they count."""


def axis(
    scale: Scale, page: Page, top: float, bottom: float, words: Callable[[float], str], *, unit: str
) -> list[Markup]:
    """Light vertical lines at round values, named below, with what they count under them."""
    marks = []
    for tick in scale.ticks(6 if page.is_narrow else 7):
        x = scale(tick)
        marks.append(line(x, top, x, bottom, "grid"))
        marks.append(text(x, bottom + 16, words(tick).removesuffix(".0"), "axis", anchor="middle"))
    return [*marks, text((page.left + page.right) / 2, bottom + 33, unit, "axis", anchor="middle")]


TONES = ("base", "tuned")
"""How the first and the second of two models are drawn: hollow and gray, filled and colored."""


def legend(page: Page, names: Sequence[str], *, at_end: str = "", dots: str = "") -> Markup:
    """What the marks mean, once, above the plot.

    Args:
        page: The drawing.
        names: The models, at most two.
        at_end: What the words at the end of each row are; left out where there is no room.
        dots: What the dots are; left out like ``at_end``.
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
