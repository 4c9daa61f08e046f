"""Tiny GGUF files of many architectures, in the layout of llama.cpp's converter."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

SIZES = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 128,
}  # fmt: skip
SAID = {
    "context_length": 128, "embedding_length": 64, "block_count": 2, "feed_forward_length": 96,
    "attention.head_count": 4, "attention.head_count_kv": 2, "attention.layer_norm_rms_epsilon": 1e-6,
    "rope.freq_base": 10000.0,
}  # fmt: skip
_LAYER_NORM = {"attention.layer_norm_rms_epsilon": None, "attention.layer_norm_epsilon": 1e-4}
_GEMMA = {"attention.key_length": 16, "attention.value_length": 16, "attention.sliding_window": 8}
_FAR = [2.0 + 0.5 * i for i in range(8)]
_NEAR = [1.0 + 0.1 * i for i in range(8)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A model and the contents of its file.

    Attributes:
        architecture: Its name in llama.cpp.
        model: Class of the plain model.
        config: Values of the config, in addition to those of ``SIZES`` that it has.
        said: Settings of the file, in addition to ``SAID``; None removes one.
        vectors: Tensors of the file that are not weights.
    """

    architecture: str
    model: str
    config: dict[str, Any] = field(default_factory=dict)
    said: dict[str, Any] = field(default_factory=dict)
    vectors: dict[str, list[float]] = field(default_factory=dict)


