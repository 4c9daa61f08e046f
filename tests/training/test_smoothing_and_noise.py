"""Label smoothing and noise on embeddings: the published formulas in plain PyTorch, however a step is cut."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from tests.training.small import (
    SIZES,
    assert_resumed_equals_straight,
    lines,
    make_batches,
    make_lm,
    settings,
    tune_small,
    weights_digest,
)
from tests.training.test_weighting import assert_equals, run

from flantune.errors import ConfigError, ModelError, TrainingError
from flantune.models.embedding_noise import EmbeddingNoise, noisy, uniform
from flantune.models.forward import target_logprobs
from flantune.system.keyed_random import GOLDEN, MASK, mix64, scramble
from flantune.training.loss import accumulate_gradient

SMOOTHING = 0.2
NOISE = EmbeddingNoise(alpha=5.0, key=1234)


def encoded(batches, batch):
    prompts = [batches.stream.mixture[index] for index in range(batch.cursor, batch.next_cursor)]
    return batches.stream.codec.encode_prompts(prompts, continuations="target")


def smoothed_by_hand(batches, batch, lm):
    """Each prompt alone, by PyTorch's own label smoothing."""
    losses = []
    for one in encoded(batches, batch):
        inputs, target = (torch.from_numpy(array).long() for array in (one.inputs, one.targets[0]))
        if lm.family == "decoder-only":
            logits = lm.model(input_ids=torch.cat([inputs, target])[None]).logits[0, len(inputs) - 1 : -1]
        else:
            logits = lm.model(input_ids=inputs[None], labels=target[None]).logits[0]
        losses.append(torch.nn.functional.cross_entropy(logits, target, reduction="none", label_smoothing=SMOOTHING))
    return torch.cat(losses).mean()


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_label_smoothing_is_that_of_pytorch(architecture):
    lm = make_lm(architecture)
    batches = make_batches(lm, micro_batch_tokens=150)
    batch = batches.batch(0)
    found = assert_equals(lm, batch, partial(smoothed_by_hand, batches, batch, lm), label_smoothing=SMOOTHING)
    plain = run(lm, batch)
    assert found.loss == pytest.approx(plain.loss) and found.weighted_loss != pytest.approx(plain.weighted_loss)
    with_z = run(lm, batch, label_smoothing=SMOOTHING, z_loss=0.1)
    assert with_z.weighted_loss > found.weighted_loss


def test_label_smoothing_without_its_numbers_is_refused():
    lm = make_lm("llama")
    with pytest.raises(TrainingError, match="label smoothing needs"):
        accumulate_gradient(
            make_batches(lm).batch(0), partial(target_logprobs, lm), device=lm.device, label_smoothing=SMOOTHING
        )


