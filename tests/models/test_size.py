"""Number of weights and operations, computed without loading a model."""

from __future__ import annotations

import pytest
from transformers import GPT2Config, LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration

from flantune.errors import ModelError
from flantune.models.adapters import attach_adapter
from flantune.models.language_model import LanguageModel, embedded_tokens
from flantune.models.scratch import build_model, train_tokenizer
from flantune.models.size import count_weights, measure_size, reading_flops, training_flops
from flantune.settings.config import ModelSettings, ScratchSettings
from flantune.training.freezing import meant_by
from flantune.types import Family

SEQUENCE = 2_048 + 512


@pytest.mark.parametrize(
    ("weights", "steps", "batch", "family", "printed"),
    [
        # The table calls the two smallest 80M and 250M; its operations are those of the original T5's 60M and 220M.
        (60_000_000, 98_000, 64, "encoder-decoder", 2.9e18),
        (220_000_000, 84_000, 64, "encoder-decoder", 9.1e18),
        (780_000_000, 64_000, 64, "encoder-decoder", 2.4e19),
        (3_000_000_000, 38_000, 64, "encoder-decoder", 5.6e19),
        (11_000_000_000, 14_000, 64, "encoder-decoder", 7.6e19),
        (8_000_000_000, 40_000, 32, "decoder-only", 1.6e20),
        (62_000_000_000, 40_000, 32, "decoder-only", 1.2e21),
        (62_000_000_000, 60_000, 32, "decoder-only", 1.8e21),
        (540_000_000_000, 21_000, 32, "decoder-only", 5.6e21),
    ],
)
def test_operations_are_those_of_flan_2022s_table_22(
    weights: int, steps: int, batch: int, family: Family, printed: float
) -> None:
    assert training_flops(weights, steps * batch * SEQUENCE, family) == pytest.approx(printed, rel=0.03)


def test_the_row_of_flan_u_palm_repeats_the_operations_of_flan_palm() -> None:
    """The table states 30,000 steps and 5.6E21 operations, which are those of 21,000 steps."""
    found = training_flops(540_000_000_000, 30_000 * 32 * SEQUENCE, "decoder-only")
    assert found == pytest.approx(5.6e21 * 30 / 21, rel=0.03)


def test_weights_that_stay_need_no_gradient() -> None:
    assert training_flops(100, 10, "decoder-only", trained=0) == 4_000
    assert training_flops(100, 10, "decoder-only") == 6_000
    assert reading_flops(100, 10, "encoder-decoder") == 1_000


ADAPTERS = [
    ("llama", {"adapter": "lora", "lora": {"rank": 4}}),
    ("llama", {"adapter": "lora", "lora": {"rank": 2, "targets": ["q_proj", "v_proj"]}}),
    ("llama", {"adapter": "prompt", "prompt": {"tokens": 3}}),
    ("gpt2", {"adapter": "lora", "lora": {"rank": 4}}),
    ("llama", {"adapter": "lora", "lora": {"rank": 4, "dora": True}}),
    ("t5", {"adapter": "lora", "lora": {"rank": 4}}),
    ("t5", {"adapter": "lora", "lora": {"rank": 2, "targets": ["q"]}}),
]


@pytest.mark.parametrize(("architecture", "adapter"), ADAPTERS)
def test_an_adapter_is_counted_without_making_it(architecture: str, adapter: dict[str, object]) -> None:
    pytest.importorskip("peft")
    lm, settings = small(architecture), ModelSettings.model_validate({"path": "x", **adapter})
    weights = sum(weight.numel() for weight in lm.model.parameters())
    found = measure_size(lm.model.config, lm.family, settings)
    tuned = attach_adapter(lm, settings, seed=0)
    trained = sum(weight.numel() for weight in tuned.model.parameters() if weight.requires_grad)
    assert (found.weights, found.trained) == (weights, trained)


def test_a_target_that_is_no_layer_is_refused_with_those_there_are() -> None:
    lm = small("llama")
    settings = ModelSettings.model_validate({"path": "x", "adapter": "lora", "lora": {"targets": ["q_prj"]}})
    with pytest.raises(ModelError) as error:
        measure_size(lm.model.config, lm.family, settings)
    assert "q_proj" in error.value.hint


def test_frozen_weights_are_not_trained() -> None:
    lm, settings = small("llama"), ModelSettings(path="x")
    found = measure_size(lm.model.config, lm.family, settings, frozen=lambda model: meant_by(model, ["embeddings"]))
    assert found.weights - found.trained == embedded_tokens(lm.model) * 32


def small(architecture: str) -> LanguageModel:
    scratch = ScratchSettings(architecture=architecture, vocabulary_size=300, hidden_size=32, layers=2, heads=4)
    return build_model(scratch, train_tokenizer(["one two"], 300), seed=0)


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
    config = GPT2Config(n_embd=12_288, n_layer=96, n_head=96)  # about 174 billion
    assert count_weights(config, "decoder-only") == pytest.approx(1.746e11, rel=0.01)
