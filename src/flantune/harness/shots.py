"""Exemplars exactly as lm-evaluation-harness draws them, so that both give the same prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING

from flantune.errors import TaskError
from flantune.harness.rows import TaskRows

if TYPE_CHECKING:
    from flantune.harness.harness_file import HarnessTask
    from flantune.suites.suite import SuiteData
    from flantune.types import Row

SEED = 1234
"""The harness's default seed for exemplars."""

SameQuestion = Callable[["Row", "Row"], bool]
"""Whether an exemplar's row would show the question of another row."""


class ExemplarDraw:
    """Draws exemplars for each question in turn, in the order of the data.

    The harness keeps one random state per task and advances it with every question, so exemplars must be drawn in
    order, once per question. The harness's exemplars are used, except a question as its own exemplar, which the harness
    removes only if ``fewshot_split`` is ``test_split``. Here another row replaces it, drawn with a separate random
    state, so that all other questions keep the harness's exemplars.

    Args:
        rows: The task's rows.
        shots: Exemplars per question.
        is_same: Whether an exemplar's row would show the question of another row.

    Raises:
        TaskError: The task names no rows to draw from, or an unknown way of drawing.
    """

    def __init__(self, rows: TaskRows, *, shots: int, is_same: SameQuestion) -> None:
        values = rows.task.values
        config = values.get("fewshot_config") or {}
        self._shots, self._random, self._instead = shots, Random(SEED), Random(SEED)
        self._is_same = is_same
        self._sampler = str(config.get("sampler", "default"))
        if self._sampler not in {"default", "first_n"}:
            raise TaskError(f'fewshot_config.sampler: "{self._sampler}" is not known', where=str(rows.task.path))
        split = config.get("split") or values.get("fewshot_split")
        self._excludes_query = split == values.get("test_split")
        self._pool = rows.pool() if shots else []

    def draw(self, query: Row) -> Sequence[Row]:
        """The exemplars of the next question.

        Raises:
            TaskError: There are not enough.
        """
        if not self._shots:
            return ()
        others = [row for row in self._pool if row != query] if self._excludes_query else self._pool
        if len(others) < self._shots:
            raise self._too_few(len(others))
        return self._without(query, self._drawn(others, query))

    def _drawn(self, others: Sequence[Row], query: Row) -> Sequence[Row]:
        """Exemplars drawn as the harness draws them."""
        if self._sampler == "first_n":
            return others[: self._shots]
        if not self._excludes_query:
            return self._random.sample(self._pool, self._shots)
        drawn = [row for row in self._random.sample(self._pool, self._shots + 1) if row != query][: self._shots]
        return drawn if len(drawn) == self._shots else self._random.sample(others, self._shots)

    def _without(self, query: Row, drawn: Sequence[Row]) -> Sequence[Row]:
        """The exemplars, with other rows instead of those that show the query."""
        given_away = [self._is_same(row, query) for row in drawn]
        if not any(given_away):
            return drawn
        kept = [row for row, is_query in zip(drawn, given_away, strict=True) if not is_query]
        spare = [row for row in self._pool if not self._is_same(row, query) and row not in kept]
        if len(spare) < sum(given_away):
            raise self._too_few(len(kept) + len(spare))
        chosen = spare if self._sampler == "first_n" else self._instead.sample(spare, sum(given_away))
        more = iter(chosen)
        return [next(more) if is_query else row for row, is_query in zip(drawn, given_away, strict=True)]

    def _too_few(self, count: int) -> TaskError:
        return TaskError(
            f"{self._shots} exemplars wanted from {count} rows that are not the question itself",
            hint="ask with fewer --shots",
        )


def shots_of(task: HarnessTask, data: SuiteData) -> int:
    """The requested number of exemplars, else the file's; a file's 0 is binding, as in the harness."""
    own = task.values.get("num_fewshot")
    return int(own or 0) if data.shots is None or own == 0 else data.shots
