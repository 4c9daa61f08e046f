"""Settings that change speed and memory: a run with them is resumed to the bit, and ends where one without does."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from tests.training.small import (
    StoppedError,
    assert_resumed_equals_straight,
    lines,
    make_batches,
    make_lm,
    settings,
    stop_at,
    tune_small,
)

from flantune.errors import ModelError


def weights(lm) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in lm.model.parameters()])


@pytest.mark.parametrize("architecture", ["llama", "t5"])
@pytest.mark.parametrize("changes", [{}, {"activation_checkpointing": True}])
def test_bfloat16_with_dropout_is_resumed_to_the_bit(tmp_path, architecture, changes):
    chosen = settings(steps=5, optimizer="adamw", checkpoint_every=2, **changes)
    make = partial(make_lm, architecture, dtype=torch.bfloat16)
    resumed = assert_resumed_equals_straight(tmp_path, make, chosen, stop=3)
    assert all(weight.dtype == torch.float32 for weight in resumed.model.parameters())


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_activation_checkpointing_ends_at_the_same_weights(tmp_path, architecture):
    """With dropout: the second forward pass must draw what the first one drew."""
    ended = []
    for given in (False, True):
        lm = make_lm(architecture)
        chosen = settings(steps=4, optimizer="adamw", activation_checkpointing=given)
        tune_small(tmp_path / str(given), lm, chosen)
        ended.append(weights(lm))
    assert torch.allclose(*ended, atol=1e-4)


def test_it_may_be_turned_on_in_the_middle_of_a_run(tmp_path):
    chosen = settings(steps=4, checkpoint_every=1)
    with pytest.raises(StoppedError):
        tune_small(tmp_path, make_lm("llama"), chosen, progress=stop_at(2))
    other = chosen.model_copy(update={"activation_checkpointing": True, "compile": False, "micro_batch_tokens": 128})
    assert tune_small(tmp_path, make_lm("llama"), other).steps == 4


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_bfloat16_learns_as_float32_does(tmp_path, architecture):
    """The first step is the same to the rounding of a number with 8 bits; then it learns the same prompts as well.

    Two runs of different rounding part after some steps on every processor, and differently on each, so that their
    losses late in a run are not compared with each other but with where they began.
    """
    steps, losses, norms = 30, {}, {}
    for dtype in (torch.float32, torch.bfloat16):
        lm = make_lm(architecture, dtype=dtype)
        chosen = settings(steps=steps, optimizer="adamw", checkpoint_every=100, dropout=0.0)
        tune_small(tmp_path / str(dtype), lm, chosen)
        found = lines(tmp_path / str(dtype))
        losses[dtype] = [line["loss"] for line in found]
        norms[dtype] = found[0]["grad_norm"]
    exact, rounded = losses[torch.float32], losses[torch.bfloat16]
    # A relative error of 2^-8 in each of some tens of roundings, of either sign.
    assert rounded[0] == pytest.approx(exact[0], rel=0.02)
    assert norms[torch.bfloat16] == pytest.approx(norms[torch.float32], rel=0.1)
    for each in (exact, rounded):
        assert sum(each[-5:]) / 5 < 0.6 * each[0]
    # One-sided: better is no fault. Half of what float32 has learned is lost by arithmetic that does not learn.
    learned = exact[0] - sum(exact[-5:]) / 5
    assert rounded[0] - sum(rounded[-5:]) / 5 > 0.75 * learned


def test_what_cannot_be_done_is_said_at_the_start(tmp_path, monkeypatch):
    """Not compiled: slower, so a note. Not computed again: it would not fit, so an error."""
    import flantune.models.forms.compiled as compiled

    monkeypatch.setattr(compiled, "find_compiler", lambda: "")
    told: list[str] = []
    tune_small(tmp_path / "one", make_lm("llama"), settings(steps=1, compile=True), note=told.append)
    assert [text for text in told if text.startswith("the model is not compiled: ")] == told[:1]
    with pytest.warns(UserWarning, match="the model is not compiled"):
        tune_small(tmp_path / "two", make_lm("llama"), settings(steps=1, compile=True))
    lm = make_lm("llama")
    lm.model.supports_gradient_checkpointing = False
    with pytest.raises(ModelError, match=r"training\.activation_checkpointing: LlamaForCausalLM does not support"):
        tune_small(tmp_path / "three", lm, settings(steps=1, activation_checkpointing=True))


def test_the_metrics_tell_what_the_pipeline_could_deliver():
    batch = make_batches(make_lm("llama")).batch(0)
    assert batch.seconds > 0
    assert batch == replace(batch, seconds=99.0)
