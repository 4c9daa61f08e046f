"""The common interface of experiment trackers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from flantune.errors import ConfigError

MODULES = {"tensorboard": "tensorboard", "trackio": "trackio", "wandb": "wandb", "mlflow": "mlflow"}
"""Tracker → the library that it needs. Each tracker has a module of its name here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """One tracked tuning: a fold of a run.

    Attributes:
        project: The project in the tracker.
        run: Name of the run; its folds form a group.
        fold: The fold; empty for pretraining.
        settings: Dotted setting → value.
        folder: A folder for the tracker's own files.
        earlier: ``Tracker.key`` from an earlier start; empty: none.
    """

    project: str
    run: str
    fold: str
    settings: Mapping[str, object]
    folder: Path
    earlier: str = ""

    @property
    def title(self) -> str:
        """Its display name."""
        return f"{self.run}: {self.fold}" if self.fold else self.run


class Tracker(Protocol):
    """One tuning in one tracker."""

    @property
    def key(self) -> str:
        """Key by which the tracker finds this tuning after an interruption."""
        ...

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Adds points to curves."""
        ...

    def conclude(self, scores: Mapping[str, float], files: Sequence[Path]) -> None:
        """Adds the final results, and files to store with them."""
        ...

    def close(self) -> None:
        """Ends logging for now."""
        ...


def check_trackers(names: Sequence[str]) -> None:
    """Checks that the trackers' libraries are installed, before anything is computed.

    Raises:
        ConfigError: One is not installed.
    """
    missing = [name for name in names if find_spec(MODULES[name]) is None]
    if missing:
        hint = f"pip install {' '.join(missing)}, or remove {'it' if len(missing) == 1 else 'them'} from tracking.to"
        raise ConfigError(f"not installed: {', '.join(missing)}", where="tracking.to", hint=hint)


def open_tracker(name: str, tracked: Tracked) -> Tracker:
    """A tracker that continues after what was already sent.

    Args:
        name: A key of ``MODULES``.
        tracked: The tuning to track.
    """
    opened: Tracker = import_module(f"flantune.tracking.{name}").open_tracker(tracked)
    return opened
