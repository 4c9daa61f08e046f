"""What a program that keeps track of runs is told, whichever it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from flantune.errors import ConfigError

MODULES = {"tensorboard": "tensorboard", "trackio": "trackio", "wandb": "wandb", "mlflow": "mlflow"}
"""Tracker → the library that it needs. A tracker's own module here has its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """One tuning that is kept track of: a fold of a run.

    Attributes:
        project: What it is filed under.
        run: Name of the run; its folds are one group.
        fold: Which of its models; empty for pretraining.
        settings: Dotted setting → value.
        folder: A folder for what the tracker itself writes.
        earlier: What ``Tracker.key`` was when it was tracked before; empty: never.
    """

    project: str
    run: str
    fold: str
    settings: Mapping[str, object]
    folder: Path
    earlier: str = ""

    @property
    def title(self) -> str:
        """Its name among others."""
        return f"{self.run}: {self.fold}" if self.fold else self.run


class Tracker(Protocol):
    """One tuning in one program that keeps track of runs."""

    @property
    def key(self) -> str:
        """By what the program finds this tuning again after an interruption."""
        ...

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Points of curves."""
        ...

    def conclude(self, scores: Mapping[str, float], files: Sequence[Path]) -> None:
        """What was measured at the end, and files to keep with it."""
        ...

    def close(self) -> None:
        """Nothing comes for now."""
        ...


def check_trackers(names: Sequence[str]) -> None:
    """Makes sure that the trackers' libraries are there, before anything is computed.

    Raises:
        ConfigError: One is not installed.
    """
    missing = [name for name in names if find_spec(MODULES[name]) is None]
    if missing:
        hint = f"pip install {' '.join(missing)}, or take {'it' if len(missing) == 1 else 'them'} out of tracking.to"
        raise ConfigError(f"not installed: {', '.join(missing)}", where="tracking.to", hint=hint)


def open_tracker(name: str, tracked: Tracked) -> Tracker:
    """A tracker that goes on with what it was told before.

    Args:
        name: A key of ``MODULES``.
        tracked: What is kept track of.
    """
    opened: Tracker = import_module(f"flantune.tracking.{name}").open_tracker(tracked)
    return opened
