"""Schedules generation: rows wait, are read into a slot, are continued, and leave when they end."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING

import torch

from flantune.errors import ModelError
from flantune.models.heads import find_head
from flantune.models.memory import is_out_of_memory
from flantune.models.scoring.plan import forward_cost, shares_starts
from flantune.models.scoring.shared_starts import PrefixGroup, shared_prefixes
from flantune.models.stored.weights import first_bad
from flantune.models.writing.cache_slots import SlotDecoder
from flantune.models.writing.decoding import ADMIT_SHARE, by_prompt
from flantune.models.writing.endings import end_tokens
from flantune.models.writing.sampling import choose_tokens
from flantune.models.writing.shared_keys import NOTHING, shared_keys
from flantune.models.writing.step_writer import StepWriter
from flantune.models.writing.stretches import stretches

if TYPE_CHECKING:
    from torch import Tensor
    from transformers.cache_utils import Cache

    from flantune.models.language_model import LanguageModel
    from flantune.models.writing.decoding import Choose, Decoding, Ended, Finish, Method, Row, Trace

GROWTH = 1.5
"""Slots are laid out again once this many times as many would fit, because the longest prompts are done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A prompt that is read once, for one or more rows.

    Attributes:
        group: Number of its prefix group.
        shared: Number of tokens that the group shares.
        rows: Its answers, one row per sample.
        has_samples: Whether there were several rows at first; some may have started before the others.
    """

    group: int
    shared: int
    rows: tuple[Row, ...]
    has_samples: bool

    def need(self, *, is_shared: bool) -> int:
        """Positions of its longest row when complete; if starts are stored once, with only its part of them."""
        length = len(self.rows[0].inputs)
        if is_shared:
            length = -(-length // len(self.rows)) if self.has_samples else length - self.shared
        return length + max(row.room for row in self.rows)


class SlotWriter:
    """Rows of any length side by side; a finished row's slot goes to the next prompt. Decoder-only models."""

    def __init__(
        self, lm: LanguageModel, rows: Sequence[Row], choose: Choose, *, budget: int, is_shared: bool = False
    ) -> None:
        self.lm, self.budget, self._choose, self._head = lm, budget, choose, find_head(lm)
        self._is_shared = is_shared
        self._live: list[Row] = []
        self._reading: list[Waiting] = []
        # Whether more prompts are to be read into the free slots before anything is written.
        self._is_filling = False
        self._wait_for(_grouped(lm, rows))

    @property
    def has_work(self) -> bool:
        """Whether there is work left."""
        return bool(self._waiting or self._live)

    def advance(self) -> list[Ended]:
        """Reads some prompts or generates one token per row; returns the rows that ended."""
        if self._waiting and self._is_time_to_admit():
            return self._admit()
        return self._step()

    def retreat(self) -> bool:
        """Restarts unfinished rows with half the memory; False if it cannot be halved."""
        begun = [*self._live, *(row for item in self._reading for row in item.rows)]
        unfinished = by_prompt([row.again() for row in begun])
        groups = [
            Waiting(group=-1 - at, shared=0, rows=rows, has_samples=len(rows) > 1) for at, rows in enumerate(unfinished)
        ]
        waiting = [*groups, *self._waiting]
        largest = max(item.need(is_shared=self._is_shared) for item in waiting)
        if self._decoder.slots == 1 and self.budget < 2 * largest:
            return False
        self.budget = max(largest, self.budget // 2)
        self._live, self._reading, self._is_filling = [], [], False
        self._wait_for(waiting)
        return True

    def _wait_for(self, waiting: Sequence[Waiting]) -> None:
        self._waiting = deque(waiting)
        # The largest need among the last n waiting prompts, for every n.
        needs = (item.need(is_shared=self._is_shared) for item in reversed(waiting))
        self._needs = list(accumulate(needs, max))
        self._prefix: tuple[int, Cache | None] = (0, None)
        # Number of the shared start of the group's rows.
        self._start = NOTHING
        slots, columns = self._layout()
        shared = shared_keys(self.lm) if self._is_shared else None
        self._decoder = SlotDecoder(self.lm, self._head, slots=slots, columns=columns, shared=shared)

    def _layout(self) -> tuple[int, int]:
        """The number of slots and their length (columns) that fit the budget now."""
        live = max(
            (len(row.inputs) + row.room - self._decoder.begun(at) for at, row in enumerate(self._live)), default=1
        )
        columns = max(live, self._needs[len(self._waiting) - 1] if self._waiting else 1)
        rows = len(self._live) + sum(len(item.rows) for item in self._waiting)
        return max(1, len(self._live), min(self.budget // columns, rows)), columns

    def _is_time_to_admit(self) -> bool:
        free = self._decoder.slots - len(self._live)
        return not self._live or free >= max(1, self._decoder.slots * (0 if self._is_filling else ADMIT_SHARE))

    def _admit(self) -> list[Ended]:
        slots, columns = self._layout()
        if slots >= GROWTH * self._decoder.slots:
            self._decoder.resize(slots=slots, columns=columns)
        taken = self._reading = self._take(self._decoder.slots - len(self._live))
        logits, cache = self._decoder.read([item.rows[0].inputs for item in taken], self._prefix_of(taken[0]))
        sources = [at for at, item in enumerate(taken) for _ in item.rows]
        rows = [row for item in taken for row in item.rows]
        ends = self._choose(logits[sources] if len(sources) > len(taken) else logits, rows)
        stay = [at for at, end in enumerate(ends) if end is None]
        if stay:
            starts = self._starts(taken, cache)
            self._decoder.enter(
                cache,
                [sources[at] for at in stay],
                [len(rows[at].inputs) for at in stay],
                [starts[sources[at]] for at in stay],
            )
            self._live += [rows[at] for at in stay]
        self._reading = []
        return [(row, end) for row, end in zip(rows, ends, strict=True) if end is not None]

    def _starts(self, taken: Sequence[Waiting], cache: Cache) -> list[int]:
        """The shared start of each prompt's rows: the whole prompt if it has several samples, else the group's."""
        self._decoder.forget(but=self._start)
        return [
            self._decoder.share(cache, row, len(item.rows[0].inputs)) if item.has_samples else self._start
            for row, item in enumerate(taken)
        ]

    def _take(self, free: int) -> list[Waiting]:
        """The next prompts of one group, of similar length, that fit the free slots and, read together, the budget."""
        first = self._waiting[0]
        width = len(first.rows[0].inputs) - first.shared
        taken: list[Waiting] = []
        while self._waiting and self._waiting[0].group == first.group and free:
            if taken and (len(taken) + 1) * width > self.budget:
                break
            item = self._waiting.popleft()
            if len(item.rows) > free:
                self._waiting.appendleft(replace(item, rows=item.rows[free:]))
                item = replace(item, rows=item.rows[:free])
            free -= len(item.rows)
            taken.append(item)
        lengths = [len(item.rows[0].inputs) - item.shared for item in taken]
        _, stop = stretches(lengths, pass_cost=forward_cost(self.lm.device.type))[0]
        self._is_filling = stop < len(taken)
        self._waiting.extendleft(reversed(taken[stop:]))
        return taken[:stop]

    def _prefix_of(self, item: Waiting) -> Cache | None:
        if self._prefix[0] != item.group:
            tokens = item.rows[0].inputs[: item.shared]
            self._prefix = (item.group, self._decoder.read_prefix(tokens) if item.shared else None)
            known = self._prefix[1]
            self._start = NOTHING if known is None else self._decoder.share(known, 0, item.shared)
        return self._prefix[1]

    def _step(self) -> list[Ended]:
        logits = self._decoder.step([row.tokens[-1] for row in self._live])
        ends = self._choose(logits, self._live)
        ended: list[Ended] = []
        # Backward, so that the row that moves into a freed slot was already checked.
        for at in reversed(range(len(ends))):
            end = ends[at]
            if end is not None:
                ended.append((self._live[at], end))
                self._live[at] = self._live[self._decoder.leave(at)]
                self._live.pop()
        return ended


def add_tokens(
    lm: LanguageModel,
    logits: Tensor,
    rows: Sequence[Row],
    *,
    decoding: Decoding,
    ends: Collection[int],
    trace: Trace | None,
) -> list[Finish | None]:
    """Chooses the next token of each row; returns why each row ends, or None."""
    if trace is not None:
        for row, own in zip(rows, logits, strict=True):
            trace(row, own)
    _check_logits(lm, logits)
    keys = [row.next_key for row in rows] if decoding.temperature > 0.0 else ()
    tokens = choose_tokens(logits, temperature=decoding.temperature, keys=keys)
    return [row.add(token, end_tokens=ends) for row, token in zip(rows, tokens, strict=True)]


def _check_logits(lm: LanguageModel, logits: Tensor) -> None:
    # The maximum is NaN if any value is.
    if not bool(logits.amax(dim=-1).isnan().any()):
        return
    name = first_bad(lm.model.named_parameters())
    why = f"the weight {name} holds entries that are not finite numbers" if name else "its arithmetic overflows"
    hint = 'use a checkpoint from before its training went wrong, or set model.dtype = "float32"'
    raise ModelError(f"the model's scores of the next token are NaN: {why}", where="model", hint=hint)


def write_rows(
    lm: LanguageModel,
    rows: Sequence[Row],
    decoding: Decoding,
    *,
    budget: int,
    method: Method,
    trace: Trace | None = None,
) -> Iterator[list[Ended]]:
    """Generates all rows and yields each as it ends. Out of memory, the unfinished ones restart with half the memory.

    Raises:
        ModelError: One row alone does not fit in memory.
    """
    if not rows:
        return
    choose = partial(add_tokens, lm, decoding=decoding, ends=end_tokens(lm, decoding), trace=trace)
    writer: SlotWriter | StepWriter
    if method in ("shared", "mixed") and lm.family == "decoder-only":
        writer = SlotWriter(lm, rows, choose, budget=budget, is_shared=method == "shared")
    else:
        writer = StepWriter(lm, rows, choose, budget=budget, method=method)
    while writer.has_work:
        try:
            # Not around ``yield``, where the caller's own mode must apply.
            with (
                torch.no_grad(),
                torch.autocast(lm.device.type, dtype=torch.bfloat16, enabled=lm.compute_dtype == torch.bfloat16),
            ):
                ended = writer.advance()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            ended = []
        else:
            yield ended
            continue
        if not writer.retreat():
            hint = "set evaluation.max_new_tokens or packing.max_input_tokens lower, or use a larger machine"
            raise ModelError("one answer alone does not fit in memory", where="evaluation.batch_tokens", hint=hint)
        if lm.device.type == "cuda":
            torch.cuda.empty_cache()


def _grouped(lm: LanguageModel, rows: Sequence[Row]) -> list[Waiting]:
    """Rows by prompt, prompts by common prefix if the model can read it once, longest first."""
    prompts = by_prompt(rows)
    inputs = [group[0].inputs for group in prompts]

    def longest_first(at: int) -> tuple[int, int]:
        return -len(inputs[at]), at

    found = [PrefixGroup(tuple(range(len(inputs))), 0)]
    if shares_starts(lm):
        found = shared_prefixes(inputs, pass_cost=forward_cost(lm.device.type))
    groups = [(group.length, sorted(group.members, key=longest_first)) for group in found]
    groups.sort(key=lambda group: longest_first(group[1][0]))
    return [
        Waiting(group=number, shared=length, rows=prompts[at], has_samples=len(prompts[at]) > 1)
        for number, (length, members) in enumerate(groups, start=1)
        for at in members
    ]
