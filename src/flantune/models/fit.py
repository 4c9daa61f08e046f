"""How many tokens fit in a forward pass, found by trying the largest shape on the device."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.autograd.graph import saved_tensors_hooks

from flantune.errors import ModelError
from flantune.models.forms.training_form import TrainingForm
from flantune.models.forward import target_logprobs
from flantune.models.language_model import embedded_tokens
from flantune.models.memory import available_memory_bytes, is_out_of_memory
from flantune.models.modes import in_mode, own_chance, own_gradients
from flantune.packing.batches import lay_out
from flantune.packing.inputs_asked import with_inputs_asked
from flantune.packing.packs import DecoderPack, EncodedPrompt, Pack
from flantune.types import Family

if TYPE_CHECKING:
    from torch import Tensor

    from flantune.models.language_model import LanguageModel

GOOD_ON_CPU: dict[Family, int] = {"decoder-only": 2_048, "encoder-decoder": 4_096}
"""Measured: smaller passes spend more on summing gradients, larger ones gain little (docs/training-speed.md)."""
MEMORY_SHARE = 0.8
"""Share of the free memory that a pass may use; the rest is for data, fragmentation and other programs."""
PROBE_TOKENS = 256
OPTIMIZER_BYTES = {"adamw": 8, "adamw8bit": 2, "adamw8bit-bnb": 2, "adafactor": 1}
"""Approximate bytes of optimizer state per trained weight. Adafactor stores only rows and columns of a matrix."""
ACTIVATION_HINT = (
    'set training.activation_checkpointing = true, training.optimizer = "adafactor", model.adapter = "lora", '
    'a smaller packing.row_tokens, or training.parallel = "sharded" on several devices'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """The micro-batch that fits.

    Attributes:
        micro_batch_tokens: Array positions of one forward and backward pass.
        reason: How it was determined, for the user.
    """

    micro_batch_tokens: int
    reason: str


def fit_micro_batch(
    lm: LanguageModel,
    *,
    row_tokens: int,
    batch_tokens: int,
    optimizer: str = "adamw",
    form: TrainingForm | None = None,
    asks_inputs: bool = False,
) -> Fit:
    """The best micro-batch for this model on its device; it changes memory and speed, never the gradient.

    On an accelerator, it is doubled as long as a pass of the largest shape, its gradients and the optimizer's state
    fit. On the CPU, it is the size measured to be fast, or a smaller one if there is less memory. The weights, their
    gradients and the random state do not change.

    Args:
        lm: The model, on its device.
        row_tokens: Length of a row; no micro-batch is smaller than one.
        batch_tokens: Tokens of an optimizer step; none is larger.
        optimizer: Its name, for the size of its state.
        form: The form in which the model is trained; None: as it is.
        asks_inputs: Whether the loss includes the tokens of inputs.

    Raises:
        ModelError: Not even one row fits; the message says what to change.
    """
    form = form or TrainingForm(lm)
    if lm.device.type == "cpu":
        per_token = activation_bytes(lm, form, PROBE_TOKENS, asks_inputs=asks_inputs) / PROBE_TOKENS
        sizes = {"row_tokens": row_tokens, "batch_tokens": batch_tokens}
        return _by_estimate(lm, per_token, optimizer=optimizer, **sizes)
    reserved = OPTIMIZER_BYTES.get(optimizer, 8) * trained_weights(lm)

    def fits(tokens: int) -> bool:
        return _try_pass(lm, form, tokens, row_tokens, reserved, asks_inputs=asks_inputs)

    found = largest_that_fits(fits, smallest=row_tokens, largest=batch_tokens)
    if not found:
        raise ModelError(
            f"a pass over one row of {row_tokens} tokens does not fit into the memory of {lm.device}",
            where="training.micro_batch_tokens",
            hint=ACTIVATION_HINT,
        )
    return Fit(micro_batch_tokens=found, reason=f"a pass of the largest shape fits into the memory of {lm.device}")


def largest_that_fits(fits: Callable[[int], bool], *, smallest: int, largest: int) -> int:
    """Doubles the smallest size as long as it fits; 0 if not even the smallest does.

    >>> largest_that_fits(lambda tokens: tokens <= 5000, smallest=512, largest=8192)
    4096
    >>> largest_that_fits(lambda tokens: tokens <= 100, smallest=512, largest=8192)
    0
    """
    found, tokens = 0, smallest
    while tokens <= max(smallest, largest) and fits(tokens):
        found, tokens = tokens, 2 * tokens
    return found


def trained_weights(lm: LanguageModel) -> int:
    """Number of trained weights."""
    return sum(weight.numel() for weight in lm.model.parameters() if weight.requires_grad)


def activation_bytes(lm: LanguageModel, form: TrainingForm, tokens: int, *, asks_inputs: bool = False) -> int:
    """Bytes that a forward pass stores for the backward pass, as counted by PyTorch."""
    seen: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    weights = {weight.untyped_storage().data_ptr() for weight in lm.model.parameters()}
    hooks = saved_tensors_hooks(keep, lambda tensor: tensor)
    with in_mode(lm.model, training=True), own_chance(lm.device), form.in_place(), hooks:
        rounded = chain(lm.model.parameters(), lm.model.buffers())
        weights |= {weight.untyped_storage().data_ptr() for weight in rounded}
        # Kept alive until the count is done, so that no storage is reused for another.
        held = target_logprobs(lm, probe_pack(lm, tokens, tokens, asks_inputs=asks_inputs)).logprobs
    del held
    return sum(size for address, size in seen.items() if address not in weights)


def _by_estimate(lm: LanguageModel, per_token: float, *, row_tokens: int, batch_tokens: int, optimizer: str) -> Fit:
    # Gradients and the optimizer's state come on top.
    fixed = (4 + OPTIMIZER_BYTES.get(optimizer, 8)) * trained_weights(lm)
    free = MEMORY_SHARE * available_memory_bytes() - fixed
    wanted = max(row_tokens, min(GOOD_ON_CPU[lm.family], batch_tokens))
    if wanted * per_token <= free:
        reason = f"fast on a CPU; a pass keeps about {wanted * per_token / 2**20:,.0f} MiB"
        return Fit(micro_batch_tokens=wanted, reason=reason)
    if row_tokens * per_token > free:
        raise ModelError(
            f"a pass over one row of {row_tokens} tokens needs about {row_tokens * per_token / 2**30:.1f} GiB and "
            f"gradients and optimizer {fixed / 2**30:.1f} GiB; {available_memory_bytes() / 2**30:.1f} GiB are free",
            where="training.micro_batch_tokens",
            hint=ACTIVATION_HINT,
        )
    tokens = row_tokens * max(1, int(free / per_token) // row_tokens)
    return Fit(micro_batch_tokens=tokens, reason="as many rows as memory has room for")


def _try_pass(
    lm: LanguageModel, form: TrainingForm, tokens: int, row_tokens: int, reserved: int, *, asks_inputs: bool = False
) -> bool:
    """Whether a forward and backward pass fits along with the optimizer's state."""
    try:
        room = torch.empty(reserved, dtype=torch.uint8, device=lm.device)
        with in_mode(lm.model, training=True), own_gradients(lm.model), own_chance(lm.device), form.in_place():
            pack = probe_pack(lm, tokens, row_tokens, asks_inputs=asks_inputs)
            target_logprobs(lm, pack).logprobs.sum().backward()  # type: ignore[no-untyped-call]
        del room
        return True
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return False
    finally:
        gc.collect()
        if lm.device.type == "cuda":
            torch.cuda.empty_cache()


def probe_pack(lm: LanguageModel, tokens: int, row_tokens: int, *, asks_inputs: bool = False) -> Pack:
    """Synthetic full rows, a fifth of whose tokens are targets: the most expensive pass of this many tokens."""
    ids = np.random.default_rng(0).integers(0, embedded_tokens(lm.model), row_tokens).astype(np.int32)
    written = max(1, row_tokens // 5)
    read = ids if lm.family == "encoder-decoder" else ids[: row_tokens - written]
    prompt = EncodedPrompt(inputs=read, targets=(ids[-written:],))
    count = max(1, tokens // row_tokens)
    pack = lay_out([prompt] * count, [[at] for at in range(count)], family=lm.family)
    return with_inputs_asked(pack) if asks_inputs and isinstance(pack, DecoderPack) else pack
