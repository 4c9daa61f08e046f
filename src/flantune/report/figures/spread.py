"""Rows of many numbers, each a dot, with median and interquartile range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from flantune.report.figures.frame import AXIS_HEIGHT, Page, axis, both, missing, row_label
from flantune.report.figures.scores import quantile
from flantune.report.figures.svg import Scale, circle, image, line, padded_range, rectangle, text
from flantune.report.numbers import points


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadRow:
    """One row of named numbers, such as the spread of each task."""

    name: str
    values: tuple[tuple[str, float], ...]


def spread_figure(rows: Sequence[SpreadRow], *, unit: str) -> Markup:
    """The numbers of all rows, on an axis from zero."""
    return both(lambda page: _spread(rows, page, unit)) if rows else missing()


def _spread(rows: Sequence[SpreadRow], page: Page, unit: str) -> Markup:
    shape = replace(page, row=24.0)
    _, high = padded_range([value for row in rows for _, value in row.values], step=0.05, smallest=0.05)
    scale = Scale(0.0, high, page.left, page.right)
    y, marks = 22.0, []
    for row in rows:
        y += page.label
        marks += row_label(row.name, shape, y, room=page.left - 12)
        marks += _dots(row, scale, y + shape.row / 2)
        median = points(quantile(sorted(value for _, value in row.values), 0.5))
        x, height = (page.right, y - 5) if page.is_narrow else (page.right + 52, y + shape.row / 2 + 4)
        marks.append(text(x, height, median, "value", anchor="end"))
        y += shape.row
    grid = axis(scale, page, 14, y, points, unit=unit)
    label = f"{unit}. " + " ".join(
        f"{row.name}: {', '.join(f'{name} {points(value)}' for name, value in row.values)}." for row in rows
    )
    return image([*grid, *marks], width=page.width, height=y + AXIS_HEIGHT, label=label, variant=page.name)


def _dots(row: SpreadRow, scale: Scale, y: float) -> list[Markup]:
    values = sorted(value for _, value in row.values)
    low, middle, high = (scale(quantile(values, q)) for q in (0.25, 0.5, 0.75))
    return [
        rectangle(low, y - 5, max(high - low, 1.5), 10, "iqr tuned", radius=2),
        *(circle(scale(value), y, 3.2, "strip tuned", title=f"{name}: {points(value)}") for name, value in row.values),
        line(middle, y - 6.5, middle, y + 6.5, "median tuned"),
    ]
