"""Columns of tables if contamination was checked: scores on clean rows next to those on all rows."""

from __future__ import annotations

from flantune.evaluation.estimates import CleanScores, Difference
from flantune.report.numbers import interval, signed
from flantune.report.tables import EMPTY, Cell, Column, change, estimated

_WITHOUT = "Without the rows that a model was trained on"
_AGAINST = "The score on clean rows minus that on all, with its interval, paired over the rows"


def clean_columns(names: tuple[str, str], *, level: str) -> tuple[Column, ...]:
    """Two models' scores on clean rows, each against all rows, and their difference on clean rows likewise."""
    scores = (
        column
        for name in names
        for column in (
            Column(f"{name}, clean", help=_WITHOUT),
            Column(f"{name}, clean − all", help=f"{_AGAINST}; intervals at {level}"),
        )
    )
    return (
        *scores,
        Column("Difference, clean", help=_WITHOUT, brief="clean"),
        Column("Interval, clean", help="Of the difference on clean rows"),
        Column("Difference, clean − all", help=f"How much of the difference the other rows make; {level} interval"),
    )


def clean_cells(found: CleanScores | None) -> tuple[Cell, ...]:
    """The cells of these columns; empty if contamination was not checked."""
    if found is None:
        return (EMPTY,) * 7
    return (
        estimated(found.first),
        against_all(found.first_against_all),
        estimated(found.second),
        against_all(found.second_against_all),
        *change(found.difference),
        against_all(found.difference_against_all),
    )


def against_all(found: Difference | None) -> Cell:
    """A change with its interval, in one cell."""
    if found is None:
        return EMPTY
    return Cell(f"{signed(found.value)} ({interval(found.low, found.high)})", found.value * 100, "muted")
