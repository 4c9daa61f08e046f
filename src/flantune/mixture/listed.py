"""Leaks in the list of Flan 2022: the kin of each task, and the benchmarks that it would leak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from flantune.mixture.benchmarks import made_from
from flantune.mixture.leaks import kin_groups
from flantune.mixture.taxonomy import load_taxonomy
from flantune.tasks.listed_tasks import ListedTask, as_task, flan2022_tasks


def describe_listed(listed: Sequence[ListedTask]) -> list[dict[str, Any]]:
    """Tasks of Flan 2022's list as JSON values, each with its kin in the whole list and what it leaks."""
    taxonomy = load_taxonomy(None)
    kin: dict[str, list[str]] = {}
    for group in kin_groups([as_task(one) for one in flan2022_tasks()], taxonomy):
        for name in group.tasks:
            kin.setdefault(name, []).append(group.name)
    found = []
    for one in listed:
        task = as_task(one)
        found.append(
            {
                **asdict(one),
                "how": one.how,
                "kin": kin.get(task.name, []),
                "benchmarks": [
                    benchmark.name
                    for benchmark in taxonomy.benchmarks
                    if made_from(task, [benchmark], taxonomy=taxonomy)
                ],
            }
        )
    return found
