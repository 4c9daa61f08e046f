"""Greedy writing, batched by length."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any

import torch
from transformers import GenerationConfig

from flantune.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flantune.models.load import LanguageModel
    from flantune.types import Int32


def generate(
    lm: LanguageModel, inputs: Sequence[Int32], *, max_new_tokens: int, batch_tokens: int = 8_192
) -> list[list[int]]:
    """What the model writes after each input, its most likely token at a time, up to its end of sequence.

    Inputs of similar length are written to together; each result is that of the input alone (to float precision: in
    bfloat16 a near-tie may fall the other way in another batch). What the model's own generation config says about
    sampling, penalties or forced tokens does not count.

    Args:
        lm: The model.
        inputs: Token ids of each context, as ``Codec`` encodes them.
        max_new_tokens: At most so many tokens are written, end of sequence included; less where the model has no
            more positions.
        batch_tokens: Array positions of a batch, those to be written included.

    Returns:
        The written token ids of each input, in the order given, without the end of sequence.

    Raises:
        ModelError: An input fills all positions that the model has.
    """
    rooms = [min(max_new_tokens, _room(lm, len(tokens))) for tokens in inputs]
    order = sorted(range(len(inputs)), key=lambda at: (rooms[at], -len(inputs[at]), at))
    written: dict[int, list[int]] = {}
    model: Any = lm.model
    was_training = model.training
    model.eval()
    try:
        with _greedy(lm), torch.no_grad(), _autocast(lm):
            for room, group in groupby(order, key=lambda at: rooms[at]):
                for batch in _by_budget(list(group), [len(tokens) + room for tokens in inputs], batch_tokens):
                    written |= zip(batch, _write(lm, [inputs[at] for at in batch], room), strict=True)
    finally:
        model.train(was_training)
    return [written[at] for at in range(len(inputs))]


def _write(lm: LanguageModel, inputs: Sequence[Int32], max_new_tokens: int) -> list[list[int]]:
    """Writes to a batch: decoder-only contexts end together (padded left), encoder inputs start together."""
    width = max(map(len, inputs))
    tokens = torch.full((len(inputs), width), _pad_token(lm), dtype=torch.long)
    mask = torch.zeros_like(tokens)
    for row, ids in enumerate(inputs):
        place = slice(width - len(ids), width) if lm.family == "decoder-only" else slice(0, len(ids))
        tokens[row, place] = torch.as_tensor(ids, dtype=torch.long)
        mask[row, place] = 1
    model: Any = lm.model
    outputs = model.generate(
        input_ids=tokens.to(lm.device), attention_mask=mask.to(lm.device), max_new_tokens=max_new_tokens
    )
    start = width if lm.family == "decoder-only" else 1
    return [_until_end(row, int(lm.tokenizer.eos_token_id)) for row in outputs[:, start:].tolist()]


def _until_end(tokens: list[int], eos_token: int) -> list[int]:
    return tokens[: tokens.index(eos_token)] if eos_token in tokens else tokens


def _by_budget(order: Sequence[int], sizes: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Groups of inputs, longest first, of at most ``budget`` positions each (or of one input)."""
    batch: list[int] = []
    for at in order:
        if batch and (len(batch) + 1) * sizes[batch[0]] > budget:
            yield batch
            batch = []
        batch.append(at)
    if batch:
        yield batch


def _room(lm: LanguageModel, length: int) -> int:
    """Positions left behind an input."""
    limit = getattr(lm.model.config.get_text_config(), "max_position_embeddings", None)
    if lm.family == "encoder-decoder" or not limit:
        return 2**31
    if length >= limit:
        raise ModelError(
            f"an input has {length} tokens but the model knows {limit} positions",
            where="packing.max_input_tokens",
            hint=f"set packing.max_input_tokens = {limit - 1} or less",
        )
    return int(limit) - length


def _pad_token(lm: LanguageModel) -> int:
    pad = lm.tokenizer.pad_token_id
    return int(lm.tokenizer.eos_token_id if pad is None else pad)


def _autocast(lm: LanguageModel) -> torch.autocast:
    return torch.autocast(lm.device.type, dtype=torch.bfloat16, enabled=lm.compute_dtype == torch.bfloat16)


@contextmanager
def _greedy(lm: LanguageModel) -> Iterator[None]:
    """Plain greedy search, whatever generation config came with the model."""
    model: Any = lm.model
    plain: Any = GenerationConfig
    own = model.generation_config
    model.generation_config = plain(
        do_sample=False,
        num_beams=1,
        pad_token_id=_pad_token(lm),
        eos_token_id=lm.tokenizer.eos_token_id,
        bos_token_id=lm.tokenizer.bos_token_id,
        decoder_start_token_id=getattr(lm.model.config, "decoder_start_token_id", None),
    )
    try:
        yield
    finally:
        model.generation_config = own
