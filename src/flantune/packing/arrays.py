"""Encoded prompts as a model's input arrays: rows of several prompts that do not attend to each other."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from flantune.packing.packs import DecoderPack, EncodedPrompt, EncoderDecoderPack, TargetTokens
from flantune.types import Int32

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray


def pack_decoder_only(
    encoded: Sequence[EncodedPrompt], rows: Sequence[Sequence[int]], *, pad_token: int = 0
) -> DecoderPack:
    """Rows for a decoder-only model: each prompt's inputs, then its continuations.

    A single continuation continues the trunk. Several branch off: each starts at the position after the inputs, and
    sees the inputs and itself. The first token of a continuation is predicted by the last input token.

    >>> yes_no = EncodedPrompt(inputs=np.array([5, 6]), targets=(np.array([7, 1]), np.array([8, 1])))
    >>> one = EncodedPrompt(inputs=np.array([9]), targets=(np.array([4, 1]),))
    >>> pack = pack_decoder_only([yes_no, one], [[0, 1]])
    >>> for line in (pack.tokens, pack.positions, pack.segments, pack.branches):
    ...     print(line[0])
    [5 6 7 1 8 1 9 4 1]
    [0 1 2 3 2 3 0 1 2]
    [1 1 1 1 1 1 2 2 2]
    [0 0 1 1 2 2 0 0 0]
    >>> [(int(p), int(t), int(i)) for p, t, i in zip(pack.targets.position, pack.targets.token, pack.targets.item)]
    [(1, 7, 0), (2, 1, 0), (1, 8, 1), (4, 1, 1), (6, 4, 2), (7, 1, 2)]

    Args:
        encoded: The prompts of the whole batch; their continuations are numbered in this order.
        rows: For each row, indices into ``encoded``, left to right.
        pad_token: Fills the rest of a row.
    """
    width = max(sum(map(decoder_only_size, (encoded[at] for at in row))) for row in rows)
    tokens = np.full((len(rows), width), pad_token, dtype=np.int32)
    positions, segments, branches = (np.zeros_like(tokens) for _ in range(3))
    targets, items = TargetList(), first_items(encoded)
    for row, indices in enumerate(rows):
        at = 0
        for segment, index in enumerate(indices, start=1):
            prompt, start, length = encoded[index], at, len(encoded[index].inputs)
            at = start + length
            tokens[row, start:at] = prompt.inputs
            positions[row, start:at] = np.arange(length)
            for branch, target in enumerate(prompt.targets):
                end = at + len(target)
                tokens[row, at:end] = target
                positions[row, at:end] = np.arange(length, length + len(target))
                branches[row, at:end] = branch + 1 if len(prompt.targets) > 1 else 0
                targets.add(row, [start + length - 1, *range(at, end - 1)], target, items[index] + branch)
                at = end
            segments[row, start:at] = segment
    return DecoderPack(
        tokens=tokens, positions=positions, segments=segments, branches=branches, targets=targets.arrays()
    )


def pack_encoder_decoder(
    encoded: Sequence[EncodedPrompt], rows: Sequence[Sequence[int]], *, pad_token: int = 0, start_token: int = 0
) -> EncoderDecoderPack:
    """Rows for an encoder-decoder model: inputs side by side, continuations side by side.

    >>> yes_no = EncodedPrompt(inputs=np.array([5, 1]), targets=(np.array([7, 1]), np.array([8, 1])))
    >>> one = EncodedPrompt(inputs=np.array([9, 1]), targets=(np.array([4, 3, 1]),))
    >>> pack = pack_encoder_decoder([yes_no, one], [[0, 1]])
    >>> for line in (pack.encoder_tokens, pack.encoder_segments):
    ...     print(line[0])
    [5 1 9 1]
    [1 1 2 2]
    >>> for line in (pack.decoder_tokens, pack.decoder_segments, pack.decoder_contexts):
    ...     print(line[0])
    [0 7 0 8 0 4 3]
    [1 1 2 2 3 3 3]
    [1 1 1 1 2 2 2]
    >>> print(pack.targets.position, pack.targets.token, pack.targets.item)
    [0 1 2 3 4 5 6] [7 1 8 1 4 3 1] [0 0 1 1 2 2 2]

    Args:
        encoded: The prompts of the whole batch; their continuations are numbered in this order.
        rows: For each row, indices into ``encoded``, left to right.
        pad_token: Fills the rest of a row.
        start_token: Precedes each continuation; the model replaces it by its own start token.
    """
    lengths = [[(len(encoded[at].inputs), sum(map(len, encoded[at].targets))) for at in row] for row in rows]
    encoder_width, decoder_width = (max(sum(size[side] for size in row) for row in lengths) for side in (0, 1))
    encoder_tokens = np.full((len(rows), encoder_width), pad_token, dtype=np.int32)
    decoder_tokens = np.full((len(rows), decoder_width), pad_token, dtype=np.int32)
    encoder_segments = np.zeros_like(encoder_tokens)
    decoder_segments, decoder_contexts = np.zeros_like(decoder_tokens), np.zeros_like(decoder_tokens)
    targets, items = TargetList(), first_items(encoded)
    for row, indices in enumerate(rows):
        read, written, continuation = 0, 0, 0
        for context, index in enumerate(indices, start=1):
            prompt = encoded[index]
            encoder_tokens[row, read : read + len(prompt.inputs)] = prompt.inputs
            encoder_segments[row, read : read + len(prompt.inputs)] = context
            read += len(prompt.inputs)
            for branch, target in enumerate(prompt.targets):
                end, continuation = written + len(target), continuation + 1
                decoder_tokens[row, written] = start_token
                decoder_tokens[row, written + 1 : end] = target[:-1]
                decoder_segments[row, written:end] = continuation
                decoder_contexts[row, written:end] = context
                targets.add(row, range(written, end), target, items[index] + branch)
                written = end
    return EncoderDecoderPack(
        encoder_tokens=encoder_tokens,
        encoder_segments=encoder_segments,
        decoder_tokens=decoder_tokens,
        decoder_segments=decoder_segments,
        decoder_contexts=decoder_contexts,
        targets=targets.arrays(),
    )


def input_places(pack: DecoderPack) -> NDArray[np.bool_]:
    """Which tokens of a decoder-only pack are inputs, [rows, length].

    The last of them predicts the first token of every continuation. A segment without targets is all inputs.

    >>> one = EncodedPrompt(inputs=np.array([5, 6]), targets=(np.array([7, 1]),))
    >>> input_places(pack_decoder_only([one, one], [[0, 1]])).astype(int)
    array([[1, 1, 0, 0, 1, 1, 0, 0]])
    """
    rows, length = pack.segments.shape
    last = np.full((rows, int(pack.segments.max(initial=0)) + 1), length, dtype=np.int32)
    asked = pack.targets
    np.minimum.at(last, (asked.row, pack.segments[asked.row, asked.position]), asked.position)
    is_before = np.arange(length) <= last[np.arange(rows)[:, None], pack.segments]
    found: NDArray[np.bool_] = (pack.segments > 0) & is_before
    return found


def decoder_only_size(prompt: EncodedPrompt) -> int:
    """Positions that a prompt occupies in a decoder-only row."""
    return len(prompt.inputs) + sum(map(len, prompt.targets))


def first_items(encoded: Iterable[EncodedPrompt]) -> list[int]:
    """Number of each prompt's first continuation, when the continuations of all prompts are numbered in order."""
    return list(accumulate((len(prompt.targets) for prompt in encoded), initial=0))


class TargetList:
    """Collects target tokens, and turns them into arrays at the end."""

    def __init__(self) -> None:
        self._row: list[int] = []
        self._position: list[int] = []
        self._token: list[Int32] = []
        self._item: list[int] = []

    def add(self, row: int, positions: Sequence[int], tokens: Int32, item: int) -> None:
        """A continuation's tokens, each predicted at one of the positions of a row."""
        self._row += [row] * len(tokens)
        self._position += positions
        self._token.append(tokens)
        self._item += [item] * len(tokens)

    def arrays(self) -> TargetTokens:
        """All of them, in the order in which they were added."""
        token = np.concatenate(self._token) if self._token else np.zeros(0)
        row, position, item = (np.asarray(values, dtype=np.int32) for values in (self._row, self._position, self._item))
        return TargetTokens(row=row, position=position, token=token.astype(np.int32), item=item)
