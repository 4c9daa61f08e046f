"""The last layer at chosen places only: which parts, the same results, and the model as before afterwards."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.models.families import DECODERS, build
from tests.models.test_forward import made_up, packed

from flantune.models.adapters import attach_adapter
from flantune.models.forms import last_layer
from flantune.models.forms.last_layer import find_narrowed, only_at
from flantune.models.forms.reading_form import scoring_mode
from flantune.models.forms.training_form import TrainingForm
from flantune.models.forward import target_logprobs
from flantune.settings.config import ModelSettings


@pytest.mark.parametrize("tried", DECODERS, ids=lambda tried: tried.name)
def test_no_part_that_other_tokens_look_at_is_cut_short(tried, tokenizer):
    made = build(tried, tokenizer)
    before = {name: weight.clone() for name, weight in made.model.state_dict().items()}
    names = {part.name for part in find_narrowed(made)}
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
    assert {part.name for part in find_narrowed(made)} == {"q_proj", "o_proj", "mlp"}


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
    find_narrowed(lm)
    cut = _scored(lm, pack)
    used = []
    monkeypatch.setattr(last_layer, "find_narrowed", lambda lm: used.append(lm) or [])
    whole = _scored(lm, pack)
    assert used, "the whole layer was not measured"
    torch.testing.assert_close(cut[0], whole[0], rtol=1e-5, atol=1e-5)
    for left, right in zip(cut[1], whole[1], strict=True):
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-5)


def test_an_adapted_layer_is_cut_short_with_its_adapters(tokenizer, monkeypatch):
    pytest.importorskip("peft")
    made = attach_adapter(build(DECODERS[0], tokenizer), ModelSettings(adapter="lora"), seed=1)
    for name, weight in made.model.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(std=0.3, generator=torch.Generator().manual_seed(2))
    assert {part.name for part in find_narrowed(made)} == {"q_proj", "o_proj", "mlp"}
    pack = packed(made, made_up(len(tokenizer), [(60, (5,)), (33, (9,))]), [[0, 1]])
    cut = _scored(made, pack)
    monkeypatch.setattr(last_layer, "find_narrowed", lambda _: [])
    whole = _scored(made, pack)
    assert len(cut[1]) == len(whole[1]) > 0
    for left, right in zip([cut[0], *cut[1]], [whole[0], *whole[1]], strict=True):
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-5)


def test_parts_found_while_other_forms_stand_in_are_parts_of_the_model(tokenizer):
    made = build(DECODERS[0], tokenizer)
    with scoring_mode(made):
        parts = find_narrowed(made)
    assert {part.name for part in parts} == {"q_proj", "o_proj", "mlp"}
    assert {id(part.parent) for part in parts} <= {id(module) for module in made.model.modules()}


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
    """A layer that is computed again in the backward pass must be the one of the forward pass."""
    made = build(DECODERS[0], tokenizer)
    pack = packed(made, made_up(len(tokenizer), [(60, (5,)), (33, (9,))]), [[0, 1]])
    expected = _scored(made, pack)
    made.model.train()
    with TrainingForm(made, is_lean=False, keeps_inputs_only=True).in_place():
        found = _scored(made, pack)
    for left, right in zip(found[1], expected[1], strict=True):
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-5)


def test_an_error_inside_leaves_the_model_as_it_was(tokenizer):
    made = build(DECODERS[0], tokenizer)
    modules = list(made.model.modules())
    with pytest.raises(RuntimeError, match="stop"), only_at(made, np.array([3]), 100):
        assert list(made.model.modules()) != modules
        raise RuntimeError("stop")
    assert list(made.model.modules()) == modules
