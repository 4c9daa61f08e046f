"""The loss of a step, and that it does not know how the step was cut."""

from __future__ import annotations

import pytest
import torch
from tests.training.small import ARCHITECTURES, make_batches, make_lm

from flantune.errors import TrainingError
from flantune.models.forward import target_logprobs
from flantune.packing.packs import Batch, Counts
from flantune.training.loss import (
    accumulate_gradient,
    item_tokens,
    loss_by_task,
)


def gradient(lm, batch):
    lm.model.zero_grad()
    found = accumulate_gradient(batch, lambda pack: target_logprobs(lm, pack), device=lm.device)
    return found, {name: weight.grad.clone() for name, weight in lm.model.named_parameters() if weight.grad is not None}


def assert_same_gradient(mine, theirs, *, rtol=1e-5):
    assert mine.keys() == theirs.keys()
    for name, tensor in mine.items():
        scale = float(theirs[name].norm())
        assert float((tensor - theirs[name]).norm()) <= rtol * scale, name


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_accumulated_equals_whole_batch(architecture):
    lm = make_lm(architecture)
    whole = make_batches(lm).batch(0)
    cut = make_batches(lm, micro_batch_tokens=150).batch(0)
    assert len(whole.packs) == 1
    assert len(cut.packs) >= 3
    (one, expected), (four, found) = gradient(lm, whole), gradient(lm, cut)
    assert four.loss == pytest.approx(one.loss, rel=1e-6)
    assert_same_gradient(found, expected)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_trap_10_loss_is_per_token_under_accumulation(architecture):
    """A mean of micro-batch means would be another number here: targets have 2 to 30 tokens."""
    lm = make_lm(architecture)
    batch = make_batches(lm, micro_batch_tokens=150).batch(0)
    found, _ = gradient(lm, batch)
    with torch.no_grad():
        nll = [-target_logprobs(lm, pack).logprobs.double() for pack in batch.packs]
    assert found.loss == pytest.approx(float(torch.cat(nll).mean()), rel=1e-6)
    wrong = sum(float(losses.mean()) for losses in nll) / len(nll)
    assert abs(wrong - found.loss) > 1e-4
    tokens = [len(pack.targets.token) for pack in batch.packs]
    assert max(tokens) > min(tokens)
    assert found.item_tokens.sum() == sum(tokens) == batch.counts.target_tokens


@pytest.mark.parametrize("pieces", [2, 4])
def test_the_gradient_of_an_encoder_decoder_does_not_grow_with_accumulation(pieces):
    """A trainer that adds up a T5's own mean losses is off by the number of micro-batches, and by more than that."""
    lm = make_lm("t5")
    batches = make_batches(lm)
    batch = batches.batch(0)
    _, mine = gradient(lm, batch)
    prompts = [batches.stream.mixture[index] for index in range(batch.cursor, batch.next_cursor)]
    encoded = batches.stream.codec.encode_prompts(prompts, continuations="target").prompts
    whole, summed = (own_mean_gradient(lm, encoded, pieces=k) for k in (1, pieces))
    assert_same_gradient(mine, whole, rtol=1e-4)
    size = {k: sum(float(t.norm()) ** 2 for t in found.values()) ** 0.5 for k, found in (("us", mine), ("sum", summed))}
    assert size["sum"] > 0.7 * pieces * size["us"]


def own_mean_gradient(lm, encoded, *, pieces):
    """What comes of ``model(labels=…).loss.backward()`` on padded micro-batches, without a division."""
    lm.model.zero_grad()
    for start in range(pieces):
        part = encoded[start::pieces]
        inputs, labels = (torch.full((len(part), 96), fill) for fill in (lm.tokenizer.pad_token_id, -100))
        for row, prompt in enumerate(part):
            inputs[row, : len(prompt.inputs)] = torch.from_numpy(prompt.inputs).long()
            labels[row, : len(prompt.targets[0])] = torch.from_numpy(prompt.targets[0]).long()
        mask = (inputs != lm.tokenizer.pad_token_id).long()
        lm.model(input_ids=inputs, attention_mask=mask, labels=labels).loss.backward()
    return {name: weight.grad.clone() for name, weight in lm.model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_packed_equals_one_prompt_a_row_and_one_prompt_a_batch(architecture):
    """The strictest reference: each prompt alone through the plain model, added up by hand."""
    lm = make_lm(architecture)
    batch = make_batches(lm).batch(0)
    found, mine = gradient(lm, batch)
    lm.model.zero_grad()
    batches = make_batches(lm)
    codec, total = batches.stream.codec, 0.0
    prompts = [batches.stream.mixture[index] for index in range(batch.cursor, batch.next_cursor)]
    for encoded in codec.encode_prompts(prompts, continuations="target").prompts:
        inputs, target = (torch.from_numpy(array).long() for array in (encoded.inputs, encoded.targets[0]))
        if lm.family == "decoder-only":
            logits = lm.model(input_ids=torch.cat([inputs, target])[None]).logits[0, len(inputs) - 1 : -1]
        else:
            logits = lm.model(input_ids=inputs[None], labels=target[None]).logits[0]
        loss = torch.nn.functional.cross_entropy(logits, target, reduction="sum") / batch.counts.target_tokens
        loss.backward()
        total += loss.item()
    theirs = {name: weight.grad for name, weight in lm.model.named_parameters() if weight.grad is not None}
    assert found.loss == pytest.approx(total, rel=1e-5)
    assert_same_gradient(mine, theirs, rtol=1e-4)


def test_task_losses_add_up_to_the_loss():
    lm = make_lm("llama")
    batch = make_batches(lm).batch(0)
    found, _ = gradient(lm, batch)
    tasks = loss_by_task(found, batch.tasks)
    assert set(tasks) == {"same", "repeat", "spell"}
    total = sum(task.nll for task in tasks.values()) / sum(task.target_tokens for task in tasks.values())
    assert total == pytest.approx(found.loss)
    assert sum(task.target_tokens for task in tasks.values()) == batch.counts.target_tokens


def test_a_batch_without_targets_is_refused():
    empty = Batch(cursor=5, next_cursor=6, packs=(), tasks=("a",), rows=(0,), counts=Counts())
    with pytest.raises(TrainingError, match="draws from 5: a batch has no target tokens"):
        item_tokens(empty)
