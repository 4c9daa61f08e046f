"""State-space, hybrid and gated models: tuned as by plain transformers, or refused with a message."""

from __future__ import annotations

import pytest
import torch
from benchmarks.architectures import build, difference, plain_step, prompts_of, tuned_step

from flantune.errors import ModelError
from flantune.models.attention.lines import reads_lines
from flantune.models.checks.isolation import check_isolation
from flantune.models.checks.tuning import check_tuning

APART = (
    "mamba",
    "mamba2",
    "rwkv",
    "bamba",
    "qwen3_next",
    "granitemoehybrid",
    "nemotron_h",
    "t5gemma",
    "encoder-decoder",
)
PACKED = ("gemma3n_text", "llama4_text", "deepseek_v3", "gpt_oss", "phimoe")


@pytest.mark.parametrize("name", [*APART, *PACKED])
def test_loss_and_gradient_are_those_of_the_plain_model(name):
    lm = build(name)
    prompts = prompts_of(lm, count=4)
    loss, gradient = plain_step(lm, prompts)
    report = check_isolation(lm)
    assert report.is_isolated == (name in PACKED), report
    assert report.is_isolated or not reads_lines(lm)
    found, own = tuned_step(lm, prompts, packed=report.is_isolated)
    assert found == pytest.approx(loss, rel=1e-4) and difference(own, gradient) < 1e-3


@pytest.mark.parametrize("name", ["bert", "xlm-roberta", "electra"])
def test_what_reads_ahead_fails_the_isolation_test_and_takes_no_line(name):
    lm = build(name)
    report = check_isolation(lm)
    assert not report.is_isolated and "depends on later tokens" in report.reason and not reads_lines(lm)


def test_bidirectional_attention_in_a_model_that_is_else_causal():
    import transformers

    config = transformers.Gemma3TextConfig(
        vocab_size=300, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, sliding_window=12, use_bidirectional_attention=True, pad_token_id=0,
    )  # fmt: skip
    lm = build("gemma3_text", config=config)
    assert not check_isolation(lm).is_isolated and not reads_lines(lm)


def test_a_model_that_cannot_be_run_is_refused_in_one_sentence():
    lm = build("llama")

    class Broken(torch.nn.Module):
        def forward(self, x):
            raise KeyError("gate")

    lm.model.model.layers[0].mlp = Broken()
    with pytest.raises(ModelError, match="LlamaForCausalLM cannot be tuned here: 'gate'") as error:
        check_tuning(lm)
    assert "docs/models.md" in error.value.hint


def test_a_model_that_looks_at_its_neighbors_is_refused():
    lm = build("llama")

    class Mixing(torch.nn.Module):
        """Adds the mean of all rows of the batch."""

        def forward(self, x):
            return x + x.mean(dim=0, keepdim=True)

    lm.model.model.layers[0].mlp = Mixing()
    lm.model.set_attn_implementation("eager")
    assert not check_isolation(lm).is_isolated
    with pytest.raises(ModelError, match="with other prompts in the batch, though each has its own row"):
        check_tuning(lm)
