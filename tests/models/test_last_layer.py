"""The last layer cut short: which parts, the same numbers, and nothing left behind."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.models.families import DECODERS, build
from tests.models.test_forward import made_up, packed

from flantune.models import last_layer
from flantune.models.forward import target_logprobs
from flantune.models.last_layer import find_parts, only_at


@pytest.mark.parametrize("tried", DECODERS, ids=lambda tried: tried.name)
def test_no_part_that_other_tokens_look_at_is_cut_short(tried, tokenizer):
    made = build(tried, tokenizer)
    before = {name: weight.clone() for name, weight in made.model.state_dict().items()}
    names = {part.name for part in find_parts(made)}
    assert {"k_proj", "v_proj", "c_attn", "query_key_value", "qkv_proj", "Wqkv"}.isdisjoint(names)
    assert len(names) > 1, "neither feed-forward part nor output projection"
    after = made.model.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(weight, after[name]) for name, weight in before.items())


def test_a_value_projection_of_zeros_is_not_mistaken_for_one_that_nobody_needs(tokenizer):
    made = build(DECODERS[0], tokenizer)
    for name, weight in made.model.named_parameters():
        if "v_proj" in name or "o_proj" in name:
            weight.data.zero_()
    assert {part.name for part in find_parts(made)} == {"q_proj", "o_proj", "mlp"}


def _scored(lm, pack):
    lm.model.zero_grad()
    found = target_logprobs(lm, pack).logprobs
    (found.double().mul(torch.linspace(1, 2, len(found))).sum()).backward()
    return found.detach(), [weight.grad.clone() for weight in lm.model.parameters() if weight.grad is not None]


@pytest.mark.parametrize("rows", [[[0, 1], [2]], [[0], [1], [2]]], ids=["packed", "alone"])
def test_scores_and_gradients_are_those_of_the_whole_layer(lm, tokenizer, monkeypatch, rows):
    if lm.family != "decoder-only":
        pytest.skip("every token of an encoder-decoder's last layer is read")
    pack = packed(lm, made_up(len(tokenizer), [(60, (5,)), (33, (9,)), (41, (1,))]), rows)
    find_parts(lm)
    cut = _scored(lm, pack)
    used = []
    monkeypatch.setattr(last_layer, "find_parts", lambda lm: used.append(lm) or [])
    whole = _scored(lm, pack)
    assert used, "the whole layer was not measured"
    torch.testing.assert_close(cut[0], whole[0], rtol=1e-5, atol=1e-5)
    for left, right in zip(cut[1], whole[1], strict=True):
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-5)


def test_fewer_tokens_go_through_the_feed_forward_part(tokenizer):
    made = build(DECODERS[0], tokenizer)
    seen = []
    made.model.model.layers[-1].mlp.gate_proj.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape))
    pack = packed(made, made_up(len(tokenizer), [(150, (5,))]), [[0]])
    target_logprobs(made, pack)
    seen.clear()
    target_logprobs(made, pack)
    assert [shape[1] for shape in seen] == [32]


def test_inputs_kept_only_are_computed_again_as_they_were(tokenizer):
    """A layer computed again in the backward pass must be the layer of the forward pass."""
    made = build(DECODERS[0], tokenizer)
    pack = packed(made, made_up(len(tokenizer), [(60, (5,)), (33, (9,))]), [[0, 1]])
    expected = _scored(made, pack)
    made.model.train()
    made.model.gradient_checkpointing_enable({"use_reentrant": False})
    found = _scored(made, pack)
    made.model.gradient_checkpointing_disable()
    for left, right in zip(found[1], expected[1], strict=True):
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-5)


def test_an_error_inside_leaves_the_model_as_it_was(tokenizer):
    made = build(DECODERS[0], tokenizer)
    modules = list(made.model.modules())
    with pytest.raises(RuntimeError, match="stop"), only_at(made, np.array([3]), 100):
        assert list(made.model.modules()) != modules
        raise RuntimeError("stop")
    assert list(made.model.modules()) == modules
