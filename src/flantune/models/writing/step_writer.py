"""Generation in lockstep: rows start together, or join others if the model supports it; each leaves when done."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flantune.models.heads import find_head
from flantune.models.writing.decoding import ADMIT_SHARE, Choose, Ended, Method, Row, by_prompt
from flantune.models.writing.lockstep import (
    DecoderBatch,
    EncoderDecoderBatch,
    GrowingBatch,
    LockstepBatch,
    UncachedBatch,
)

if TYPE_CHECKING:
    from torch import Tensor

    from flantune.models.language_model import LanguageModel

DROP_SHARE = 1 / 8
"""Finished rows leave a batch once they are this share of it, since leaving copies the others."""


class StepWriter:
    """Batches of rows in lockstep, for encoder-decoders and the methods "even" and "uncached"."""

    def __init__(self, lm: LanguageModel, rows: Sequence[Row], choose: Choose, *, budget: int, method: Method) -> None:
        self.lm, self.budget, self.method, self._choose = lm, budget, method, choose
        self._waiting: deque[Row] = deque(sorted(rows, key=lambda row: (-len(row.inputs), row.prompt, row.sample)))
        self._batch: LockstepBatch | None = None
        self._rows: list[Row | None] = []

    @property
    def has_work(self) -> bool:
        """Whether there is work left."""
        return bool(self._waiting or self._rows)

    def advance(self) -> list[Ended]:
        """Starts a batch or generates one token in each of its rows; returns the rows that ended."""
        if self._batch is None:
            return self._begin()
        if self.method == "joining" and self._waiting and self._is_time_to_join():
            return self._join(self._batch)
        self._drop(self._batch)
        logits = self._batch.step([row.tokens[-1] if row else 0 for row in self._rows])
        return self._ended(logits)

    def retreat(self) -> bool:
        """Restarts unfinished rows with half the memory; False if it cannot be halved."""
        unfinished = [row.again() for row in self._rows if row]
        self._batch, self._rows = None, []
        self._waiting.extendleft(reversed(unfinished))
        self.budget //= 2
        return len(unfinished) != 1 and self.budget > 0

    def _begin(self) -> list[Ended]:
        self._rows = [*self._take()]
        self._batch, logits = self._read([row for row in self._rows if row])
        return self._ended(logits)

    def _join(self, batch: Any) -> list[Ended]:
        """Adds the next rows to those in progress."""
        stay = [at for at, row in enumerate(self._rows) if row is not None]
        live = [row for row in self._rows if row is not None]
        new = self._take(live)
        # Before anything is computed: if memory runs out, all restart.
        self._rows = [*live, *new]
        others, logits = self._read(new)
        batch.keep(stay)
        batch.join(others)
        return self._ended(logits, first=len(live))

    def _is_time_to_join(self) -> bool:
        live = [row for row in self._rows if row is not None]
        fitting = self.budget // self._size(live)
        return fitting - len(live) >= max(1, fitting * ADMIT_SHARE)

    def _size(self, live: Sequence[Row]) -> int:
        """Positions of the longest of these rows and the next waiting one, when complete."""
        return max(len(row.inputs) + row.room for row in (*live, self._waiting[0]))

    def _read(self, rows: Sequence[Row]) -> tuple[LockstepBatch, Tensor]:
        """Reads each prompt once for a batch of rows that start together; returns logits of each row's first token."""
        prompts = by_prompt(rows) if self.lm.family == "encoder-decoder" else [(row,) for row in rows]
        inputs = [group[0].inputs for group in prompts]
        batch: LockstepBatch
        if self.method == "uncached":
            batch = UncachedBatch(self.lm, inputs)
        elif self.lm.family == "encoder-decoder":
            batch = EncoderDecoderBatch(self.lm, find_head(self.lm), inputs)
        else:
            batch = (GrowingBatch if self.method == "growing" else DecoderBatch)(self.lm, inputs)
        logits = batch.begin()
        if len(prompts) < len(rows):
            sources = [at for at, group in enumerate(prompts) for _ in group]
            batch.keep(sources)
            logits = logits[sources]
        return batch, logits

    def _take(self, live: Sequence[Row] = ()) -> list[Row]:
        """The next rows that fit the budget along with the given ones; all of one length if the method requires it."""
        size, length = self._size(live), len(self._waiting[0].inputs)
        taken: list[Row] = []
        while self._waiting and (not (live or taken) or (len(live) + len(taken) + 1) * size <= self.budget):
            if self.method in ("even", "uncached", "growing") and len(self._waiting[0].inputs) != length:
                break
            taken.append(self._waiting.popleft())
        return taken

    def _ended(self, logits: Tensor, *, first: int = 0) -> list[Ended]:
        """Adds the next token to the rows from ``first`` on; returns those that ended."""
        at_work = [at for at, row in enumerate(self._rows) if row is not None and at >= first]
        rows = [row for row in self._rows[first:] if row is not None]
        logits = logits if len(rows) == len(logits) else logits[at_work]
        ends = self._choose(logits, rows)
        for at, end in zip(at_work, ends, strict=True):
            self._rows[at] = None if end is not None else self._rows[at]
        if not any(self._rows):
            self._batch, self._rows = None, []
        return [(row, end) for row, end in zip(rows, ends, strict=True) if end is not None]

    def _drop(self, batch: LockstepBatch) -> None:
        """Drops finished rows once there are enough of them."""
        stay = [at for at, row in enumerate(self._rows) if row is not None]
        if len(self._rows) - len(stay) >= max(1.0, len(self._rows) * DROP_SHARE):
            batch.keep(stay)
            self._rows = [self._rows[at] for at in stay]
