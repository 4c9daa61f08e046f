"""Where raw rows come from: files as they are, a mirror of the Hugging Face hub, or the hub itself."""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flantune.errors import SourceError, did_you_mean
from flantune.system.files import check_regular, file_sha256, is_file, is_folder
from flantune.tasks.sources.formats import FileFormat, read_aligned, read_rows
from flantune.tasks.sources.mistaken_files import no_such_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flantune.types import Row

RECORD_NAME = "fetched.json"
_MIRROR_SUFFIXES = (".parquet", ".jsonl.zst", ".jsonl.gz", ".jsonl")
_SHARD = re.compile(r"(?P<split>.+)-(?P<shard>\d{5})-of-(?P<shards>\d{5})")


class MissingDataError(SourceError):
    """The data is not there (and not: is there but broken), so that a run may go on without the task.

    Attributes:
        is_missing: True; lets a caller tell this error without importing it.
    """

    is_missing = True


FilePattern = str | tuple[str, ...] | Mapping[str, str]
"""A path or glob, several of them in order, or column → text file for files aligned line by line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSource:
    """Files on this machine.

    Attributes:
        files: Split → path or glob, several of them, or column → text file (aligned line by line).
        form: How the files are written, where their names do not tell.
        root: What relative paths are relative to.
    """

    files: Mapping[str, FilePattern]
    form: FileFormat = field(default_factory=FileFormat)
    root: Path = Path()

    def rows(self, split: str) -> Iterator[Row]:
        """All rows of a split, in order, in constant memory.

        Raises:
            SourceError: A file cannot be found or read.
        """
        pattern = self._pattern(split)
        if isinstance(pattern, Mapping):
            yield from read_aligned({name: self._paths(path)[0] for name, path in pattern.items()}, self.form)
            return
        for path in self.paths(split):
            yield from read_rows(path, self.form)

    def paths(self, split: str) -> tuple[Path, ...]:
        """The files of a split: globs expanded, in order of their names.

        Raises:
            MissingDataError: There are none.
        """
        pattern = self._pattern(split)
        patterns = (
            pattern.values() if isinstance(pattern, Mapping) else [pattern] if isinstance(pattern, str) else pattern
        )
        return tuple(path for one in patterns for path in self._paths(one))

    def fingerprint(self, split: str) -> str:
        """SHA-256 of what the files hold and of how they are read; their names and dates do not count.

        Raises:
            SourceError: A file cannot be found or read.
        """
        pattern = self._pattern(split)
        columns = tuple(pattern) if isinstance(pattern, Mapping) else ()
        parts = [repr((self.form, columns))]
        for path in self.paths(split):
            # The suffixes decide how a file is read, so they count.
            parts.append(f"{''.join(path.suffixes[-2:])} {_digest(path)}")
        return sha256("\n".join(parts).encode()).hexdigest()

    def describe(self, split: str) -> str:
        """The path or glob of the split."""
        pattern = self._pattern(split)
        names = (
            [pattern]
            if isinstance(pattern, str)
            else list(pattern.values() if isinstance(pattern, Mapping) else pattern)
        )
        return ", ".join(str(self.root / name) for name in names)

    def locate(self, split: str, row: int) -> str:
        """The one file that holds a row, for messages: several files make one split."""
        paths = self.paths(split)
        if len(paths) == 1 or isinstance(self._pattern(split), Mapping):
            return self.describe(split)
        for path in paths:
            rows = sum(1 for _ in read_rows(path, self.form))
            if row < rows:
                return str(path)
            row -= rows
        return self.describe(split)

    def _pattern(self, split: str) -> FilePattern:
        if split in self.files:
            return self.files[split]
        names = ", ".join(f'"{name}"' for name in self.files)
        raise MissingDataError(f'no split "{split}"; there are {names}', hint=did_you_mean(split, self.files))

    def _paths(self, pattern: str) -> list[Path]:
        path = self.root / Path(pattern).expanduser()
        found = matching_files(path)
        if found:
            return found
        if is_folder(path):
            raise MissingDataError(
                "is a folder; expected a file", where=str(path), hint=f'name the files in it: "{pattern}/*.jsonl"'
            )
        what, hint = no_such_file(path, pattern)
        raise MissingDataError(what, where=str(path), hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSource:
    """A dataset of the Hugging Face hub, from a folder that mirrors it or from the hub itself.

    Attributes:
        id: ``<org>/<name>``.
        config: Which of the dataset's configurations; None: its default.
        revision: Commit; pin it to make a run repeatable.
        mirror: Folder with ``<org>/<name>/<config>/<split>.jsonl.gz`` (or .jsonl, .jsonl.zst, .parquet, or Parquet
            shards). None: the hub.
        manual: How to get data that the hub does not give into a mirror; such data is never asked of the hub.
    """

    id: str
    config: str | None = None
    revision: str | None = None
    mirror: Path | None = None
    manual: str = ""

    def rows(self, split: str) -> Iterator[Row]:
        """All rows of a split, in order, in constant memory; the same from a mirror as from the hub.

        Raises:
            SourceError: The split cannot be found or read.
        """
        files = self._mirrored(split)
        if files is not None:
            yield from files.rows(split)
            return
        self._check_on_hub()
        from flantune.tasks.sources.hub import stream_rows

        yield from stream_rows(self.id, self.config, split=split, revision=self.revision)

    def fingerprint(self, split: str) -> str:
        """SHA-256 of the mirrored files, or of the hub's id, configuration, split and commit.

        Raises:
            SourceError: The split cannot be found or read.
        """
        files = self._mirrored(split)
        if files is not None:
            return files.fingerprint(split)
        self._check_on_hub()
        from flantune.tasks.sources.hub import resolve_revision

        commit = resolve_revision(self.id, self.revision) or f"unresolved {self.revision}"
        return sha256(json.dumps([self.id, self.config, split, commit]).encode()).hexdigest()

    def describe(self, split: str) -> str:
        """The mirrored file, or the hub id."""
        if self.mirror is None:
            config = f" ({self.config})" if self.config else ""
            return f"hub:{self.id}{config} split {split}"
        try:
            files = self._mirrored(split)
        except SourceError:
            files = None
        return files.describe(split) if files else str(self._folder())

    def locate(self, split: str, row: int) -> str:
        """The one file that holds a row, for messages."""
        files = self._mirrored(split)
        return files.locate(split, row) if files else self.describe(split)

    def check_rows(self, split: str, wanted: int | None) -> None:
        """Makes sure that the mirror does not hold fewer rows of a split than are wanted from its front; None: all.

        Raises:
            MissingDataError: ``flantune fetch`` took fewer.
        """
        note = split_record(self._folder(), split) if self.mirror is not None else {}
        if not note or note["is_whole"] or (wanted is not None and wanted <= note["rows"]):
            return
        raise MissingDataError(
            f"the mirror has the first {note['rows']:,} rows of {self._name}, split {split};"
            f" the task reads {'all' if wanted is None else f'{wanted:,}'}",
            where=str(self._folder()),
            hint=self._fetch_hint,
        )

    def _mirrored(self, split: str) -> FileSource | None:
        """The mirror's files of a split; None without a mirror."""
        if self.mirror is None:
            return None
        folder = self._folder()
        splits = mirrored_splits(folder)
        if not splits and not is_folder(self.mirror):
            hint = (
                "set data.mirror to a folder that mirrors the hub, or leave it out to read from the hub; "
                f"{self._fetch_hint}"
            )
            raise MissingDataError("the folder of the mirror is not there", where=str(self.mirror), hint=hint)
        if not splits:
            raise MissingDataError(f"the mirror has no {self._name}", where=str(folder), hint=self._fetch_hint)
        if split not in splits:
            there = ", ".join(sorted(splits))
            raise MissingDataError(
                f'the mirror has no split "{split}" of {self._name}; there are: {there}',
                where=str(folder),
                hint=did_you_mean(split, splits) or self._fetch_hint,
            )
        self._check_revision(folder, split)
        return FileSource(files={split: tuple(path.name for path in splits[split])}, root=folder)

    def _folder(self) -> Path:
        home = Path(self.mirror or "") / self.id
        if self.config is not None or (home / "default").is_dir() or not home.is_dir():
            return home / (self.config or "default")
        configs = [folder for folder in sorted(home.iterdir()) if folder.is_dir()]
        if len(configs) == 1:  # as on the hub: the only configuration is the default one
            return configs[0]
        names = ", ".join(folder.name for folder in configs)
        raise SourceError(
            f"{self.id} has several configurations: {names}", where=str(home), hint='set [source] config = "…"'
        )

    def _check_revision(self, folder: Path, split: str) -> None:
        note = split_record(folder, split)
        if not matches_revision(note, self.revision):
            raise SourceError(
                f"the mirror holds revision {note['commit'] or note['revision']} of {self._name}, split {split};"
                f" the task wants {self.revision}",
                where=str(folder),
                hint=self._fetch_hint,
            )

    @property
    def _name(self) -> str:
        return f"{self.id} ({self.config})" if self.config else self.id

    def _check_on_hub(self) -> None:
        if self.manual:
            message = f"{self._name} cannot be had from the hub: its files have to be put into a mirror by hand"
            raise MissingDataError(message, hint=self.manual)

    @property
    def _fetch_hint(self) -> str:
        return self.manual or f"run: flantune fetch RUN_FILE --mirror {self.mirror}"


