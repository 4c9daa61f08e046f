"""Batches of packed draws: each a pure function of a stream and the number of its first draw."""

from __future__ import annotations

import time
from dataclasses import replace
from queue import Full, Queue
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

import numpy as np

from flantune.errors import PackingError
from flantune.packing.arrays import decoder_only_size, pack_decoder_only, pack_encoder_decoder
from flantune.packing.bins import Rows, even_groups, longest_prefix, micro_batches
from flantune.packing.packs import Batch, Counts, DecoderPack, EncodedPrompt, Pack
from flantune.packing.shares import HIDDEN_SIZE, cut_finer
from flantune.types import Family, Int32

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jaxtyping import Int

    from flantune.packing.stream import EncodedDraw, Stream
    from flantune.settings.config import PackingSettings

BLOCK = 64
"""Number of draws made together."""
MAX_DROPPED = 10_000
"""This many overlong prompts in a row mean that no batch will ever fill."""


class Batches:
    """Optimizer steps' worth of prompts from a stream.

    A batch takes the longest run of draws that packs into ``batch_tokens // row_tokens`` rows of ``row_tokens``
    (encoder-decoder: this many tokens on the encoder's side and at most as many on the decoder's). No draw is skipped,
    apart from overlong prompts, which are counted. Which prompts a batch has does not depend on how they are laid out:
    ``enabled=False`` and any ``micro_batch_tokens`` give the same prompts and so the same gradient.

    Args:
        stream: Yields draw i as ids, none longer than a row.
        settings: Sizes.
        micro_batch_tokens: Array positions of one forward pass; 0: the whole batch at once.
        processes: How many processes share each batch; its micro-batches are divided so that their work is even.
        hidden_size: The model's, which determines how much of that work is attention.
        is_padded: Whether a row costs as much as the widest one of its micro-batch. If not, micro-batches get similar
            numbers of tokens, and padding does not count as positions.
    """

    def __init__(
        self,
        stream: Stream,
        settings: PackingSettings,
        *,
        micro_batch_tokens: int = 0,
        processes: int = 1,
        hidden_size: int = HIDDEN_SIZE,
        is_padded: bool = True,
    ) -> None:
        self.stream, self.settings, self.micro_batch_tokens = stream, settings, micro_batch_tokens
        self.processes, self.hidden_size, self.is_padded = processes, hidden_size, is_padded
        self._drawn: dict[int, EncodedDraw] = {}
        self._lock = Lock()

    @property
    def max_rows(self) -> int:
        """Rows of a full batch."""
        return max(1, self.settings.batch_tokens // self.settings.row_tokens)

    def batch(self, cursor: int) -> Batch:
        """The batch whose first draw is number ``cursor``; always the same for the same cursor.

        Raises:
            PackingError: None of many draws in a row fits.
        """
        began = time.perf_counter()
        draws = self._enough_draws(cursor)
        kept = [at for at, draw in enumerate(draws) if draw.prompt is not None]
        sizes = size_array([draws[at].prompt for at in kept], self.stream.family)
        groups = longest_prefix(
            sizes,
            max_rows=self.max_rows,
            capacity=self.settings.row_tokens,
            max_positions=self.micro_batch_tokens,
        )
        count = sum(len(row) for rows in groups for row in rows)
        rows = [row for group in groups for row in group] if self.settings.enabled else [[at] for at in range(count)]
        if not self.is_padded:
            groups = even_groups(sizes[:count], rows, max_tokens=self.micro_batch_tokens)
        elif not self.settings.enabled:
            groups = micro_batches(sizes[:count], rows, max_positions=self.micro_batch_tokens)
        groups = cut_finer(
            groups, sizes, processes=self.processes, hidden_size=self.hidden_size, is_padded=self.is_padded
        )
        made = self._lay_out(cursor, draws[: kept[count]], groups)
        return replace(made, seconds=time.perf_counter() - began)

    def iterate(self, cursor: int) -> Iterator[Batch]:
        """Endless batches from ``cursor`` on; the next two are made in the background while one is used."""
        queue: Queue[Batch | BaseException] = Queue(maxsize=2)
        stopped = Event()
        Thread(target=self._produce, args=(cursor, queue, stopped), daemon=True, name="flantune-packing").start()
        try:
            while True:
                made = queue.get()
                if isinstance(made, BaseException):
                    raise made
                yield made
        finally:
            stopped.set()

    def _produce(self, cursor: int, queue: Queue[Batch | BaseException], stopped: Event) -> None:
        made: Batch | BaseException
        while not stopped.is_set():
            try:
                made = self.batch(cursor)
                cursor = made.next_cursor
            except BaseException as error:
                made = error
            while not stopped.is_set():
                try:
                    queue.put(made, timeout=0.1)
                    break
                except Full:
                    continue
            if isinstance(made, BaseException):
                return

    def _enough_draws(self, cursor: int) -> list[EncodedDraw]:
        """Draws from ``cursor`` on that together exceed a batch on at least one side."""
        draws: list[EncodedDraw] = []
        total = np.zeros(1, dtype=np.int64)
        with self._lock:
            while total.max() <= self.max_rows * self.settings.row_tokens:
                block = self._block(draws[-1].next if draws else cursor)
                draws += block
                sizes = size_array([draw.prompt for draw in block if draw.prompt is not None], self.stream.family)
                total = total + sizes.sum(axis=0)
                if len(draws) >= MAX_DROPPED and all(draw.prompt is None for draw in draws):
                    raise _nothing_fits(cursor, draws)
            self._drawn = {at: draw for at, draw in self._drawn.items() if at >= cursor}
        return draws

    def _block(self, first: int) -> list[EncodedDraw]:
        """The next draws, made together; those that an earlier batch read but did not use are kept."""
        block: list[EncodedDraw] = []
        while first in self._drawn and len(block) < BLOCK:
            block.append(self._drawn[first])
            first = block[-1].next
        for draw in self.stream.draws(first, BLOCK - len(block)) if len(block) < BLOCK else ():
            self._drawn[first] = draw
            block.append(draw)
            first = draw.next
        return block

    def _lay_out(self, cursor: int, taken: Sequence[EncodedDraw], groups: Sequence[Rows]) -> Batch:
        kept = [draw for draw in taken if draw.prompt is not None]
        encoded = [draw.prompt for draw in kept if draw.prompt is not None]
        packs = tuple(
            lay_out(encoded, rows, family=self.stream.family, pad_token=self.stream.pad_token) for rows in groups
        )
        positions = sum(pack_positions(pack, is_padded=self.is_padded) for pack in packs)
        counts = sum((draw.counts for draw in taken), Counts(positions=positions))
        return Batch(
            cursor=cursor,
            next_cursor=taken[-1].next if taken else cursor,
            packs=packs,
            tasks=tuple(draw.task for draw in kept),
            rows=tuple(draw.row for draw in kept),
            counts=counts,
        )


def _nothing_fits(cursor: int, draws: Sequence[EncodedDraw]) -> PackingError:
    claims = {draw.broken.claim: draw.broken for draw in draws if draw.broken is not None}
    hint = "; ".join(limit.hint for limit in claims.values())
    where = ", ".join(limit.where for limit in claims.values())
    message = f"none of the draws {cursor} to {draws[-1].next - 1} {' and '.join(claims)}"
    return PackingError(message, where=where, hint=hint)


def lay_out(
    encoded: Sequence[EncodedPrompt], rows: Sequence[Sequence[int]], *, family: Family, pad_token: int = 0
) -> Pack:
    """The pack of either family for these rows."""
    pack = pack_decoder_only if family == "decoder-only" else pack_encoder_decoder
    return pack(encoded, rows, pad_token=pad_token)


def pack_positions(pack: Pack, *, is_padded: bool = True) -> int:
    """Array positions of a pack on both sides, with padding or without."""
    sides = [pack.segments] if isinstance(pack, DecoderPack) else [pack.encoder_segments, pack.decoder_segments]
    return sum(int(side.size if is_padded else np.count_nonzero(side)) for side in sides)


def size_array(encoded: Sequence[EncodedPrompt | None], family: Family) -> Int[Int32, "prompts sides"]:
    """Tokens of each prompt on each side of a row, [prompts, 1] decoder-only or [prompts, 2] encoder-decoder."""
    if family == "decoder-only":
        sizes = [[decoder_only_size(prompt)] for prompt in encoded if prompt is not None]
    else:
        sizes = [[len(prompt.inputs), sum(map(len, prompt.targets))] for prompt in encoded if prompt is not None]
    return np.array(sizes, dtype=np.int32).reshape(len(sizes), 1 if family == "decoder-only" else 2)
