"""By token, by example, by task: exact however a step is cut."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.training.small import ARCHITECTURES, make_batches, make_lm

from flantune.errors import TrainingError
from flantune.models.forward import target_logprobs
from flantune.training.loss import accumulate_gradient
from flantune.training.weighting import item_weights

WEIGHTINGS = ("token", "example", "task")


def by_hand(batches, batch, lm, weighting):
    """The loss of a step as its definition says it: each prompt alone through the plain model, then means of means."""
    prompts = [batches.stream.mixture[index] for index in range(batch.cursor, batch.next_cursor)]
    nll: dict[str, list[torch.Tensor]] = {}
    for prompt, encoded in zip(
        prompts, batches.stream.codec.encode_prompts(prompts, continuations="target"), strict=True
    ):
        inputs, target = (torch.from_numpy(array).long() for array in (encoded.inputs, encoded.targets[0]))
        if lm.family == "decoder-only":
            logits = lm.model(input_ids=torch.cat([inputs, target])[None]).logits[0, len(inputs) - 1 : -1]
        else:
            logits = lm.model(input_ids=inputs[None], labels=target[None]).logits[0]
        nll.setdefault(prompt.task, []).append(-logits.log_softmax(-1).gather(1, target[:, None])[:, 0])
    if weighting == "token":
        return torch.cat([tokens for task in nll.values() for tokens in task]).mean()
    if weighting == "example":
        return torch.stack([tokens.mean() for task in nll.values() for tokens in task]).mean()
    return torch.stack([torch.cat(task).mean() for task in nll.values()]).mean()


def run(lm, batch, *, noise=None, **options):
    lm.model.zero_grad()
    asked = {"with_logsumexp": bool(options.get("z_loss")), "with_mean": bool(options.get("label_smoothing"))}
    return accumulate_gradient(batch, partial(target_logprobs, lm, **asked, noise=noise), device=lm.device, **options)


def gradients(lm):
    return {name: weight.grad.clone() for name, weight in lm.model.named_parameters() if weight.grad is not None}


def assert_close(mine, theirs, *, rtol):
    assert mine.keys() == theirs.keys()
    for name, tensor in mine.items():
        assert float((tensor - theirs[name]).norm()) <= rtol * float(theirs[name].norm()), name


def whole_and_parts(lm, batch, **options):
    """A step by one process and by each of two, whose gradients add up to that of the one."""
    whole, expected = run(lm, batch, **options), gradients(lm)
    parts, sums = [], {}
    for rank in range(2):
        parts.append(run(lm, batch, **options, numbers=range(len(batch.packs))[rank::2]))
        for name, tensor in gradients(lm).items():
            sums[name] = sums.get(name, 0) + tensor
    assert_close(sums, expected, rtol=1e-5)
    return whole, parts


def assert_equals(lm, batch, expected, **options):
    """The loss of a step and its gradient are those of a definition in plain PyTorch; gives what was found."""
    found, mine = run(lm, batch, **options), gradients(lm)
    lm.model.zero_grad()
    loss = expected()
    loss.backward()
    assert found.weighted_loss == pytest.approx(float(loss.detach()), rel=1e-5)
    assert_close(mine, gradients(lm), rtol=1e-4)
    return found


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_packed_and_cut_equals_the_definition(architecture, weighting):
    lm = make_lm(architecture)
    batches = make_batches(lm, micro_batch_tokens=150)
    batch = batches.batch(0)
    assert len(batch.packs) >= 3
    assert_equals(lm, batch, lambda: by_hand(batches, batch, lm, weighting), weighting=weighting)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_three_weightings_are_three_objectives(architecture):
    lm = make_lm(architecture)
    batch = make_batches(lm).batch(0)
    found = {weighting: run(lm, batch, weighting=weighting) for weighting in WEIGHTINGS}
    assert len({round(one.weighted_loss, 5) for one in found.values()}) == 3
    assert len({one.loss for one in found.values()}) == 1
    assert found["token"].loss == pytest.approx(found["token"].weighted_loss, rel=1e-6)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_parts_of_several_processes_add_up_to_the_whole(architecture, weighting):
    lm = make_lm(architecture)
    batch = make_batches(lm, micro_batch_tokens=150).batch(0)
    whole, parts = whole_and_parts(lm, batch, weighting=weighting, z_loss=0.01)
    assert sum(part.weighted_loss for part in parts) == pytest.approx(whole.weighted_loss, rel=1e-6)
    np.testing.assert_allclose(sum(part.item_nll for part in parts), whole.item_nll, rtol=1e-6)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_z_loss_is_the_squared_log_sum_exp(architecture):
    lm = make_lm(architecture)
    batch = make_batches(lm).batch(0)
    plain, with_z = run(lm, batch), run(lm, batch, z_loss=0.1)
    with torch.no_grad():
        logsumexp = torch.cat([target_logprobs(lm, pack, with_logsumexp=True).logsumexp for pack in batch.packs])
    assert with_z.weighted_loss == pytest.approx(plain.weighted_loss + 0.1 * float(logsumexp.square().mean()), rel=1e-5)
    assert with_z.loss == pytest.approx(plain.loss)


def test_z_loss_has_its_gradient():
    """Along a direction in the head's weights, the change of the loss is what the gradient says."""
    lm = make_lm("llama")
    batch = make_batches(lm).batch(0)
    weight = lm.model.get_output_embeddings().weight
    run(lm, batch, z_loss=0.5)
    direction = weight.grad / weight.grad.norm()
    values = []
    for step in (-1e-2, 1e-2):
        with torch.no_grad():
            weight.add_(direction, alpha=step)
        values.append(run(lm, batch, z_loss=0.5).weighted_loss)
        with torch.no_grad():
            weight.add_(direction, alpha=-step)
    run(lm, batch, z_loss=0.5)
    assert (values[1] - values[0]) / 2e-2 == pytest.approx(float((weight.grad * direction).sum()), rel=1e-2)


