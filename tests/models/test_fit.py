from __future__ import annotations

import pytest
import torch

import flantune.models.fit as fit
from flantune.errors import ModelError
from flantune.models.fit import activation_bytes, fit_micro_batch, largest_that_fits, probe_pack
from flantune.models.forms.training_form import TrainingForm

SIZES = {"row_tokens": 64, "batch_tokens": 1024}


def test_on_a_cpu_the_measured_size_is_taken(lm):
    found = fit_micro_batch(lm, **SIZES)
    assert found.micro_batch_tokens == 1024
    assert fit_micro_batch(lm, row_tokens=64, batch_tokens=8192).micro_batch_tokens == fit.GOOD_ON_CPU[lm.family]
    assert fit_micro_batch(lm, row_tokens=5000, batch_tokens=8192).micro_batch_tokens == 5000


def test_little_memory_means_smaller_passes(lm, monkeypatch):
    fixed = 12 * fit.trained_weights(lm)
    per_token = activation_bytes(lm, TrainingForm(lm), fit.PROBE_TOKENS) / fit.PROBE_TOKENS
    room = fixed + 300 * per_token
    monkeypatch.setattr(fit, "available_memory_bytes", lambda: int(room / fit.MEMORY_SHARE) + 1)
    assert fit_micro_batch(lm, **SIZES).micro_batch_tokens == 256


def test_what_does_not_fit_says_what_to_change(lm, monkeypatch):
    monkeypatch.setattr(fit, "available_memory_bytes", lambda: 1000)
    with pytest.raises(ModelError) as caught:
        fit_micro_batch(lm, **SIZES)
    assert "GiB" in str(caught.value)
    assert "activation_checkpointing" in caught.value.hint and "row_tokens" in caught.value.hint


def test_checkpointing_keeps_less(lm):
    plain = activation_bytes(lm, TrainingForm(lm), 512)
    lean = activation_bytes(lm, TrainingForm(lm, keeps_inputs_only=True), 512)
    assert 0 < lean < 0.6 * plain


def test_the_search_doubles_and_leaves_no_trace(lm, monkeypatch):
    """As on an accelerator, which raises an error beyond a certain size."""
    tried = []

    def score(model, pack):
        tokens = pack.tokens.size if lm.family == "decoder-only" else pack.encoder_tokens.size
        tried.append(tokens)
        if tokens > 300:
            raise torch.OutOfMemoryError("full")
        return real(model, pack)

    real = fit.target_logprobs
    monkeypatch.setattr(fit, "target_logprobs", score)
    lm.model.zero_grad(set_to_none=True)
    torch.manual_seed(3)
    before, form = torch.get_rng_state(), TrainingForm(lm)
    found = largest_that_fits(lambda tokens: fit._try_pass(lm, form, tokens, 64, 1000), smallest=64, largest=1024)
    assert found == 256 and tried == [64, 128, 256, 512]
    assert torch.equal(before, torch.get_rng_state())
    assert all(weight.grad is None for weight in lm.model.parameters())
    assert not lm.model.training


def test_inputs_that_carry_loss_are_counted(lm):
    pack = probe_pack(lm, 256, 64, asks_inputs=True)
    assert len(pack.targets.token) == (
        4 * 63 if lm.family == "decoder-only" else len(probe_pack(lm, 256, 64).targets.token)
    )


def test_the_probe_is_as_full_as_rows_can_be(lm):
    pack = probe_pack(lm, 256, 64)
    segments = pack.segments if lm.family == "decoder-only" else pack.encoder_segments
    assert segments.shape == (4, 64) and segments.all()
    assert len(pack.targets.token)
