"""Trackers follow the metrics file, which is complete whatever happens to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flantune.errors import FlantuneError
from flantune.system.files import read_json, write_json
from flantune.tracking.tracker import Tracked, Tracker, open_tracker
from flantune.training.log import parsed_line
from flantune.training.metrics_line import MetricsLine

# Numbers of a line that become curves, as do the losses by task and cluster.
_CURVES = (
    "loss", "inputs_loss", "learning_rate", "grad_norm", "fill",
    "tokens_per_s", "pipeline_tokens_per_s", "data_wait_share",
)  # fmt: skip
_KEPT = "tracked.json"


@dataclass(slots=True)
class _Listener:
    name: str
    tracker: Tracker
    step: int
    """The last step that was sent to it."""


@dataclass(slots=True, kw_only=True)
class Followers:
    """Trackers of one tuning, which receive new lines of its metrics file. If one fails, the run continues without it.

    Attributes:
        metrics: The file, one ``MetricsLine`` per line; it may not exist yet.
        kept: File with each tracker's key, and what was sent to it.
        note: Called if a tracker fails.
    """

    metrics: Path
    kept: Path
    note: Callable[[str], None]
    listeners: list[_Listener] = field(default_factory=list)
    _read_bytes: int = 0

    def tell(self) -> None:
        """Sends the lines added since the last call."""
        if not self.listeners:
            return
        lines = self._new_lines()
        for listener in list(self.listeners):
            self._try(listener, lambda to=listener: _log(to, lines))  # type: ignore[misc]
        if lines:
            self.keep()

    def conclude(self, scores: Mapping[str, float], files: Sequence[Path]) -> None:
        """Sends the final results, and files with details."""
        there = [path for path in files if path.is_file()]
        for listener in list(self.listeners):
            self._try(listener, lambda to=listener: to.tracker.conclude(scores, there))  # type: ignore[misc]

    def close(self) -> None:
        """Ends logging in all trackers for now."""
        for listener in list(self.listeners):
            self._try(listener, listener.tracker.close)
        self.listeners.clear()

    def _new_lines(self) -> list[MetricsLine]:
        """Complete lines not yet read; all lines if the file was truncated, as after an interruption."""
        size = self.metrics.stat().st_size if self.metrics.is_file() else 0
        if size < self._read_bytes:
            self._read_bytes = 0
        if size == self._read_bytes:
            return []
        with self.metrics.open("rb") as file:
            file.seek(self._read_bytes)
            whole = file.read().rpartition(b"\n")[0]
        self._read_bytes += len(whole) + 1 if whole else 0
        return [line for text in whole.split(b"\n") if (line := parsed_line(text)) is not None]

    def _try(self, listener: _Listener, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:
            # A tracker's failure must not end hours of training.
            self.listeners.remove(listener)
            if call != listener.tracker.close:
                with suppress(Exception):  # else it would count as running for ever
                    listener.tracker.close()
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            self.note(f"{listener.name} receives nothing more: {reason}; {self.metrics} has everything")

    def keep(self) -> None:
        """Stores each tracker's key, and what was sent to it."""
        known = {one.name: {"key": one.tracker.key, "step": one.step} for one in self.listeners if one.tracker.key}
        if known:
            write_json(self.kept, {**_known(self.kept), **known})


def follow(
    names: Sequence[str],
    *,
    metrics: Path,
    note: Callable[[str], None],
    project: str,
    run: str,
    fold: str,
    settings: Mapping[str, object],
) -> Followers:
    """Trackers that receive new lines of a metrics file and resume after an interruption.

    Args:
        names: Names of the trackers.
        metrics: The file; the trackers' state is stored beside it.
        note: Called if a tracker fails.
        project: The project in the tracker.
        run: Its name.
        fold: The fold; empty for pretraining.
        settings: Dotted setting → value.
    """
    kept = metrics.parent / _KEPT
    followers = Followers(metrics=metrics, kept=kept, note=note)
    for name in names:
        before = _known(kept).get(name, {})
        tracked = Tracked(
            project=project,
            run=run,
            fold=fold,
            settings=settings,
            folder=metrics.parent,
            earlier=str(before.get("key", "")),
        )
        try:
            followers.listeners.append(_Listener(name, open_tracker(name, tracked), int(before.get("step", 0))))
        except Exception as error:
            note(f"{name} receives nothing: {str(error).strip().partition(chr(10))[0] or type(error).__name__}")
        else:
            # Kept before the first line: a start that is killed before it would leave a run that nobody continues.
            followers.keep()
    return followers


def _known(kept: Path) -> dict[str, dict[str, Any]]:
    try:
        return dict(read_json(kept)) if kept.is_file() else {}
    except (FlantuneError, ValueError):
        return {}


def _log(listener: _Listener, lines: Sequence[MetricsLine]) -> None:
    for line in lines:
        if line.step > listener.step:
            listener.tracker.log(line.step, curves(line))
            listener.step = line.step


def curves(line: MetricsLine) -> dict[str, float]:
    """The numbers of a line that become curves, by name; those that were not measured are left out."""
    values: dict[str, float | None] = {f"training/{name}": getattr(line, name) for name in _CURVES}
    values |= {f"loss/{task}": found.loss for task, found in line.tasks.items()}
    values |= {f"loss by cluster/{cluster}": found.loss for cluster, found in line.clusters.items()}
    values |= {f"dev/{name}": value for name, value in line.measured.items()}
    return {name: value for name, value in values.items() if value is not None}
