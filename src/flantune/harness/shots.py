"""Exemplars as lm-evaluation-harness draws them, to the row, so that both ask the same prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING

from flantune.errors import TaskError

if TYPE_CHECKING:
    from flantune.harness.taskfile import HarnessTask
    from flantune.suites.suite import SuiteData
    from flantune.types import Row

SEED = 1234
"""The harness's default seed of exemplars."""

Loader = Callable[[str], list["Row"]]


class ExemplarDraw:
    """Draws exemplars for one question after another, in the order of the data.

    The harness keeps one random state for a task and moves it on with every question, so questions must be asked for
    in order, each once.

    Args:
        task: The task.
        load: Split → its rows.
        shots: Exemplars a question.

    Raises:
        TaskError: The task names no rows to draw from, or a way of drawing that is not known.
    """

    def __init__(self, task: HarnessTask, load: Loader, *, shots: int) -> None:
        config = task.values.get("fewshot_config") or {}
        self._shots, self._random = shots, Random(SEED)
        self._sampler = str(config.get("sampler", "default"))
        if self._sampler not in {"default", "first_n"}:
            raise TaskError(f'fewshot_config.sampler: "{self._sampler}" is not known', where=str(task.path))
        split = task.values.get("fewshot_split") or config.get("split")
        self._excludes_query = split == task.values.get("test_split")
        self._pool = _pool(task, config, split, load) if shots else []

    def draw(self, query: Row) -> Sequence[Row]:
        """The exemplars of the next question.

        Raises:
            TaskError: There are not enough.
        """
        if not self._shots:
            return ()
        others = [row for row in self._pool if row != query] if self._excludes_query else self._pool
        if len(others) < self._shots:
            raise TaskError(f"{self._shots} exemplars wanted of {len(others)} rows", hint="ask with fewer --shots")
        if self._sampler == "first_n":
            return others[: self._shots]
        if not self._excludes_query:
            return self._random.sample(self._pool, self._shots)
        drawn = [row for row in self._random.sample(self._pool, self._shots + 1) if row != query][: self._shots]
        return drawn if len(drawn) == self._shots else self._random.sample(others, self._shots)


def _pool(task: HarnessTask, config: dict[str, object], split: object, load: Loader) -> list[Row]:
    samples = config.get("samples")
    if split is None and isinstance(samples, list):
        return samples
    name = split or next((task.values[key] for key in _IN_ORDER if task.values.get(key)), None)
    if name is None:
        raise TaskError("no split to draw exemplars from", where=str(task.path), hint="set fewshot_split")
    return load(str(name))


_IN_ORDER = ("training_split", "validation_split", "test_split")


def shots_of(task: HarnessTask, data: SuiteData) -> int:
    """The exemplars asked for, else those the file names."""
    return int(task.values.get("num_fewshot") or 0) if data.shots is None else data.shots
