from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from tests.models.test_forward import made_up, packed
from transformers import AutoModelForCausalLM, LlamaConfig, T5Config, T5ForConditionalGeneration

import flantune.models.compiler as compiler
import flantune.models.forms.compiled as compiled
from flantune.models.attention.interface import NAME
from flantune.models.attention.lines import _bias_table, reads_lines
from flantune.models.forms.fused import LeanRootMeanSquareNorm, lean_form
from flantune.models.forms.log_softmax import PlainTokenLogprobs
from flantune.models.forms.training_form import TrainingForm
from flantune.models.forward import target_logprobs

SHAPES = [(30, (5,)), (9, (12,)), (21, (3,)), (14, (8,)), (40, (2,))]


def pack_of(lm, rows=((0, 1), (2, 3, 4))):
    return packed(lm, made_up(len(lm.tokenizer), SHAPES), [list(row) for row in rows])


def gradients(lm, form, packs) -> dict[str, torch.Tensor]:
    lm.model.zero_grad(set_to_none=True)
    was = lm.model.training
    lm.model.train()
    with form.in_place():
        for pack in packs:
            (-target_logprobs(lm, pack).logprobs.sum() / 30).backward()
    lm.model.train(was)
    found = {name: weight.grad.clone() for name, weight in lm.model.named_parameters() if weight.grad is not None}
    lm.model.zero_grad(set_to_none=True)
    return found


def whole(found) -> torch.Tensor:
    return torch.cat([found[name].double().flatten() for name in sorted(found)])


def distance(left, right) -> float:
    a, b = whole(left), whole(right)
    return float((a - b).norm() / b.norm())


def test_every_scratch_model_reads_lines(lm):
    assert reads_lines(lm)
    assert lm.model.config._attn_implementation == NAME


def test_float32_form_changes_nothing(lm):
    usual = gradients(lm, TrainingForm(lm, is_lean=False), [pack_of(lm)])
    lean = gradients(lm, TrainingForm(lm), [pack_of(lm)])
    assert distance(lean, usual) < 1e-5


def test_rounded_weights_are_as_near_to_float32_as_autocast(lm):
    exact = gradients(lm, TrainingForm(lm), [pack_of(lm)])
    half = replace(lm, compute_dtype=torch.bfloat16)
    rounded = gradients(half, TrainingForm(half), [pack_of(lm)])
    assert all(gradient.dtype == torch.float32 for gradient in rounded.values())
    assert distance(rounded, exact) < 0.1

    class Autocast(TrainingForm):
        def __init__(self) -> None:
            self._modules, self._weights, self._copies, self._compiled = [], [], {}, None
            self._keeps_inputs_only, self._attention, self._rotations = False, nullcontext, []

    assert distance(rounded, exact) < 2.5 * distance(gradients(half, Autocast(), [pack_of(lm)]), exact)


def test_gradients_add_up_in_float32_over_micro_batches(lm):
    half = replace(lm, compute_dtype=torch.bfloat16)
    form = TrainingForm(half)
    one, other = pack_of(lm, ((0, 1),)), pack_of(lm, ((2, 3, 4),))
    parts = [gradients(half, form, [pack]) for pack in (one, other)]
    both = gradients(half, form, [one, other])
    for name, found in both.items():
        assert torch.equal(found, parts[0][name] + parts[1][name]), name


def test_weights_and_modules_are_as_before_even_after_an_error(lm):
    half = replace(lm, compute_dtype=torch.bfloat16)
    form, before = TrainingForm(half), dict(lm.model.named_parameters())
    kinds = [type(module) for module in lm.model.modules()]
    with pytest.raises(RuntimeError, match="stop"), form.in_place():
        assert all(weight.dtype == torch.bfloat16 for weight in lm.model.parameters())
        raise RuntimeError("stop")
    after = dict(lm.model.named_parameters())
    assert before.keys() == after.keys() and all(before[name] is after[name] for name in before)
    assert kinds == [type(module) for module in lm.model.modules()]


def test_the_form_follows_the_weights(lm):
    half = replace(lm, compute_dtype=torch.bfloat16)
    form = TrainingForm(half)
    weight = next(lm.model.parameters())
    with torch.no_grad():
        weight.add_(1.0)
    with form.in_place():
        assert torch.equal(next(lm.model.parameters()), weight.bfloat16())
    with torch.no_grad():
        weight.sub_(1.0)


