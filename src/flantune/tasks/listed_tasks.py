"""The tasks of Flan 2022 as its authors list them, and where their data can be found: names and facts, no data."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from flantune.errors import MissingDataError
from flantune.tasks.shipped_files import SHIPPED
from flantune.tasks.taskfile import load_task_file
from flantune.types import HubDataset, Row, Source, Task

COUNTED = {"muffin": 80, "t0_sf": 193, "niv2": 1_554, "cot": 9}
"""Tasks of each sub-mixture by the paper's count, 1,836 in all. Paper: Flan 2022 (Chung et al.), section 2.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedTask:
    """One task of the list.

    Attributes:
        submixture: The sub-mixture it belongs to.
        name: The authors' name; for Natural-Instructions, the file's name.
        category: The kind of task.
        languages: The languages of its texts.
        source: The data it is made from.
        ships_as: Name of the task file included in flantune; empty if there is none.
        hub: Hub dataset and configuration by promptsource's names; empty if it is not found that way.
        licence: For Natural-Instructions' tasks, the licence that their files state.
        template: Name of the template of promptsource.
        tracks: Its role in Natural-Instructions' two tracks: "train/excluded" …
    """

    submixture: str
    name: str
    category: str
    languages: str
    source: str
    ships_as: str
    hub: str
    licence: str
    template: str
    tracks: str

    @property
    def how(self) -> str:
        """How to get its data, in words; empty if that is not known."""
        if self.ships_as and any(SHIPPED.glob(f"*/{self.ships_as}.toml")):
            return f"task {self.ships_as}"
        if self.submixture == "t0_sf":
            return f"promptsource {self.hub}, template {self.template}"
        return f"tasks/{self.name}.json" if self.submixture == "niv2" else ""


@lru_cache
def flan2022_tasks() -> tuple[ListedTask, ...]:
    """The whole list, by sub-mixture and name.

    >>> len(flan2022_tasks())
    1838
    """
    with (SHIPPED / "flan2022.tsv").open(encoding="utf-8", newline="") as file:
        return tuple(ListedTask(**row) for row in csv.DictReader(file, delimiter="\t"))


@dataclass(frozen=True, slots=True)
class ListedSource(Source):
    """The data of a listed task, of which only the name is known."""

    listed: ListedTask

    def rows(self, split: str) -> Iterator[Row]:
        """Always fails, since there are no rows.

        Raises:
            MissingDataError: Always.
        """
        hint = f"read it as {self.listed.how}" if self.listed.how else ""
        raise MissingDataError("a list has no rows", where=self.describe(split), hint=hint)

    def fingerprint(self, split: str) -> str:
        """Its name."""
        return f"{self.listed.name}/{split}"

    def describe(self, split: str, row: int | None = None) -> str:  # noqa: ARG002
        """Its name."""
        return self.listed.name

    @property
    def hub(self) -> HubDataset | None:
        """The hub dataset, if known."""
        identity, _, config = self.listed.hub.partition(":")
        return HubDataset(id=identity, config=config or None) if identity else None


def as_task(listed: ListedTask) -> Task:
    """A listed task without its data, for finding its kin: the shipped task, if there is one."""
    for file in SHIPPED.glob(f"*/{listed.ships_as}.toml") if listed.ships_as else ():
        return load_task_file(file)
    return Task(
        name=listed.name,
        clusters=(listed.category,),
        source_family=listed.source,
        kind="generation",
        source=ListedSource(listed),
        adapter=lambda _: None,
        splits={"train": "train"},
        templates=(),
        metrics=(),
        licence=listed.licence,
        languages=tuple(listed.languages.split(", ")),
    )
