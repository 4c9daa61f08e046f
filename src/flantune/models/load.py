"""Loads models and tokenizers from folders, the hub or from scratch, and saves them to folders."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer, BitsAndBytesConfig

from flantune.errors import ModelError
from flantune.models.adapters import attention_beside, restore_adapter, save_adapter
from flantune.models.arithmetic import arithmetic
from flantune.models.checks.causality import check_causal, check_prefix
from flantune.models.language_model import (
    ATTENTION_KEY,
    LanguageModel,
    attention_of,
    embedded_tokens,
    first_line,
)
from flantune.models.stored.gguf import check_file, held_to_file, plain_copy
from flantune.models.stored.gguf_reading import is_gguf, located
from flantune.models.stored.gguf_settings import PLAIN_FORM
from flantune.models.stored.places import base_of, is_adapter_folder, require_path
from flantune.models.stored.quiet import quiet_library
from flantune.models.stored.weights import (
    CONVERT,
    UNREADABLE,
    check_given,
    check_numbers,
    check_shape,
    check_whole,
    has_only_pickles,
    where_to_look,
)
from flantune.settings.config import ModelSettings
from flantune.system.files import disk_explained, whole_folder

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from flantune.types import Attention, Family

_Loaded = TypeVar("_Loaded")


def load_model(settings: ModelSettings | Path | str, *, family: Family | None = None) -> LanguageModel:
    """A pretrained model ready for scoring, tuning and generation: float32 weights, from safetensors only.

    For an adapter's folder, its base model with the adapter attached.

    Args:
        settings: Where the model is and how to compute with it (``settings.adapter`` is for ``attach_adapter``), or
            only its location.
        family: Overrides what the model's own config says.

    Raises:
        ModelError: It cannot be found or read, has only pickled weights, has NaN or infinite weights, or is a masked
            model (BERT).
    """
    if not isinstance(settings, ModelSettings):
        settings = ModelSettings(path=str(settings))
    if is_adapter_folder(settings.path):
        base = load_model(base_of(settings), family=family)
        with_own = restore_adapter(replace(base, tokenizer=load_tokenizer(settings)), Path(settings.path))
        check_numbers(with_own.model, where=settings.path)
        return _attending(with_own, settings)
    config = load_config(settings)
    family = family or detect_family(config)
    auto = AutoModelForSeq2SeqLM if family == "encoder-decoder" else AutoModelForCausalLM
    device = resolve_device(settings.device)
    model: Any = _from_pretrained(auto, settings, config, device=device)
    tokenizer = load_tokenizer(settings)
    _check_vocabulary(model, tokenizer, settings.path)
    check_numbers(model, where=settings.path)
    lm = LanguageModel(
        # 4-bit weights are already on the device.
        model=(model if settings.quantize == "4bit" else model.to(device)).eval(),
        tokenizer=tokenizer,
        family=family,
        device=device,
        compute_dtype=arithmetic(settings.dtype, device),
        attention=attention_of(config),
    )
    check_causal(lm, where=settings.path)
    return _attending(lm, settings)


def _attending(lm: LanguageModel, settings: ModelSettings) -> LanguageModel:
    """The model with the attention that the settings ask for, after a trial; by default its folder's."""
    lm = lm if settings.attention == "auto" else replace(lm, attention=settings.attention)
    check_prefix(lm)
    return lm


def stored_attention(settings: ModelSettings) -> Attention:
    """How a stored model's inputs are read, according to its folder; for an adapter: with it.

    Raises:
        ModelError: It cannot be found or read.
    """
    own = attention_beside(Path(settings.path)) if is_adapter_folder(settings.path) else None
    return own or attention_of(load_config(settings))


def load_tokenizer(settings: ModelSettings) -> PreTrainedTokenizerBase:
    """The tokenizer that belongs to a model.

    Raises:
        ModelError: It cannot be found or read, or has no end-of-sequence token.
    """
    require_path(settings, wanted="")
    try:
        with located(settings.path) as place:
            tokenizer = AutoTokenizer.from_pretrained(
                **place, revision=settings.revision, trust_remote_code=settings.trust_remote_code
            )
    except Exception as error:  # the tokenizers library raises nothing more specific
        check_given(settings.path, error, revision=settings.revision)
        hint = needed_library(error) or where_to_look(settings.path)
        raise ModelError(f"cannot load the tokenizer: {first_line(error)}", where=settings.path, hint=hint) from error
    if tokenizer.eos_token_id is None:
        raise ModelError(
            "the tokenizer has no end-of-sequence token, so a target could not end",
            where=settings.path,
            hint='set "eos_token" in its tokenizer_config.json',
        )
    return tokenizer


