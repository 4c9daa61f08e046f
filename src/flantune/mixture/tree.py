"""The mixture as a tree with counts, for the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flantune.mixture.rates import effective_epochs, shares

if TYPE_CHECKING:
    from flantune.mixture.mixture import Mixture

_SUMMED = ("examples", "capped", "quota", "rate", "draws")


def mixture_tree(mixture: Mixture, *, draws: int | None = None) -> dict[str, Any]:
    """Clusters and their tasks with examples, caps, quotas, rates and epochs, as JSON-able values.

    A task of several clusters stands under its first. ``rate`` is the task's share of draws; ``draws`` and ``epochs``
    (how often each used example is seen) are averages over ``draws`` prompts, and there only when that is given.

    Args:
        mixture: The mixture.
        draws: Prompts drawn in the run.
    """
    portions = mixture.portions
    rates = shares([portion.quota for portion in portions])
    epochs = effective_epochs(
        [portion.capped for portion in portions], [portion.quota for portion in portions], draws=draws or 0
    )
    clusters: dict[str, list[dict[str, Any]]] = {}
    for portion, rate, epoch in zip(portions, rates, epochs, strict=True):
        leaf = {
            "name": portion.task.name,
            "clusters": list(portion.task.clusters),
            "family": portion.task.source_family,
            "kind": portion.task.kind,
            "dataset": portion.task.source.hub.id if portion.task.source.hub is not None else None,
            "examples": portion.examples,
            "capped": portion.capped,
            "quota": portion.quota,
            "rate": rate,
            "templates": len(portion.templates),
            "inverted_templates": sum(template.is_inverted for template in portion.templates),
        }
        if draws is not None:
            leaf |= {"draws": draws * rate, "epochs": epoch}
        clusters.setdefault(portion.task.clusters[0] if portion.task.clusters else "", []).append(leaf)
    children = [_branch(name, leaves) for name, leaves in sorted(clusters.items())]
    return _branch("mixture", children) | {"seed": mixture.seed, "cycle": mixture.cycle}


def _branch(name: str, children: list[dict[str, Any]]) -> dict[str, Any]:
    sums = {key: sum(child[key] for child in children) for key in _SUMMED if key in children[0]}
    return {"name": name, **sums, "children": children}
