"""Each architecture of the list: packed equals unpacked, loaded equals saved, and each target keeps its end."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.models.families import ENCODER_DECODERS, TRIED, build
from tests.training.small import SIZES, prompt, tokenizer

from flantune.models.checks.isolation import check_isolation
from flantune.models.forward import target_logprobs
from flantune.models.load import load_model, save_model
from flantune.packing.batches import Batches
from flantune.packing.encode import Codec
from flantune.packing.stream import PromptStream
from flantune.prompts.layout import Layout
from flantune.settings.config import ModelSettings
from flantune.training.loss import accumulate_gradient

PAGE = (Path(__file__).parents[2] / "docs/models.md").read_text(encoding="utf-8")
every = pytest.mark.parametrize("tried", TRIED, ids=lambda tried: tried.name.replace(" ", "-"))
packed_ones = pytest.mark.parametrize(
    "tried", [tried for tried in TRIED if tried.is_packed], ids=lambda tried: tried.name.replace(" ", "-")
)


def batch_of(lm, *, packed: bool):
    codec = Codec(
        tokenizer=lm.tokenizer, family=lm.family, layout=Layout(),
        max_input_tokens=SIZES.max_input_tokens, max_target_tokens=SIZES.max_target_tokens,
    )  # fmt: skip
    sizes = SIZES.model_copy(update={"enabled": packed, "batch_tokens": 256})
    return Batches(PromptStream([prompt(i) for i in range(100)], codec, row_tokens=sizes.row_tokens), sizes).batch(0)


def step(lm, batch):
    lm.model.zero_grad()
    found = accumulate_gradient(batch, lambda pack: target_logprobs(lm, pack), device=lm.device)
    return found, {name: weight.grad.clone() for name, weight in lm.model.named_parameters() if weight.grad is not None}


def rows(batch) -> int:
    return sum(int(pack.targets.row.max()) + 1 for pack in batch.packs)


@packed_ones
def test_packed_equals_unpacked(tried):
    """Compares log-probabilities of prompts and gradients of weights: packed, and with one prompt per row."""
    lm = build(tried, tokenizer())
    packed, apart = (batch_of(lm, packed=is_packed) for is_packed in (True, False))
    assert rows(packed) < rows(apart) == len(apart.rows)
    (mine, gradient), (theirs, expected) = step(lm, packed), step(lm, apart)
    np.testing.assert_allclose(mine.item_nll, theirs.item_nll, rtol=1e-4, atol=1e-4)
    assert gradient.keys() == expected.keys()
    whole = sum(float(tensor.norm()) ** 2 for tensor in expected.values()) ** 0.5
    for name, tensor in gradient.items():
        # Relative to the whole gradient, since that of a weight with hardly any influence may differ by rounding alone.
        assert float((tensor - expected[name]).norm()) <= 1e-4 * float(expected[name].norm()) + 1e-6 * whole, name


@every
def test_the_self_test_knows_who_can_be_packed(tried):
    report = check_isolation(build(tried, tokenizer()))
    assert report.is_isolated == tried.is_packed, report
    assert report.max_difference < 1e-4 if tried.is_packed else report.max_difference > 1e-2


@every
def test_one_prompt_a_row_equals_the_plain_model(tried):
    """Architectures that cannot be packed are trained in this way."""
    lm = build(tried, tokenizer())
    batch = batch_of(lm, packed=False)
    with torch.no_grad():
        found = np.zeros(len(batch.rows))
        for pack in batch.packs:
            np.add.at(found, pack.targets.item, target_logprobs(lm, pack).logprobs.numpy())
        for item in (0, len(batch.rows) // 2, len(batch.rows) - 1):
            assert found[item] == pytest.approx(alone(lm, item), rel=1e-4)


def alone(lm, number: int) -> float:
    """Log-likelihood of a prompt's target by the model's own forward, with nothing else in the batch."""
    codec = Codec(tokenizer=lm.tokenizer, family=lm.family, layout=Layout(), max_input_tokens=96, max_target_tokens=48)
    encoded = codec.encode_prompts([prompt(number)], continuations="target")[0]
    inputs, target = (torch.from_numpy(array).long() for array in (encoded.inputs, encoded.targets[0]))
    if lm.family == "decoder-only":
        logits = lm.model(input_ids=torch.cat([inputs, target])[None], use_cache=False).logits[0, len(inputs) - 1 : -1]
    else:
        start = torch.tensor([lm.model.config.decoder_start_token_id])
        shifted = torch.cat([start, target[:-1]])[None]
        logits = lm.model(input_ids=inputs[None], decoder_input_ids=shifted, use_cache=False).logits[0]
    return float(logits.log_softmax(-1).gather(1, target[:, None]).sum())


@every
def test_every_target_keeps_its_end_of_sequence(tried):
    lm = build(tried, tokenizer())
    for is_packed in (True, False):
        batch = batch_of(lm, packed=is_packed)
        last = {}
        for pack in batch.packs:
            last.update(zip(pack.targets.item.tolist(), pack.targets.token.tolist(), strict=True))
        assert last == dict.fromkeys(range(len(batch.rows)), lm.tokenizer.eos_token_id)


@every
def test_saved_and_loaded_is_the_same_model(tried, tmp_path):
    lm = build(tried, tokenizer())
    folder = save_model(lm, tmp_path / "model", card="")
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "README.md"} <= names
    assert not any(name.endswith((".bin", ".pt", ".pkl")) for name in names)
    again = load_model(ModelSettings(path=str(folder), device="cpu"))
    assert again.family == lm.family
    assert (
        again.model.config.model_type
        == lm.model.config.model_type
        == json.loads((folder / "config.json").read_text())["model_type"]
    )
    with torch.no_grad():
        for pack in batch_of(lm, packed=False).packs[:1]:
            assert torch.equal(target_logprobs(lm, pack).logprobs, target_logprobs(again, pack).logprobs)


def test_the_page_lists_what_is_tried_and_how_it_is_trained():
    lines = re.findall(
        r"^\| ([^|]+) \| `(\w+)` \| ([\w-]+) \| ([^|]+) \|$", PAGE.split("## What is tested")[1], flags=re.M
    )
    assert [line for line in lines if line[0] != "model"] == [
        (
            tried.name,
            tried.config.model_type,
            "encoder-decoder" if tried in ENCODER_DECODERS else "decoder-only",
            "packed" if tried.is_packed else "one prompt a row",
        )
        for tried in TRIED
    ]