def detect_family(config: PretrainedConfig) -> Family:
    """Decoder-only or encoder-decoder, according to the model's config."""
    return "encoder-decoder" if getattr(config, "is_encoder_decoder", False) else "decoder-only"


def resolve_device(name: str) -> torch.device:
    """The device of a name such as "auto", "cpu" or "cuda:1".

    Raises:
        ModelError: There is no such device here.
    """
    # Read at the first product; with it, equal products give equal bits on a GPU (``training.randomness``).
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        there = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
        hint = f'set model.device to "auto" or one of: {", ".join(there)}'
        raise ModelError(f'there is no device "{name}" here', where="model.device", hint=hint) from error
    return device


def stop_at(lm: LanguageModel, token: int) -> None:
    """Adds a token at which the model's generation config ends an answer, such as the end of a chat turn."""
    config: Any = getattr(lm.model, "generation_config", None)
    if config is not None:
        known = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
        known = [one for one in known if one is not None]
        config.eos_token_id = (known[0] if len(known) == 1 else known) if token in known else [*known, token]


@disk_explained()
def save_model(
    lm: LanguageModel, folder: Path, *, card: str = "", beside: Callable[[Path], object] | None = None
) -> Path:
    """Writes a folder in Hugging Face format that any program using transformers can load.

    It contains the config, the weights as safetensors, the generation config, the tokenizer and the card as README.md;
    for a model with an adapter, the adapter in peft's format instead of config and weights. It is written under a
    temporary name and renamed, so a folder with this name is always complete; ``beside`` writes more files into it.
    """
    with whole_folder(Path(folder)) as draft:
        if lm.adapter is None:
            with quiet_library():
                lm.model.save_pretrained(draft)
            _mark_untied(lm.model, draft / "config.json")
            _mark_attention(lm, draft / "config.json")
        else:
            save_adapter(lm, draft, base=str(lm.model.config._name_or_path))
        lm.tokenizer.save_pretrained(draft)
        (draft / "README.md").write_text(card, encoding="utf-8")
        if beside is not None:
            beside(draft)
    return Path(folder)


def load_config(settings: ModelSettings) -> PretrainedConfig:
    """A model's config without its weights, for example to determine its family.

    Raises:
        ModelError: It cannot be found or read.
    """
    if is_adapter_folder(settings.path):
        return load_config(base_of(settings))
    require_path(settings)
    try:
        with located(settings.path) as place:
            config: PretrainedConfig = AutoConfig.from_pretrained(
                **place, revision=settings.revision, trust_remote_code=settings.trust_remote_code
            )
    except UNREADABLE as error:
        if is_gguf(settings.path):
            check_file(settings.path)
        check_given(settings.path, error, revision=settings.revision)
        hint = (
            "set model.trust_remote_code = true if you trust its authors"
            if "trust_remote_code" in str(error)
            else PLAIN_FORM
            if is_gguf(settings.path) and "not supported" in str(error)
            else "an adapter of the hub has to be a folder here: hf download ID --local-dir FOLDER"
            if "Unrecognized model" in str(error) and not Path(settings.path).exists()
            else needed_library(error) or where_to_look(settings.path)
        )
        raise ModelError(f"cannot load the model: {first_line(error)}", where=settings.path, hint=hint) from error
    return held_to_file(config, settings.path) if is_gguf(settings.path) else config


