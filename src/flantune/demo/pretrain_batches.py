"""Plain text as arrays for pretraining, a step at a time; a pure function of the number of the first document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from flantune.demo.text import documents
from flantune.types import Family

IGNORED = -100
ENCODER_ROW, DECODER_ROW = 128, 112
FIRST_SIGN, SIGNS = 2 + 0xF5, 11
"""Token ids of the bytes F5 to FF, which UTF-8 never uses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextBatch:
    """Arrays of one step and the number of the first document of the next."""

    arrays: dict[str, Tensor]
    next_document: int
    tokens: int


def decoder_batch(
    tokenizer: PreTrainedTokenizerBase, *, seed: int, batch_tokens: int, document: int, step: int
) -> TextBatch:
    """Rows of whole documents one after another, each row beginning with a new one; three of four steps short rows."""
    length = 256 if step % 4 == 3 else 128
    rows_wanted = max(1, batch_tokens // length)
    rows: list[list[int]] = []
    row: list[int] = []
    stream = _encoded(tokenizer, seed, document)
    number = document
    while len(rows) < rows_wanted:
        row += next(stream)
        number += 1
        if len(row) >= length:
            rows.append(row[:length])
            row = []
    ids = torch.tensor(rows)
    return TextBatch(arrays={"input_ids": ids, "labels": ids}, next_document=number, tokens=ids.numel())


def encoder_decoder_batch(
    tokenizer: PreTrainedTokenizerBase, *, seed: int, batch_tokens: int, document: int
) -> TextBatch:
    """Packed pairs of (a document's beginning, its rest), sometimes with whole documents before the beginning."""
    rng = Random(f"cuts/{seed}/{document}")
    stream = _encoded(tokenizer, seed, document)
    rows_wanted = max(1, batch_tokens // (ENCODER_ROW + DECODER_ROW))
    rows: list[list[tuple[list[int], list[int]]]] = [[] for _ in range(rows_wanted)]
    number, refused = document, 0
    while refused < rows_wanted // 2 + 1:
        count = rng.choices((1, 2, 3), (85, 10, 5))[0]
        *before, last = islice(stream, count)
        number += count
        asked = _spans_left_out(last, rng) if rng.random() < 0.25 else _cut(last, rng)
        inputs = [token for one in before for token in one[:-1]] + asked[0] + [tokenizer.eos_token_id]
        pair = (inputs[-ENCODER_ROW:], asked[1][:DECODER_ROW])
        roomy = next((row for row in rows if _fits([*row, pair])), None)
        if roomy is None:
            refused += 1
        else:
            roomy.append(pair)
    arrays = _packed(rows)
    return TextBatch(
        arrays=arrays,
        next_document=number,
        tokens=int((arrays["encoder_segments"] > 0).sum() + (arrays["decoder_segments"] > 0).sum()),
    )


def _cut(document: list[int], rng: Random) -> tuple[list[int], list[int]]:
    """A document's beginning and its rest: mostly all of it, else a few tokens, which the encoder must tell."""
    if rng.random() < 0.7:
        cut = rng.randint(len(document) // 8, len(document) * 3 // 4)
        return document[:cut], document[cut:]
    cut = rng.randint(len(document) // 3, len(document) - 2)
    return document[:cut], document[cut : cut + 6]


def _spans_left_out(document: list[int], rng: Random) -> tuple[list[int], list[int]]:
    """A document with short spans left out, each under a sign of its own; and the signs with what belongs there.

    Paper: Raffel et al. 2020, section 3.1.4 (span corruption). The signs are bytes that no text contains.
    """
    inputs: list[int] = []
    targets: list[int] = []
    at, sign = 0, FIRST_SIGN
    last = len(document) - 1  # the end of the sequence, which is said only when it is reached in writing
    while at < last:
        if sign < FIRST_SIGN + SIGNS and rng.random() < 0.14:
            size = rng.randint(1, 3)
            targets += [sign, *document[at : min(at + size, last)]]
            inputs.append(sign)
            at, sign = at + size, sign + 1
        inputs += document[at : min(at + 1, last)]
        at += 1
    return inputs, targets or [document[-1]]


def _fits(pairs: Sequence[tuple[list[int], list[int]]]) -> bool:
    sizes = [(len(inputs), len(targets)) for inputs, targets in pairs]
    return sum(n for n, _ in sizes) <= ENCODER_ROW and sum(m for _, m in sizes) <= DECODER_ROW


def _packed(rows: Sequence[Sequence[tuple[list[int], list[int]]]]) -> dict[str, Tensor]:
    """Arrays [rows, row length]; the decoder reads each target shifted right behind the start token, 0."""
    shape = {"encoder": (len(rows), ENCODER_ROW), "decoder": (len(rows), DECODER_ROW)}
    arrays = {
        f"{side}_{what}": torch.zeros(size, dtype=torch.long)
        for side, size in shape.items()
        for what in ("tokens", "segments")
    }
    arrays["labels"] = torch.full(shape["decoder"], IGNORED)
    for r, row in enumerate(rows):
        n = m = 0
        for segment, (inputs, targets) in enumerate(row, start=1):
            read, written = slice(n, n + len(inputs)), slice(m, m + len(targets))
            arrays["encoder_tokens"][r, read] = torch.tensor(inputs)
            arrays["encoder_segments"][r, read] = segment
            arrays["decoder_tokens"][r, written] = torch.tensor([0, *targets[:-1]])
            arrays["decoder_segments"][r, written] = segment
            arrays["labels"][r, written] = torch.tensor(targets)
            n, m = n + len(inputs), m + len(targets)
    return arrays


def _encoded(tokenizer: PreTrainedTokenizerBase, seed: int, document: int) -> Iterator[list[int]]:
    """Token ids of the documents from a number on, each with the end-of-sequence token."""
    stream = documents(seed, start=document)
    while True:
        for ids in tokenizer(list(islice(stream, 64)), add_special_tokens=False)["input_ids"]:
            yield [*ids, tokenizer.eos_token_id]


def batches(
    tokenizer: PreTrainedTokenizerBase, *, family: Family, seed: int, batch_tokens: int, document: int, step: int
) -> Iterator[TextBatch]:
    """The endless stream of steps from a document on."""
    while True:
        if family == "decoder-only":
            batch = decoder_batch(tokenizer, seed=seed, batch_tokens=batch_tokens, document=document, step=step)
        else:
            batch = encoder_decoder_batch(tokenizer, seed=seed, batch_tokens=batch_tokens, document=document)
        yield batch
        document, step = batch.next_document, step + 1
