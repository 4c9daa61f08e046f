"""Which of a user's files are one task: those whose names say that they train, are looked at and measure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flantune.system.files import slug
from flantune.tasks.labels import find_label
from flantune.tasks.recognize import recognize
from flantune.tasks.recognized import LOOKED_AT, ROWS, Recognized

if TYPE_CHECKING:
    from pathlib import Path

_ROLES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("dev", "devel", "development", "valid", "val", "validation", "eval"), "dev"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_SUFFIXES = re.compile(r"\.(csv|tsv|tab|jsonl?|ndjson|parquet)(\.gz|\.zst)?$", flags=re.IGNORECASE)
_PART = re.compile(r"[-_.]?\d+-of-\d+$")
_FEWEST_HALVED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTask:
    """Files that are one task.

    Attributes:
        name: Its name.
        found: What is known of the rows of all of them.
        parts: Split → its files.
        splits: Role → slice of a split.
        notes: What was done with them.
    """

    name: str
    found: Recognized
    parts: Mapping[str, tuple[Recognized, ...]]
    splits: Mapping[str, str]
    notes: tuple[str, ...] = ()

    @property
    def train_rows(self) -> int:
        """About so many rows train."""
        if "train" in self.parts:
            return sum(_rows(one) for one in self.parts["train"])
        rows = _rows(self.found)
        return rows if set(self.splits) == {"train"} else rows * 8 // 10


def recognize_all(paths: Sequence[Path]) -> list[Recognized]:
    """The form of each file; one that measures what another trains is read like that one, however few its rows are.

    Raises:
        SourceError: A file cannot be read, or its rows have no known format.
    """
    keys = {path: (path.resolve().parent, role_of(path)[1]) for path in paths}
    train = {keys[path]: recognize(path) for path in paths if role_of(path)[0] == "train"}
    found = []
    for path in paths:
        model = train.get(keys[path]) if role_of(path)[0] else None
        found.append(model if model is not None and model.path == path else recognize(path, like=model))
    return found


def own_tasks(files: Sequence[Recognized]) -> list[OwnTask]:
    """The tasks that files become."""
    together: dict[tuple[Path, str], list[Recognized]] = {}
    for one in files:
        role, rest = role_of(one.path)
        together.setdefault((one.path.resolve().parent, rest if role else f"/{one.path.name}"), []).append(one)
    made: list[OwnTask] = []
    for (folder, rest), group in together.items():
        roles = {role_of(one.path)[0] for one in group}
        if len(roles) > 1 and "train" in roles and not _differ(group):
            made.append(_divided(group, _name(rest) or _name(folder.name) or "data"))
        else:
            made.extend(_alone(one, group) for one in group)
    if len(made) > 1:
        note = f"{len(made)} tasks: each is divided by itself into rows that train and rows that measure"
        made = [replace(one, notes=(*one.notes, note)) if one is made[-1] else one for one in made]
    return made


def role_of(path: Path) -> tuple[str, str]:
    """The role that a file's name says, and the rest of its name; both empty if it says none, or two.

    >>> from pathlib import Path
    >>> role_of(Path("my-reviews.train.jsonl.gz")), role_of(Path("validation-00000-of-00001.parquet"))
    (('train', 'my_reviews'), ('dev', ''))
    >>> role_of(Path("contest.csv"))
    ('', '')
    """
    words = re.split(r"[^A-Za-z0-9]+", _PART.sub("", _SUFFIXES.sub("", path.name)))
    said = [word for word in words if word.lower() in _ROLES]
    if len(said) != 1:
        return "", ""
    return _ROLES[said[0].lower()], "_".join(word for word in words if word and word != said[0])


def _name(text: str) -> str:
    """A valid name of a task, without accents; empty if nothing is left.

    >>> _name("Données 2"), _name("推論")
    ('donnees_2', '')
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return slug(plain).replace("-", "_") if re.search("[A-Za-z0-9]", plain) else ""


def _alone(one: Recognized, group: Sequence[Recognized]) -> OwnTask:
    role, _ = role_of(one.path)
    notes: tuple[str, ...] = ()
    if role in ("dev", "test"):
        others = [other.path.name for other in group if other is not one]
        other = "columns" if len({other.columns for other in group}) > 1 else "encodings or delimiters"
        why = f"; it and {' and '.join(others)} have different {other}" if others else ""
        notes = (f"{one.path}: its name says {role}, and yet most of its rows train{why}",)
    name = _name(one.path.name.split(".")[0]) or "data"
    return OwnTask(name=name, found=one, parts={ROWS: (one,)}, splits=one.splits, notes=notes)


def _differ(group: Sequence[Recognized]) -> bool:
    return len({(one.form, one.columns, one.system, one.file_format) for one in group}) > 1


def _divided(group: Sequence[Recognized], name: str) -> OwnTask:
    """One task of files for training and others."""
    parts: dict[str, tuple[Recognized, ...]] = {}
    for role in ("train", "dev", "test"):
        if files := tuple(one for one in group if role_of(one.path)[0] == role):
            parts[role] = files
    splits = {role: role for role in parts}
    if "test" not in parts:
        halves = {"dev": "dev[:50%]", "test": "dev[50%:]"}
        are_many = sum(_rows(one) for one in parts["dev"]) >= _FEWEST_HALVED
        splits = {"train": "train", **(halves if are_many else {"test": "dev"})}
    train, *_ = parts["train"]
    labels, meant = _all_labels([one for files in parts.values() for one in files])
    found = replace(
        train,
        labels=labels,
        meant=meant,
        drop=tuple(dict.fromkeys(value for one in group for value in one.drop)),
        tool_rows=sum(one.tool_rows for one in group),
        is_sorted=False,
        sizes=replace(train.sizes, longest=_longest(group)),
    )
    said = ", ".join(f"{role}: {' '.join(one.path.name for one in files)}" for role, files in parts.items())
    notes = [f"{name}: one task of {len(group)} files ({said})"]
    if "test" not in parts:
        how = "halved into dev and test" if "dev" in splits else "the test"
        notes.append(f"{name}: no file is named as the test, so the one for dev is {how}")
    taught = {label.casefold() for one in parts["train"] for label in one.labels}
    if new := [label for label in labels if label.casefold() not in taught]:
        notes.append(f"{name}: labels that no training row has: {', '.join(new[:5])}")
    return OwnTask(name=name, found=found, parts=parts, splits=splits, notes=tuple(notes))


def _all_labels(files: Sequence[Recognized]) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """The labels of all files, and spelling → label if some differ by case alone."""
    spelled: list[str] = []
    for one in files:
        for text in one.meant or one.labels:
            if find_label(text, spelled) is None:
                spelled.append(text)
    commonest: dict[str, str] = {}
    for text in [label for one in files for label in one.labels if label in spelled]:
        commonest.setdefault(text.casefold(), text)
    meant = {text: commonest.get(text.casefold(), text) for text in spelled}
    labels = tuple(dict.fromkeys(meant.values()))
    return labels, {} if all(text == label for text, label in meant.items()) else meant


def _rows(one: Recognized) -> int:
    return LOOKED_AT if one.rows is None else one.rows


def _longest(group: Sequence[Recognized]) -> int:
    sizes = [one.sizes.longest for one in group]
    return max(sizes) if all(sizes) else 0
