"""Training curves as small multiples: the mean as a line, on a band from the lowest to the highest value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from flantune.report.figures.svg import Scale, circle, image, line, padded_range, path, text
from flantune.report.numbers import fixed, plain, short_count
from flantune.training.metrics_line import MetricsLine

WIDTH, HEIGHT = 272.0, 150.0
LEFT, RIGHT, TOP, BOTTOM = 40.0, 262.0, 30.0, 122.0
MOST_POINTS = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One measure over the steps of one fold."""

    title: str
    unit: str
    steps: tuple[float, ...]
    values: tuple[float, ...]


CURVES: tuple[tuple[str, str, Callable[[MetricsLine], float | None]], ...] = (
    ("Loss", "nats a target token", lambda line: line.loss),
    ("Gradient norm", "before clipping", lambda line: line.grad_norm),
    ("Speed", "tokens/s", lambda line: line.tokens_per_s),
    ("Dev loss", "tasks trained on, nats per token", lambda line: line.measured.get("loss")),
    ("Dev accuracy", "tasks trained on", lambda line: line.measured.get("accuracy")),
)
"""The curves to draw: title, unit, and how to read the value from a line of the log."""


def series(metrics: Sequence[MetricsLine]) -> tuple[Series, ...]:
    """The curves in a fold's log. A measure that was not logged is left out."""
    found = []
    for title, unit, value_of in CURVES:
        pairs = [(float(line.step), value) for line in metrics if (value := value_of(line)) is not None]
        if pairs:
            steps, values = zip(*pairs, strict=True)
            found.append(Series(title=title, unit=unit, steps=steps, values=values))
    return tuple(found)


def curve(data: Series, *, limits: tuple[float, float] | None = None) -> Markup:
    """One panel.

    Args:
        data: The curve to draw.
        limits: Ends of the vertical axis. Folds share them, so that their panels can be compared.
    """
    low, high = limits or value_limits([data])
    across, up = (
        Scale(min(data.steps), max(max(data.steps), min(data.steps) + 1), LEFT, RIGHT),
        Scale(low, high, BOTTOM, TOP),
    )
    cells = buckets(data.steps, data.values, most=MOST_POINTS)
    mean = [(across(c.step), up(c.mean)) for c in cells]
    band = [(across(c.step), up(c.high)) for c in cells] + [(across(c.step), up(c.low)) for c in reversed(cells)]
    marks = [text(0, 12, data.title, "label strong"), text(WIDTH, 12, data.unit, "axis", anchor="end")]
    marks += _frame(across, up, short_count if high >= 1000 else plain)
    if any(c.low < c.high for c in cells):
        marks.append(path(band, "band", is_closed=True))
    marks += [path(mean, "curve"), circle(*mean[-1], 3, "mark tuned dot"), _last(data.values[-1], mean[-1])]
    label = (
        f"{data.title} ({data.unit}) from step {plain(data.steps[0])} to {plain(data.steps[-1])}: "
        f"first {plain(data.values[0])}, last {plain(data.values[-1])}, "
        f"least {plain(min(data.values))}, most {plain(max(data.values))}."
    )
    return image(marks, width=WIDTH, height=HEIGHT, label=label)


def value_limits(several: Sequence[Series]) -> tuple[float, float]:
    """Ends of a vertical axis that includes zero and all values of these series except the highest 0.5%."""
    values = sorted(v for s in several for v in s.values)
    top = values[min(int(len(values) * 0.995), len(values) - 1)] if values else 1.0
    step = 10.0 ** (len(f"{max(top, 1e-9):.0f}") - 1) / 2 if top >= 1 else 0.1
    least = min(values, default=0.0)
    low, high = padded_range([0.0, least, top], step=step, smallest=step)
    return (low if least < 0.0 else 0.0), high


def shared_limits(several: Iterable[Sequence[MetricsLine]]) -> dict[str, tuple[float, float]]:
    """Title of a curve → the ends of its vertical axis, shared by all folds or runs."""
    by_title: dict[str, list[Series]] = {}
    for metrics in several:
        for found in series(metrics):
            by_title.setdefault(found.title, []).append(found)
    return {title: value_limits(each) for title, each in by_title.items()}


def _frame(across: Scale, up: Scale, words: Callable[[float | None], str]) -> list[Markup]:
    marks = []
    for tick in up.ticks(5):
        marks.append(line(LEFT, up(tick), RIGHT, up(tick), "grid"))
        marks.append(text(LEFT - 6, up(tick) + 4, words(tick), "axis", anchor="end"))
    marks.append(text(LEFT, BOTTOM + 18, short_count(across.low), "axis", anchor="start"))
    marks.append(text(RIGHT, BOTTOM + 18, f"step {short_count(across.high)}", "axis", anchor="end"))
    return marks


def _last(value: float, at: tuple[float, float]) -> Markup:
    above = at[1] > TOP + 16
    return text(at[0], at[1] - 8 if above else at[1] + 18, fixed(value), "value halo", anchor="end")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A group of neighboring steps."""

    step: float
    mean: float
    low: float
    high: float


def buckets(steps: Sequence[float], values: Sequence[float], *, most: int) -> tuple[Bucket, ...]:
    """At most ``most`` groups of neighboring points, each with its mean, lowest and highest value.

    >>> buckets([1, 2, 3, 4], [4.0, 2.0, 3.0, 1.0], most=2)
    (Bucket(step=1.5, mean=3.0, low=2.0, high=4.0), Bucket(step=3.5, mean=2.0, low=1.0, high=3.0))
    """
    number = min(most, len(values))
    edges = [k * len(values) // number for k in range(number + 1)] if number else [0]
    found = []
    for start, end in pairwise(edges):
        part = values[start:end]
        found.append(Bucket(sum(steps[start:end]) / len(part), sum(part) / len(part), min(part), max(part)))
    return tuple(found)
