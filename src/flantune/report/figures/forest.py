"""A forest plot: differences below each other, each with its interval, against a line at zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from flantune.evaluation.estimates import Difference, Direction
from flantune.report.figures.frame import (
    AXIS_HEIGHT,
    Page,
    axis,
    both,
    difference_text,
    estimate_mark,
    missing,
    row_label,
)
from flantune.report.figures.svg import Scale, circle, group, image, line, padded_range, text
from flantune.report.numbers import interval, signed


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestRow:
    """One difference.

    Attributes:
        name: The label of its row.
        each: The differences per seed of which it is the mean, drawn as small dots.
        is_strong: It summarizes the others, and is drawn below them under a rule.
        group: Heading of its group, written once above the group's rows.
        direction: The verdict after correction for multiple comparisons; None: the interval decides.
    """

    name: str
    difference: Difference
    each: tuple[float, ...] = ()
    is_strong: bool = False
    group: str = ""
    direction: Direction | None = None


def forest_figure(rows: Sequence[ForestRow], *, unit: str, label: str) -> Markup:
    """Differences with their intervals; undecided ones are drawn hollow.

    Args:
        rows: The differences, from top to bottom.
        unit: The unit of the axis.
        label: The beginning of the text alternative.
    """
    return both(lambda page: _forest(rows, page, unit=unit, label=label)) if rows else missing()


def _forest(rows: Sequence[ForestRow], page: Page, *, unit: str, label: str) -> Markup:
    known = [0.0, *(v for row in rows for v in (*row.each, row.difference.value, row.difference.low))]
    known += [row.difference.high for row in rows]
    low, high = padded_range(known, step=0.05, smallest=0.1)
    scale = Scale(low, high, page.left, page.right)
    shape = replace(page, row=24.0 if not page.is_narrow else 20.0)
    y, marks = 30.0, []
    for before, row in zip((None, *rows), rows, strict=False):
        if row.is_strong and before is not None and not before.is_strong:
            marks.append(line(0, y + 3, page.width, y + 3, "rule"))
            y += 8
        if row.group and (before is None or before.group != row.group):
            marks.append(text(page.left if page.is_narrow else 0, y + 18, row.group, "label strong"))
            y += 24
        y += page.label
        marks += _row(row, scale, shape, y)
        y += shape.row + (2 if page.is_narrow else 0)
    zero = [
        line(scale(0), 20, scale(0), y, "zero"),
        text(scale(0) - 8, 12, "← worse", "axis", anchor="end") if scale(0) - page.left > 50 else "",
        text(scale(0) + 8, 12, "better →", "axis") if page.right - scale(0) > 50 else "",
    ]
    whole = f"{label} " + " ".join(f"{_full(row)}: {_said(row.difference)}." for row in rows)
    grid = axis(scale, page, 20, y, lambda v: signed(v).removesuffix(".0"), unit=unit)
    return image([*grid, *zero, *marks], width=page.width, height=y + AXIS_HEIGHT, label=whole, variant=page.name)


def _row(row: ForestRow, scale: Scale, page: Page, y: float) -> list[Markup]:
    middle, difference = y + page.row / 2, row.difference
    tone = row.direction or difference.direction
    seeds = [circle(scale(value), middle + 7, 1.6, f"mark {tone} seed") for value in row.each if len(row.each) > 1]
    dot = estimate_mark(difference, scale, middle, f"mark {tone}", radius=5.5 if row.is_strong else 4.5)
    return [
        *row_label(row.name, page, y, is_strong=row.is_strong, room=page.left - 12),
        group(*dot, *seeds, title=f"{_full(row)}: {_said(difference)}"),
        *difference_text(difference, page, y, tone=tone),
    ]


def _full(row: ForestRow) -> str:
    return f"{row.group}, {row.name}" if row.group else row.name


def _said(difference: Difference) -> str:
    return f"{signed(difference.value)} ({interval(difference.low, difference.high)})"
