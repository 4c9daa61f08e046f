"""The kinds of ``[source]`` in a task file, each recognized by one required key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flantune.errors import did_you_mean
from flantune.settings.plain_words import shown
from flantune.settings.sections import Problems, check_section
from flantune.tasks.sources.files import FilesSection
from flantune.tasks.sources.hub import HubSection

if TYPE_CHECKING:
    from pathlib import Path

    from flantune.tasks.sources.section import SourceSection
    from flantune.types import Source


KINDS: Mapping[str, type[SourceSection]] = {"files": FilesSection, "hub": HubSection}
"""The key that every table of a kind has → the kind."""


def read_source(table: Any, *, folder: Path, problems: Problems) -> Source | None:
    """The source that a table describes; None if it is wrong, which is recorded."""
    if not isinstance(table, Mapping):
        problems.add("source", f"should be a table, got {shown(table)}")
        return None
    named = [key for key in KINDS if key in table]
    if len(named) != 1:
        _note_unclear(table, problems)
        return None
    section = KINDS[named[0]]
    foreign = sorted({*table} & {*_keys()} - {*section.model_fields})
    if foreign:
        problems.add("source", f"{', '.join(foreign)} cannot be combined with {named[0]}")
    own = {key: value for key, value in table.items() if key not in foreign}
    found = check_section(section, own, "source", problems=problems, neighbors=_keys())
    return None if found is None else found.source(folder)


def _note_unclear(table: Mapping[str, Any], problems: Problems) -> None:
    """Records that a table matches no kind, or several; a misspelled key may be the cause."""
    known = _keys()
    unknown = [key for key in table if key not in known]
    for key in unknown:
        near = did_you_mean(key, known) or f"known: {', '.join(known)}"
        problems.add(f"source.{key}", f"unknown key; {near}")
    if not unknown:
        problems.add("source", f"set either {' or '.join(KINDS)}")


def _keys() -> Sequence[str]:
    return [key for section in KINDS.values() for key in section.model_fields]
