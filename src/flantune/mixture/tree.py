"""The mixture as a tree with counts, for the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flantune.mixture.rates import effective_epochs, shares

if TYPE_CHECKING:
    from flantune.mixture.mixture import Mixture
    from flantune.mixture.portions import Portion


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedTask:
    """A task's part in a mixture.

    Attributes:
        clusters: All its clusters.
        dataset: Hub id of its data; None where it has none.
        examples: Rows it has.
        capped: Rows that count for its rate.
        quota: Draws out of a cycle.
        rate: Share of draws, between 0 and 1.
        templates: Ways of phrasing it.
        inverted_templates: How many of them are inverted.
        draws: Prompts drawn on average.
        epochs: How often each row that counts is drawn on average.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedCluster:
    """The tasks of a mixture that have this cluster as their first, and their sums."""

    name: str
    examples: int
    capped: int
    quota: int
    rate: float
    draws: float
    tasks: tuple[MixedTask, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureTree:
    """A mixture: its clusters, by name.

    Attributes:
        seed: Seed of the draw.
        cycle: Draws after which every task had its quota once.
    """

    seed: int
    cycle: int
    clusters: tuple[MixedCluster, ...]


def mixture_tree(mixture: Mixture, *, draws: int = 0) -> MixtureTree:
    """Clusters and their tasks with examples, caps, quotas, rates and epochs.

    Args:
        mixture: The mixture.
        draws: Prompts drawn in the run.
    """
    portions = mixture.portions
    rates = shares([portion.quota for portion in portions])
    epochs = effective_epochs([one.capped for one in portions], [one.quota for one in portions], draws=draws)
    clusters: dict[str, list[MixedTask]] = {}
    for portion, rate, epoch in zip(portions, rates, epochs, strict=True):
        first = portion.task.clusters[0] if portion.task.clusters else ""
        clusters.setdefault(first, []).append(_task(portion, rate=rate, draws=draws * rate, epochs=epoch))
    return MixtureTree(
        seed=mixture.seed,
        cycle=mixture.cycle,
        clusters=tuple(_cluster(name, tasks) for name, tasks in sorted(clusters.items())),
    )


def _task(portion: Portion, *, rate: float, draws: float, epochs: float) -> MixedTask:
    task = portion.task
    return MixedTask(
        name=task.name,
        clusters=task.clusters,
        family=task.source_family,
        kind=task.kind,
        dataset=task.source.hub.id if task.source.hub is not None else None,
        examples=portion.examples,
        capped=portion.capped,
        quota=portion.quota,
        rate=rate,
        templates=len(portion.templates),
        inverted_templates=sum(template.is_inverted for template in portion.templates),
        draws=draws,
        epochs=epochs,
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
