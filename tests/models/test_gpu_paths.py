"""Passes on a pretended GPU: all tensors are on it, nothing waits for it, and results are those of the CPU."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from tests.pretend_gpu import pretended
from torch.nn.functional import scaled_dot_product_attention

from flantune.models.attention import door, varlen
from flantune.models.attention.lines import reads_lines
from flantune.models.attention.rules import AttentionRule
from flantune.models.checks.isolation import check_isolation, made_up_prompts
from flantune.models.forms import training_form
from flantune.models.forms.fused import FusedRootMeanSquareNorm, LeanRootMeanSquareNorm
from flantune.models.forms.training_form import TrainingForm
from flantune.models.forward import target_logprobs
from flantune.models.scoring.check import scoring_layout
from flantune.models.scoring.option_scorer import OptionScorer
from flantune.models.scoring.plan import plan_scoring
from flantune.models.scratch import build_model
from flantune.models.writing.decoding import Decoding
from flantune.models.writing.generate import write
from flantune.packing.batches import lay_out
from flantune.settings.config import ScratchSettings

FAMILIES = ("llama", "t5", "llama, prefix")


def made(name, tokenizer, dtype=torch.float32):
    architecture, _, attention = name.partition(", ")
    scratch = ScratchSettings(architecture=architecture, hidden_size=32, layers=2, heads=4)
    lm = replace(build_model(scratch, tokenizer, seed=1, compute_dtype=dtype), attention=attention or "causal")
    for weight in lm.model.parameters():
        if weight.ndim > 1:
            weight.data.mul_(2.0)
    return lm


def pack_of(lm):
    return lay_out(made_up_prompts(lm), [[0, 1], [2]], family=lm.family)


def passed(lm, pack, form=None):
    """Log-probabilities and gradients of a forward and backward pass."""
    lm.model.zero_grad()
    with form.in_place() if form else torch.enable_grad():
        found = target_logprobs(lm, pack).logprobs
        (found.float() * torch.linspace(0.5, 1.5, len(found), device=lm.device)).sum().backward()
    return found.detach(), {name: weight.grad for name, weight in lm.model.named_parameters()}


def test_a_pass_both_ways_gives_the_numbers_of_the_cpu_and_waits_for_none(tokenizer, monkeypatch):
    for name in FAMILIES:
        lm = made(name, tokenizer)
        pack = pack_of(lm)
        expected, wanted = passed(lm, pack)
        with pretended(lm, monkeypatch) as (there, gpu):
            assert reads_lines(there), name
            target_logprobs(there, pack)  # Runs all trials.
            gpu.waits = 0
            found, gradients = passed(there, pack)
            assert gpu.waits == 0, name
        torch.testing.assert_close(found.inner, expected, rtol=1e-5, atol=1e-5)
        for weight, grad in gradients.items():
            torch.testing.assert_close(grad.inner, wanted[weight], rtol=1e-3, atol=1e-5, msg=f"{name}: {weight}")


def by_segments(query, key, value, cu_q, cu_k, max_q, max_k, *, scale=None, window_size=(-1, -1), enable_gqa=False):
    """PyTorch's kernel in plain operations. Tokens of no segment get NaN, as unwritten memory may have."""
    assert cu_q.dtype == cu_k.dtype == torch.int32 and enable_gqa in (True, query.shape[1] != key.shape[1])
    found = []
    for (start, end), (first, last) in zip(pairwise(cu_q), pairwise(cu_k), strict=True):
        assert 0 < int(end - start) <= max_q and 0 < int(last - first) <= max_k
        q, k, v = (line[a:b].transpose(0, 1) for line, a, b in (
            (query, start, end), (key, first, last), (value, first, last)))  # fmt: skip
        back = torch.arange(q.shape[1])[:, None] - torch.arange(k.shape[1])
        sees = torch.ones_like(back, dtype=torch.bool)
        if window_size[0] >= 0:
            sees &= back <= window_size[0]
        if window_size[1] >= 0:
            sees &= back >= -window_size[1]
        out = scaled_dot_product_attention(q, k, v, attn_mask=sees, scale=scale, enable_gqa=True)
        found.append(out.transpose(0, 1))
    line = torch.cat(found)
    return torch.cat([line, torch.full_like(query[len(line) :], float("nan"))])


def unwrapped(kernel):
    """The plain kernel for a pretended GPU."""

    def attend(*lines, **named):
        calls.append(named)
        return Bare.apply(kernel, named, *lines)

    calls = []
    attend.calls = calls
    return attend


class Bare(torch.autograd.Function):
    @staticmethod
    def forward(ctx, kernel, named, *given):
        inner = [getattr(each, "inner", each) for each in given]
        with torch.enable_grad():
            ctx.lines = [line.detach().requires_grad_() for line in inner[:3]]
            ctx.out = kernel(*ctx.lines, *inner[3:], **named)
        ctx.kind = type(given[0])
        return ctx.kind(ctx.out.detach())

    @staticmethod
    def backward(ctx, grad):
        found = torch.autograd.grad(ctx.out, ctx.lines, grad.inner)
        return None, None, *map(ctx.kind, found), None, None, None, None


