"""Models in one GGUF file, the format of llama.cpp: loaded as an ordinary model, and written back."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from flantune.errors import ModelError
from flantune.models.stored.gguf_reading import located_file, open_gguf, require_gguf
from flantune.models.stored.gguf_settings import ROPE_TENSORS, check_read, complete_config, said_in
from flantune.models.stored.quiet import quiet_library
from flantune.system.files import file_sha256, is_there, whole_file

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

    from flantune.models.language_model import LanguageModel

TYPES = ("f32", "f16", "bf16", "q8_0")
"""Number formats in which weights can be written."""

_GPT2_TURNED = ("attn_qkv.weight", "attn_output.weight", "ffn_up.weight", "ffn_down.weight")


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufOrigin:
    """What a GGUF file says about itself, and a digest of its bytes.

    Attributes:
        file: Its name, without the folder.
        sha256: SHA-256 of the whole file, in hexadecimal digits.
        name: The model's name according to its maker.
        architecture: Name of the architecture in llama.cpp.
        weights: Number formats of the weights, most common first, with the number of tensors.
        licence: The stated licence; empty if none is.
    """

    file: str
    sha256: str
    name: str
    architecture: str
    weights: tuple[tuple[str, int], ...]
    licence: str

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} ({count})" for kind, count in self.weights)
        return f"{self.file} ({self.name or 'without a name'}; tensors: {kinds}; sha256 {self.sha256})"


def held_to_file(config: PretrainedConfig, path: str) -> PretrainedConfig:
    """The config of a GGUF file's model with all settings of the file; see ``gguf_settings``.

    Raises:
        ModelError: The file is damaged, or has a setting that the model's code does not support.
    """
    complete_config(config, open_gguf(Path(path)), where=path)
    return config


def check_file(path: str) -> None:
    """Raises ModelError if a GGUF file cannot be opened."""
    open_gguf(Path(path))


def plain_copy(model: PreTrainedModel, path: str) -> PreTrainedModel:
    """The model without the marks of quantization, so that it can be tuned and saved like any other.

    transformers dequantizes the weights of a GGUF file but still treats the model as quantized, and refuses to save it.
    The copy shares the weights; ``path`` is its name in the config.

    Raises:
        ModelError: The file has weights that the model ignored.
    """
    reader = open_gguf(Path(path))
    check_read(model, _known(model, reader), reader, where=path)
    config: Any = model.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config._name_or_path = path
    make: Any = type(model)
    with torch.device("meta"):
        copy = make(config)
    copy.load_state_dict(model.state_dict(), strict=True, assign=True)
    # Buffers that are in no state dict, such as rotary frequencies.
    for name, buffer in model.named_buffers():
        owner, _, last = name.rpartition(".")
        setattr(copy.get_submodule(owner), last, buffer)
    copy.tie_weights()
    copy.generation_config = model.generation_config
    plain: PreTrainedModel = copy
    return plain


def gguf_origin(path: Path) -> GgufOrigin:
    """A file's description of itself. Reads the whole file once.

    Raises:
        ModelError: It is not a GGUF file, or a damaged one.
    """
    reader = open_gguf(path)
    counts = Counter(tensor.tensor_type.name for tensor in reader.tensors)
    name, architecture, licence = (
        str(said_in(reader, f"general.{key}") or "") for key in ("name", "architecture", "license")
    )
    return GgufOrigin(
        file=path.name,
        sha256=file_sha256(path),
        name=name,
        architecture=architecture,
        weights=tuple(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))),
        licence=licence,
    )


def write_gguf(lm: LanguageModel, path: Path, *, like: Path, kind: str = "bf16") -> Path:
    """Writes a tuned model as a GGUF file; everything except the weights is copied from the file it was tuned from.

    Tokenizer, chat template and settings are thus those that llama.cpp expects. The file is read back and compared with
    the model before it gets its final name.

    Args:
        lm: The model, of the same shape as the one in ``like``.
        path: The file to write.
        like: The GGUF file that the tuned model was made from.
        kind: One of ``TYPES``. Norms and other vectors stay float32, as llama.cpp expects.

    Raises:
        ModelError: There is something at ``path``, the model has another shape, or its architecture is stored in an
            unknown way.
    """
    require_gguf(where=str(path))
    if is_there(path):
        raise ModelError("already exists, and nothing is overwritten", where=str(path), hint="choose another name")
    if lm.reads_both_ways:
        hint = "llama.cpp would read it causally, which is another model"
        raise ModelError("a GGUF file cannot store prefix attention", where=str(path), hint=hint)
    if kind not in TYPES:
        raise ModelError(f'cannot write weights as "{kind}"', where=str(path), hint=f"one of {', '.join(TYPES)}")
    reader = open_gguf(like)
    with whole_file(path) as file:
        draft = Path(file.name)
        _write(lm, draft, reader, kind)
        _compare(lm, draft, kind=kind, where=str(path))
    return path


def _write(lm: LanguageModel, draft: Path, reader: Any, kind: str) -> None:
    import gguf

    architecture = str(said_in(reader, "general.architecture"))
    named = _names(lm, reader, architecture)
    writer: Any = gguf.GGUFWriter(str(draft), architecture)
    for key, field in reader.fields.items():
        if not key.startswith("GGUF.") and key not in ("general.architecture", "general.file_type"):
            sub = field.types[-1] if field.types[0] is gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(key, field.contents(), field.types[0], sub_type=sub)
    writer.add_file_type(getattr(gguf.LlamaFileType, {"f32": "ALL_F32", "q8_0": "MOSTLY_Q8_0"}.get(
        kind, f"MOSTLY_{kind.upper()}")))  # fmt: skip
    for tensor in reader.tensors:
        stored = gguf.GGMLQuantizationType[kind.upper() if named[tensor.name].ndim > 1 else "F32"]
        data = gguf.quants.quantize(named[tensor.name], stored)
        writer.add_tensor(tensor.name, data, raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _known(model: PreTrainedModel, reader: Any) -> dict[str, torch.Tensor]:
    """The model's weights by their names in llama.cpp."""
    import gguf

    architecture = str(said_in(reader, "general.architecture"))
    number = next((n for n, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture), None)
    blocks = said_in(reader, f"{architecture}.block_count")
    if number is None or blocks is None:
        hint = "convert it with llama.cpp's convert_hf_to_gguf.py"
        raise ModelError(f'cannot write models of the architecture "{architecture}"', where="--like", hint=hint)
    table: Any = gguf.get_tensor_name_map(number, int(blocks))
    known: dict[str, torch.Tensor] = {}
    for name, weight in model.state_dict().items():
        stem, _, last = name.rpartition(".")
        # Some files were converted from the model without its head; their names lack the first part.
        for named in (stem, stem.partition(".")[2]):
            if (found := table.get_name(named)) is not None:
                known.setdefault(f"{found}.{last}", weight)
        if (found := table.get_name(name)) is not None:
            known.setdefault(found, weight)
    return known