def _from_pretrained(
    auto: Any, settings: ModelSettings, config: PretrainedConfig, *, device: torch.device
) -> PreTrainedModel:
    quantized = quantization(settings, device)
    # For weights that are only pickled, the library would have a hub service convert them in public.
    os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")

    def load(attention: str) -> tuple[PreTrainedModel, dict[str, Any]]:
        loaded: tuple[PreTrainedModel, dict[str, Any]] = auto.from_pretrained(
            **place,
            config=config,
            revision=settings.revision,
            trust_remote_code=settings.trust_remote_code,
            dtype=torch.float32,
            use_safetensors=True,
            attn_implementation=attention,
            output_loading_info=True,
            # ``check_shape`` reports them by name.
            ignore_mismatched_sizes=True,
            **quantized,
        )
        return loaded

    try:
        with quiet_library(), located(settings.path) as place:
            model, info = with_best_attention(load, config)
    except UNREADABLE as error:
        check_whole(settings.path, error, revision=settings.revision)
        check_given(settings.path, error, revision=settings.revision)
        pickled = has_only_pickles(error)
        raise ModelError(
            f"cannot load the weights: {first_line(error)}",
            where=settings.path,
            hint=CONVERT if pickled else needed_library(error) or where_to_look(settings.path),
        ) from error
    check_shape(model, info, where=settings.path)
    return plain_copy(model, settings.path) if is_gguf(settings.path) else model


def quantization(settings: ModelSettings, device: torch.device) -> dict[str, Any]:
    """How to load weights in fewer bits than float32; empty unless the settings say so.

    Raises:
        ModelError: There is no GPU, or bitsandbytes is not installed.

    Paper: Dettmers et al. 2023 (QLoRA): 4-bit NormalFloat with double quantization of the scales.
    """
    if settings.quantize == "none":
        return {}
    if device.type != "cuda":
        hint = 'set model.quantize = "none"; adapters alone already save the optimizer\'s memory'
        raise ModelError(f"weights in 4 bits need a GPU; the device is {device}", where="model.quantize", hint=hint)
    if find_spec("bitsandbytes") is None:
        hint = "in flantune's folder: pip install -e '.[lean]'"
        raise ModelError(
            "weights in 4 bits need bitsandbytes, which is not installed", where="model.quantize", hint=hint
        )
    made: Any = BitsAndBytesConfig
    config = made(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=arithmetic(settings.dtype, device),
    )
    return {"quantization_config": config, "device_map": {"": str(device)}}


def with_best_attention(load: Callable[[str], _Loaded], config: PretrainedConfig) -> _Loaded:
    """Uses fused attention if the model supports it."""
    if needs_eager_attention(config):
        return load("eager")
    try:
        return load("sdpa")
    except ValueError as error:
        if "scaled_dot_product_attention" not in str(error):
            raise
        return load("eager")


def needs_eager_attention(config: PretrainedConfig) -> bool:
    """Whether attention scores are soft-capped, which fused attention does not support."""
    return getattr(config.get_text_config(), "attn_logit_softcapping", None) is not None


def _check_vocabulary(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, path: str) -> None:
    rows = embedded_tokens(model)
    if len(tokenizer) > rows:
        raise ModelError(
            f"the tokenizer has {len(tokenizer)} tokens but the model embeds only {rows}",
            where=path,
            hint="use the tokenizer that came with the model",
        )


def _mark_untied(model: Any, path: Path) -> None:
    """Stores that a T5's head has its own weights (T5 1.1, Flan-T5).

    transformers overwrites ``tie_word_embeddings`` in memory and would store it as true; its version 4 then assumes
    that the head shares the embeddings and scales the decoder's output.
    """
    head, embeddings = model.get_output_embeddings(), model.get_input_embeddings()
    if getattr(model.config, "scale_decoder_outputs", True) or head.weight is embeddings.weight:
        return
    stored = json.loads(path.read_text(encoding="utf-8"))
    stored["tie_word_embeddings"] = False
    path.write_text(json.dumps(stored, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _mark_attention(lm: LanguageModel, path: Path) -> None:
    """Stores in the config that the model uses prefix attention, so that it is loaded with it; nothing if causal."""
    if lm.reads_both_ways == (attention_of(lm.model.config) == "prefix"):
        return
    stored = json.loads(path.read_text(encoding="utf-8"))
    stored.pop(ATTENTION_KEY, None)
    stored |= {ATTENTION_KEY: "prefix"} if lm.reads_both_ways else {}
    path.write_text(json.dumps(stored, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def needed_library(error: BaseException) -> str:
    """What to install if an error says that a library is missing; else empty."""
    match = re.search(r"No module named '(\w+)", str(error)) or re.search(r"pip install (\w+)", str(error))
    extra = {"gguf": "gguf", "peft": "peft", "bitsandbytes": "lean", "vllm": "vllm"}.get(match[1] if match else "")
    return f"in flantune's folder: pip install -e '.[{extra}]'" if extra else ""
