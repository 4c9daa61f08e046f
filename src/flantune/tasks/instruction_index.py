"""An index of the task files in a Natural-Instructions folder: made once, stored, and checked each time."""

from __future__ import annotations

import json
import os
import string
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flantune.errors import SourceError
from flantune.system.files import write_text
from flantune.tasks.sources.natural_instructions import outputs_of, read_instruction_file
from flantune.types import Exemplar

if TYPE_CHECKING:
    from collections.abc import Mapping

_VERSION = 1
_MOST_EXAMPLES = 8
"""Examples kept of each kind; no encoding of the paper shows more than four."""
_FEW = 100
"""The number of instances that a test task is measured with."""

FAULTS = (
    ("example", "an example is among the instances"),
    ("one label", "all instances have one answer"),
    ("blank target", "an instance has a blank answer"),
    ("blank input", "an instance has a blank input"),
    ("references twice", "an instance has a reference twice"),
    ("outer blanks", "an answer begins or ends with white space"),
    ("no stop", "the definition does not end in a mark"),
    ("definition blanks", "the definition begins or ends with white space"),
    ("dot in name", "the name has a dot in it"),
    ("dash in name", "the name has a dash in it"),
    ("few negatives", "fewer than two wrong examples"),
    ("few instances", "fewer than 100 instances"),
)
"""Common faults of task files, by short name and in words; none of them stops a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedTask:
    """One task file, without its instances.

    Attributes:
        name: The file's name.
        category: The kind of task.
        source: The data it was made from.
        input_languages, output_languages: The languages of its texts.
        licence: Of its instances.
        definition: Its first definition.
        examples: Its first right examples, then its first wrong ones.
        instances: How many it has.
        faults: The short names of its faults; see ``FAULTS``.
    """

    name: str
    category: str
    source: str
    input_languages: tuple[str, ...]
    output_languages: tuple[str, ...]
    licence: str
    definition: str
    examples: tuple[Exemplar, ...]
    instances: int
    faults: tuple[str, ...]


def read_index(folder: Path, *, cache: Path | None = None) -> dict[str, IndexedTask]:
    """Every task file of ``folder/tasks`` by name. A file is read again if its size or date has changed.

    Args:
        folder: A folder of Natural-Instructions.
        cache: Where the index is stored; None: the user's cache folder. If that cannot be written, it is not stored.

    Raises:
        SourceError: There is no task file, or a file is not one.
    """
    paths = sorted((folder / "tasks").glob("*.json"))
    if not paths:
        hint = "name a folder laid out as its authors have it: tasks/task001_….json and splits/"
        raise SourceError("has no task file of Natural-Instructions (tasks/*.json)", where=str(folder), hint=hint)
    kept_at = _kept_at(folder, cache)
    known = _read_kept(kept_at)
    entries: dict[str, Any] = {}
    for path in paths:
        state = _state(path)
        entry = known.get(path.stem)
        entries[path.stem] = entry if entry and entry["state"] == state else {"state": state, **_look(path)}
    if entries != known:
        with suppress(OSError):
            kept_at.parent.mkdir(parents=True, exist_ok=True)
            write_text(kept_at, json.dumps({"version": _VERSION, "tasks": entries}, ensure_ascii=False))
    return {name: _indexed(name, entry) for name, entry in entries.items()}


def count_faults(index: Mapping[str, IndexedTask]) -> dict[str, int]:
    """How many tasks have each fault, by its description, in the order of ``FAULTS``, without unused ones."""
    found = Counter(fault for task in index.values() for fault in task.faults)
    return {words: found[short] for short, words in FAULTS if found[short]}


def _kept_at(folder: Path, cache: Path | None) -> Path:
    name = f"natural-instructions-{sha256(str(folder.resolve()).encode()).hexdigest()[:16]}.json"
    if cache is not None:
        return cache / name
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:  # the user's home folder is unknown
        home = folder
    return Path(home) / "flantune" / name


def _read_kept(path: Path) -> dict[str, Any]:
    """The stored index; empty if it is missing, damaged, or of another version."""
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        if tree["version"] != _VERSION:
            return {}
        for entry in tree["tasks"].values():
            _indexed("", entry), entry["state"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    tasks: dict[str, Any] = tree["tasks"]
    return tasks


def _state(path: Path) -> list[int]:
    try:
        found = path.stat()
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror or error}", where=str(path)) from None
    return [found.st_size, found.st_mtime_ns]


def _look(path: Path) -> dict[str, Any]:
    file = read_instruction_file(path)
    right = [one for one in file.examples if one.is_right]
    wrong = [one for one in file.examples if not one.is_right]
    return {
        "category": file.categories[0] if file.categories else "",
        "source": file.sources[0] if file.sources else "",
        "input_languages": list(file.input_languages),
        "output_languages": list(file.output_languages),
        "licence": file.licence,
        "definition": file.definitions[0] if file.definitions else "",
        "examples": [asdict(one) for one in (*right[:_MOST_EXAMPLES], *wrong[:_MOST_EXAMPLES])],
        "instances": len(file.instances),
        "faults": _faults(path, file.definitions[0] if file.definitions else "", file.examples, file.instances),
    }


def _faults(path: Path, definition: str, examples: tuple[Exemplar, ...], instances: Any) -> list[str]:
    whole = [one for one in instances if isinstance(one.get("input"), str)]
    answers = [_outputs(one) for one in whole]
    inputs = {one["input"] for one in whole}
    found = {
        "example": any(one.inputs in inputs for one in examples),
        "one label": len({one[0] for one in answers if one}) == 1,
        "blank target": any(not text.strip() for one in answers for text in one),
        "blank input": any(not text.strip() for text in inputs),
        "references twice": any(len(set(one)) < len(one) for one in answers),
        "outer blanks": any(text != text.strip() for one in answers for text in one),
        "no stop": definition.strip()[-1:] not in string.punctuation,
        "definition blanks": definition != definition.strip(),
        "dot in name": "." in path.stem,
        "dash in name": "-" in path.stem,
        "few negatives": sum(not one.is_right for one in examples) < 2,
        "few instances": len(instances) < _FEW,
    }
    return [name for name, is_so in found.items() if is_so]


def _outputs(instance: Mapping[str, Any]) -> tuple[str, ...]:
    try:
        return outputs_of(instance)
    except (KeyError, TypeError):  # a bad row, which is counted when the task is prepared
        return ()


def _indexed(name: str, entry: Mapping[str, Any]) -> IndexedTask:
    return IndexedTask(
        name=name,
        category=entry["category"],
        source=entry["source"],
        input_languages=tuple(entry["input_languages"]),
        output_languages=tuple(entry["output_languages"]),
        licence=entry["licence"],
        definition=entry["definition"],
        examples=tuple(Exemplar(**one) for one in entry["examples"]),
        instances=entry["instances"],
        faults=tuple(entry["faults"]),
    )
