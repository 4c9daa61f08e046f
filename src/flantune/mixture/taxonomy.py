"""Which clusters overlap and which source families are kin: rules as data, read from a TOML file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING

from pydantic import Field, StrictBool

from flantune.errors import ConfigError
from flantune.settings.sections import Section, read_file
from flantune.settings.toml_file import parse_toml
from flantune.tasks.same_data import same_source

if TYPE_CHECKING:
    from pathlib import Path

    from flantune.types import Task

SHIPPED = "taxonomy.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """Measuring a cluster as unseen also removes some others from training.

    Attributes:
        evaluating: The cluster that is measured.
        removes: The clusters removed.
        because: Why, for messages and the report.
    """

    evaluating: str
    removes: tuple[str, ...]
    because: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kin:
    """Source families made from the same texts, or one from the other.

    Attributes:
        name: What they have in common.
        members: Families or task names, as ``plain_name`` writes them.
        because: Why, for messages and the report.
    """

    name: str
    members: frozenset[str]
    because: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """The data that a benchmark is made from, under all its names.

    Attributes:
        name: As ``holdout.benchmarks`` names it.
        families: Source families, as ``plain_name`` writes them.
        tasks: Names of tasks made from it; ``*`` and ``[0-9]`` as in file patterns.
        hubs: Ids on the hub.
    """

    name: str
    families: frozenset[str] = frozenset()
    tasks: tuple[str, ...] = ()
    hubs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Taxonomy:
    """Overlap rules between clusters, kinship between source families, and the data of benchmarks.

    Attributes:
        overlaps: The rules.
        kin: The groups.
        benchmarks: The benchmarks.
        aliases: Plain name → the plain name it stands for.
    """

    overlaps: tuple[Overlap, ...] = ()
    kin: tuple[Kin, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    benchmarks: tuple[Benchmark, ...] = ()

    def cluster(self, name: str) -> str:
        """The canonical name of a cluster.

        >>> load_taxonomy(None).cluster("NLI")
        'natural language inference'
        """
        plain = plain_name(name)
        return self.aliases.get(plain, plain)

    def overlap(self, *, evaluating: str, training: str) -> Overlap | None:
        """The rule that forbids training on one cluster if another is measured as unseen, if any."""
        measured, trained = self.cluster(evaluating), self.cluster(training)
        for rule in self.overlaps:
            if self.cluster(rule.evaluating) == measured and trained in map(self.cluster, rule.removes):
                return rule
        return None

    def kinship(self, one: Task, other: Task) -> str:
        """Why two tasks are made from the same data, or the empty string."""
        if one.source_family and plain_name(one.source_family) == plain_name(other.source_family):
            return f'both come from the source family "{one.source_family}"'
        left, right = ({plain_name(task.source_family), plain_name(task.name)} for task in (one, other))
        for group in self.kin:
            if left & group.members and right & group.members:
                return f"their source families are kin ({group.name}: {group.because or 'see the taxonomy'})"
        return same_source(one.source, other.source)


@lru_cache(maxsize=65_536)
def plain_name(name: str) -> str:
    """A name in lower case, with single spaces for everything that is not a letter or digit.

    >>> plain_name("Closed-book QA"), plain_name("closed_book_qa")
    ('closed book qa', 'closed book qa')
    """
    return " ".join(re.findall(r"[^\W_]+", name.casefold()))


def load_taxonomy(path: Path | None) -> Taxonomy:
    """The taxonomy in a TOML file, or the one shipped with flantune.

    Paper: FLAN 2021, section 2.2, for the overlaps; the kin groups are ours.

    Args:
        path: A file like ``mixture/taxonomy.toml``; with ``extends_shipped = true`` it adds to the shipped one.

    Raises:
        ConfigError: The file cannot be read, or something in it is wrong; all problems come at once.
    """
    if path is None:
        return _load_shipped()
    hint = "docs/mixture.md shows what a taxonomy may say"
    missing = "fix holdout.taxonomy, or leave it out to use the shipped rules"
    own = read_file(path, _TaxonomyFile, error=ConfigError, what="taxonomy", hint=hint, missing=missing)
    return _join(_load_shipped(), own.taxonomy()) if own.extends_shipped else own.taxonomy()


def _load_shipped() -> Taxonomy:
    text = resources.files("flantune.mixture").joinpath(SHIPPED).read_text(encoding="utf-8")
    return _TaxonomyFile.model_validate(parse_toml(text)).taxonomy()


def _join(base: Taxonomy, more: Taxonomy) -> Taxonomy:
    return Taxonomy(
        overlaps=base.overlaps + more.overlaps,
        kin=base.kin + more.kin,
        aliases={**base.aliases, **more.aliases},
        benchmarks=base.benchmarks + more.benchmarks,
    )


class _OverlapTable(Section):
    evaluating: str
    removes: tuple[str, ...]
    because: str = ""


class _KinTable(Section):
    name: str
    members: tuple[str, ...]
    because: str = ""


class _BenchmarkTable(Section):
    name: str
    families: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    hubs: tuple[str, ...] = ()


class _TaxonomyFile(Section):
    extends_shipped: StrictBool = False
    aliases: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    overlap: tuple[_OverlapTable, ...] = ()
    kin: tuple[_KinTable, ...] = ()
    benchmark: tuple[_BenchmarkTable, ...] = ()

    def taxonomy(self) -> Taxonomy:
        return Taxonomy(
            overlaps=tuple(Overlap(**rule.model_dump()) for rule in self.overlap),
            kin=tuple(
                Kin(name=group.name, members=frozenset(map(plain_name, group.members)), because=group.because)
                for group in self.kin
            ),
            benchmarks=tuple(
                Benchmark(
                    name=one.name,
                    families=frozenset(map(plain_name, one.families)),
                    tasks=one.tasks,
                    hubs=tuple(hub.casefold() for hub in one.hubs),
                )
                for one in self.benchmark
            ),
            aliases={plain_name(alias): plain_name(name) for name, many in self.aliases.items() for alias in many},
        )
