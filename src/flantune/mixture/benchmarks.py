"""Which tasks are made from a benchmark, by name, hub id, source family or kin, so that none of them is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from flantune.errors import ConfigError, did_you_mean
from flantune.mixture.holdout import Excluded
from flantune.mixture.taxonomy import Benchmark, Taxonomy, plain_name
from flantune.tasks.naming import is_named

if TYPE_CHECKING:
    from flantune.mixture.holdout import FoldTasks
    from flantune.types import Task


def without_benchmarks(split: FoldTasks, names: Sequence[str], *, taxonomy: Taxonomy) -> FoldTasks:
    """A fold without training tasks made from some benchmarks; these are excluded, with the reason.

    Raises:
        ConfigError: The taxonomy lacks such a benchmark, or nothing is left to train on.
    """
    chosen = _benchmarks(names, taxonomy)
    reasons = {task.name: reason for task in split.train if (reason := made_from(task, chosen, taxonomy=taxonomy))}
    if not reasons:
        return split
    train = tuple(task for task in split.train if task.name not in reasons)
    if not train:
        hint = "these are " + "; ".join(f"{name}: {reason}" for name, reason in list(reasons.items())[:5])
        raise ConfigError("no task is left to train on", where="holdout.benchmarks", hint=hint)
    excluded = tuple(Excluded(task=name, reason=reason) for name, reason in reasons.items())
    return replace(split, train=train, excluded=(*split.excluded, *excluded))


def made_from(task: Task, benchmarks: Sequence[Benchmark], *, taxonomy: Taxonomy) -> str:
    """Why training on a task would leak one of some benchmarks, or the empty string."""
    own = {plain_name(task.source_family), plain_name(task.name)}
    hub = task.source.hub
    for benchmark in benchmarks:
        said = f"it is made from the benchmark {benchmark.name}"
        if is_named(task.name, benchmark.tasks):
            return f"{said} (by its name)"
        if hub is not None and hub.id.casefold() in benchmark.hubs:
            return f"{said} ({hub.id} of the hub)"
        if own & benchmark.families:
            return f'{said} (its source family is "{task.source_family}")'
        for kin in taxonomy.kin:
            if own & kin.members and benchmark.families & kin.members:
                return f"it is kin to the benchmark {benchmark.name} ({kin.name}: {kin.because or 'see the taxonomy'})"
    return ""


def _benchmarks(names: Sequence[str], taxonomy: Taxonomy) -> tuple[Benchmark, ...]:
    known = {benchmark.name: benchmark for benchmark in taxonomy.benchmarks}
    unknown = [f'no benchmark "{name}"; {did_you_mean(name, known)}' for name in names if name not in known]
    if unknown:
        hint = f"the taxonomy has: {', '.join(known)}; one of your own may have more ([[benchmark]])"
        raise ConfigError("\n".join(line.rstrip("; ") for line in unknown), where="holdout.benchmarks", hint=hint)
    return tuple(known[name] for name in names)
