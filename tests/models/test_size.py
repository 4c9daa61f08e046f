"""Weights and operations, known before a model is loaded."""

from __future__ import annotations

import pytest
from transformers import GPT2Config, LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration

from flantune.models.size import count_weights, training_flops
from flantune.types import Family

SEQUENCE = 2_048 + 512


@pytest.mark.parametrize(
    ("weights", "steps", "batch", "family", "printed"),
    [
        (780_000_000, 64_000, 64, "encoder-decoder", 2.4e19),
        (3_000_000_000, 38_000, 64, "encoder-decoder", 5.6e19),
        (11_000_000_000, 14_000, 64, "encoder-decoder", 7.6e19),
        (8_000_000_000, 40_000, 32, "decoder-only", 1.6e20),
        (62_000_000_000, 40_000, 32, "decoder-only", 1.2e21),
        (540_000_000_000, 21_000, 32, "decoder-only", 5.6e21),
    ],
)
def test_operations_are_those_of_flan_2022s_table_22(
    weights: int, steps: int, batch: int, family: Family, printed: float
) -> None:
    assert training_flops(weights, steps * batch * SEQUENCE, family) == pytest.approx(printed, rel=0.03)


def test_weights_are_counted_without_making_them() -> None:
    llama = LlamaConfig(
        vocab_size=100, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        tie_word_embeddings=True,
    )  # fmt: skip
    t5 = T5Config(vocab_size=100, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2)
    for config, family, made in (
        (llama, "decoder-only", LlamaForCausalLM(llama)),
        (t5, "encoder-decoder", T5ForConditionalGeneration(t5)),
    ):
        assert count_weights(config, family) == sum(weight.numel() for weight in made.parameters())


def test_a_large_model_takes_no_memory() -> None:
    config = GPT2Config(n_embd=12_288, n_layer=96, n_head=96)  # some 174 billion
    assert count_weights(config, "decoder-only") == pytest.approx(1.746e11, rel=0.01)
