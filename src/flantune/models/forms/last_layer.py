"""The last layer computed only at the places that are read; its output elsewhere is never used.

This is possible in the last layer only, because each layer attends to all tokens of the one before. In FLAN-like data
15% of the tokens are targets; in a model with six layers this saves a tenth of the arithmetic, forward and backward.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch._dynamo
from torch import Tensor, nn

from flantune.models.forms.compiled import blocks_of
from flantune.models.forms.exchange import StandIn, exchanged
from flantune.models.modes import quiet
from flantune.models.traits import trait
from flantune.models.transfer import on_device
from flantune.models.trials import FAILURES, PROBE, made_up

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flantune.models.language_model import LanguageModel

TOLERANCE = 1e-4
SIZES = (1.0, 0.4, 1.0)
"""Trials are made with random weights, each time scaled by one of these. Large weights can make a token attend to a
single other one, which would hide that keys and values are needed everywhere; hence the small scale."""
PROBED = (2, len(PROBE) - 1, len(PROBE) + 5)


class _AtPlaces(StandIn):
    """A module that treats each token separately, computed at some places only; its output is zero elsewhere.

    Calls with anything but one tensor [rows, length, width] (a gate as well, or one step with a cache) are computed
    everywhere, and attributes are those of the replaced module: a model may use them in training though it did not in
    the trial.
    """

    def __init__(self) -> None:
        super().__init__()
        self.places = torch.empty(0, dtype=torch.long)
        self.tokens = 0

    def forward(self, x: Tensor, *more: Any, **named: Any) -> Any:
        """[rows, length, width] → [rows, length, other width]."""
        if more or named or x.ndim != 3 or self._is_other_shape(x):
            return self.usual(x, *more, **named)
        taken: Tensor = self.usual(x.reshape(-1, x.shape[-1]).index_select(0, self.places)[None])[0]
        laid = taken.new_zeros(x.shape[0] * x.shape[1], taken.shape[-1]).index_copy(0, self.places, taken)
        return laid.view(*x.shape[:-1], taken.shape[-1])

    def _is_other_shape(self, x: Tensor) -> bool:
        # Not checked in a compiled layer, which would be compiled again for every number of tokens.
        return not torch.compiler.is_compiling() and x.shape[0] * x.shape[1] != self.tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrowed:
    """A part of the last layer that is computed at chosen places only.

    Attributes:
        parent: The module that it is a part of.
        name: Its name in ``parent``.
        narrow: Its replacement; always the same module, so that a compiled layer is not compiled again.
    """

    parent: nn.Module
    name: str
    narrow: _AtPlaces = field(default_factory=_AtPlaces)


@trait
def find_narrowed(lm: LanguageModel) -> list[Narrowed]:
    """The parts of a decoder-only model's last layer that can be computed at chosen places only.

    These are the feed-forward part, the output projection and the queries, whatever their names: they are found by a
    trial, once per model. It uses random weights, since zeros would hide that a part is needed everywhere.
    """
    return _search(lm) if lm.family == "decoder-only" else []


@contextmanager
def only_at(lm: LanguageModel, places: NDArray[np.integer[Any]], tokens: int) -> Iterator[None]:
    """Within the block, hidden states (and logits) are computed at the given places only; elsewhere they are undefined.

    With activation checkpointing, nothing changes: layers are then computed again later, outside the block.

    Args:
        lm: The model.
        places: Places that will be read, as indices into the rows joined end to end; repetitions are allowed.
        tokens: Number of places of all rows.
    """
    keeps_inputs_only = torch.is_grad_enabled() and _keeps_inputs_only(lm.model)
    index = on_device(torch.from_numpy(filled_up(np.unique(places), tokens)), lm.device)
    # A compiled layer must not be compiled again for every number of places.
    torch._dynamo.maybe_mark_dynamic(index, 0)
    with _in_place([] if keeps_inputs_only else find_narrowed(lm), index, tokens):
        yield


def _keeps_inputs_only(model: nn.Module) -> bool:
    # transformers sets this attribute on each module with activation checkpointing.
    return any(getattr(module, "gradient_checkpointing", False) for module in model.modules())


def filled_up(places: NDArray[np.integer[Any]], tokens: int) -> NDArray[np.int64]:
    """The places, followed by others until their number is round, so that few shapes occur; none twice.

    >>> filled_up(np.array([1, 40]), 64).tolist() == [1, 40, 0, *range(2, 31)]
    True
    """
    step = max(32, 1 << max(0, (tokens // 12).bit_length() - 1))
    more = min(-len(places) % step, tokens - len(places))
    # Among the first len(places) + more places, at least ``more`` are free.
    others = np.setdiff1d(np.arange(min(tokens, len(places) + more)), places)[:more]
    return np.concatenate([places, others]).astype(np.int64)


@contextmanager
def _in_place(parts: list[Narrowed], places: Tensor, tokens: int) -> Iterator[None]:
    usual = [part.parent.get_submodule(part.name) for part in parts]
    for part, module in zip(parts, usual, strict=True):
        part.narrow.places, part.narrow.tokens = places, tokens
        part.narrow.take_place_of(module)
    with exchanged([(part.parent, part.name, module, part.narrow) for part, module in zip(parts, usual, strict=True)]):
        yield


def _search(lm: LanguageModel) -> list[Narrowed]:
    blocks = blocks_of(lm.model.base_model)
    weights = [] if not blocks else list(blocks[-1].parameters())
    if not weights or not all(type(weight) is nn.Parameter and weight.is_floating_point() for weight in weights):
        return []
    try:
        with quiet(lm.model):
            first, *others = [
                _found_with(lm, blocks[-1], weights, size=size, seed=seed) for seed, size in enumerate(SIZES)
            ]
    except FAILURES:
        return []
    known = [{(part.parent, part.name) for part in parts} for parts in others]
    return [part for part in first if all((part.parent, part.name) in each for each in known)]


def _found_with(
    lm: LanguageModel, block: nn.Module, weights: list[nn.Parameter], *, size: float, seed: int
) -> list[Narrowed]:
    with _made_up(weights, size=size, seed=seed):
        return _accepted(lm, block, _probe(lm), [])


def _accepted(lm: LanguageModel, parent: nn.Module, expected: Tensor, parts: list[Narrowed]) -> list[Narrowed]:
    """Adds the children that can be narrowed; of the others, their children, recursively."""
    for name, child in parent.named_children():
        if any(weight.ndim > 1 for weight in child.parameters()):
            wider = [*parts, Narrowed(parent=parent, name=name)]
            if _is_same(lm, expected, wider):
                parts = wider
            elif not hasattr(child, "base_layer"):
                # A layer with an adapter is narrowed as a whole or not at all.
                parts = _accepted(lm, child, expected, parts)
    return parts


def _is_same(lm: LanguageModel, expected: Tensor, parts: list[Narrowed]) -> bool:
    try:
        with _in_place(parts, torch.tensor(PROBED, device=lm.device), 2 * len(PROBE)):
            found = _probe(lm)
    except FAILURES:
        return False
    return torch.allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE)


def _probe(lm: LanguageModel) -> Tensor:
    """Hidden states of two made-up texts at the places ``PROBED``, [places, width]."""
    model: Any = lm.model
    tokens = torch.cat([made_up(lm), made_up(lm).flip(1)])
    hidden: Tensor = model.base_model(input_ids=tokens, use_cache=False).last_hidden_state
    return hidden.flatten(0, 1)[list(PROBED)].float()


@contextmanager
def _made_up(weights: list[nn.Parameter], *, size: float, seed: int) -> Iterator[None]:
    """Within the block, the weights are random, ``size`` times as large as is usual."""
    kept = [weight.detach().clone() for weight in weights]
    generator = torch.Generator().manual_seed(seed)
    try:
        for weight in weights:
            scale = size * weight.shape[-1] ** -0.5 if weight.ndim > 1 else 1.0
            weight.copy_(torch.randn(weight.shape, generator=generator) * scale)
        yield
    finally:
        for weight, before in zip(weights, kept, strict=True):
            weight.copy_(before)
