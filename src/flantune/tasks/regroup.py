"""The same tasks in other clusters: a second taxonomy as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from flantune.errors import ConfigError, did_you_mean
from flantune.settings.sections import Section, read_file
from flantune.tasks.shipped_files import SHIPPED

if TYPE_CHECKING:
    from flantune.types import Task

_SHAPE = 'write [clusters] and then lines such as "math" = ["gsm8k"]'


class _GroupingFile(Section):
    clusters: Annotated[dict[str, Annotated[tuple[str, ...], Field(min_length=1)]], Field(min_length=1)]
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """Which tasks belong to which cluster, replacing the clusters in the task files.

    Attributes:
        clusters: Cluster → names of its tasks; the order of both is the file's.
        description: Whose clusters these are.
    """

    clusters: Mapping[str, tuple[str, ...]]
    description: str = ""

    def clusters_of(self, task: str) -> tuple[str, ...]:
        """The clusters of a task; none if it is not in the grouping.

        >>> load_grouping("flan2021_clusters17").clusters_of("coqa")
        ('conversational qa',)
        """
        return tuple(cluster for cluster, names in self.clusters.items() if task in names)


def load_grouping(name: str | Path) -> Grouping:
    """A shipped grouping by name, such as ``flan2021_clusters17``, or a user's own from a TOML file.

    Args:
        name: A shipped grouping's name, or a TOML file with a table ``[clusters]`` of lines cluster = [task, …].

    Raises:
        ConfigError: There is no such grouping, or it is wrong.

    Paper: FLAN 2021 counts 12 clusters (figure 3); its public code has 17 finer ones.
    """
    path = Path(name)
    if path.suffix != ".toml":
        path = SHIPPED / f"{name}.toml"
        if not path.is_file():
            known = [file.stem for file in SHIPPED.glob("*.toml")]
            hint = did_you_mean(str(name), known) or f"shipped: {', '.join(known)}; or name a .toml file"
            raise ConfigError(f'no grouping "{name}" is shipped', hint=hint)
    found = read_file(path, _GroupingFile, error=ConfigError, what="grouping", hint=_SHAPE)
    return Grouping(clusters=found.clusters, description=found.description)


def regroup(tasks: Sequence[Task], grouping: Grouping, *, keep_others: bool = False) -> tuple[Task, ...]:
    """The tasks in a grouping's clusters, in its order.

    Args:
        tasks: The tasks.
        grouping: Their new clusters.
        keep_others: Tasks not in the grouping keep their clusters and come last; otherwise they are left out.

    Raises:
        ConfigError: The grouping has none of the tasks.
    """
    order = {name: place for place, name in enumerate(_names(grouping))}
    known = sorted((task for task in tasks if task.name in order), key=lambda task: order[task.name])
    if not known:
        raise ConfigError("the grouping knows none of these tasks", hint="it names tasks, each under its cluster")
    others = [task for task in tasks if task.name not in order] if keep_others else []
    return (*(replace(task, clusters=grouping.clusters_of(task.name)) for task in known), *others)


def _names(grouping: Grouping) -> list[str]:
    return list(dict.fromkeys(name for names in grouping.clusters.values() for name in names))