def _scaled(**values: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_theta": 10000.0, **values}}


def _says_scaling(kind: str, **values: Any) -> dict[str, Any]:
    said = {"rope.scaling.type": kind, "rope.scaling.factor": 4.0}
    return said | {f"rope.scaling.{name}": value for name, value in values.items()}


_LLAMA3 = {"rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0}
_YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}
_GEMMA3_ROPE = {
    "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e6},
    "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
}
KINDS = {
    "llama theta": Kind(architecture="llama", model="LlamaForCausalLM", config=_scaled(rope_theta=5e5),
                        said={"rope.freq_base": 5e5}),
    "llama wide heads": Kind(architecture="llama", model="LlamaForCausalLM", config={"head_dim": 24},
                             said={"attention.key_length": 24, "rope.dimension_count": 24}),
    "llama biases": Kind(architecture="llama", model="LlamaForCausalLM",
                         config={"attention_bias": True, "mlp_bias": True}),
    "llama 3": Kind(architecture="llama", model="LlamaForCausalLM", vectors={"rope_freqs": []},
                    said={"rope.freq_base": 5e5},
                    config=_scaled(rope_theta=5e5, factor=32.0, original_max_position_embeddings=8192, **_LLAMA3)),
    "llama 3, other lengths": Kind(architecture="llama", model="LlamaForCausalLM", vectors={"rope_freqs": []},
                                   config=_scaled(factor=8.0, original_max_position_embeddings=32, **_LLAMA3)),
    "llama linear": Kind(architecture="llama", model="LlamaForCausalLM", said=_says_scaling("linear"),
                         config=_scaled(rope_type="linear", factor=4.0)),
    "llama yarn": Kind(architecture="llama", model="LlamaForCausalLM", config=_scaled(**_YARN),
                       said=_says_scaling("yarn", original_context_length=32)),
    "qwen2 yarn": Kind(architecture="qwen2", model="Qwen2ForCausalLM", config=_scaled(**_YARN),
                       said=_says_scaling("yarn", original_context_length=32)),
    "qwen3": Kind(architecture="qwen3", model="Qwen3ForCausalLM", config={"head_dim": 16},
                  said={"attention.key_length": 16}),
    "gemma2": Kind(architecture="gemma2", model="Gemma2ForCausalLM",
                   config={"head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 8,
                           "attn_logit_softcapping": 5.0, "final_logit_softcapping": 3.0},
                   said={**_GEMMA, "attn_logit_softcapping": 5.0, "final_logit_softcapping": 3.0}),
    "gemma3": Kind(architecture="gemma3", model="Gemma3ForCausalLM",
                   config={"head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 8, "num_hidden_layers": 6,
                           "rope_parameters": _GEMMA3_ROPE},
                   said={**_GEMMA, "block_count": 6, "rope.freq_base": 1e6, **_says_scaling("linear")}),
    "phi3": Kind(architecture="phi3", model="Phi3ForCausalLM", said={"attention.sliding_window": 8},
                 config={"pad_token_id": 0, "sliding_window": 8, "rms_norm_eps": 1e-6}),
    "phi3 long": Kind(architecture="phi3", model="Phi3ForCausalLM",
                      said={"attention.sliding_window": 0, "rope.scaling.original_context_length": 16},
                      vectors={"rope_factors_long": _FAR, "rope_factors_short": _NEAR},
                      config={"pad_token_id": 0, "rms_norm_eps": 1e-6, "original_max_position_embeddings": 16,
                              **_scaled(rope_type="longrope", long_factor=_FAR, short_factor=_NEAR,
                                        original_max_position_embeddings=16)}),
    "starcoder2": Kind(architecture="starcoder2", model="Starcoder2ForCausalLM",
                       said={**_LAYER_NORM, "rope.freq_base": 1e6},
                       config={"sliding_window": None, "norm_epsilon": 1e-4, **_scaled(rope_theta=1e6)}),
    "stablelm": Kind(architecture="stablelm", model="StableLmForCausalLM",
                     said={**_LAYER_NORM, "rope.freq_base": 5e4, "rope.dimension_count": 8},
                     config={"layer_norm_eps": 1e-4, **_scaled(rope_theta=5e4, partial_rotary_factor=0.5)}),
    "nemotron": Kind(architecture="nemotron", model="NemotronForCausalLM",
                     said={**_LAYER_NORM, "rope.dimension_count": 8},
                     config={"norm_eps": 1e-4, **_scaled(partial_rotary_factor=0.5)}),
    "gpt2": Kind(architecture="gpt2", model="GPT2LMHeadModel",
                 said={**_LAYER_NORM, "attention.head_count_kv": None, "feed_forward_length": 256,
                       "rope.freq_base": None},
                 config={"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 128, "layer_norm_epsilon": 1e-4}),
}  # fmt: skip


@cache
def _words() -> tuple[list[str], list[str]]:
    """A small vocabulary of bytes and words."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(["the cat sat on the mat and the dog ran to the door"] * 5, trainer)
    state = json.loads(tokenizer.to_str())["model"]
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in state["merges"]]
    return sorted(state["vocab"], key=state["vocab"].get), merges


def make_gguf(
    path: Path, kind: Kind, *, also: dict[str, Any] | None = None, stored: str = "F32", template: str = ""
) -> Any:
    """Writes a random model to a GGUF file; returns the plain model.

    Args:
        path: The file.
        kind: The kind of model.
        also: More settings of the file.
        stored: Number format of its matrices.
        template: A chat template, which contains the first token, too.
    """
    words, merges = _words()
    make: Any = getattr(transformers, kind.model)
    # transformers adds a token when it reads Gemma's tokenizer.
    rows = len(words) + kind.architecture.startswith("gemma")
    values = {"vocab_size": rows, **SIZES, "tie_word_embeddings": True, **kind.config}
    config = make.config_class(**values)
    torch.manual_seed(0)
    model = make(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    writer = gguf.GGUFWriter(str(path), kind.architecture)
    writer.add_name("Tiny")
    writer.add_license("apache-2.0")
    for name, value in {**SAID, "vocab_size": rows, **kind.said, **(also or {})}.items():
        if value is not None:
            add = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}[type(value)]
            add(f"{kind.architecture}.{name}", value)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(words)
    writer.add_token_types([3] * 3 + [1] * (len(words) - 3))
    writer.add_token_merges(merges)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    if template:
        writer.add_bos_token_id(1)
        writer.add_chat_template(template)
    for name, array in _tensors(model, kind):
        form = gguf.GGMLQuantizationType[stored if array.ndim > 1 else "F32"]
        writer.add_tensor(name, gguf.quants.quantize(array, form), raw_dtype=form)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


def _tensors(model: Any, kind: Kind) -> Any:
    number = next(at for at, name in gguf.MODEL_ARCH_NAMES.items() if name == kind.architecture)
    table = gguf.get_tensor_name_map(number, model.config.num_hidden_layers)
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight":
            continue  # tied
        stem, _, last = name.rpartition(".")
        stored = f"{table.get_name(stem)}.{last}"
        yield stored, np.ascontiguousarray(_laid_out(stored, weight.numpy(), kind.architecture))
    for name, values in kind.vectors.items():
        yield f"{name}.weight", np.array(values or _divisors(model), np.float32)


def _laid_out(name: str, array: Any, architecture: str) -> Any:
    if architecture == "llama" and (".attn_q." in name or ".attn_k." in name):
        heads = 4 if ".attn_q." in name else 2
        return array.reshape(heads, 2, len(array) // heads // 2, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)
    if architecture in ("gemma2", "gemma3", "nemotron") and name.endswith("norm.weight"):
        return array + 1
    is_turned = name.endswith(("attn_qkv.weight", "attn_output.weight", "ffn_up.weight", "ffn_down.weight"))
    return array.T if architecture == "gpt2" and is_turned else array


def _divisors(model: Any) -> Any:
    found = model.model.rotary_emb.inv_freq.numpy()
    theta = model.config.rope_parameters["rope_theta"]
    return theta ** -(np.arange(len(found)) / len(found)) / found
