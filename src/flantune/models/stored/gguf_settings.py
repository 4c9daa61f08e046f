"""Settings of a GGUF file that transformers does not read: added to the config, or refused.

transformers reads few settings of such a file and silently leaves the others at the config's defaults: scaled rotary
positions, windows, soft caps, the norms' epsilon. A model loaded in this way gives other answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from flantune.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from transformers import PretrainedConfig, PreTrainedModel

PLAIN_FORM = "use the model in Hugging Face form (a folder with config.json and *.safetensors)"

_EPSILON = ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps", "norm_epsilon")
_NUMBERS: dict[str, tuple[str, ...]] = {
    "context_length": ("max_position_embeddings", "n_positions"),
    "attention.layer_norm_rms_epsilon": _EPSILON,
    "attention.layer_norm_epsilon": _EPSILON,
    "attention.key_length": ("head_dim", "d_kv"),
    "attention.sliding_window": ("sliding_window",),
    "attn_logit_softcapping": ("attn_logit_softcapping",),
    "final_logit_softcapping": ("final_logit_softcapping",),
    "expert_feed_forward_length": ("moe_intermediate_size",),
    "logit_scale": ("logit_scale",),
}
"""Settings of a file and their names in a config; the first name that the config has is used."""

ROPE_TENSORS = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")
"""Tensors that are not weights but divisors of the rotary frequencies."""

_GEMMA_LARGEST = {"gemma2": 46, "gemma3": 62}


def complete_config(config: PretrainedConfig, reader: Any, *, where: str) -> None:
    """Completes a config with the settings in the file.

    Args:
        config: The config that transformers reads from the file.
        reader: The open file.
        where: Its path.

    Raises:
        ModelError: The file is one of several parts, or has a setting that the model's code does not support.
    """
    if (parts := said_in(reader, "split.count")) and int(parts) > 1:
        hint = "join the parts with llama.cpp: llama-gguf-split --merge FIRST-PART OUT.gguf"
        raise ModelError(f"the file is one of {parts} parts of a model", where=where, hint=hint)
    architecture = str(said_in(reader, "general.architecture"))
    said = {
        key.removeprefix(f"{architecture}."): field.contents()
        for key, field in reader.fields.items()
        if key.startswith(f"{architecture}.")
    }
    names = {tensor.name for tensor in reader.tensors}
    _set_numbers(config, said, where=where)
    _set_biases(config, names)
    _set_gemma_scale(config, architecture)
    vectors = {
        tensor.name: np.array(tensor.data, np.float32) for tensor in reader.tensors if tensor.name in ROPE_TENSORS
    }
    _set_rope(config, said, vectors, where=where)


def check_read(model: PreTrainedModel, known: Mapping[str, object], reader: Any, *, where: str) -> None:
    """Raises ModelError if the file has weights that the model lacks: they would be ignored.

    Args:
        model: The model that transformers reads.
        known: Names in the file that belong to weights of the model.
        reader: The open file.
        where: Its path.
    """
    unread = [
        tensor.name
        for tensor in reader.tensors
        if tensor.name not in known and tensor.name not in ROPE_TENSORS and "_exps." not in tensor.name
    ]
    if unread:
        raise ModelError(
            f"{type(model).__name__} has no place for weights in the file, such as {unread[0]} (of {len(unread)}): "
            "without them its answers would be wrong",
            where=where,
            hint=PLAIN_FORM,
        )


def said_in(reader: Any, key: str) -> Any:
    """The value of a key in an open file; None if it is missing."""
    field = reader.fields.get(key)
    return None if field is None else field.contents()


def _set_numbers(config: Any, said: dict[str, Any], *, where: str) -> None:
    for setting, called in _NUMBERS.items():
        value = said.get(setting)
        name = next((each for each in called if getattr(config, each, None) is not None or each in vars(config)), None)
        if value is None or isinstance(value, list) or hasattr(config, "global_head_dim"):
            continue
        if setting == "attention.sliding_window":
            # 0 means none.
            if name is None and 0 < int(value) < int(said.get("context_length") or 0):
                raise _no_place(setting, value, where)
            value = int(value) or None
        elif name is None and setting.endswith("softcapping"):
            raise _no_place(setting, value, where)
        if name is not None:
            setattr(config, name, value)


def _set_biases(config: Any, names: set[str]) -> None:
    for attribute, tensor in (("attention_bias", "attn_q.bias"), ("mlp_bias", "ffn_up.bias")):
        if getattr(config, attribute, None) is False and any(name.endswith(tensor) for name in names):
            setattr(config, attribute, True)


def _set_gemma_scale(config: Any, architecture: str) -> None:
    """Sets the divisor of Gemma's scores, which no file contains; llama.cpp recognizes the largest models by depth."""
    if architecture in _GEMMA_LARGEST:
        is_largest = config.num_hidden_layers == _GEMMA_LARGEST[architecture]
        config.query_pre_attn_scalar = (
            config.hidden_size // config.num_attention_heads if is_largest else config.head_dim
        )


