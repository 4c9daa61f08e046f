"""Which clusters overlap and which source families are kin: rules as data, read from a TOML file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from flantune.errors import ConfigError, did_you_mean
from flantune.settings.toml_file import parse_toml, read_toml
from flantune.tasks.same_data import same_data

if TYPE_CHECKING:
    from pathlib import Path

    from flantune.types import Task

SHIPPED = "taxonomy.toml"
_KEYS: Mapping[str, frozenset[str]] = {
    "": frozenset({"extends_shipped", "aliases", "overlap", "kin"}),
    "overlap": frozenset({"evaluating", "removes", "because"}),
    "kin": frozenset({"name", "members", "because"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """Measuring a cluster as unseen also removes some others from training.

    Attributes:
        evaluating: The cluster that is measured.
        removes: The clusters that go.
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
class Taxonomy:
    """Overlap rules between clusters and kinship between source families.

    Attributes:
        overlaps: The rules.
        kin: The groups.
        aliases: Plain name → the plain name it stands for.
    """

    overlaps: tuple[Overlap, ...] = ()
    kin: tuple[Kin, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)

    def cluster(self, name: str) -> str:
        """The one name under which the rules know a cluster.

        >>> load_taxonomy(None).cluster("NLI")
        'natural language inference'
        """
        plain = plain_name(name)
        return self.aliases.get(plain, plain)

    def overlap(self, *, evaluating: str, training: str) -> Overlap | None:
        """The rule that forbids training on one cluster while another is measured as unseen, if any."""
        measured, trained = self.cluster(evaluating), self.cluster(training)
        for rule in self.overlaps:
            if self.cluster(rule.evaluating) == measured and trained in map(self.cluster, rule.removes):
                return rule
        return None

    def kinship(self, one: Task, other: Task) -> str:
        """Why two tasks are made from the same data, or the empty string."""
        if one.family and plain_name(one.family) == plain_name(other.family):
            return f'both come from the source family "{one.family}"'
        left, right = ({plain_name(task.family), plain_name(task.name)} for task in (one, other))
        for group in self.kin:
            if left & group.members and right & group.members:
                return f"their source families are kin ({group.name}: {group.because or 'see the taxonomy'})"
        return same_data(one, other)


@lru_cache(maxsize=65_536)
def plain_name(name: str) -> str:
    """A name in lower case with single spaces for everything that is no letter or digit.

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
        text = resources.files("flantune.mixture").joinpath(SHIPPED).read_text(encoding="utf-8")
        return _taxonomy(parse_toml(text), where=SHIPPED)
    hint = "mend holdout.taxonomy, or leave it out to use the shipped rules"
    _, values = read_toml(path, error=ConfigError, what="taxonomy", hint=hint)
    own = _taxonomy(values, where=str(path))
    return _join(load_taxonomy(None), own) if values.get("extends_shipped", False) else own


def _join(base: Taxonomy, more: Taxonomy) -> Taxonomy:
    return Taxonomy(
        overlaps=base.overlaps + more.overlaps, kin=base.kin + more.kin, aliases={**base.aliases, **more.aliases}
    )


def _taxonomy(values: Mapping[str, Any], *, where: str) -> Taxonomy:
    problems = _problems(values)
    if problems:
        raise ConfigError(
            "the taxonomy is wrong:\n" + "\n".join(f"  {problem}" for problem in problems),
            where=where,
            hint="docs/mixture.md shows what a taxonomy may say",
        )
    return Taxonomy(
        overlaps=tuple(
            Overlap(evaluating=rule["evaluating"], removes=tuple(rule["removes"]), because=rule.get("because", ""))
            for rule in values.get("overlap", ())
        ),
        kin=tuple(
            Kin(
                name=group["name"],
                members=frozenset(map(plain_name, group["members"])),
                because=group.get("because", ""),
            )
            for group in values.get("kin", ())
        ),
        aliases={
            plain_name(alias): plain_name(name) for name, many in values.get("aliases", {}).items() for alias in many
        },
    )


def _problems(values: Mapping[str, Any]) -> list[str]:
    """Everything wrong with the file, one line each."""
    problems = _unknown_keys(values, kind="", place="")
    for kind, name_key, list_key in (("overlap", "evaluating", "removes"), ("kin", "name", "members")):
        entries = values.get(kind, [])
        if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
            problems.append(f"{kind}: expected tables written [[{kind}]]")
            continue
        for number, entry in enumerate(entries):
            place = f"{kind}[{number}]"
            problems += _unknown_keys(entry, kind=kind, place=f"{place}.")
            if not isinstance(entry.get(name_key), str):
                problems.append(f"{place}.{name_key}: expected a name")
            if not _is_names(entry.get(list_key)):
                problems.append(f"{place}.{list_key}: expected a list of names")
            if not isinstance(entry.get("because", ""), str):
                problems.append(f"{place}.because: expected text")
    aliases = values.get("aliases", {})
    if not isinstance(aliases, Mapping) or not all(map(_is_names, aliases.values())):
        problems.append('aliases: expected lines such as "natural language inference" = ["nli"]')
    if not isinstance(values.get("extends_shipped", False), bool):
        problems.append("extends_shipped: expected true or false")
    return problems


def _unknown_keys(values: Mapping[str, Any], *, kind: str, place: str) -> list[str]:
    unknown = [key for key in values if key not in _KEYS[kind]]
    return [f"{place}{key}: unknown key {did_you_mean(key, _KEYS[kind])}".rstrip() for key in unknown]


def _is_names(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(name, str) for name in value)
