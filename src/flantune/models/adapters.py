"""Parameter-efficient tuning through peft: low-rank adapters or virtual tokens."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from flantune.errors import ModelError
from flantune.models.digests import weights_digest
from flantune.models.language_model import LowRank, VirtualTokens, attention_of
from flantune.models.modes import quiet
from flantune.models.stored.places import ADAPTER_CONFIG, read_adapter_config
from flantune.models.stored.weights import UNREADABLE, check_whole
from flantune.models.trials import FAILURES, made_up
from flantune.system.files import read_json, write_json
from flantune.system.quiet_imports import hushed

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from flantune.models.language_model import LanguageModel
    from flantune.settings.adapter_settings import LoraSettings, PromptTuningSettings
    from flantune.settings.config import ModelSettings
    from flantune.types import Attention

WEIGHTS = "adapter_model.safetensors"
BASE = "adapter_base.json"
_MERGED_TOLERANCE = 1e-3
"""Tolerance for logits as a share of the largest: more than another order of float32 arithmetic explains."""


def attach_adapter(lm: LanguageModel, settings: ModelSettings, *, seed: int) -> LanguageModel:
    """The model with the adapter of the run file; from then on only the adapter's weights are trained.

    Args:
        lm: A model; its layers are changed in place.
        settings: Which adapter; "none" returns the model unchanged.
        seed: Seed of the adapter's initial weights; the global random state does not change.

    Raises:
        ModelError: peft is not installed, or the targets are not layers of this model.

    Paper: Hu et al. 2021 (low-rank adapters); Kalajdzievski 2023 (rank-stabilized); Liu et al. 2024 (DoRA); Hayou et
    al. 2024 (LoRA+); Lester et al. 2021 (prompt tuning).
    """
    if settings.adapter == "none":
        return lm
    if lm.adapter is not None:
        hint = "merge it first: tune with model.merge_adapter = true and start from the merged model"
        raise ModelError("the model has an adapter already", where="model.path", hint=hint)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if settings.adapter == "lora":
            return _with_low_rank(lm, _lora_config(lm, settings.lora), b_rate_factor=settings.lora.b_rate_factor)
        return _with_virtual_tokens(lm, _first_vectors(lm, settings.prompt), base=_base_digest(lm))


def adapted_weights(model: PreTrainedModel, settings: ModelSettings) -> int:
    """How many weights the adapter of a run file adds to a model, which may be on the meta device.

    Raises:
        ModelError: peft is not installed, or the targets are not layers of this model.
    """
    if settings.adapter == "prompt":
        embeddings: Any = model.get_input_embeddings()
        return settings.prompt.tokens * int(embeddings.weight.shape[1])
    matrices = _matrices(model, settings.lora)
    if not matrices:
        names = sorted({name.rpartition(".")[2] for name, part in model.named_modules() if _is_matrix(part)})
        hint = f'use "all-linear", or some of {", ".join(names)}'
        raise ModelError("no layer of the model is adapted", where="model.lora.targets", hint=hint)
    # DoRA has a scale for each output.
    scales = sum(outputs for _, outputs in matrices) if settings.lora.dora else 0
    return scales + sum(settings.lora.rank * (inputs + outputs) for inputs, outputs in matrices)


def _matrices(model: PreTrainedModel, settings: LoraSettings) -> list[tuple[int, int]]:
    """Inputs and outputs of the layers that get low-rank adapters."""
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    is_all = settings.targets == ("all-linear",)
    parts: list[tuple[str, Any]] = [(name, part) for name, part in model.named_modules() if _is_matrix(part)]

    def is_adapted(name: str, part: nn.Module) -> bool:
        return part is not head if is_all else any(f".{name}".endswith(f".{target}") for target in settings.targets)

    shapes = [(part.weight.shape, isinstance(part, nn.Linear)) for name, part in parts if is_adapted(name, part)]
    return [(shape[1], shape[0]) if is_linear else (shape[0], shape[1]) for shape, is_linear in shapes]


def restore_adapter(lm: LanguageModel, folder: Path) -> LanguageModel:
    """The base model with the adapter in a folder, as written by ``save_adapter`` or peft.

    Raises:
        ModelError: It is another kind of adapter or was trained with other weights, or peft is not installed.
    """
    kind = str(read_adapter_config(folder).get("peft_type"))
    base = _base_digest(lm)
    _check_base(folder, base)
    lm = replace(lm, attention=attention_beside(folder) or lm.attention)
    try:
        if kind == "PROMPT_TUNING":
            return _with_virtual_tokens(lm, load_file(folder / WEIGHTS)["prompt_embeddings"], base=base)
        if kind == "LORA":
            library = require_peft()
            with hushed():
                wrapper = library.PeftModel.from_pretrained(lm.model, folder).eval()
            return replace(lm, adapter=LowRank(wrapper=wrapper, base=base))
    except UNREADABLE as error:
        check_whole(str(folder), error)
        hint = f"the folder needs {ADAPTER_CONFIG} and {WEIGHTS}, as peft or flantune wrote them for this base model"
        raise ModelError(f"cannot read the adapter: {str(error).strip() or type(error).__name__}", where=str(folder),
                         hint=hint) from error  # fmt: skip
    raise ModelError(f"cannot load an adapter of the kind {kind}", where=str(folder), hint="LoRA and prompt tuning can")


def save_adapter(lm: LanguageModel, folder: Path, *, base: str) -> None:
    """Writes only the adapter, in peft's format: ``adapter_config.json`` and ``adapter_model.safetensors``.

    A digest of the base model's weights is written too, so that loading the adapter with other weights is an error, and
    the attention it was trained with, if the base model has another.

    Args:
        lm: A model with an adapter.
        folder: An existing folder.
        base: Folder or hub id of the base model, recorded for loading the adapter.
    """
    if isinstance(lm.adapter, LowRank):
        lm.adapter.wrapper.peft_config["default"].base_model_name_or_path = base
        with hushed():
            lm.adapter.wrapper.save_pretrained(folder, save_embedding_layers=False)
    elif isinstance(lm.adapter, VirtualTokens):
        _prompt_config(lm, lm.adapter, base=base).save_pretrained(folder)
        vectors = lm.adapter.vectors.detach().cpu().contiguous()
        save_file({"prompt_embeddings": vectors}, folder / WEIGHTS, metadata={"format": "pt"})
    origin: dict[str, object] = {"base_model_name_or_path": base}
    if lm.adapter is not None and lm.adapter.base:
        origin["weights"] = lm.adapter.base
    if lm.attention != attention_of(lm.model.config):
        origin["attention"] = lm.attention
    if len(origin) > 1:
        write_json(folder / BASE, origin)


def merged(lm: LanguageModel) -> LanguageModel:
    """The model with its low-rank adapters merged into its weights; the same answers up to rounding.

    Raises:
        ModelError: Virtual tokens cannot be merged into weights, 4-bit weights lack the precision, or the merged model
            gives other answers than the one with its adapter.
    """
    if not isinstance(lm.adapter, LowRank):
        hint = "set model.merge_adapter = false: virtual tokens cannot be merged"
        raise ModelError("only low-rank adapters can be merged", where="model.merge_adapter", hint=hint)
    if getattr(lm.model, "is_quantized", False):
        hint = "load the adapter's folder without model.quantize and merge that"
        raise ModelError("no adapter can be merged into weights in 4 bits", where="model.merge_adapter", hint=hint)
    before = _trial_logits(lm)
    whole = replace(lm, model=lm.adapter.wrapper.merge_and_unload(), adapter=None)
    whole.model.requires_grad_(True)
    difference = float((_trial_logits(whole) - before).abs().max()) / max(1.0, float(before.abs().max()))
    if difference > _MERGED_TOLERANCE:
        raise ModelError(
            f"the merged {type(whole.model).__name__} differs by {difference:.1%} from the model with its adapter: "
            "some of its layers share weights, or read them without the adapter",
            where="model.merge_adapter",
            hint="set model.merge_adapter = false, or leave such layers out with model.lora.targets",
        )
    return whole


def _trial_logits(lm: LanguageModel) -> Tensor:
    """Logits of synthetic tokens."""
    tokens = made_up(lm)
    model: Any = lm.model
    with quiet(model):
        named = {"decoder_input_ids": tokens} if lm.family == "encoder-decoder" else {}
        logits: Tensor = model(input_ids=tokens, use_cache=False, **named).logits.float()
    return logits


def _base_digest(lm: LanguageModel) -> str:
    """Digest of the weights an adapter was trained with. In 4 bits they differ from those it may be merged into."""
    return "" if getattr(lm.model, "is_quantized", False) else weights_digest(lm.model)


def attention_beside(folder: Path) -> Attention | None:
    """How inputs are read with the adapter in a folder; None: as by the base model."""
    found = read_json(folder / BASE).get("attention") if (folder / BASE).exists() else None
    return "prefix" if found == "prefix" else "causal" if found == "causal" else None


def _check_base(folder: Path, found: str) -> None:
    """Compares a base model with the one an adapter was trained with; without a digest there is nothing to check."""
    file = folder / BASE
    if not (found and file.exists()):
        return
    wanted = read_json(file)
    if wanted.get("weights", found) != found:
        hint = (
            f'set "base_model_name_or_path" in {ADAPTER_CONFIG} to the model it was trained on '
            f"(then at {wanted.get('base_model_name_or_path')}), or delete {BASE} if you know better"
        )
        raise ModelError(
            f"the adapter was trained with other weights than the base model has now: digest {found}, "
            f"{wanted.get('weights')} there",
            where=str(folder),
            hint=hint,
        )


def _with_low_rank(lm: LanguageModel, config: Any, *, b_rate_factor: float) -> LanguageModel:
    """Adds adapters to the layers; frozen weights no longer require a gradient."""
    base = _base_digest(lm)
    try:
        with hushed():
            wrapper = require_peft().get_peft_model(lm.model, config)
    except ValueError as error:
        names = sorted({name.rpartition(".")[2] for name, part in lm.model.named_modules() if _is_matrix(part)})
        hint = f'use "all-linear", or some of {", ".join(names)}'
        message = str(error).strip().splitlines()[0]
        raise ModelError(f"cannot attach adapters: {message}", where="model.lora.targets", hint=hint) from error
    factors = _rate_factors(lm.model, b_rate_factor)
    return replace(lm, adapter=LowRank(wrapper=wrapper.eval(), base=base, rate_factors=factors))


def _is_matrix(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"


def _unadaptable(model: nn.Module) -> list[str]:
    """Linear layers that return more than a product (a router's choice, say), so that no adapter can be added."""
    return [
        name
        for name, part in model.named_modules()
        if isinstance(part, nn.Linear)
        and type(part).__module__.startswith("transformers.models.")
        and not _gives_a_product(part)
    ]


def _gives_a_product(layer: nn.Linear) -> bool:
    try:
        with torch.no_grad():
            found = layer(layer.weight.new_zeros(1, 1, layer.in_features))
    except FAILURES:
        return False
    return isinstance(found, torch.Tensor) and found.shape[-1] == layer.out_features


def _lora_config(lm: LanguageModel, settings: LoraSettings) -> Any:
    is_all = settings.targets == ("all-linear",)
    return require_peft().LoraConfig(
        task_type=_task_type(lm),
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        use_rslora=settings.rank_stabilized,
        use_dora=settings.dora,
        target_modules="all-linear" if is_all else list(settings.targets),
        exclude_modules=(_unadaptable(lm.model) or None) if is_all else None,
        # GPT-2 stores its matrices transposed.
        fan_in_fan_out=any(type(module).__name__ == "Conv1D" for module in lm.model.modules()),
    )


def _rate_factors(model: nn.Module, b_rate_factor: float) -> dict[str, float]:
    """The second matrices of all adapters, if they have their own learning rate."""
    if b_rate_factor == 1:
        return {}
    seconds = [name for name, _ in model.named_parameters() if ".lora_B." in name or ".lora_embedding_B." in name]
    return dict.fromkeys(seconds, b_rate_factor)


def _with_virtual_tokens(lm: LanguageModel, vectors: Tensor, *, base: str) -> LanguageModel:
    model: Any = lm.model
    for weight in model.parameters():
        weight.requires_grad_(False)
    tokens = VirtualTokens(model.get_input_embeddings(), vectors.to(lm.device), base=base)
    model.set_input_embeddings(tokens)
    return replace(lm, adapter=tokens)


def _first_vectors(lm: LanguageModel, settings: PromptTuningSettings) -> Tensor:
    """Initial vectors of the virtual tokens, [virtual tokens, width]."""
    words: Any = lm.model.get_input_embeddings()
    drawn = torch.randperm(len(lm.tokenizer))[: settings.tokens]
    with torch.no_grad():
        # Through the module, since some modules scale their output.
        known: Tensor = words(drawn.to(lm.device))
    if len(known) < settings.tokens:
        hint = f"set model.prompt.tokens = {len(known)} or less"
        raise ModelError("more virtual tokens than words in the vocabulary", where="model.prompt.tokens", hint=hint)
    return known if settings.start == "vocabulary" else torch.randn(known.shape).to(known) * known.std()


def _prompt_config(lm: LanguageModel, tokens: VirtualTokens, *, base: str) -> Any:
    config = lm.model.config.get_text_config()
    return require_peft().PromptTuningConfig(
        task_type=_task_type(lm),
        num_virtual_tokens=len(tokens.ids),
        token_dim=int(tokens.vectors.shape[1]),
        # The virtual tokens come before the encoder's input, or before the only input.
        num_transformer_submodules=1,
        # State-space models have no heads; these two are unused if the tokens come before the input only.
        num_layers=getattr(config, "num_hidden_layers", None),
        num_attention_heads=getattr(config, "num_attention_heads", None),
        base_model_name_or_path=base,
        inference_mode=True,
    )


def _task_type(lm: LanguageModel) -> str:
    return "SEQ_2_SEQ_LM" if lm.family == "encoder-decoder" else "CAUSAL_LM"


def require_peft() -> Any:
    """peft, the library; imported only when needed, since importing it is slow and prints messages.

    Raises:
        ModelError: peft is not installed.
    """
    try:
        with hushed():
            return import_module("peft")
    except ImportError as error:
        hint = "in flantune's folder: pip install -e '.[peft]'"
        raise ModelError("adapters need peft, which is not installed", where="model.adapter", hint=hint) from error
