"""Adapters added to the rounded weights once per step: the results of peft's layers, no gradient for frozen weights."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import pytest
import torch
from tests.models.test_training_form import distance, gradients
from tests.training.small import SIZES, make_batches, make_lm, settings
from transformers.pytorch_utils import Conv1D

from flantune.models.adapters import attach_adapter
from flantune.models.compiler import find_compiler
from flantune.models.forms.low_rank import LowRankLinear
from flantune.models.forms.reading_form import scoring_mode
from flantune.models.forms.rounded_products import PackedLinear, has_packed_products, packed_form
from flantune.models.forms.training_form import TrainingForm
from flantune.models.forward import target_logprobs
from flantune.settings.adapter_settings import LoraSettings
from flantune.settings.config import ModelSettings
from flantune.training.loss import accumulate_gradient
from flantune.training.optimizers import build_optimizer

pytest.importorskip("peft")
ARCHITECTURES = ("llama", "gpt2", "t5")


def adapted(architecture: str, dtype=torch.float32, **own):
    """A model with adapters that are not zero, so that a missing part would show."""
    lm = attach_adapter(
        make_lm(architecture, dtype=dtype),
        ModelSettings(path="x", adapter="lora", lora=LoraSettings(rank=4, **own)),
        seed=1,
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in lm.model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn(weight.shape, generator=generator) * 0.03)
    return lm


def packs_of(lm):
    return make_batches(lm).batch(0).packs


def layers(form) -> list[LowRankLinear]:
    return [other for *_, other in form._modules if isinstance(other, LowRankLinear)]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_gradients_are_those_of_peft(architecture):
    lm = adapted(architecture)
    packs = packs_of(lm)
    form = TrainingForm(lm)
    assert len(layers(form)) == sum(hasattr(part, "lora_A") for part in lm.model.modules())
    assert distance(gradients(lm, form, packs), gradients(lm, TrainingForm(lm, is_lean=False), packs)) < 1e-5


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_in_bfloat16_they_are_as_near_to_float32_as_those_of_peft(architecture):
    lm = adapted(architecture)
    packs = packs_of(lm)
    exact = gradients(lm, TrainingForm(lm), packs)
    half = replace(lm, compute_dtype=torch.bfloat16)
    mine, usual = (distance(gradients(half, TrainingForm(half, is_lean=lean), packs), exact) for lean in (True, False))
    assert mine < 0.1
    assert mine < 1.5 * usual


def test_packed_and_unpacked_give_one_gradient():
    lm = adapted("llama")
    form, found = TrainingForm(lm), {}
    for packed in (True, False):
        sizes = SIZES.model_copy(update={"enabled": packed})
        lm.model.zero_grad(set_to_none=True)
        with form.in_place():
            accumulate_gradient(
                make_batches(lm, sizes=sizes).batch(0), lambda pack: target_logprobs(lm, pack), device=lm.device
            )
        found[packed] = {n: w.grad.clone() for n, w in lm.model.named_parameters() if w.grad is not None}
    assert distance(found[True], found[False]) < 1e-4


def test_what_is_frozen_gets_no_gradient_no_copy_and_no_state():
    lm = adapted("llama", torch.bfloat16)
    form = TrainingForm(lm)
    frozen = {id(layer.frozen) for layer in layers(form)}
    assert not frozen & form._copies.keys()
    found = gradients(lm, form, packs_of(lm))
    assert found and all("lora_" in name for name in found)
    optimizer = build_optimizer(lm.model, settings(optimizer="adamw"))
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(found)


def test_the_sum_follows_the_adapter_and_is_rounded_once():
    lm = adapted("gpt2", torch.bfloat16)
    form = TrainingForm(lm)
    for _ in range(2):
        with form.in_place():
            pass
        for layer in layers(form):
            apart = layer.usual.get_delta_weight("default") + layer.frozen
            torch.testing.assert_close(layer.weight, apart.detach().bfloat16(), rtol=2**-7, atol=1e-6)
            with torch.no_grad():
                layer.second.mul_(2.0)


def test_a_model_is_as_before_once_a_step_is_over():
    lm = adapted("t5", torch.bfloat16)
    before = dict(lm.model.named_parameters())
    kinds = [type(module) for module in lm.model.modules()]
    with TrainingForm(lm).in_place():
        assert any(isinstance(module, LowRankLinear) for module in lm.model.modules())
    after = dict(lm.model.named_parameters())
    assert before.keys() == after.keys() and all(before[name] is after[name] for name in before)
    assert kinds == [type(module) for module in lm.model.modules()]


@pytest.mark.parametrize("own", [{"dropout": 0.1}, {"dora": True}, {"targets": ("lm_head",)}])
def test_what_is_no_plain_adapter_is_left_to_peft(own):
    """Here the head shares its weight with the embeddings."""
    lm = adapted("llama", torch.bfloat16, **own)
    if "targets" in own:
        lm.model.lm_head.base_layer.weight = lm.model.model.embed_tokens.weight
    form = TrainingForm(lm)
    assert layers(form) == []
    assert gradients(lm, form, packs_of(lm))


def test_compiled_layers_take_them_too(monkeypatch):
    """Uses all of the compiler except code generation, which takes long."""
    if not find_compiler():
        pytest.skip("no compiler")
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    torch._dynamo.reset()
    lm = adapted("llama")
    packs = packs_of(lm)
    form = TrainingForm(lm, is_compiled=True)
    assert layers(form)
    assert distance(gradients(lm, form, packs), gradients(lm, TrainingForm(lm, is_lean=False), packs)) < 1e-5


@pytest.mark.skipif(not has_packed_products(), reason="oneDNN has no bfloat16 here")
@pytest.mark.parametrize("own", [{}, {"dropout": 0.1}, {"dora": True}, {"rank_stabilized": True}])
@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_a_model_is_read_with_the_sum_of_weight_and_adapter(architecture, own):
    lm = adapted(architecture, torch.bfloat16, **own)
    layer = next(module for module in lm.model.modules() if hasattr(module, "lora_A"))
    rows = layer.base_layer.weight.shape[0 if isinstance(layer.base_layer, Conv1D) else 1]
    x = torch.randn(6, rows, generator=torch.Generator().manual_seed(2))
    before = {name: weight.clone() for name, weight in lm.model.named_parameters()}
    with torch.no_grad():
        expected, alone = layer.eval()(x), layer.base_layer(x)
    form = packed_form(layer)
    assert isinstance(form, PackedLinear)
    assert distance({"x": form(x).float()}, {"x": expected}) < 1e-2 < distance({"x": alone}, {"x": expected})
    with scoring_mode(lm):
        assert not any(hasattr(module, "lora_A") and type(module) is type(layer) for module in lm.model.modules())
    assert all(torch.equal(weight, before[name]) for name, weight in lm.model.named_parameters())
    with layer_disabled(layer):
        assert packed_form(layer) is None


@contextmanager
def layer_disabled(layer):
    layer.enable_adapters(False)
    yield
    layer.enable_adapters(True)