def _set_rope(config: Any, said: dict[str, Any], vectors: dict[str, NDArray[np.float32]], *, where: str) -> None:
    whole = getattr(config, "rope_parameters", None)
    if not whole:
        if vectors or said.get("rope.scaling.type", "none") != "none":
            raise _no_place("rope.scaling", said.get("rope.scaling.type", "a tensor"), where)
        return
    own = whole.get("full_attention", whole)
    if own.get("rope_type", "default") != "default":
        return
    if "rope.freq_base" in said:
        own["rope_theta"] = float(said["rope.freq_base"])
    if "rope.freq_base_swa" in said and "sliding_attention" in whole:
        whole["sliding_attention"]["rope_theta"] = float(said["rope.freq_base_swa"])
    if own is whole:
        _set_share(config, own, said, where=where)
    own.update(_scaling(config, own, said, vectors, where=where))
    if own.get("original_max_position_embeddings") and hasattr(config, "original_max_position_embeddings"):
        config.original_max_position_embeddings = own["original_max_position_embeddings"]


def _set_share(config: Any, own: dict[str, Any], said: dict[str, Any], *, where: str) -> None:
    """Sets the rotated share of a head."""
    turned = said.get("rope.dimension_count")
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    if turned is None or turned == own.get("partial_rotary_factor", 1.0) * head:
        return
    if "partial_rotary_factor" not in own:
        raise _no_place("rope.dimension_count", turned, where)
    own["partial_rotary_factor"] = turned / head


def _scaling(
    config: Any, own: dict[str, Any], said: dict[str, Any], vectors: dict[str, NDArray[np.float32]], *, where: str
) -> dict[str, Any]:
    """The kind of rotary scaling and its parameters; empty if the file scales nothing."""
    kind = str(said.get("rope.scaling.type", "linear" if "rope.scale_linear" in said else "none"))
    factor = float(said.get("rope.scaling.factor", said.get("rope.scale_linear", 1.0)))
    original = said.get("rope.scaling.original_context_length")
    stretch = said.get("rope.scaling.attn_factor")
    if "rope_factors_long.weight" in vectors and "rope_factors_short.weight" in vectors:
        long, short = (vectors[f"rope_factors_{each}.weight"].tolist() for each in ("long", "short"))
        found = {"rope_type": "longrope", "long_factor": long, "short_factor": short,
                 "original_max_position_embeddings": original, "attention_factor": stretch}  # fmt: skip
        return {key: value for key, value in found.items() if value is not None}
    if "rope_freqs.weight" in vectors:
        return _by_frequency(config, own, vectors["rope_freqs.weight"])
    if kind == "linear":
        return {"rope_type": "linear", "factor": factor} if factor != 1.0 else {}
    if kind == "yarn":
        found = {"rope_type": "yarn", "factor": factor, "original_max_position_embeddings": original,
                 "beta_fast": said.get("rope.scaling.yarn_beta_fast"),
                 "beta_slow": said.get("rope.scaling.yarn_beta_slow"),
                 "attention_factor": stretch and float(stretch) * (0.1 * np.log(factor) + 1.0)}  # fmt: skip
        return {key: value for key, value in found.items() if value is not None}
    if kind != "none":
        raise _no_place("rope.scaling.type", kind, where)
    return {}


def _by_frequency(config: Any, own: dict[str, Any], divisors: NDArray[np.float32]) -> dict[str, Any]:
    """The divisors of the frequencies as in Llama 3; as its formula if that gives these numbers."""
    if (divisors == 1.0).all():
        return {}
    formula = {"rope_type": "llama3", "factor": float(divisors.max()), "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 8192}  # fmt: skip
    usual = own["rope_theta"] ** -(np.arange(len(divisors)) / len(divisors))
    copy = type(config)(**{**config.to_dict(), "rope_parameters": {**own, **formula}})
    computed = ROPE_INIT_FUNCTIONS["llama3"](copy, torch.device("cpu"))[0].numpy()
    if computed.shape == usual.shape and np.allclose(usual / divisors, computed, rtol=1e-4, atol=0):
        return formula
    each = divisors.tolist()
    return {"rope_type": "longrope", "short_factor": each, "long_factor": each, "attention_factor": 1.0,
            "original_max_position_embeddings": config.max_position_embeddings}  # fmt: skip


def _no_place(setting: str, value: Any, where: str) -> ModelError:
    message = f"the file says {setting} = {value}, which transformers' code of this architecture cannot do"
    return ModelError(message, where=where, hint=PLAIN_FORM)
