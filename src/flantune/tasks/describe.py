"""A prepared task as JSON, for the run folder."""

from __future__ import annotations

import json
from dataclasses import asdict
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flantune.tasks.store import PreparedTask


def describe_task(prepared: PreparedTask) -> dict[str, object]:
    """What a task is and what became of its rows, as values that JSON can hold."""
    task = prepared.task
    return {
        "name": task.name,
        "clusters": list(task.clusters),
        "family": task.source_family,
        "kind": task.kind,
        "metrics": list(task.metrics),
        "licence": task.licence,
        "citation": task.citation,
        "description": task.description,
        "origin": task.origin,
        "fingerprint": task_fingerprint(prepared),
        "templates": [
            {"name": one.name, "inputs": one.inputs, "targets": one.targets, "is_inverted": one.is_inverted}
            for one in task.templates
        ],
        "splits": {role: _json(asdict(report)) for role, report in prepared.reports.items()},
        "missing": dict(prepared.missing),
    }


def task_fingerprint(prepared: PreparedTask) -> str:
    """SHA-256 over all that a task puts into a run: its examples, templates, clusters and metrics.

    Where files lie does not count, what is in them does.
    """
    task = prepared.task
    stores = {role: _store_identity(store) for role, store in prepared.stores.items()}
    parts = [task.name, task.clusters, task.source_family, task.kind, task.metrics, dict(task.splits), stores]
    return sha256(json.dumps([parts, [asdict(one) for one in task.templates]]).encode()).hexdigest()


def _store_identity(store: object) -> object:
    parts = getattr(store, "parts", None)
    if parts is not None:
        return [_store_identity(part) for part in parts]
    path = getattr(store, "path", None)
    # A stored split's folder is named by the fingerprint of all that decides what is in it.
    return (
        [path.parent.name, getattr(store, "start", 0), getattr(store, "stop", 0)] if path is not None else repr(store)
    )


def _json(value: object) -> object:
    return json.loads(json.dumps(value))
