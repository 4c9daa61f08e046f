"""What all figures with rows share: where things stand, axes, labels and marks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup

from flantune.report.estimates import Estimate
from flantune.report.figures.svg import Scale, circle, element, group, line, shorten, text


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Measures of one drawing: on narrow screens labels stand above their row, not beside it.

    Attributes:
        width: Whole width in pixels.
        left: Where the plot begins.
        right: Where the plot ends; numbers stand to the right of it.
        row: Height of a row.
        label: Height that a label above its row takes; 0 when labels stand beside.
    """

    name: str
    width: float
    left: float
    right: float
    row: float
    label: float

    @property
    def is_narrow(self) -> bool:
        """Whether labels stand above their rows."""
        return self.label > 0


WIDE = Page(name="wide", width=860, left=258, right=690, row=30, label=0)
NARROW = Page(name="narrow", width=358, left=8, right=350, row=26, label=20)


def both(draw: Callable[[Page], Markup]) -> Markup:
    """A figure drawn for both widths of screen; the style sheet shows one of them."""
    return Markup("").join((draw(WIDE), draw(NARROW)))


def missing(label: str = "Not measured.") -> Markup:
    """What stands where a figure has nothing to show."""
    return element("p", label, class_="missing")


def interval_mark(estimate: Estimate, scale: Scale, y: float, class_: str, *, radius: float = 4.5) -> list[Markup]:
    """A dot with its interval; nothing when the value is unknown."""
    if estimate.value is None:
        return []
    marks = []
    if estimate.low is not None and estimate.high is not None:
        marks.append(line(scale(estimate.low), y, scale(estimate.high), y, f"{class_} whisker"))
    return [*marks, circle(scale(estimate.value), y, radius, f"{class_} dot")]


def row_label(name: str, page: Page, y: float, *, is_strong: bool = False, room: float | None = None) -> list[Markup]:
    """A row's name, beside it or above it."""
    strong = "label strong" if is_strong else "label"
    if page.is_narrow:
        return [text(page.left, y - 5, shorten(name, 170), strong)]
    return [text(0, y + page.row / 2 + 4, shorten(name, room or page.left - 74), strong)]


def difference_text(difference: Estimate, page: Page, y: float) -> list[Markup]:
    """The difference in words at the end of a row: the number, and its interval in gray."""
    if difference.value is None:
        return []
    tone = f"value {difference.direction}"
    if page.is_narrow:
        known = difference.low is not None
        content = f"{difference.signed()} ({difference.interval()})" if known else difference.signed()
        return [text(page.right, y - 5, content, tone, anchor="end")]
    middle = y + page.row / 2 + 4
    marks = [text(page.right + 52, middle, difference.signed(), tone, anchor="end")]
    if difference.low is not None:
        marks.append(text(page.width, middle, difference.interval(), "axis", anchor="end"))
    return marks


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


def legend(page: Page, *, at_end: str = "tuned − base", dots: str = "") -> Markup:
    """What the marks mean, once, above the plot."""
    x, y = page.left, 16.0
    marks = [
        circle(x + 5, y - 4, 4.5, "mark base dot"),
        text(x + 15, y, "base", "legend"),
        circle(x + 61, y - 4, 4.5, "mark tuned dot"),
        text(x + 71, y, "tuned", "legend tuned-text"),
    ]
    marks += [line(x + 122, y - 11, x + 122, y + 3, "chance"), text(x + 130, y, "chance", "legend")]
    if dots:
        marks.append(text(x + 190, y, dots, "axis"))
    if not page.is_narrow:
        marks.append(text(page.width, y, at_end, "axis", anchor="end"))
    return group(*marks)