def noise_by_hand(item, length, width):
    """The noise of one prompt, [length, width], in whole numbers of Python."""
    half = -(-width // 2)
    rows = []
    for position in range(length):
        halves = []
        for number in range(half):
            bits = scramble((mix64(NOISE.key, item) + position * half + number) * GOLDEN & MASK)
            halves += [bits & 0xFFFFFFFF, bits >> 32]
        rows.append([(one - 2**32 if one >> 31 else one) / 2**31 for one in halves[:width]])
    return torch.tensor(rows) * NOISE.alpha / (length * width) ** 0.5


def noisy_by_hand(batches, batch, lm):
    losses = []
    for item, one in enumerate(encoded(batches, batch)):
        inputs, target = (torch.from_numpy(array).long() for array in (one.inputs, one.targets[0]))
        embedded = lm.model.get_input_embeddings()(torch.cat([inputs, target]))
        embedded = embedded + noise_by_hand(item, *embedded.shape)
        logits = lm.model(inputs_embeds=embedded[None]).logits[0, len(inputs) - 1 : -1]
        losses.append(torch.nn.functional.cross_entropy(logits, target, reduction="none"))
    return torch.cat(losses).mean()


@pytest.mark.parametrize("is_packed", [True, False])
@pytest.mark.parametrize("in_lines", [True, False])
def test_noise_is_that_of_the_formula_packed_and_alone_in_lines_and_rows(is_packed, in_lines, monkeypatch):
    lm = make_lm("llama")
    if not in_lines:
        monkeypatch.setattr("flantune.models.forward.reads_lines", lambda _: False)
    sizes = SIZES.model_copy(update={"enabled": is_packed, "batch_tokens": 256})
    batches = make_batches(lm, sizes=sizes, micro_batch_tokens=150)
    batch = batches.batch(0)
    found = assert_equals(lm, batch, partial(noisy_by_hand, batches, batch, lm), noise=NOISE)
    assert abs(found.weighted_loss / run(lm, batch).weighted_loss - 1) > 1e-4


def test_noise_is_spread_evenly_and_another_at_every_step_and_prompt():
    values = uniform(torch.tensor([mix64(1, item) >> 1 for item in range(4)]), 50_000)
    assert values.abs().max() <= 1 and values.dtype == torch.float32
    shares = torch.histc(values, bins=20, min=-1, max=1) / values.numel()
    assert float((shares - 0.05).abs().max()) < 0.002
    assert abs(float(values.mean())) < 0.01 and float(values.var()) == pytest.approx(1 / 3, rel=0.01)
    assert float(torch.corrcoef(values).fill_diagonal_(0).abs().max()) < 0.02
    assert abs(float(torch.corrcoef(torch.stack([values[0, :-1], values[0, 1:]]))[0, 1])) < 0.02


def test_packed_equals_unpacked_and_looks_have_no_noise(tmp_path):
    chosen = settings(steps=2, dropout=None, max_grad_norm=0, neftune_alpha=5.0, label_smoothing=SMOOTHING)
    for is_packed in (True, False):
        lm = make_lm("llama")
        batches = make_batches(lm, sizes=SIZES.model_copy(update={"enabled": is_packed}), micro_batch_tokens=150)
        tune_small(tmp_path / str(is_packed), lm, chosen, batches=batches)
        scores = [target_logprobs(lm, batches.batch(0).packs[0]).logprobs for _ in range(2)]
        assert torch.equal(*scores)
    for mine, theirs in zip(lines(tmp_path / "True"), lines(tmp_path / "False"), strict=True):
        assert mine["weighted_loss"] == pytest.approx(theirs["weighted_loss"], rel=2e-5)
        assert mine["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-4)


def test_resumed_equals_straight(tmp_path):
    chosen = settings(steps=4, checkpoint_every=1, neftune_alpha=5.0, label_smoothing=SMOOTHING)
    noisy_one = assert_resumed_equals_straight(tmp_path, partial(make_lm, "llama"), chosen, stop=3)
    plain = make_lm("llama")
    tune_small(tmp_path / "plain", plain, chosen.model_copy(update={"neftune_alpha": 0.0}))
    assert weights_digest(plain) != weights_digest(noisy_one)


def test_noise_where_it_does_not_belong_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="NEFTune is for decoder-only models"):
        tune_small(tmp_path, make_lm("t5"), settings(neftune_alpha=5.0))
    lm = make_lm("llama")
    pack = make_batches(lm).batch(0).packs[0]
    with pytest.raises(ModelError, match="does not use its input embeddings"), noisy(lm, NOISE, pack):
        pass
    with pytest.raises(ModelError, match="embeds other tokens"), noisy(lm, NOISE, pack):
        lm.model.get_input_embeddings()(torch.zeros(1, 3, dtype=torch.long))


def test_padding_has_no_noise():
    lm = make_lm("llama")
    pack = make_batches(lm).batch(0).packs[0]
    tokens = torch.from_numpy(np.ascontiguousarray(pack.tokens)).long()
    embed = lm.model.get_input_embeddings()
    with noisy(lm, NOISE, replace(pack), None):
        found = embed(tokens)
    same = (found == embed(tokens)).all(dim=-1).numpy()
    assert (same == (pack.segments == 0)).all()
