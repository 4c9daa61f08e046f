"""The least time a useful token can take on this machine, from arithmetic and from bytes, both rates measured here."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flantune.models.language_model import LanguageModel
    from flantune.packing.packs import EncodedPrompt

OPTIMIZER_BYTES = 28 + 8 + 6
"""A weight and step, at least: AdamW reads 4 and writes 3 numbers, clipping reads and writes one, rounding 4 + 2."""


def rates(device: str, *, threads: int) -> dict[str, float]:
    """Matrix rate in bfloat16 and float32 (GFLOP/s) and copy bandwidth (GB/s); medians."""
    import torch

    torch.set_num_threads(threads)
    shape = (2048, 384, 1024) if device == "cpu" else (8192, 2048, 8192)
    found = {}
    for name, dtype in (("bfloat16", torch.bfloat16), ("float32", torch.float32)):
        x = torch.randn(shape[0], shape[1], device=device).to(dtype)
        weight = torch.randn(shape[2], shape[1], device=device).to(dtype)
        seconds = _seconds(lambda x=x, weight=weight: x @ weight.T, device)  # type: ignore[misc]
        found[f"{name}_gflops"] = round(2 * shape[0] * shape[1] * shape[2] / seconds / 1e9)
    source = torch.randn(2**25, device=device)
    target = torch.empty_like(source)
    seconds = _seconds(lambda: target.copy_(source), device)
    return {**found, "copy_gb_per_s": round(2 * source.nbytes / seconds / 1e9, 1)}


def floor(
    lm: LanguageModel, prompts: Sequence[EncodedPrompt], measured: dict[str, float], *, batch_tokens: int
) -> dict[str, float]:
    """Work a useful token, and the tokens a second that it allows.

    Args:
        lm: The model.
        prompts: A sample of the work.
        measured: From ``rates``.
        batch_tokens: Tokens of an optimizer step.
    """
    from flantune.models.arithmetic import dtype_name
    from flantune.models.fit import activation_bytes
    from flantune.models.forms.training_form import TrainingForm

    flops = flops_a_token(lm, prompts)
    form = TrainingForm(lm)
    weights = sum(weight.numel() for weight in lm.model.parameters())
    # What is kept for the way back is written once and read once.
    moved = 2 * activation_bytes(lm, form, 512) / 512 + weights * OPTIMIZER_BYTES / batch_tokens
    by_flops = measured[f"{dtype_name(lm.compute_dtype)}_gflops"] * 1e9 / flops
    by_bytes = measured["copy_gb_per_s"] * 1e9 / moved
    return {
        "mflop_a_token": round(flops / 1e6, 1),
        "kilobytes_a_token": round(moved / 1e3, 1),
        "tokens_per_second_by_arithmetic": round(by_flops),
        "tokens_per_second_by_bytes": round(by_bytes),
        "tokens_per_second_one_after_the_other": round(1 / (1 / by_flops + 1 / by_bytes)),
    }


def flops_a_token(lm: LanguageModel, prompts: Sequence[EncodedPrompt]) -> float:
    """Arithmetic of the forward and backward pass a useful token: matrices that it must go through, and attention."""
    from flantune.models.forms.last_layer import find_narrowed

    model: Any = lm.model
    read = [len(prompt.inputs) for prompt in prompts]
    written = [len(prompt.targets[0]) for prompt in prompts]
    useful = sum(read) + sum(written)
    config = model.config
    head = model.get_output_embeddings().weight.numel() * sum(written)
    if lm.family == "decoder-only":
        lengths = [a + b for a, b in zip(read, written, strict=True)]
        # What the last layer adds to the hidden states is read at the targets only.
        cut = sum(_linear(part.parent._modules[part.name]) for part in find_narrowed(lm))
        body = _linear(model.base_model) * useful - cut * sum(read)
        # Scores and their use, half of them hidden.
        pairs = (config.num_hidden_layers - 1) * sum(length**2 for length in lengths)
        pairs += sum(b * b + 2 * a * b for a, b in zip(read, written, strict=True))
        attention = config.hidden_size * pairs
    else:
        encoder, decoder = model.get_encoder(), model.get_decoder()
        cross = 2 * config.d_model * config.num_heads * config.d_kv * config.num_decoder_layers
        body = _linear(encoder) * sum(read) + (_linear(decoder) - cross) * sum(written) + cross * sum(read)
        width = config.num_heads * config.d_kv
        attention = width * sum(
            2 * config.num_layers * a * a + config.num_decoder_layers * (b * b + 2 * a * b)
            for a, b in zip(read, written, strict=True)
        )
    return 6.0 * (body + head + attention) / useful


def _linear(module: Any) -> int:
    import torch

    return sum(layer.weight.numel() for layer in module.modules() if isinstance(layer, torch.nn.Linear))


def _seconds(work: Callable[[], object], device: str) -> float:
    import torch

    def once() -> float:
        began = time.process_time() if device == "cpu" else time.perf_counter()
        for _ in range(4):
            work()
        if device != "cpu":
            torch.cuda.synchronize()
        return ((time.process_time() if device == "cpu" else time.perf_counter()) - began) / 4

    once()
    return statistics.median(once() for _ in range(9))