def test_the_kernel_for_segments_trains_as_the_cpu_does_and_leaves_no_place_unwritten(tokenizer, monkeypatch):
    monkeypatch.setattr(training_form, "has_plain_weights", lambda model: True)
    monkeypatch.setattr(varlen, "why_not", lambda device: "")
    program = varlen.find_program()
    # The kernel has no float32 on a GPU; here it is needed to tell mistakes from rounding.
    monkeypatch.setattr(varlen, "find_program", lambda: replace(program, dtypes=(torch.float32, torch.bfloat16)))
    for name, dtype in product(("llama", "t5"), (torch.float32, torch.bfloat16)):
        limit = 1e-4 if dtype == torch.float32 else 0.3
        lm = made(name, tokenizer, dtype)
        pack = pack_of(lm)
        expected, wanted = passed(lm, pack, TrainingForm(lm))
        kernel = unwrapped(by_segments)
        monkeypatch.setattr(varlen, "varlen_attn", kernel)
        with pretended(lm, monkeypatch) as (there, gpu):
            form = TrainingForm(there)
            passed(there, pack, form)
            gpu.waits, kernel.calls[:] = 0, []
            found, gradients = passed(there, pack, form)
            assert gpu.waits == 0, name
        # Llama: both layers. T5: cross-attention only, since the others have a bias.
        assert [call["window_size"] for call in kernel.calls] == [(-1, 0) if name == "llama" else (-1, -1)] * 2
        torch.testing.assert_close(found.inner, expected, rtol=limit, atol=limit)
        for weight, grad in gradients.items():
            difference = (grad.inner - wanted[weight]).norm() / wanted[weight].norm()
            assert difference < limit, (name, dtype, weight, float(difference))


def test_the_kernel_is_tried_before_it_is_used(monkeypatch):
    here = torch.device("cpu")
    monkeypatch.setattr(varlen, "varlen_attn", by_segments)
    varlen.why_not.cache_clear()
    assert varlen.why_not(here) == "" and varlen.why_not(torch.device("cuda")) == "there is no NVIDIA GPU"
    varlen.why_not.cache_clear()
    monkeypatch.setattr(
        varlen, "varlen_attn", lambda *lines, scale, **_: by_segments(*lines, scale=scale, enable_gqa=True)
    )
    assert varlen.why_not(here) == "its results differ from those of PyTorch's products"
    varlen.why_not.cache_clear()
    monkeypatch.setattr(varlen, "varlen_attn", lambda *_, **__: torch.zeros(3) @ torch.zeros(4))
    assert "size" in varlen.why_not(here)
    varlen.why_not.cache_clear()
    monkeypatch.setattr(varlen, "WORDS", frozenset({"query"}))
    assert "has no windows" in varlen.why_not(here)
    varlen.why_not.cache_clear()


def test_scoring_isolation_and_writing_run_there_with_the_same_numbers(tokenizer, monkeypatch):
    for name in ("llama", "t5"):
        lm = made(name, tokenizer)
        units = made_up_prompts(lm)
        plain = scores_of(lm, units)
        answers = written(lm, units)
        with pretended(lm, monkeypatch) as (there, _):
            assert check_isolation(there).is_isolated, name
            assert scores_of(there, units) == pytest.approx(plain, abs=1e-3), name
            assert written(there, units) == answers, name


def scores_of(lm, units):
    """The score of each prompt's target, in order."""
    plan = plan_scoring(units, family=lm.family, layout=scoring_layout(lm).layout, batch_tokens=512)
    sums = np.zeros(len(units))
    with torch.no_grad():
        for batch in plan:
            sums[list(batch.units)] = OptionScorer(lm).score(units, batch).sums
    return sums.tolist()


def written(lm, units):
    """Greedy answers, and two sampled ones to each input."""
    found = []
    for samples, temperature in ((1, 0.0), (2, 1.0)):
        decoding = Decoding(max_new_tokens=6, temperature=temperature)
        for one in write(lm, [unit.inputs for unit in units], decoding, samples=samples, batch_tokens=512):
            found.append((samples, one.index, one.sample, tuple(one.tokens)))
    return sorted(found)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_norm_as_one_operation_is_the_lean_one(tokenizer, dtype):
    norm = made("llama", tokenizer).model.model.norm.to(dtype)
    x = torch.randn(1, 7, 32, generator=torch.Generator().manual_seed(0)).to(dtype)
    results = []
    for form in (norm, LeanRootMeanSquareNorm(norm, 1e-6), FusedRootMeanSquareNorm(norm, 1e-6)):
        given = x.clone().requires_grad_()
        out = form(given)
        found = torch.autograd.grad((out * torch.linspace(-1, 1, 32, dtype=dtype)).sum(), (given, norm.weight))
        results.append((out, *found))
    close = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 3e-2, "atol": 3e-2}
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            torch.testing.assert_close(one, two, **close)


def test_a_kernel_takes_what_it_knows_and_leaves_the_rest(monkeypatch):
    monkeypatch.setattr(varlen, "why_not", lambda device: "")
    rule = AttentionRule(scale=1.0, is_causal=True)
    with door.in_use("cuda"):
        here = [torch.zeros(4, 2, 16, dtype=torch.bfloat16)] * 3
        assert not door.is_for(*here, rule)
    with door.in_use("mps"):
        assert not door.is_for(*here, rule)
    assert door.find_program("mps").why_not == "this flantune has none"
