"""For rotary positions that depend on a batch's longest prompt: gives each prompt the positions it has alone.

LongRoPE has one set of frequencies up to the original context and another beyond it; dynamic NTK scaling has a set for
each length beyond it. transformers chooses the set for a whole batch by its largest position, so a long neighbor would
change a short prompt's numbers.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from flantune.errors import ModelError
from flantune.models.traits import trait
from flantune.models.trials import FAILURES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flantune.models.language_model import LanguageModel
    from flantune.packing.packs import DecoderPack

FAR = 2**22
"""A position beyond every model's context that float32 still represents exactly."""


@dataclass(frozen=True, slots=True, eq=False)
class FollowingRope:
    """A module whose frequencies depend on the longest prompt.

    Attributes:
        module: Computes the rotations of a model's layers; called with any tensor and positions.
        kinds: How the frequencies depend on the length, and up to which length they do not; one, or one per kind of
            layer.
    """

    module: nn.Module
    kinds: tuple[tuple[str, int], ...]

    def regime(self, length: int) -> Hashable:
        """The regime of a length; all lengths of a regime have the same frequencies."""
        return tuple(_regime(kind, border, length) for kind, border in self.kinds)


def _regime(kind: str, border: int, length: int) -> Hashable:
    if kind == "longrope":
        return length > border
    return max(length, border)


@trait
def following_ropes(lm: LanguageModel) -> list[FollowingRope]:
    """The modules of a model whose rotations of the first tokens depend on a far position, found by trying."""
    return [FollowingRope(module, _kinds(module)) for module in lm.model.modules() if _follows(module, lm.device)]


def _follows(module: nn.Module, device: torch.device) -> bool:
    buffers = [name for name, _ in module.named_buffers(recurse=False)]
    if not any(name.endswith("inv_freq") for name in buffers):
        return False
    if "position_ids" not in inspect.signature(module.forward).parameters:
        return False
    near = torch.arange(8, device=device)[None]
    far = torch.cat([near, near.new_full((1, 1), FAR)], dim=1)
    try:
        return any(_differ(module, near, far, **chosen) for chosen in _layer_kinds(module))
    except FAILURES:
        return False


def _differ(module: nn.Module, near: Tensor, far: Tensor, **chosen: str) -> bool:
    anything = torch.zeros(1, 1, 1, device=near.device)
    alone = [each.clone() for each in _parts(module(anything, near, **chosen))]
    beside = _parts(module(anything, far, **chosen))
    _forget_lengths(module, near.device)
    return any(not torch.equal(one, other[..., :-1, :]) for one, other in zip(alone, beside, strict=True))


def _layer_kinds(module: Any) -> list[dict[str, str]]:
    """Further arguments to call it with: the kind of layer, if it is used by several."""
    kinds = getattr(module, "rope_type", None)
    return [{"layer_type": kind} for kind in kinds] if isinstance(kinds, dict) else [{}]


def _kinds(module: Any) -> tuple[tuple[str, int], ...]:
    config = getattr(module, "config", None)
    parameters = getattr(config, "rope_parameters", None) or {}
    kinds = getattr(module, "rope_type", "")
    named = kinds if isinstance(kinds, dict) else {"": str(kinds)}
    found = [_kind(module, config, kind, parameters.get(layer) or parameters) for layer, kind in named.items()]
    # It does depend on the length, in an unknown way: each length may have other frequencies.
    return tuple(each for each in found if each is not None) or (("", 0),)


def _kind(module: Any, config: Any, kind: str, parameters: dict[str, Any]) -> tuple[str, int] | None:
    """How a kind of rotary positions depends on the length, and beyond which length; None: it does not."""
    known = int(getattr(module, "original_max_seq_len", 0) or getattr(config, "max_position_embeddings", 0) or 0)
    if kind == "longrope":
        return kind, int(parameters.get("original_max_position_embeddings") or known)
    return ("dynamic", known) if "dynamic" in kind else None


def _forget_lengths(module: nn.Module, device: torch.device) -> None:
    """Restores the frequencies of a short prompt, since some modules remember the longest prompt seen."""
    for chosen in _layer_kinds(module):
        module(torch.zeros(1, 1, 1, device=device), torch.zeros(1, 1, dtype=torch.long, device=device), **chosen)


def forget_lengths(lm: LanguageModel) -> None:
    """Resets the model to its state before the first prompt: its buffers no longer depend on past lengths."""
    for rope in following_ropes(lm):
        _forget_lengths(rope.module, lm.device)


def regime(lm: LanguageModel, length: int) -> Hashable:
    """The regime of a length: prompts of one regime can be read together. If lengths do not matter, there is one."""
    return tuple(rope.regime(length) for rope in following_ropes(lm))


def rope_border(lm: LanguageModel) -> int:
    """The length beyond which rotations change; 0 if they never do."""
    return max((length for rope in following_ropes(lm) for _, length in rope.kinds), default=0)


