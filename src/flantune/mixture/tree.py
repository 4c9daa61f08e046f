"""The mixture with counts, as clusters of tasks and as a tree of parts, for the report and the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flantune.mixture.mixture import Mixture
    from flantune.mixture.portions import Portion


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedTask:
    """A task in a mixture.

    Attributes:
        clusters: All its clusters.
        dataset: Hub id of its data; None if it has none.
        examples: Number of rows.
        capped: Rows that are drawn.
        quota: Draws out of a whole turn of the schedule.
        rate: Share of draws, between 0 and 1.
        templates: Number of templates.
        inverted_templates: How many of them are inverted.
        draws: Prompts drawn on average.
        epochs: How often each row in use is drawn on average.
        licence: Licence of its data, as its authors state it.
    """

    name: str
    clusters: tuple[str, ...]
    family: str
    kind: str
    dataset: str | None
    examples: int
    capped: int
    quota: int
    rate: float
    templates: int
    inverted_templates: int
    draws: float
    epochs: float
    licence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedCluster:
    """The tasks of a mixture with this first cluster, and their sums."""

    name: str
    examples: int
    capped: int
    quota: int
    rate: float
    draws: float
    tasks: tuple[MixedTask, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedPart:
    """A part of a mixture that is a tree.

    Attributes:
        path: Its dotted path.
        rate: Share of all draws, between 0 and 1.
        tasks: Names of its tasks.
        rows: Rows that are drawn.
        draws: Prompts drawn on average.
        epochs: How often each row is drawn in this part, on average.
        parts: The parts below it.
    """

    path: str
    rate: float
    tasks: tuple[str, ...]
    rows: int
    draws: float
    epochs: float
    parts: tuple[MixedPart, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureTree:
    """A mixture: its clusters, by name, and its parts.

    Attributes:
        seed: Seed of the draw.
        cycle: Draws after which every task has had its quota once; in a mixture of parts, on average.
        parts: Empty if all tasks are at the top.
    """

    seed: int
    cycle: int
    clusters: tuple[MixedCluster, ...]
    parts: tuple[MixedPart, ...] = ()


def mixture_tree(mixture: Mixture, *, draws: int = 0) -> MixtureTree:
    """Clusters and their tasks, and parts, with examples, caps, rates and epochs."""
    by_task: dict[str, list[Portion]] = {}
    for portion in mixture.portions:
        by_task.setdefault(portion.task.name, []).append(portion)
    clusters: dict[str, list[MixedTask]] = {}
    for name in sorted(by_task):
        task = by_task[name][0].task
        clusters.setdefault(task.clusters[0] if task.clusters else "", []).append(_task(by_task[name], draws))
    return MixtureTree(
        seed=mixture.seed,
        cycle=mixture.cycle,
        clusters=tuple(_cluster(name, tasks) for name, tasks in sorted(clusters.items())),
        parts=_parts(mixture.portions, "", draws),
    )


def _task(portions: Sequence[Portion], draws: int) -> MixedTask:
    task, capped = portions[0].task, max(portion.capped for portion in portions)
    rate = sum(portion.share for portion in portions)
    templates = {template.name: template for portion in portions for template in portion.templates}.values()
    return MixedTask(
        name=task.name,
        clusters=task.clusters,
        family=task.source_family,
        kind=task.kind,
        dataset=task.source.hub.id if task.source.hub is not None else None,
        examples=portions[0].examples,
        capped=capped,
        quota=sum(portion.quota for portion in portions),
        rate=rate,
        templates=len(templates),
        inverted_templates=sum(template.is_inverted for template in templates),
        draws=draws * rate,
        epochs=draws * rate / capped,
        licence=task.licence,
    )


def _cluster(name: str, tasks: Sequence[MixedTask]) -> MixedCluster:
    return MixedCluster(
        name=name,
        examples=sum(task.examples for task in tasks),
        capped=sum(task.capped for task in tasks),
        quota=sum(task.quota for task in tasks),
        rate=sum(task.rate for task in tasks),
        draws=sum(task.draws for task in tasks),
        tasks=tuple(tasks),
    )


def _parts(portions: Sequence[Portion], above: str, draws: int) -> tuple[MixedPart, ...]:
    """The parts directly below one, by name."""
    found: dict[str, list[Portion]] = {}
    for portion in portions:
        rest = portion.part.removeprefix(above)
        if rest:
            found.setdefault(above + rest.partition(".")[0], []).append(portion)
    return tuple(_part(path, inner, draws) for path, inner in found.items())


def _part(path: str, portions: Sequence[Portion], draws: int) -> MixedPart:
    rate = sum(portion.share for portion in portions)
    rows = {portion.task.name: portion.capped for portion in portions}
    return MixedPart(
        path=path,
        rate=rate,
        tasks=tuple(rows),
        rows=sum(rows.values()),
        draws=draws * rate,
        epochs=draws * rate / sum(rows.values()),
        parts=_parts([portion for portion in portions if portion.part != path], f"{path}.", draws),
    )
