"""Inline SVG from small functions: elements, scales and ticks. Colors come from the page's style sheet by class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

CHARACTER_WIDTH = 6.6
"""Mean width of a character of figure text, in pixels; an estimate for shortening labels."""


def element(name: str, *children: object, **attributes: object) -> Markup:
    """An SVG element. In attribute names, a trailing underscore is dropped and the others become hyphens.

    >>> element("text", "a < b", class_="axis", x=1.0, text_anchor="end")
    Markup('<text class="axis" x="1" text-anchor="end">a &lt; b</text>')
    """
    parts = [
        f' {key.rstrip("_").replace("_", "-")}="{escape(_attribute(value))}"'
        for key, value in attributes.items()
        if value is not None
    ]
    inside = "".join(str(escape(child)) for child in children)
    return Markup(f"<{name}{''.join(parts)}>{inside}</{name}>")


def _attribute(value: object) -> str:
    """Numbers to a tenth of a pixel, anything else as text."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def image(children: Sequence[object], *, width: float, height: float, label: str, variant: str = "") -> Markup:
    """A complete drawing with its text alternative.

    Args:
        children: The elements.
        width: Width in user units, which are pixels at full size.
        height: Height in user units.
        label: The text alternative, for screen readers.
        variant: "wide" or "narrow": which screens show it.
    """
    return element(
        "svg",
        *children,
        class_=f"figure {variant}".strip(),
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        width=f"{width:.0f}",
        height=f"{height:.0f}",
        role="img",
        aria_label=label,
    )


def group(*children: object, class_: str | None = None, title: str = "") -> Markup:
    """A group of elements, with a tooltip."""
    return element("g", *([element("title", title)] if title else []), *children, class_=class_)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return element("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), class_=class_)


def text(x: float, y: float, content: str, class_: str, *, anchor: str | None = None) -> Markup:
    """A line of text whose baseline starts (or ends, or is centered) at a point."""
    return element("text", content, x=float(x), y=float(y), class_=class_, text_anchor=anchor)


def circle(x: float, y: float, radius: float, class_: str, *, title: str = "") -> Markup:
    """A dot."""
    inside = [element("title", title)] if title else []
    return element("circle", *inside, cx=float(x), cy=float(y), r=float(radius), class_=class_)


def rectangle(x: float, y: float, width: float, height: float, class_: str, *, radius: float = 0) -> Markup:
    """A rectangle; a negative width counts as 0."""
    return element(
        "rect",
        x=float(x),
        y=float(y),
        width=float(max(width, 0)),
        height=float(height),
        rx=float(radius) if radius else None,
        class_=class_,
    )


def path(points: Sequence[tuple[float, float]], class_: str, *, is_closed: bool = False) -> Markup:
    """A line through points.

    >>> path([(0, 0), (10, 5.25)], "curve")
    Markup('<path d="M0 0L10 5.2" class="curve"></path>')
    """
    steps = "L".join(f"{_attribute(float(x))} {_attribute(float(y))}" for x, y in points)
    return element("path", d=f"M{steps}{'Z' if is_closed else ''}", class_=class_)


def shorten(label: str, width: float) -> str:
    """A label shortened to about a width in pixels, with an ellipsis.

    >>> shorten("natural_language_inference", 80), shorten("rte", 80)
    ('natural_lan…', 'rte')
    """
    room = max(int(width / CHARACTER_WIDTH), 2)
    return label if len(label) <= room else label[: room - 1] + "…"


def two_lines(label: str, width: float) -> tuple[str, ...]:
    """A label on one line, or on two if it is too long for one.

    >>> two_lines("trained with dataset name", 90), two_lines("rte", 90)
    (('trained with', 'dataset name'), ('rte',))
    """
    room = int(width / CHARACTER_WIDTH)
    if len(label) <= room:
        return (label,)
    words, first = label.split(), ""
    while words and len(f"{first} {words[0]}".strip()) <= room:
        first = f"{first} {words.pop(0)}".strip()
    return (first, shorten(" ".join(words), width)) if first else (shorten(label, width),)


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear map from values to pixels.

    >>> Scale(0, 1, 100, 300)(0.25)
    150.0
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where a value is drawn; values beyond the ends are drawn at the ends."""
        clipped = min(max(value, self.low), self.high)
        return self.start + (clipped - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, count: int = 6) -> tuple[float, ...]:
        """Round values inside the scale, about ``count`` at most."""
        step = nice_step((self.high - self.low) / max(count - 1, 1))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return tuple(round(k * step, 10) for k in range(first, last + 1))


@dataclass(frozen=True, slots=True)
class LogScale:
    """A logarithmic map from values to pixels.

    >>> LogScale(1, 100, 0, 200)(10)
    100.0
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where a value is drawn; values beyond the ends are drawn at the ends."""
        place = math.log(min(max(value, self.low), self.high) / self.low) / math.log(self.high / self.low)
        return self.start + place * (self.end - self.start)

    def ticks(self, count: int = 6) -> tuple[float, ...]:
        """Round values inside the scale, at most about ``count``: powers of ten, and round values between them.

        >>> LogScale(8, 1200, 0, 1).ticks(4), LogScale(8, 30, 0, 1).ticks(4)
        ((10.0, 100.0, 1000.0), (10.0, 15.0, 20.0, 30.0))
        """
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for factors in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
            found = [k * 10.0**power for power in powers for k in factors if self.low <= k * 10.0**power <= self.high]
            if len(found) <= count:
                return tuple(found)
        return tuple(found[:: math.ceil(len(found) / count)])


def nice_step(rough: float) -> float:
    """The smallest of 1, 2, 2.5 and 5 times a power of ten that is at least ``rough``.

    >>> nice_step(0.013), nice_step(3.1), nice_step(1.0)
    (0.02, 5.0, 1.0)
    """
    if rough <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(round(m * power, 12) for m in (1, 2, 2.5, 5, 10) if m * power >= rough * (1 - 1e-9))


def padded_range(values: Sequence[float], *, step: float, smallest: float) -> tuple[float, float]:
    """Ends of an axis that includes all values: multiples of ``step``, at least ``smallest`` apart.

    >>> padded_range([0.31, 0.58], step=0.1, smallest=0.2)
    (0.3, 0.6)
    """
    if not values:
        return 0.0, max(smallest, step)
    low = math.floor(min(values) / step - 1e-9) * step
    high = math.ceil(max(values) / step + 1e-9) * step
    while high - low < smallest - 1e-9:
        high += step
    return round(low, 10), round(high, 10)