def matching_files(path: Path) -> list[Path]:
    """The file itself, or those that match it as a glob, in order of their names."""
    if is_file(path):  # first: a file's own name may hold brackets
        return [path]
    try:
        names = glob.glob(str(path), recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    except (OSError, ValueError, re.error, RecursionError):
        return []
    return sorted(found for found in map(Path, names) if is_file(found))


def hub_reference(source: HubSource) -> str:
    """A hub dataset in one word.

    >>> hub_reference(HubSource(id="aps/super_glue", config="rte"))
    'aps/super_glue:rte'
    """
    config = f":{source.config}" if source.config else ""
    return source.id + config + (f"@{source.revision}" if source.revision else "")


def mirrored_splits(folder: Path) -> dict[str, tuple[Path, ...]]:
    """Split → its file or shards, for a folder of a mirror; empty when there is no such folder.

    Raises:
        SourceError: A split is there twice, or a shard is missing.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        suffix = next((suffix for suffix in _MIRROR_SUFFIXES if path.name.endswith(suffix)), None)
        if suffix is not None and not path.name.startswith("."):
            stem = path.name.removesuffix(suffix)
            shard = _SHARD.fullmatch(stem)
            found.setdefault(shard["split"] if shard else stem, []).append(path)
    return {split: _complete(split, paths) for split, paths in found.items()}


def _complete(split: str, paths: Sequence[Path]) -> tuple[Path, ...]:
    shard = _SHARD.match(paths[0].name)
    wanted = int(shard["shards"]) if shard else 1
    if len(paths) != wanted:
        names = ", ".join(path.name for path in paths)
        problem = f'shards of split "{split}" are missing' if len(paths) < wanted else f'split "{split}" is there twice'
        raise SourceError(
            f"{problem}: {names}", where=str(paths[0].parent), hint="remove the files and run flantune fetch again"
        )
    return tuple(paths)


def read_record(folder: Path) -> dict[str, Any]:
    """What ``flantune fetch`` noted about a folder of a mirror; empty when it noted nothing."""
    try:
        check_regular(folder / RECORD_NAME)
        record = json.loads((folder / RECORD_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def split_record(folder: Path, split: str) -> dict[str, Any]:
    """What was noted about one split; empty when nothing was."""
    splits = read_record(folder).get("splits")
    note = splits.get(split) if isinstance(splits, dict) else None
    if not isinstance(note, dict):
        return {}
    kinds = {"rows": int, "is_whole": bool, "revision": str, "commit": str}
    known = {key: note[key] for key, kind in kinds.items() if isinstance(note.get(key), kind)}
    return {"rows": 0, "is_whole": True, "revision": None, "commit": None, **known}


def matches_revision(note: Mapping[str, Any], revision: str | None) -> bool:
    """Whether a fetched split is of the wanted revision; what is not known to be wrong is right.

    >>> matches_revision({"commit": "0a1b2c3d4e", "revision": "main"}, "0a1b2c3")
    True
    >>> matches_revision({"commit": "0a1b2c3d4e", "revision": "main"}, "5f6e7d8")
    False
    """
    known = [name for name in (note.get("commit"), note.get("revision")) if name]
    return not revision or not known or any(name.startswith(revision) for name in known)


def _digest(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise SourceError(f"cannot be read: {error}", where=str(path)) from error