def test_a_z_loss_without_its_numbers_is_refused():
    lm = make_lm("llama")
    batch = make_batches(lm).batch(0)
    with pytest.raises(TrainingError, match="log-sum-exp"):
        accumulate_gradient(batch, lambda pack: target_logprobs(lm, pack), device=lm.device, z_loss=0.1)


@given(st.lists(st.tuples(st.integers(0, 300), st.sampled_from("abc")), min_size=1), st.sampled_from(WEIGHTINGS))
def test_weights_of_all_tokens_sum_to_one(items, weighting):
    tokens, tasks = np.array([n for n, _ in items]), [task for _, task in items]
    tokens[0] += 1
    weights = item_weights(tokens, weighting=weighting, tasks=tasks)
    assert float((weights * tokens).sum()) == pytest.approx(1.0, abs=1e-4)
    assert np.isfinite(weights).all() and (weights >= 0).all()


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_items_and_tasks_without_a_token_count_for_nothing(weighting):
    """They neither take a share nor leave one over."""
    tokens, tasks = np.array([2, 0, 6, 0]), ["a", "a", "b", "c"]
    weights = item_weights(tokens, weighting=weighting, tasks=tasks)
    assert float((weights * tokens).sum()) == pytest.approx(1.0)
    if weighting != "token":
        assert (weights * tokens).tolist() == pytest.approx([0.5, 0, 0.5, 0])


def test_trap_10_one_token_answers_do_not_drown_in_long_ones():
    tokens = np.array([1, 1, 98])
    assert (item_weights(tokens, weighting="example") * tokens)[:2].sum() == pytest.approx(2 / 3)
    assert (item_weights(tokens) * tokens)[:2].sum() == pytest.approx(2 / 100)


def test_an_unknown_weighting_is_refused():
    with pytest.raises(TrainingError, match="weigh by 'row'"):
        item_weights(np.array([1]), weighting="row")
