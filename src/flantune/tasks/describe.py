"""A description of a prepared task for the run folder: what it is and what happened to its rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from flantune.tasks.example_store import SplitReport
from flantune.types import Kind, SplitRole

if TYPE_CHECKING:
    from flantune.tasks.example_store import PreparedTask


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateText:
    """The text of a template."""

    name: str
    inputs: str
    targets: str
    is_inverted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDescription:
    """A task of a run.

    Attributes:
        fingerprint: Changes with anything that the task contributes to the run.
        splits: Role → what happened to its rows.
        missing: Role → why its data could not be found.
        repeated: Why the measured rows are not independent observations; empty if they are.
    """

    name: str
    clusters: tuple[str, ...]
    family: str
    kind: Kind
    metrics: tuple[str, ...]
    licence: str
    citation: str
    description: str
    origin: str
    fingerprint: str
    templates: tuple[TemplateText, ...]
    splits: Mapping[SplitRole, SplitReport]
    missing: Mapping[SplitRole, str]
    repeated: str = ""


def describe_task(prepared: PreparedTask, *, repeated: str = "") -> TaskDescription:
    """What a task is and what happened to its rows.

    Args:
        prepared: The task.
        repeated: See ``TaskDescription``.
    """
    task = prepared.task
    return TaskDescription(
        name=task.name,
        clusters=task.clusters,
        family=task.source_family,
        kind=task.kind,
        metrics=task.metrics,
        licence=task.licence,
        citation=task.citation,
        description=task.description,
        origin=task.origin,
        fingerprint=task_fingerprint(prepared),
        templates=tuple(
            TemplateText(name=one.name, inputs=one.inputs, targets=one.targets, is_inverted=one.is_inverted)
            for one in task.templates
        ),
        splits=dict(prepared.reports),
        missing=dict(prepared.missing),
        repeated=repeated,
    )


def task_fingerprint(prepared: PreparedTask) -> str:
    """SHA-256 over everything a task contributes to a run: examples, templates, clusters and metrics.

    The content of files counts, not their location.
    """
    task = prepared.task
    stores = {role: _store_identity(store) for role, store in prepared.stores.items()}
    parts = [task.name, task.clusters, task.source_family, task.kind, task.metrics, dict(task.splits), stores]
    parts += ["every reply"] if task.every_reply else []
    return sha256(json.dumps([parts, [asdict(one) for one in task.templates]]).encode()).hexdigest()


def _store_identity(store: object) -> object:
    parts = getattr(store, "parts", None)
    if parts is not None:
        return [_store_identity(part) for part in parts]
    path = getattr(store, "path", None)
    # A stored split's folder is named by the fingerprint of everything that determines its content.
    return (
        [path.parent.name, getattr(store, "start", 0), getattr(store, "stop", 0)] if path is not None else repr(store)
    )
