"""A tiny random model of each tested architecture, of the smallest size that shows leaks.

``test_families.py`` checks that the table in ``docs/models.md`` has the same architectures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, PretrainedConfig

from flantune.models.language_model import LanguageModel
from flantune.models.load import detect_family, needs_eager_attention

Special = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """An architecture: its name in the docs, and a tiny config."""

    name: str
    config: Callable[..., PretrainedConfig]
    sizes: Mapping[str, Any]
    is_packed: bool = True


def _llama(name: str, config: Any, **own: Any) -> Tried:
    sizes = {
        "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 256, **own,
    }  # fmt: skip
    return Tried(name=name, config=config, sizes=sizes)


def _t5(name: str, config: Any, **own: Any) -> Tried:
    sizes = {
        "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 4,
        "dropout_rate": 0.0, "decoder_start_token_id": 0, **own,
    }  # fmt: skip
    return Tried(name=name, config=config, sizes=sizes)


_NEOX = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "max_position_embeddings": 256,
}  # fmt: skip
_GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256, "resid_pdrop": 0.0, "embd_pdrop": 0.0,
         "attn_pdrop": 0.0}  # fmt: skip
_GEMMA = {"head_dim": 8, "query_pre_attn_scalar": 8}
_LAYERS = ["sliding_attention", "full_attention"]

DECODERS = (
    _llama("Llama", transformers.LlamaConfig),
    _llama("Mistral", transformers.MistralConfig, sliding_window=12, head_dim=8),
    _llama("Qwen2", transformers.Qwen2Config),
    _llama("Qwen3", transformers.Qwen3Config, head_dim=8),
    _llama("Gemma", transformers.GemmaConfig, head_dim=8),
    _llama("Gemma 2", transformers.Gemma2Config, sliding_window=12, layer_types=_LAYERS, **_GEMMA),
    _llama("Gemma 3", transformers.Gemma3TextConfig, sliding_window=12, layer_types=_LAYERS, **_GEMMA),
    _llama("Phi-3", transformers.Phi3Config, sliding_window=None),
    _llama("OLMo 2", transformers.Olmo2Config),
    _llama("SmolLM3", transformers.SmolLM3Config, no_rope_layers=[1, 0]),
    _llama("Granite", transformers.GraniteConfig, logits_scaling=2.0, embedding_multiplier=3.0),
    _llama("StableLM", transformers.StableLmConfig),
    _llama("Starcoder2", transformers.Starcoder2Config, sliding_window=None),
    _llama("Cohere (parallel blocks, PaLM-like)", transformers.CohereConfig, logit_scale=0.25),
    Tried(name="GPT-2", config=transformers.GPT2Config, sizes=_GPT2),
    Tried(name="GPT-J (parallel blocks, PaLM-like)", config=transformers.GPTJConfig, sizes={**_GPT2, "rotary_dim": 4}),
    Tried(name="GPT-NeoX, Pythia", config=transformers.GPTNeoXConfig, sizes=_NEOX),
    Tried(name="Phi", config=transformers.PhiConfig, sizes=_NEOX),
    Tried(
        name="Falcon (multi-query, parallel blocks)",
        config=transformers.FalconConfig,
        sizes={"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "alibi": False},
    ),
    Tried(
        name="OPT",
        config=transformers.OPTConfig,
        sizes={
            "hidden_size": 32,
            "ffn_dim": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "word_embed_proj_dim": 32,
            "max_position_embeddings": 256,
            "dropout": 0.0,
        },
    ),
    Tried(
        name="BLOOM",
        config=transformers.BloomConfig,
        sizes={"hidden_size": 32, "n_layer": 2, "n_head": 4},
        is_packed=False,
    ),
    Tried(
        name="MPT",
        config=transformers.MptConfig,
        sizes={"d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 256},
        is_packed=False,
    ),
)
ENCODER_DECODERS = (
    _t5("T5 1.0", transformers.T5Config, feed_forward_proj="relu"),
    _t5("T5 1.1, Flan-T5", transformers.T5Config, feed_forward_proj="gated-gelu", tie_word_embeddings=False),
    _t5("UL2, Flan-UL2", transformers.T5Config, feed_forward_proj="gated-silu", tie_word_embeddings=False),
    _t5("mT5, mT0", transformers.MT5Config, feed_forward_proj="gated-gelu", tie_word_embeddings=False),
    _t5("umT5", transformers.UMT5Config, feed_forward_proj="gated-gelu", tie_word_embeddings=False),
    Tried(
        name="BART",
        config=transformers.BartConfig,
        sizes={
            "d_model": 32,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
            "dropout": 0.0,
            "decoder_start_token_id": 1,
            "forced_eos_token_id": None,
            "max_position_embeddings": 256,
        },
        is_packed=False,
    ),
)
TRIED = (*DECODERS, *ENCODER_DECODERS)


def build(tried: Tried, tokenizer: Any, *, seed: int = 0) -> LanguageModel:
    """A random model of the architecture, in evaluation mode."""
    make: Any = tried.config
    config = make(vocab_size=len(tokenizer), pad_token_id=0, eos_token_id=1, bos_token_id=None, **tried.sizes)
    family = detect_family(config)
    auto: Any = AutoModelForSeq2SeqLM if family == "encoder-decoder" else AutoModelForCausalLM
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            attention = "eager" if needs_eager_attention(config) else "sdpa"
            model = auto.from_config(config, attn_implementation=attention, dtype=torch.float32)
        except ValueError:
            model = auto.from_config(config, attn_implementation="eager", dtype=torch.float32)
        with torch.no_grad():
            # As large as in a trained model: with the small weights of a fresh one, attention is nearly uniform, and a
            # mix-up of positions, norms or biases would hardly show.
            for weight in model.parameters():
                weight.add_(0.2 * torch.randn_like(weight))
    return LanguageModel(model=model.eval(), tokenizer=tokenizer, family=family, device=torch.device("cpu"))
