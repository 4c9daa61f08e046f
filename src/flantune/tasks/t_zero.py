"""The datasets of T0, T0+ and T0++. Paper: Sanh et al. 2021."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MIXTURES = ("t0", "t0+", "t0++")
"""Each is trained on the datasets of the previous one, and more."""
SANS_FLAN = "t0-sf"
NO_FORMAT = "no format"
"""The cluster of datasets unknown to T0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The datasets that T0 knows.

    Attributes:
        formats: Dataset → its task format.
        trained: Mixture → dataset → training rows, for the datasets that it adds to the previous mixture.
        measured: Dataset → the splits that are measured, separately.
        without_validation: Datasets without a validation split.
        sans_flan: The datasets of Flan 2022's share of T0.
    """

    formats: Mapping[str, str]
    trained: Mapping[str, Mapping[str, int]]
    measured: Mapping[str, tuple[str, ...]]
    without_validation: frozenset[str]
    sans_flan: tuple[str, ...]

    def datasets(self, mixture: str) -> tuple[str, ...]:
        """The datasets that a mixture trains on.

        >>> [len(facts().datasets(name)) for name in ("t0", "t0+", "t0++", "t0-sf", "none")]
        [38, 48, 54, 26, 0]
        """
        if mixture == SANS_FLAN:
            return self.sans_flan
        return tuple(name for one in _up_to(mixture) for name in self.trained[one])

    def rows(self, dataset: str) -> int | None:
        """The number of training rows of a dataset; None if T0 does not say."""
        return next((found[dataset] for found in self.trained.values() if dataset in found), None)


@cache
def facts() -> Facts:
    """The facts of ``t_zero.toml``."""
    tree = tomllib.loads(Path(__file__).with_name("t_zero.toml").read_text(encoding="utf-8"))
    formats = tree["formats"]
    return Facts(
        formats={name: kind for kind, table in formats.items() for group in table.values() for name in group},
        trained={
            mixture: {name: rows for table in formats.values() for name, rows in table.get(mixture, {}).items()}
            for mixture in MIXTURES
        },
        measured={
            name: tuple(splits) for table in formats.values() for name, splits in table.get("measured", {}).items()
        },
        without_validation=frozenset(tree["without_validation"]),
        sans_flan=tuple(tree[SANS_FLAN]["datasets"]),
    )


def _up_to(mixture: str) -> tuple[str, ...]:
    return MIXTURES[: MIXTURES.index(mixture) + 1] if mixture in MIXTURES else ()


def prompt_name(dataset: str, template: str) -> str:
    """The name of a dataset in one template, as T0's code has it.

    >>> prompt_name("super_glue/wsc.fixed", "does the pronoun refer to")
    'super_glue_wsc.fixed_does_the_pronoun_refer_to'
    """
    return re.sub(r"[^\w.]+", "_", f"{dataset.replace('/', '_')}_{template}")
