"""What T0, T0+ and T0++ are made of, as facts, and the rates that follow from them. Paper: Sanh et al. 2021."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flantune.tasks.sources.promptsource import FILE, PromptsourceTemplate, read_template_file

MIXTURES = ("t0", "t0+", "t0++")
"""Each is trained on what the one before is, and more."""
SANS_FLAN = "t0-sf"
MOST_ROWS = 500_000
"""A data set of more rows counts as so many, shared by its templates."""
NO_FORMAT = "no format"
"""The cluster of data sets that T0 does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The data sets that T0 knows.

    Attributes:
        formats: Data set → its task format.
        trained: Mixture → data set → training rows, of those that it adds to the one before.
        measured: Data set → the splits that are measured, each by itself.
        without_validation: Those that have no validation split.
        sans_flan: The data sets of Flan 2022's share of T0.
    """

    formats: Mapping[str, str]
    trained: Mapping[str, Mapping[str, int]]
    measured: Mapping[str, tuple[str, ...]]
    without_validation: frozenset[str]
    sans_flan: tuple[str, ...]

    def datasets(self, mixture: str) -> tuple[str, ...]:
        """What a mixture is trained on.

        >>> [len(facts().datasets(name)) for name in ("t0", "t0+", "t0++", "t0-sf", "none")]
        [38, 48, 54, 26, 0]
        """
        if mixture == SANS_FLAN:
            return self.sans_flan
        return tuple(name for one in _up_to(mixture) for name in self.trained[one])

    def rows(self, dataset: str) -> int | None:
        """How many training rows a data set has; None where T0 does not say."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptedDataset:
    """A data set in one template: the unit that T0 mixes.

    Attributes:
        name: As T0's code has it.
        dataset: The data set.
        template: The template.
        rate: What it weighs.
        is_first: The first template by name that asks what the data set was made for.
    """

    name: str
    dataset: str
    template: PromptsourceTemplate
    rate: int
    is_first: bool


def prompted_datasets(folder: Path, mixture: str) -> tuple[PromptedDataset, ...]:
    """A mixture of T0 by the rule: every template of every data set, with its rate.

    Args:
        folder: Templates of promptsource.
        mixture: "t0", "t0+" or "t0++".

    Raises:
        SourceError: A template file is not there, or is something else.
    """
    return tuple(
        PromptedDataset(
            name=prompt_name(dataset, one.name),
            dataset=dataset,
            template=one,
            rate=template_rate(facts().rows(dataset) or 0, len(templates)),
            is_first=one is next((other for other in templates if other.is_original), None),
        )
        for dataset in facts().datasets(mixture)
        for templates in [read_template_file(folder / dataset / FILE)]
        for one in templates
    )


def template_rate(rows: int, templates: int) -> int:
    """What one of a data set's templates weighs: all rows, which are divided only where there are very many.

    >>> template_rate(287_113, 9), template_rate(3_600_000, 9)
    (287113, 55555)
    """
    return rows if rows <= MOST_ROWS else MOST_ROWS // templates


def prompt_name(dataset: str, template: str) -> str:
    """The name of a data set in one template, as T0's code has it.

    >>> prompt_name("super_glue/wsc.fixed", "does the pronoun refer to")
    'super_glue_wsc.fixed_does_the_pronoun_refer_to'
    """
    return re.sub(r"[^\w.]+", "_", f"{dataset.replace('/', '_')}_{template}")
