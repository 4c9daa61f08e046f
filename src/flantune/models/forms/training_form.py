"""The form in which a model is trained: bfloat16 copies of float32 weights, made once per step; faster operations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from flantune.errors import ModelError
from flantune.models.attention.door import in_use
from flantune.models.attention.lines import reads_lines
from flantune.models.forms.compiled import CompiledBlocks, why_not_compiled
from flantune.models.forms.exchange import Exchange, exchanged, exchanges
from flantune.models.forms.fused import lean_form
from flantune.models.forms.gated import gated_form
from flantune.models.forms.last_layer import find_narrowed
from flantune.models.forms.low_rank import LowRankLinear, low_rank_form
from flantune.models.forms.rotary import LeanRotation, rotated, rotations
from flantune.models.forms.tile_products import has_tiles, tile_form
from flantune.models.heads import find_head

if TYPE_CHECKING:
    from flantune.models.language_model import LanguageModel


class TrainingForm:
    """A model prepared for computing gradients: rounded weights, faster operations.

    Attention is computed by the program for the device if there is one (``attention.door``).

    With bfloat16 arithmetic, rounded copies replace the weights within ``in_place``; the gradient of a copy is added to
    the float32 gradient of its weight as soon as it is complete. Two kinds of models keep their weights and are rounded
    by autocast: those with weights that are not plain float32 tensors (quantized or sharded), which also get none of
    the faster forms, and those that add float32 numbers to their activations (``leave_weights``).

    Args:
        lm: The model.
        is_lean: Use the faster forms of ``fused``, ``gated``, ``rotary``, ``low_rank`` and ``tile_products``.
        is_compiled: Compile the layers if possible (``compiled.why_not_compiled``); of the faster forms, only that of
            ``low_rank`` is then used.
        keeps_inputs_only: Activation checkpointing: keep the input of each layer and compute the rest again in the
            backward pass.

    Raises:
        ModelError: The model does not support activation checkpointing.
    """

    def __init__(
        self,
        lm: LanguageModel,
        *,
        is_lean: bool = True,
        is_compiled: bool = False,
        keeps_inputs_only: bool = False,
    ) -> None:
        if keeps_inputs_only and not lm.model.supports_gradient_checkpointing:
            raise ModelError(
                f"{type(lm.model).__name__} does not support activation checkpointing",
                where="training.activation_checkpointing",
                hint="set it to false; training.micro_batch_tokens and packing.row_tokens save memory, too",
            )
        self._model = lm.model
        self._keeps_inputs_only = keeps_inputs_only
        self._attention = partial(in_use, lm.device.type)
        self._compiled = CompiledBlocks(lm) if is_compiled and not why_not_compiled(lm) else None
        self._modules: list[Exchange] = []
        self._rotations: list[LeanRotation] = []
        self._weights: list[tuple[nn.Module, str, nn.Parameter]] = []
        self._copies: dict[int, Tensor] = {}
        if not has_plain_weights(lm.model):
            return
        # These traits are found by comparing results; they are determined (and cached) on the unchanged model.
        find_head(lm)
        reads_lines(lm)
        find_narrowed(lm)
        if is_lean:
            self._modules = exchanges(lm.model, low_rank_form(lm.model, lm.compute_dtype))
        if is_lean and self._compiled is None:
            self._modules += exchanges(lm.model, lean_form)
            if lm.device.type == "cpu":
                self._modules += exchanges(lm.model, gated_form)
                self._rotations = rotations(lm.model)
            if lm.device.type == "cpu" and lm.compute_dtype == torch.bfloat16 and has_tiles():
                self._modules += exchanges(lm.model, tile_form(lm.model))
        if lm.compute_dtype == torch.bfloat16:
            taken = {id(layer.frozen) for layer in self._low_rank}
            places = _weights(lm.model, [other for *_, other in self._modules])
            self._weights = [place for place in places if id(place[2]) not in taken]
        for _, _, weight in self._weights:
            if id(weight) not in self._copies:
                self._copies[id(weight)] = _copy_of(weight)

    @property
    def is_rounding(self) -> bool:
        """Whether rounded copies replace the weights."""
        return bool(self._weights)

    def leave_weights(self) -> None:
        """From now on, keeps the float32 weights in place; autocast rounds the operands of each operation."""
        self._weights, self._copies = [], {}
        self._modules = [found for found in self._modules if not isinstance(found[-1], LowRankLinear)]

    @property
    def _low_rank(self) -> list[LowRankLinear]:
        return [other for *_, other in self._modules if isinstance(other, LowRankLinear)]

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within the block, the model computes in this form, with copies of its current weights."""
        with torch.no_grad():
            # A weight in two places (a head that shares the embeddings) is rounded once.
            for weight in {id(weight): weight for _, _, weight in self._weights}.values():
                self._copies[id(weight)].copy_(weight)
        for layer in self._low_rank:
            layer.add_up()
        compiled = self._compiled.in_place() if self._compiled else nullcontext()
        try:
            for module, name, weight in self._weights:
                module._parameters[name] = self._copies[id(weight)]  # type: ignore[assignment]
            with exchanged(self._modules), rotated(self._rotations), self._attention(), compiled, self._checkpointing():
                yield
        finally:
            for module, name, weight in self._weights:
                module._parameters[name] = weight

    @contextmanager
    def _checkpointing(self) -> Iterator[None]:
        if not self._keeps_inputs_only:
            yield
            return
        model: Any = self._model
        # Earlier versions of transformers call it gradient checkpointing.
        word = "activation" if hasattr(model, "activation_checkpointing_enable") else "gradient"
        getattr(model, f"{word}_checkpointing_enable")(**{f"{word}_checkpointing_kwargs": {"use_reentrant": False}})
        try:
            yield
        finally:
            getattr(model, f"{word}_checkpointing_disable")()


def _weights(model: nn.Module, others: list[nn.Module]) -> Iterator[tuple[nn.Module, str, nn.Parameter]]:
    """Every weight with its module and name; a weight in two places comes twice."""
    for module in [*model.modules(), *others]:
        for name, weight in module._parameters.items():
            if weight is not None:
                yield module, name, weight


def has_plain_weights(model: nn.Module) -> bool:
    """Whether every weight is a plain float32 tensor."""
    return all(type(weight) is nn.Parameter and weight.dtype == torch.float32 for weight in model.parameters())


def is_rounded(model: nn.Module) -> bool:
    """Whether all weights of the model are bfloat16 at the moment."""
    return all(weight.dtype == torch.bfloat16 for weight in model.parameters())


def _copy_of(weight: nn.Parameter) -> nn.Parameter:
    copy = nn.Parameter(torch.empty_like(weight, dtype=torch.bfloat16), requires_grad=weight.requires_grad)
    if not weight.requires_grad:
        return copy

    def add(done: Tensor) -> None:
        grad, done.grad = done.grad, None
        if grad is None:
            return
        if weight.grad is None:
            weight.grad = grad.float()
        else:
            weight.grad.add_(grad)

    copy.register_post_accumulate_grad_hook(add)  # type: ignore[no-untyped-call]
    return copy
