"""A GPU that is none: tensors that say they lie on one, computed on the CPU, for tests on machines without.

It is as strict as a GPU about tensors that lie elsewhere, and counts how often the program waits for a number. What it
cannot show are the numbers of the GPU's own programs, and their speed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map

from flantune.models.language_model import LanguageModel
from flantune.models.traits import traits_of

DEVICE = torch.device("cuda:0")
# What takes tensors of the CPU beside those of a GPU.
TAKES_BOTH = (
    *("aten::copy_", "aten::_to_copy", "aten::index", "aten::index_put_"),
    *("flantune::segment_attention", "flantune::segment_attention_backward"),
)
WAITS = ("cpu", "numpy", "tolist", "item", "__bool__", "__float__", "__int__")


class OnGpu(Tensor):
    """A tensor that says it lies on a GPU."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> OnGpu:
        made: OnGpu = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, inner.shape, strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype
        )
        made.inner = inner
        return made

    device = property(lambda self: DEVICE)  # type: ignore[assignment]
    is_cuda = property(lambda self: True)  # type: ignore[assignment]
    __torch_function__ = torch._C._disabled_torch_function_impl

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OnGpu({self.inner})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, _: object, args: Any = (), kwargs: Any = None) -> Any:
        """Computes on the CPU; refuses what a GPU refuses."""
        name, given = func._schema.name, (args, kwargs or {})
        for each in tree_flatten(given)[0]:
            if isinstance(each, Tensor) and not isinstance(each, cls) and each.ndim and name not in TAKES_BOTH:
                raise RuntimeError(f"{name}: expected all tensors to be on the same device, found cpu and {DEVICE}")
        bare, named = tree_map(lambda one: one.inner if isinstance(one, cls) else one, given)
        found = func(*bare, **named)
        if func._schema.is_mutable and args and isinstance(args[0], Tensor) and isinstance(found, Tensor):
            return args[0]
        return tree_map(lambda one: cls(one) if isinstance(one, Tensor) else one, found)


class Gpu(TorchFunctionMode):
    """While it is on, tensors go to the GPU that is none, and come back.

    Attributes:
        waits: How often the program waited for a number.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits = 0

    def __torch_function__(self, func: Callable[..., Any], _: object, args: Any = (), kwargs: Any = None) -> Any:
        """Sends, brings back, makes there; everything else as usual."""
        named, name = dict(kwargs or {}), getattr(func, "__name__", "")
        if name == "pin_memory":
            return args[0]
        if name in WAITS and isinstance(args[0], OnGpu):
            self.waits += 1
            bare = args[0].detach().inner if args[0].requires_grad else args[0].inner
            return bare if name == "cpu" else func(bare, *args[1:], **named)
        if name == "new_tensor" and isinstance(args[0], OnGpu):
            return OnGpu(args[0].inner.new_tensor(*args[1:], **named))
        if name == "to":
            return self._to(args[0], [*args[1:]], named)
        if _is_gpu(named.get("device")):
            return OnGpu(func(*args, **{**named, "device": "cpu"}))
        return func(*args, **named)

    def _to(self, tensor: Tensor, rest: list[Any], named: dict[str, Any]) -> Tensor:
        places = [one for one in rest if isinstance(one, torch.device | str)]
        like = [one for one in rest if isinstance(one, Tensor)]
        place = named.pop("device", None) or (places[0] if places else like[0].device if like else tensor.device)
        named.pop("non_blocking", None)
        dtype = named.pop("dtype", None) or next((one for one in rest if isinstance(one, torch.dtype)), None)
        dtype = dtype or (like[0].dtype if like else tensor.dtype)
        if isinstance(tensor, OnGpu) and not _is_gpu(place):
            self.waits += 1
            tensor = tensor.inner
        elif not isinstance(tensor, OnGpu) and _is_gpu(place):
            tensor = OnGpu(tensor)
        return tensor if tensor.dtype == dtype else tensor.to(dtype)


@contextmanager
def pretended(lm: LanguageModel, monkeypatch: Any) -> Iterator[tuple[LanguageModel, Gpu]]:
    """The model on the GPU that is none, and what counts the waits; its weights are those it had."""
    monkeypatch.setattr("torch.random.fork_rng", _fork_rng)
    known: dict[int, nn.Parameter] = {}
    for module in lm.model.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                there = nn.Parameter(OnGpu(weight.detach()), requires_grad=weight.requires_grad)
                module._parameters[name] = known.setdefault(id(weight), there)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = OnGpu(buffer)
    # What was found out on the CPU may be otherwise here.
    traits_of(lm.model).found.clear()
    with Gpu() as gpu:
        yield replace(lm, device=DEVICE), gpu


def _is_gpu(place: object) -> bool:
    return str(place).startswith("cuda")


@contextmanager
def _fork_rng(*_: object, **__: object) -> Iterator[None]:
    before = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(before)
