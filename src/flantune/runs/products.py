"""The files of a run folder as values: each class writes and reads one file.

Others are defined where they are made: ``TuningSummary`` (``training.json``), ``MetricsLine``, ``Manifest``,
``Results``,
``CleanFilter`` (``contamination.json``), ``TrainingRecord`` (``flantune.json`` beside a model).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flantune.mixture.holdout import Excluded
from flantune.mixture.tree import MixtureTree
from flantune.tasks.describe import TaskDescription


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSettings:
    """``config.json``: the settings of a run at its last start.

    Attributes:
        values: Every setting, section by section.
        origins: Dotted setting → origin of its value.
        contents: Dotted setting → a digest of the file or folder that it names.
        identity: A fingerprint of everything that can change the tuned weights.
        schema: Version of the folder's files; 1 in folders older than this entry.
    """

    values: Mapping[str, Any]
    origins: Mapping[str, str]
    contents: Mapping[str, str]
    identity: str
    schema: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DataReport:
    """``data.json``: the tasks of a run and their rows.

    Attributes:
        identity: A fingerprint of settings, definitions and rows.
        skipped: Task → why it is left out.
        tasks: The others.
    """

    identity: str
    skipped: Mapping[str, str]
    tasks: tuple[TaskDescription, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldMixture:
    """``mixture.json``: what one fold trained on and what it did not.

    Attributes:
        held_out: What it holds out: clusters, or single tasks.
        clusters: The clusters that the unseen tasks score.
        breaks: The rules of "unseen" that it breaks on purpose.
        train: Tasks trained on.
        unseen: Tasks never trained on that have test rows.
        measured_seen: Tasks trained on that have test rows.
        excluded: Tasks in neither place, with the reason.
        draws: Prompts drawn; 0 until tuning is finished.
        tree: How often each task is drawn.
    """

    held_out: tuple[str, ...]
    clusters: tuple[str, ...]
    breaks: tuple[str, ...]
    train: tuple[str, ...]
    unseen: tuple[str, ...]
    measured_seen: tuple[str, ...]
    excluded: tuple[Excluded, ...]
    draws: int
    tree: MixtureTree


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """The parts of a tuned model's ``config.json`` that are used here."""

    is_encoder_decoder: bool = False