def test_frozen_weights_get_no_gradient(lm):
    half = replace(lm, compute_dtype=torch.bfloat16)
    frozen = next(lm.model.parameters())
    frozen.requires_grad_(False)
    try:
        lm.model.train()
        with TrainingForm(half).in_place():
            target_logprobs(half, pack_of(lm)).logprobs.sum().backward()
        assert frozen.grad is None
        assert sum(weight.grad is not None for weight in lm.model.parameters()) > 0
    finally:
        frozen.requires_grad_(True)
        lm.model.eval().zero_grad(set_to_none=True)


def test_activation_checkpointing_changes_no_gradient(lm):
    usual = gradients(lm, TrainingForm(lm), [pack_of(lm)])
    found = gradients(lm, TrainingForm(lm, keeps_inputs_only=True), [pack_of(lm)])
    assert distance(found, usual) < 1e-6
    assert not lm.model.is_activation_checkpointing


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_lean_norms_and_their_gradients(kind):
    if kind == "llama":
        model = AutoModelForCausalLM.from_config(
            LlamaConfig(hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, vocab_size=40)
        )
        norm = model.model.norm
    else:
        small = {"d_model": 32, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2, "vocab_size": 40}
        norm = T5ForConditionalGeneration(T5Config(**small)).encoder.final_layer_norm
    torch.nn.init.normal_(norm.weight)
    lean = lean_form(norm)
    assert isinstance(lean, LeanRootMeanSquareNorm) and lean.weight is norm.weight
    x = torch.randn(3, 7, 32, requires_grad=True)
    towards = torch.randn(3, 7, 32)
    for left, right in zip(
        torch.autograd.grad(lean(x), (x, lean.weight), towards),
        torch.autograd.grad(norm(x), (x, norm.weight), towards),
        strict=True,
    ):
        assert torch.allclose(left, right, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_log_probabilities_of_tokens_and_their_gradient_are_those_of_cross_entropy(dtype):
    logits = (5 * torch.randn(7, 40)).to(dtype).requires_grad_()
    tokens, towards = torch.randint(40, (7,)), torch.randn(7)
    usual = -torch.nn.functional.cross_entropy(logits.float(), tokens, reduction="none")
    found = PlainTokenLogprobs.apply(logits, tokens)
    assert found.dtype == torch.float32 and torch.equal(found, usual)
    (expected,), (grad,) = (torch.autograd.grad(values, logits, towards) for values in (usual, found))
    assert grad.dtype == dtype
    assert torch.allclose(grad.float(), expected.float(), rtol=1e-2 if dtype == torch.bfloat16 else 1e-5, atol=1e-6)


def test_the_gradient_of_log_probabilities_cannot_be_asked_for_twice_by_mistake():
    """The first backward pass overwrites the saved tensor."""
    logits = torch.randn(3, 5, requires_grad=True)
    found = PlainTokenLogprobs.apply(logits, torch.tensor([0, 1, 2])).sum()
    found.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="inplace operation"):
        found.backward()


def test_the_bias_of_t5_lies_as_the_scores_do():
    small = {"d_model": 32, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 4, "vocab_size": 40}
    attention = T5ForConditionalGeneration(T5Config(**small)).encoder.block[0].layer[0].SelfAttention
    table = _bias_table(attention, 128)
    assert table.shape == (1, 4, 1, 257) and table.is_contiguous()
    expected = attention.compute_bias(5, 5)[0, :, 2]
    assert torch.equal(table[0, :, 0, 126:131], expected)


def test_a_norm_that_adds_one_to_its_weight_is_left_alone():
    class GemmaLikeRMSNorm(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.variance_epsilon = torch.nn.Parameter(torch.zeros(8)), 1e-6

        def forward(self, x):
            return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon) * (1.0 + self.weight)

    assert lean_form(GemmaLikeRMSNorm()) is None
    assert lean_form(torch.nn.LayerNorm(8)) is None


def test_without_a_compiler_the_model_is_trained_uncompiled(lm, monkeypatch):
    monkeypatch.setattr(compiler.shutil, "which", lambda _: None)
    assert "C++ compiler" in compiled.why_not_compiled(lm)
    form = TrainingForm(lm, is_compiled=True)
    assert form._compiled is None
    assert distance(gradients(lm, form, [pack_of(lm)]), gradients(lm, TrainingForm(lm), [pack_of(lm)])) < 1e-6
