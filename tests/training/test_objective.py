"""The loss of a step, and that it does not know how the step was cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.training.small import ARCHITECTURES, make_batches, make_lm

from flantune.errors import TrainingError
from flantune.models.forward import target_logprobs
from flantune.training.objective import (
    StepLoss,
    accumulate_gradient,
    check_finite,
    item_tokens,
    item_weights,
    loss_by_task,
)
from flantune.types import Batch, Counts


def gradient(lm, batch):
    lm.model.zero_grad()
    found = accumulate_gradient(batch, lambda pack: target_logprobs(lm, pack).logprobs, device=lm.device)
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


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_packed_equals_one_prompt_a_row_and_one_prompt_a_batch(architecture):
    """The strictest reference: each prompt alone through the plain model, added up by hand."""
    lm = make_lm(architecture)
    batch = make_batches(lm).batch(0)
    found, mine = gradient(lm, batch)
    lm.model.zero_grad()
    batches = make_batches(lm)
    codec, total = batches.codec, 0.0
    prompts = [batches.mixture[index] for index in range(batch.cursor, batch.next_cursor)]
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


def test_weights_of_all_tokens_sum_to_one():
    tokens = np.array([1, 30, 7, 0])
    assert float((item_weights(tokens) * tokens).sum()) == pytest.approx(1.0)


def test_an_unknown_weighting_is_refused():
    with pytest.raises(TrainingError, match="weigh by 'example'"):
        item_weights(np.array([1]), weighting="example")


def test_a_batch_without_targets_is_refused():
    empty = Batch(cursor=5, next_cursor=6, packs=(), tasks=("a",), rows=(0,), counts=Counts())
    with pytest.raises(TrainingError, match="draws from 5: a batch has no target tokens"):
        item_tokens(empty)


def test_a_loss_that_is_no_number_names_tasks_and_rows():
    batch = Batch(cursor=0, next_cursor=3, packs=(), tasks=("rte", "boolq", "rte"), rows=(11, 22, 33), counts=Counts())
    tokens = np.array([1, 1, 1])
    bad = StepLoss(loss=float("nan"), item_nll=np.array([np.nan, 1.0, np.inf]), item_tokens=tokens)
    with pytest.raises(TrainingError, match=r"training step 7: the loss .* rte rows 11, 33\n") as caught:
        check_finite(bad, 1.0, step=7, batch=batch)
    assert "boolq" not in str(caught.value)
    good = StepLoss(loss=1.0, item_nll=np.ones(3), item_tokens=tokens)
    with pytest.raises(TrainingError, match=r"the gradient .* boolq rows 22; rte rows 11, 33"):
        check_finite(good, float("inf"), step=7, batch=batch)
    check_finite(good, 1.0, step=7, batch=batch)