def known_positions(lm: LanguageModel) -> int:
    """The longest text that the model can read; 0 if its config has no limit.

    Dynamic NTK scaling extends ``max_position_embeddings`` by its factor.
    """
    config = lm.model.config.get_text_config()
    limit = int(getattr(config, "max_position_embeddings", None) or 0)
    return int(limit * max((_stretch(each) for each in _parameters(config)), default=1.0))


def _parameters(config: Any) -> list[dict[str, Any]]:
    """The rotary parameters of each kind of layer; of all layers if there is one kind."""
    whole = getattr(config, "rope_parameters", None) or {}
    return [each for each in whole.values() if isinstance(each, dict)] or [whole]


def _stretch(parameters: dict[str, Any]) -> float:
    """The factor by which a text may exceed ``max_position_embeddings``."""
    if "dynamic" not in str(parameters.get("rope_type") or ""):
        return 1.0
    return max(1.0, float(parameters.get("factor") or 1.0))


@contextmanager
def as_if_alone(lm: LanguageModel, lengths: int | Callable[[], NDArray[np.integer[Any]]]) -> Iterator[None]:
    """Within the block, each token is rotated as if its prompt were alone.

    Args:
        lm: The model.
        lengths: The length of all prompts (or any length of their regime); or a function that returns the length of
            each token's prompt, [rows, tokens], called only where it matters.
    """
    ropes = following_ropes(lm)
    found = (lengths() if callable(lengths) else lengths) if ropes else 0
    before = [vars(rope.module).pop("forward", None) for rope in ropes]
    try:
        for rope in ropes:
            rope.module.forward = _pinned(rope, found)
        yield
    finally:
        for rope, usual in zip(ropes, before, strict=True):
            vars(rope.module).pop("forward", None)
            _forget_lengths(rope.module, lm.device)
            if usual is not None:
                rope.module.forward = usual


def _pinned(rope: FollowingRope, lengths: int | NDArray[np.integer[Any]]) -> Callable[..., Any]:
    """The module's forward with the frequencies for the given lengths."""
    usual = rope.module.forward
    sizes = np.atleast_2d(np.asarray(lengths))
    groups: dict[Hashable, list[int]] = {}
    for size in np.unique(sizes).tolist():
        groups.setdefault(rope.regime(size), []).append(size)

    def forward(x: Tensor, position_ids: Tensor, *more: Any, **chosen: Any) -> Any:
        if sizes.shape[0] > position_ids.shape[-2]:
            position_ids = position_ids.expand(*position_ids.shape[:-2], sizes.shape[0], -1)
        parts: list[Tensor] = []
        for members in groups.values():
            vars(rope.module).pop("forward", None)
            _forget_lengths(rope.module, position_ids.device)
            found = usual(x, _up_to(position_ids, max(members)), *more, **chosen)
            own = [each[..., :-1, :] for each in _parts(found)]
            here = torch.from_numpy(np.isin(sizes, members)).to(position_ids.device)[..., None]
            parts = [torch.where(here, *pair) for pair in zip(own, parts, strict=True)] if parts else own
        rope.module.forward = forward
        return tuple(parts) if len(parts) > 1 else parts[0]

    return forward


def _up_to(positions: Tensor, length: int) -> Tensor:
    """The positions and one more, so that the largest is that of a prompt of this length."""
    last = positions.new_full((*positions.shape[:-1], 1), length - 1)
    return torch.cat([positions.clamp(max=length - 1), last], dim=-1)


def _parts(found: Any) -> tuple[Tensor, ...]:
    """Cosines and sines, or one tensor of complex numbers; tokens are on the second-to-last axis."""
    return tuple(found) if isinstance(found, tuple | list) else (found,)


def prompt_lengths(lm: LanguageModel, pack: DecoderPack) -> NDArray[np.int64]:
    """The length of each token's prompt in packed rows, 1 for padding, [rows, length].

    Raises:
        ModelError: Continuations of one prompt are on different sides of a border, so no rotation is right for their
            shared part.
    """
    rows = np.arange(len(pack.tokens))[:, None]
    segment = rows * (int(pack.segments.max(initial=0)) + 1) + pack.segments
    stretch = segment * (int(pack.branches.max(initial=0)) + 1) + pack.branches
    longest = np.zeros((2, int(stretch.max(initial=0)) + 1), dtype=np.int64)
    for table, key in zip(longest, (segment, stretch), strict=True):
        np.maximum.at(table, key, pack.positions.astype(np.int64) + 1)
    lengths: NDArray[np.int64] = np.where(pack.branches > 0, longest[1][stretch], longest[0][segment])
    for own, whole in np.unique(np.stack([lengths, longest[0][segment]])[:, pack.segments > 0], axis=1).T.tolist():
        if regime(lm, own) != regime(lm, whole):
            raise ModelError(
                f"continuations of {own} and {whole} tokens with their prompt lie on both sides of the length at "
                "which the model changes its rotary positions",
                where="packing",
                hint="give each continuation its own prompt",
            )
    return np.where(pack.segments > 0, lengths, 1)
