"""MLflow, at ``MLFLOW_TRACKING_URI``: a server, a database or a folder."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flantune.tracking.tracker import Tracked

_LONGEST_VALUE = 500
_PARAMETERS_AT_ONCE = 100
_METRICS_AT_ONCE = 1000


def open_tracker(tracked: Tracked) -> _Mlflow:
    """An MLflow run in the experiment with the project's name."""
    return _Mlflow(tracked)


class _Mlflow:
    def __init__(self, tracked: Tracked) -> None:
        from mlflow import entities
        from mlflow.tracking import MlflowClient

        self._entities: Any = entities
        self._client: Any = MlflowClient()
        self.key = tracked.earlier or self._create(tracked)
        self._client.update_run(self.key, status="RUNNING")

    def _create(self, tracked: Tracked) -> str:
        found = self._client.get_experiment_by_name(tracked.project)
        experiment = found.experiment_id if found else self._client.create_experiment(tracked.project)
        tags = {"flantune.run": tracked.run, "flantune.fold": tracked.fold}
        key = str(self._client.create_run(experiment, run_name=tracked.title, tags=tags).info.run_id)
        parameters = [
            self._entities.Param(_named(name), str(value)[:_LONGEST_VALUE]) for name, value in tracked.settings.items()
        ]
        for start in range(0, len(parameters), _PARAMETERS_AT_ONCE):
            self._client.log_batch(key, params=parameters[start : start + _PARAMETERS_AT_ONCE])
        return key

    def log(self, step: int, values: Mapping[str, float]) -> None:
        now = int(time.time() * 1000)
        points = [self._entities.Metric(_named(name), value, now, step) for name, value in values.items()]
        for start in range(0, len(points), _METRICS_AT_ONCE):
            self._client.log_batch(self.key, metrics=points[start : start + _METRICS_AT_ONCE])

    def conclude(self, scores: Mapping[str, float], files: Sequence[Path]) -> None:
        self.log(0, scores)
        for path in files:
            self._client.log_artifact(self.key, str(path))

    def close(self) -> None:
        self._client.set_terminated(self.key)


def _named(name: str) -> str:
    """A name with only characters that MLflow allows.

    >>> _named("loss/anli_r1 (r1)")
    'loss/anli_r1 _r1_'
    """
    return re.sub(r"[^\w. /-]", "_", name)
