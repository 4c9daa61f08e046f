"""The cost of a gain: tokens trained on (horizontal) against points gained (vertical), with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from flantune.evaluation.estimates import Difference
from flantune.report.figures.frame import Page, both, missing
from flantune.report.figures.svg import (
    CHARACTER_WIDTH,
    LogScale,
    Scale,
    circle,
    group,
    image,
    line,
    padded_range,
    shorten,
    text,
)
from flantune.report.numbers import interval, short_count, signed


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPoint:
    """A tuned model: its gain on the base model, and the number of tokens it was trained on."""

    name: str
    tokens: float
    difference: Difference


def tokens_per_point(tokens: float | None, difference: Difference | None) -> float | None:
    """Tokens trained on per point gained; None if the interval does not exclude zero or a loss.

    >>> gain = Difference(value=0.05, low=0.01, high=0.09, se=0.02, p=0.01, detectable=0.06)
    >>> tokens_per_point(1e6, gain), tokens_per_point(1e6, gain.model_copy(update={"low": -0.01}))
    (200000.0, None)
    """
    if tokens is None or difference is None or difference.low <= 0.0:
        return None
    return tokens / (100 * difference.value)


def differ_in_cost(points: Sequence[CostPoint]) -> bool:
    """Whether a figure of cost adds anything to one of differences: the tokens trained on differ by 10% or more."""
    tokens = [one.tokens for one in points if one.tokens > 0]
    return bool(tokens) and max(tokens) >= 1.1 * min(tokens)


def cost_figure(points: Sequence[CostPoint]) -> Markup:
    """Gain against tokens trained on. Gains whose interval includes zero are drawn hollow."""
    drawn = sorted((one for one in points if one.tokens > 0), key=lambda one: one.tokens)
    return both(lambda page: _costs(drawn, page)) if drawn else missing("Nothing was trained.")


def _costs(points: Sequence[CostPoint], page: Page) -> Markup:
    left, right, top, bottom = 46.0, page.width - (10 if page.is_narrow else 130), 30.0, 300.0
    ends = [v for one in points for v in (one.difference.value, one.difference.low, one.difference.high)]
    up = Scale(*padded_range([0.0, *ends], step=0.05, smallest=0.1), bottom, top)
    least, most = points[0].tokens, points[-1].tokens
    across = LogScale(least / 1.6, most * 1.6, left, right)
    marks = [*_grid(across, up, page)]
    taken: list[tuple[float, float]] = []
    for one in points:
        x, y = across(one.tokens), up(one.difference.value)
        tone = f"mark {one.difference.direction}"
        said = (
            f"{one.name}: {signed(one.difference.value)} points "
            f"({interval(one.difference.low, one.difference.high)}) for {short_count(one.tokens)} tokens"
        )
        upright = line(x, up(one.difference.low), x, up(one.difference.high), f"{tone} whisker")
        marks.append(group(upright, circle(x, y, 4.5, f"{tone} dot"), title=said))
        name = shorten(one.name, 120)
        at = _free(y + 4, x + 9, len(name) * CHARACTER_WIDTH, taken)
        if at is not None and x + 9 + len(name) * CHARACTER_WIDTH < page.width:
            marks.append(text(x + 9, at, name, "axis halo"))
    label = "Points gained on the base model against tokens trained on. " + " ".join(
        f"{one.name}: {signed(one.difference.value)} for {short_count(one.tokens)} tokens." for one in points
    )
    return image(marks, width=page.width, height=bottom + 42, label=label, variant=page.name)


def _grid(across: LogScale, up: Scale, page: Page) -> Iterator[Markup]:
    for tick in up.ticks(6):
        yield line(across.start, up(tick), across.end, up(tick), "grid" if tick else "zero")
        yield text(across.start - 7, up(tick) + 4, signed(tick).removesuffix(".0"), "axis", anchor="end")
    for tick in across.ticks(4 if page.is_narrow else 7):
        yield text(across(tick), up.start + 17, short_count(tick), "axis", anchor="middle")
    yield text(0, 12, "points gained on the base model", "axis")
    yield text((across.start + across.end) / 2, up.start + 35, "tokens trained on", "axis", anchor="middle")


def _free(y: float, x: float, width: float, taken: list[tuple[float, float]]) -> float | None:
    """The vertical position of a point's label that overlaps no earlier label; None if there is no room."""
    for way in (0.0, -13.0, 13.0):
        if all(abs(y + way - other) > 12 or abs(x - start) > max(width, 90) for start, other in taken):
            taken.append((x, y + way))
            return y + way
    return None
