"""The last layer at the places that are read: elsewhere, what it adds to the hidden states is of no use to anyone.

Later layers look at every token of an earlier one, so only the last can be cut short. Of FLAN-like data 15% of the
tokens are targets; with six layers a tenth of the arithmetic goes, forward and backward.
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
"""Made-up weights are drawn so often, so many times their usual size. With large ones each token may come to look at
one other alone, which would hide that keys and values are needed everywhere."""
PROBED = (2, len(PROBE) - 1, len(PROBE) + 5)


class _AtPlaces(StandIn):
    """A module that treats each token by itself, at some of the tokens only; zeros elsewhere.

    What is called in any other way than with [rows, length, width] alone (a gate beside it, a step of a cache) is
    computed everywhere, and who looks inside finds the module's own weights: a model may do in training what it does
    not do where it is tried.
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
        # A compiled layer would be compiled again for every number of tokens.
        return not torch.compiler.is_compiling() and x.shape[0] * x.shape[1] != self.tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrowed:
    """A part of the last layer that is computed at chosen places only.

    Attributes:
        parent: The module that it is a part of.
        name: Its name there.
        narrow: Takes its place. Always the same one, so that a compiled layer finds what it was compiled for.
    """

    parent: nn.Module
    name: str
    narrow: _AtPlaces = field(default_factory=_AtPlaces)


@trait
def find_narrowed(lm: LanguageModel) -> list[Narrowed]:
    """The parts of a decoder-only model's last layer that can be computed at chosen places only.

    Found by trying, once a model: feed-forward part, output projection and queries, whatever they are called. The
    layer is tried with made-up weights, since weights that are zero would hide that a part is needed everywhere.
    """
    return _search(lm) if lm.family == "decoder-only" else []


@contextmanager
def only_at(lm: LanguageModel, places: NDArray[np.integer[Any]], tokens: int) -> Iterator[None]:
    """Within the block, hidden states (and logits) mean something at the given places only, and cost less.

    A model that keeps the inputs of its layers only computes them again later, outside; it is left as it is.

    Args:
        lm: The model.
        places: Places that will be read, in rows laid end to end, each at most once or more often.
        tokens: How many places there are.
    """
    keeps_inputs_only = torch.is_grad_enabled() and _keeps_inputs_only(lm.model)
    index = on_device(torch.from_numpy(filled_up(np.unique(places), tokens)), lm.device)
    # A compiled layer must not be compiled again for every number of places.
    torch._dynamo.maybe_mark_dynamic(index, 0)
    with _in_place([] if keeps_inputs_only else find_narrowed(lm), index, tokens):
        yield


def _keeps_inputs_only(model: nn.Module) -> bool:
    # transformers marks each module that takes part.
    return any(getattr(module, "gradient_checkpointing", False) for module in model.modules())


def filled_up(places: NDArray[np.integer[Any]], tokens: int) -> NDArray[np.int64]:
    """Places, and some others after them, each once, so that few shapes occur (``segment_plan.padded_length``).

    >>> filled_up(np.array([1, 40]), 64).tolist() == [1, 40, 0, *range(2, 31)]
    True
    """
    step = max(32, 1 << max(0, (tokens // 12).bit_length() - 1))
    more = min(-len(places) % step, tokens - len(places))
    # The first free places are among the first so many places and those taken.
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
    """Goes from the whole to its parts: what cannot be narrowed as a whole may have parts that can."""
    for name, child in parent.named_children():
        if any(weight.ndim > 1 for weight in child.parameters()):
            wider = [*parts, Narrowed(parent=parent, name=name)]
            if _is_same(lm, expected, wider):
                parts = wider
            elif not hasattr(child, "base_layer"):
                # A layer with an adapter beside it is needed as a whole.
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
    """Hidden states of two made-up texts at the places that are asked for, [places, width]."""
    model: Any = lm.model
    tokens = torch.cat([made_up(lm), made_up(lm).flip(1)])
    hidden: Tensor = model.base_model(input_ids=tokens, use_cache=False).last_hidden_state
    return hidden.flatten(0, 1)[list(PROBED)].float()


@contextmanager
def _made_up(weights: list[nn.Parameter], *, size: float, seed: int) -> Iterator[None]:
    """Random weights of ``size`` times the usual size while the block runs."""
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
