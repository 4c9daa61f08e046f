"""The gradient of a step does not depend on how its batch is laid out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from flantune.models.forward import target_logprobs
from flantune.packing.batches import Batches
from flantune.packing.encode import Codec
from flantune.packing.stream import PromptStream
from flantune.prompts.layout import Layout
from flantune.settings.config import PackingSettings
from flantune.types import Prompt


class FakeMixture:
    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        text = f"{index} " + "words " * int(rng.exponential(8))
        options = ("yes", "no", "it depends")
        return Prompt(
            task="t", split="train", row=index, template="t", inputs=text, targets="yes " * int(rng.integers(1, 6)),
            options=options[: 2 + index % 2],
        )  # fmt: skip


def codec_of(lm) -> Codec:
    return Codec(
        tokenizer=lm.tokenizer, family=lm.family, layout=Layout(), max_input_tokens=60, max_target_tokens=20
    )  # fmt: skip


def step(lm, batch) -> dict[str, torch.Tensor]:
    """The gradient of the mean over the batch's target tokens, summed over its packs."""
    lm.model.zero_grad(set_to_none=True)
    for pack in batch.packs:
        (-target_logprobs(lm, pack).logprobs.sum() / batch.counts.target_tokens).backward()
    return {name: weight.grad.clone() for name, weight in lm.model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize(("enabled", "micro"), [(False, 0), (True, 1), (False, 100)])
def test_trap_10_packed_equals_unpacked_equals_accumulated(lm, enabled, micro):
    mixture, codec = FakeMixture(), codec_of(lm)
    settings = PackingSettings(row_tokens=80, batch_tokens=320)
    stream = PromptStream(mixture, codec, row_tokens=settings.row_tokens)
    plain = Batches(stream, settings).batch(3)
    other = Batches(stream, settings.model_copy(update={"enabled": enabled}), micro_batch_tokens=micro).batch(3)
    assert plain.rows == other.rows
    left, right = step(lm, plain), step(lm, other)
    for name in left:
        scale = left[name].abs().max().clamp(min=1e-4)
        assert (left[name] - right[name]).abs().max() / scale < 5e-4, name
