"""Types of settings. No setting accepts a boolean as a number, infinity, or an absurd size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field

_Value = TypeVar("_Value")

MOST = 10**9
"""The largest count that any setting accepts: more steps, tokens or rows than that must be a typo."""


def _no_infinity(value: object) -> object:
    """Text and booleans are not numbers; neither are infinity and not-a-number."""
    if isinstance(value, bool | str):
        raise ValueError("should be a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("should be a finite number")
    return value


def _whole(value: object) -> object:
    if isinstance(value, float) and math.isfinite(value) and not isinstance(value, bool) and value.is_integer():
        raise ValueError(f"should be a whole number, written {int(value)}")
    if isinstance(value, bool | float | str) or not isinstance(value, int):
        raise ValueError("should be a whole number")
    return value


def _without_sign(value: float) -> float:
    """Zero has no sign: −0.0 means 0.0, and must not look like another setting."""
    return value + 0.0


def _holds_in_float32(value: float) -> float:
    """Weights are float32: a smaller number would become zero, a larger one infinity when multiplied."""
    if not 1e-30 <= value <= 1e6:
        raise ValueError("should be between 1e-30 and 1e6")
    return value


def _truth(value: object) -> object:
    if not isinstance(value, bool):
        raise ValueError("should be true or false")
    return value


def _fit_for_a_path(value: str) -> str:
    if "\0" in value:
        raise ValueError("should not contain the character U+0000, which no file name has")
    return value


def _path(value: object) -> object:
    if isinstance(value, str):
        if not value:
            raise ValueError("should name a file or folder; leave the setting out for none")
        _fit_for_a_path(_written(value))
    elif not isinstance(value, Path):
        raise ValueError("should be text: a file or folder")
    return value


def _written(value: str) -> str:
    """Half of a surrogate pair is not a character, and cannot be written to a file."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"should be text; character {error.start + 1} is half of a surrogate pair") from None
    return value


def _once_each(values: Sequence[_Value]) -> Sequence[_Value]:
    """The values, if none occurs twice."""
    twice = [value for number, value in enumerate(values) if value in values[:number]]
    if twice:
        shown = f'"{twice[0]}"' if isinstance(twice[0], str) else twice[0]
        raise ValueError(f"should name each once; {shown} occurs twice")
    return values


Number = Annotated[float, BeforeValidator(_no_infinity), AfterValidator(_without_sign), Field(allow_inf_nan=False)]
Whole = Annotated[int, BeforeValidator(_whole)]
Switch = Annotated[bool, BeforeValidator(_truth)]
Text = Annotated[str, AfterValidator(_written)]
Place = Annotated[Text, AfterValidator(_fit_for_a_path)]
"""Text that names a file, a folder, a pattern of them, or a hub id."""
AnyPath = Annotated[Path, BeforeValidator(_path)]

Positive = Annotated[Whole, Field(gt=0, le=MOST)]
Natural = Annotated[Whole, Field(ge=0, le=MOST)]
Size = Annotated[Whole, Field(gt=0, le=65_536)]
"""Sizes of a model: widths, layers, heads, ranks."""
Seed = Annotated[Whole, Field(ge=0, lt=2**63)]
Share = Annotated[Number, Field(ge=0.0, le=1.0)]
Rate = Annotated[Number, Field(ge=0.0, lt=1.0)]
"""A share below one: dropout, or the decay of a moving average."""
Factor = Annotated[Number, Field(gt=0.0), AfterValidator(_holds_in_float32)]
"""A positive number that float32 can represent, as it can its product with another."""
Weight = Annotated[Number, Field(ge=0.0, le=1e6)]
"""A positive number, or zero, which turns something off."""

Once = AfterValidator(_once_each)
Names = Annotated[tuple[Text, ...], Once]
Counts = Annotated[tuple[Natural, ...], Once, Field(min_length=1)]
"""Numbers without repetition."""


def as_tuple(value: object) -> object:
    """A single name as a tuple of one; an empty name as an empty tuple."""
    return ((value,) if value else ()) if isinstance(value, str) else value


NameOrNames = Annotated[Names, BeforeValidator(as_tuple)]


def distinct_folds(folds: Iterable[Sequence[str]]) -> Iterable[Sequence[str]]:
    """The folds, if each holds something out and no two hold out the same, which a mean would count twice."""
    from flantune.system.files import slug

    seen: dict[frozenset[str], Sequence[str]] = {}
    for fold in folds:
        names = frozenset(slug(name) for name in fold)
        if len(names) < len(fold):
            raise ValueError(f"should name each once in a fold; in {_listed(fold)} one occurs twice")
        if names in seen:
            raise ValueError(f"should hold out something else in every fold; {_listed(fold)} occurs twice")
        seen[names] = fold
    return folds


Fold = Annotated[Names, Field(min_length=1)]


def _listed(names: Iterable[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


Folds = Annotated[tuple[Fold, ...], AfterValidator(distinct_folds)]
