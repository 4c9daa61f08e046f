"""Rows of a dataset of the Hugging Face hub: from a folder that mirrors it, or from the hub itself."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

from pydantic import AfterValidator

from flantune.errors import MissingDataError, SourceError, did_you_mean
from flantune.system.files import is_folder
from flantune.tasks.sources import hub_api
from flantune.tasks.sources.files import FileSource
from flantune.tasks.sources.mirror import matches_revision, mirrored_splits, split_record
from flantune.tasks.sources.section import SourceSection
from flantune.types import HubDataset, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flantune.types import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSource(Source):
    """A dataset of the Hugging Face hub, from a folder that mirrors it or from the hub itself.

    Attributes:
        id: ``<org>/<name>``.
        config: The configuration; None: the dataset's default.
        revision: Commit; pin it to make a run repeatable.
        mirror: Folder with ``<org>/<name>/<config>/<split>.jsonl.gz`` (or .jsonl, .jsonl.zst, .parquet, or Parquet
            shards). None: the hub.
        manual: How to put data that the hub does not provide into a mirror; such data is never requested from the hub.
    """

    id: str
    config: str | None = None
    revision: str | None = None
    mirror: Path | None = None
    manual: str = ""

    def rows(self, split: str) -> Iterator[Row]:
        """All rows of a split, in order, in constant memory; the same from a mirror or the hub.

        Raises:
            SourceError: The split cannot be found or read.
        """
        files = self._mirrored(split)
        if files is not None:
            yield from files.rows(split)
            return
        self._check_on_hub()
        yield from hub_api.stream_rows(self.hub, split=split)

    def fingerprint(self, split: str) -> str:
        """SHA-256 of the mirrored files, or of the hub's id, configuration, split and commit.

        Raises:
            SourceError: The split cannot be found or read.
        """
        files = self._mirrored(split)
        if files is not None:
            return files.fingerprint(split)
        self._check_on_hub()
        commit = hub_api.resolve_revision(self.hub) or f"unresolved {self.revision}"
        return sha256(json.dumps([self.id, self.config, split, commit]).encode()).hexdigest()

    def describe(self, split: str, row: int | None = None) -> str:
        """The mirrored file, or the hub id."""
        if self.mirror is None:
            config = f" ({self.config})" if self.config else ""
            return f"hub:{self.id}{config} split {split}"
        try:
            files = self._mirrored(split)
        except SourceError:
            files = None
        return files.describe(split, row) if files else str(self._folder())

    @property
    def hub(self) -> HubDataset:
        """Its id, configuration and revision."""
        return HubDataset(id=self.id, config=self.config, revision=self.revision)

    def files_here(self) -> frozenset[Path]:
        """The mirror's files; those of all configurations if none is named."""
        return _mirrored_files(str(self.mirror), self.id, self.config) if self.mirror is not None else frozenset()

    def places(self) -> tuple[tuple[str, str, str], ...]:
        """Its id with its page on the hub, then configuration and revision."""
        link = f"https://huggingface.co/datasets/{quote(self.id, safe='/', errors='replace')}"
        more = (("configuration", self.config or "", ""), ("revision", self.revision or "", ""))
        return (("hub", self.id, link), *(place for place in more if place[1]))

    def with_mirror(self, mirror: Path) -> HubSource:
        """The same source, read from this mirror unless it has its own."""
        return self if self.mirror is not None else replace(self, mirror=mirror)

    def check_rows(self, split: str, wanted: int | None) -> None:
        """Makes sure that the mirror has enough rows from the front of a split; None: all.

        Raises:
            MissingDataError: ``flantune fetch`` downloaded fewer.
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
            raise MissingDataError("the mirror folder does not exist", where=str(self.mirror), hint=hint)
        if not splits:
            raise MissingDataError(f"the mirror has no {self._name}", where=str(folder), hint=self._fetch_hint)
        if split not in splits:
            there = ", ".join(sorted(splits))
            raise MissingDataError(
                f'the mirror has no split "{split}" of {self._name}; available: {there}',
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
            message = f"{self._name} cannot be downloaded from the hub: its files have to be put into a mirror manually"
            raise MissingDataError(message, hint=self.manual)

    @property
    def _fetch_hint(self) -> str:
        return self.manual or f"run: flantune fetch RUN_FILE --mirror {self.mirror}"


@lru_cache(maxsize=4096)
def _mirrored_files(mirror: str, hub_id: str, config: str | None) -> frozenset[Path]:
    home = Path(mirror) / hub_id
    folders = [home / config] if config is not None else [path for path in sorted(home.glob("*")) if path.is_dir()]
    try:
        files = [path for folder in folders for split in mirrored_splits(folder).values() for path in split]
    except (SourceError, OSError):
        return frozenset()
    return frozenset(path.resolve() for path in files)


# In a task file. -----------------------------------------------------------------------------------------------------


def _hub_id(name: str) -> str:
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) or {".", ".."} & {*name.split("/")}:
        raise ValueError('should be a dataset of the hub, "<org>/<name>"')
    return name


class HubSection(SourceSection):
    """``[source]`` with a dataset of the hub."""

    hub: Annotated[str, AfterValidator(_hub_id)]
    """Id of a dataset on the Hugging Face hub."""
    config: str | None = None
    """The dataset's configuration."""
    revision: str | None = None
    """Commit of the dataset; pin it to make a run repeatable."""
    manual: Annotated[str, AfterValidator(lambda text: " ".join(text.split()))] = ""
    """For data that the hub does not provide: where to get the files, where to put them, which columns are used."""

    def source(self, folder: Path) -> HubSource:  # noqa: ARG002 - for files
        """The dataset, without a mirror."""
        return HubSource(id=self.hub, config=self.config, revision=self.revision, manual=self.manual)
