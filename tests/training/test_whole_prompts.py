"""Loss on the inputs, too: as defined, however a step is cut, and told apart from that of the targets."""

from __future__ import annotations

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
)
from tests.training.test_weighting import assert_equals, run, whole_and_parts

from flantune.commands.plan import check_loss
from flantune.errors import ConfigError
from flantune.packing.inputs_asked import with_inputs_asked
from flantune.packing.shares import filler
from flantune.settings.config import RunConfig
from flantune.training.whole_prompts import check_inputs_weight

WEIGHT = 0.3


def by_hand(batches, batch, lm, weighting, *, inputs_weight):
    """Each prompt alone through the plain model, every token but the first predicted; then weighted means."""
    prompts = [batches.stream.mixture[index] for index in range(batch.cursor, batch.next_cursor)]
    encoded = batches.stream.codec.encode_prompts(prompts, continuations="target")
    losses, weights, tasks = [], [], []
    for prompt, one in zip(prompts, encoded, strict=True):
        ids = torch.from_numpy(np.concatenate([one.inputs, one.targets[0]])).long()
        logits = lm.model(input_ids=ids[None]).logits[0, :-1]
        losses.append(torch.nn.functional.cross_entropy(logits, ids[1:], reduction="none"))
        weights.append(torch.full((len(ids) - 1,), inputs_weight))
        weights[-1][len(one.inputs) - 1 :] = 1.0
        tasks.append(prompt.task)
    sums = torch.stack([(loss * weight).sum() for loss, weight in zip(losses, weights, strict=True)])
    counts = torch.stack([weight.sum() for weight in weights])
    if weighting == "token":
        return sums.sum() / counts.sum()
    if weighting == "example":
        return (sums / counts).mean()
    of = [torch.tensor([task == name for task in tasks]) for name in sorted(set(tasks))]
    return torch.stack([sums[which].sum() / counts[which].sum() for which in of]).mean()


@pytest.mark.parametrize(
    ("weighting", "weight"), [("token", 1.0), ("token", WEIGHT), ("example", WEIGHT), ("task", WEIGHT)]
)
def test_packed_and_cut_equals_the_definition(weighting, weight):
    lm = make_lm("llama")
    batches = make_batches(lm, micro_batch_tokens=150)
    batch = batches.batch(0)
    definition = partial(by_hand, batches, batch, lm, weighting, inputs_weight=weight)
    found = assert_equals(lm, batch, definition, weighting=weighting, inputs_weight=weight)
    plain = run(lm, batch, weighting=weighting)
    assert found.loss == pytest.approx(plain.loss) and plain.inputs.target_tokens == 0
    # Every token but the first of each prompt.
    assert found.inputs.target_tokens == batch.counts.input_tokens - len(batch.tasks)


def test_at_weight_one_it_is_the_mean_over_all_tokens():
    lm = make_lm("llama")
    found = run(lm, make_batches(lm).batch(0), inputs_weight=1.0)
    tokens = found.item_tokens.sum() + found.inputs_tokens
    assert found.weighted_loss == pytest.approx((found.item_nll.sum() + found.inputs.nll) / tokens, rel=1e-5)


def test_the_parts_of_several_processes_add_up_to_the_whole():
    lm = make_lm("llama")
    batch = make_batches(lm, micro_batch_tokens=150).batch(0)
    whole, parts = whole_and_parts(lm, batch, inputs_weight=WEIGHT)
    np.testing.assert_allclose(sum(part.item_inputs_nll for part in parts), whole.item_inputs_nll, rtol=1e-6)


def test_packed_equals_unpacked_one_trajectory(tmp_path):
    chosen = settings(steps=3, dropout=None, max_grad_norm=0, inputs_weight=WEIGHT)
    for is_packed in (True, False):
        lm = make_lm("llama")
        batches = make_batches(lm, sizes=SIZES.model_copy(update={"enabled": is_packed}))
        tune_small(tmp_path / str(is_packed), lm, chosen, batches=batches)
    for mine, theirs in zip(lines(tmp_path / "True"), lines(tmp_path / "False"), strict=True):
        assert mine["fill"] > theirs["fill"] and mine["inputs_tokens"] == theirs["inputs_tokens"]
        for name in ("loss", "inputs_loss", "weighted_loss"):
            assert mine[name] == pytest.approx(theirs[name], rel=2e-5)
        assert mine["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-4)


def test_resumed_equals_straight_and_lines_add_up(tmp_path):
    chosen = settings(steps=4, log_every=2, checkpoint_every=1, inputs_weight=WEIGHT)
    assert_resumed_equals_straight(tmp_path, partial(make_lm, "llama"), chosen, stop=3)
    first, *_ = lines(tmp_path / "straight")
    assert first["inputs_tokens"] == first["input_tokens"] - first["prompts"]
    assert first["inputs_loss"] != first["loss"]


def test_a_pass_that_adds_nothing_asks_for_nothing():
    lm = make_lm("llama")
    empty = with_inputs_asked(filler(make_batches(lm).batch(0).packs[0]))
    assert len(empty.targets.token) == len(empty.targets.item) == 0


def test_models_that_cannot_learn_their_inputs_are_refused(tmp_path):
    chosen = settings(inputs_weight=WEIGHT)
    with pytest.raises(ConfigError, match="an encoder-decoder predicts only its targets"):
        tune_small(tmp_path, make_lm("t5"), chosen)
    for trait, said in (("reads_both_ways", "a prefix LM"), ("has_virtual_tokens", "represent no text")):
        with pytest.raises(ConfigError, match=said):
            check_inputs_weight(chosen, family="decoder-only", **{trait: True})
    check_inputs_weight(settings(), family="encoder-decoder")


@pytest.mark.parametrize(
    ("model", "family", "said"),
    [
        ({}, "encoder-decoder", "an encoder-decoder"),
        ({"attention": "prefix"}, "decoder-only", "a prefix LM"),
        ({"adapter": "prompt"}, "decoder-only", "virtual tokens"),
    ],
)
def test_a_run_file_is_refused_before_any_model_is_loaded(model, family, said):
    config = RunConfig(training={"inputs_weight": 1.0}, model=model)
    with pytest.raises(ConfigError, match=said) as caught:
        check_loss(config, family)
    assert caught.value.where == "training.inputs_weight"
    with pytest.raises(ConfigError, match="NEFTune"):
        check_loss(RunConfig(training={"neftune_alpha": 5.0}), "encoder-decoder")
    check_loss(RunConfig(training={"neftune_alpha": 5.0, "inputs_weight": 0.1}), "decoder-only")