def _names(lm: LanguageModel, reader: Any, architecture: str) -> dict[str, np.ndarray[Any, Any]]:
    """Tensors of the file, by name: the model's weights as llama.cpp stores them, and the rotary divisors."""
    known = _known(lm.model, reader)
    found: dict[str, np.ndarray[Any, Any]] = {}
    for tensor in reader.tensors:
        name, shape = tensor.name, tuple(int(side) for side in tensor.shape)[::-1]
        if name in ROPE_TENSORS:
            found[name] = np.array(tensor.data)
            continue
        # Tied heads are in the file once, or not at all.
        if name in known:
            weight = known[name].detach().float().cpu().numpy()
            found[name] = np.ascontiguousarray(_turned(weight, name, architecture, lm))
        if name not in found or found[name].shape != shape:
            have = f"has the shape {found[name].shape}" if name in found else "is not there"
            raise ModelError(
                f"the model is not a tuned form of the one in the file: {name} {have}, expected {shape}",
                where="--like",
                hint="name the GGUF file that the model was tuned from; mixtures of experts and state-space models are "
                "written by llama.cpp's convert_hf_to_gguf.py alone",
            )
    return found


def _turned(weight: np.ndarray[Any, Any], name: str, architecture: str, lm: LanguageModel) -> np.ndarray[Any, Any]:
    """A weight as llama.cpp stores it.

    Llama's query and key rows are permuted so that the two halves of each rotation are adjacent, norms stored relative
    to 1 have 1 added, and GPT-2's matrices are transposed.
    """
    if architecture == "gpt2" and name.endswith(_GPT2_TURNED):
        return weight.T
    if architecture in ("gemma2", "gemma3", "nemotron") and name.endswith("norm.weight"):
        return weight + 1.0
    if architecture != "llama" or not name.startswith("blk.") or (".attn_q." not in name and ".attn_k." not in name):
        return weight
    config: Any = lm.model.config
    heads = config.num_attention_heads if ".attn_q." in name else config.num_key_value_heads
    rows = weight.shape[0] // heads
    return weight.reshape(heads, 2, rows // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def _compare(lm: LanguageModel, draft: Path, *, kind: str, where: str) -> None:
    """Loads the file in the ordinary way and compares every weight."""
    from transformers import AutoConfig

    tolerance = {"f32": 0.0, "f16": 2.0**-10, "bf16": 2.0**-8, "q8_0": 2.0**-6}[kind]
    read: Any = type(lm.model).from_pretrained
    with quiet_library(), located_file(draft) as place:
        config = held_to_file(AutoConfig.from_pretrained(**place), str(draft))
        written = read(**place, config=config, dtype=torch.float32).state_dict()
    for name, weight in lm.model.state_dict().items():
        # Some norms are stored with 1 added.
        rounding = 2.0**-22 if weight.ndim == 1 else 0.0
        error = (written[name].float() - weight.detach().float().cpu()).abs().max().item()
        if not error <= tolerance * max(weight.abs().max().item(), 1e-6) + rounding:
            raise ModelError(
                f"{name} read back from the file differs by {error:.3g} from the model's: flantune does not know how "
                "this architecture is stored",
                where=where,
                hint="convert it with llama.cpp's convert_hf_to_gguf.py",
            )
