"""A sharded model: each process keeps a share of every weight, gradient and optimizer state."""

from __future__ import annotations

import copy
import warnings
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

from flantune.errors import TrainingError
from flantune.models.attention.lines import reads_lines
from flantune.models.forms.compiled import blocks_of
from flantune.models.forms.last_layer import find_narrowed
from flantune.models.forward import TargetScores, target_logprobs
from flantune.models.heads import find_head
from flantune.training.adafactor import Adafactor, Weightwise
from flantune.training.adamw8bit import AdamW8bit

if TYPE_CHECKING:
    from flantune.models.language_model import LanguageModel
    from flantune.packing.packs import Pack


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sharded:
    """A model whose weights are sharded over all processes, with the whole model it was made from.

    Attributes:
        lm: The sharded model. Its forward pass must go through ``scores``.
        whole: The original model. Its weights are empty until ``fill`` or ``filled``.
        root: The module that gathers and releases weights around each pass.
    """

    lm: LanguageModel
    whole: LanguageModel
    root: _Scoring

    def scores(self, pack: Pack, **asked: Any) -> TargetScores:
        """``target_logprobs`` of the model; all processes must call it equally often."""
        found: dict[str, Tensor] = self.root(pack, **asked)
        return TargetScores(**found)

    def fill(self) -> None:
        """Copies the current weights of the parts into the whole model; all processes must call it."""
        parts = dict(self.lm.model.named_parameters())
        for name, weight in self.whole.model.named_parameters():
            weight.data = whole_tensor(parts[name].detach())

    @contextmanager
    def filled(self) -> Iterator[LanguageModel]:
        """Within the block, the whole model has its weights."""
        self.fill()
        try:
            yield self.whole
        finally:
            self._empty()

    def _empty(self) -> None:
        for weight in self.whole.model.parameters():
            weight.data = weight.data.new_empty(0)


def shard(lm: LanguageModel) -> Sharded:
    """Shards a model over all processes, layer by layer (FSDP2); the weights of the given model become empty.

    Each layer is gathered when a pass reaches it and released afterwards. Gradients are summed, not averaged: the
    divisor of the loss is that of the whole step.
    """
    twin = _twin(lm)
    # Traits of a model are determined by trials on whole weights, and stored.
    find_head(twin)
    reads_lines(twin)
    find_narrowed(twin)
    root = _Scoring(twin)
    # T5's layers pass on the bias of distances, which is a view of it; nothing changes that in place.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view")
    mesh = init_device_mesh(lm.device.type, (dist.get_world_size(),))
    for layer in blocks_of(twin.model):
        # Tables that a layer shares with others (T5's first layer: the bias of distances) are gathered separately.
        for table in [module for module in layer.modules() if isinstance(module, nn.Embedding)]:
            fully_shard(table, mesh=mesh)
        fully_shard(layer, mesh=mesh)
    fully_shard(root, mesh=mesh)
    for module in root.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            # The factor would otherwise be folded into the sum, which gloo cannot do.
            module.set_force_sum_reduction_for_comms(True)
    sharded = Sharded(lm=twin, whole=lm, root=root)
    sharded._empty()
    return sharded


def sharded_optimizer(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """The optimizer in a form that is correct on sharded tensors.

    Raises:
        TrainingError: No optimizer of this kind can be sharded.
    """
    if isinstance(optimizer, torch.optim.AdamW | AdamW8bit):
        return optimizer
    if isinstance(optimizer, Adafactor):
        return Gathering(optimizer)
    hint = 'set training.optimizer = "adamw8bit", "adamw" or "adafactor", or training.parallel = "data"'
    what = "the AdamW of bitsandbytes does not work on parts of tensors"
    raise TrainingError(what, where="training.optimizer", hint=hint)


class Gathering(Weightwise):
    """Runs an optimizer that needs whole tensors (norms, means of rows) on a sharded model.

    One weight after the other is gathered with its gradient, updated, and sharded again, identically in every process.
    So the steps equal those of a single process bit for bit, given the same gradients. The optimizer's state is
    unsharded in every process: for Adafactor, for which this is made, that is a few vectors per matrix.
    """

    def __init__(self, inner: torch.optim.Optimizer) -> None:
        super().__init__(inner.param_groups, inner.defaults)
        self._inner = inner

    def change(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """One step of one weight; all processes must call it."""
        whole = nn.Parameter(whole_tensor(weight.detach()))
        whole.grad = whole_tensor(gradient)
        self._inner.param_groups = [{**group, "params": [whole]}]
        self._inner.state = defaultdict(dict, {whole: self.state[weight]})
        self._inner.step()
        self.state[weight] = self._inner.state[whole]
        local_part(weight).copy_(_own_part(whole.detach(), like=weight))


def whole_tensor(tensor: Tensor) -> Tensor:
    """The assembled tensor; all processes must call it. A whole tensor is returned unchanged."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local_part(tensor: Tensor) -> Tensor:
    """This process's part of a tensor, as a view."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _own_part(whole: Tensor, *, like: Tensor) -> Tensor:
    if not isinstance(like, DTensor):
        return whole
    from torch.distributed.tensor import distribute_tensor

    # No communication: every process already has the whole tensor.
    return local_part(distribute_tensor(whole, like.device_mesh, like.placements, src_data_rank=None))


class _Scoring(nn.Module):
    """``target_logprobs`` as a module, since weights are gathered around a module's forward pass."""

    def __init__(self, lm: LanguageModel) -> None:
        super().__init__()
        self.model = lm.model
        self._lm = lm

    def forward(self, pack: Pack, **asked: Any) -> dict[str, Tensor]:
        """The tensors of the scores by name; FSDP2 must see those that the backward pass starts from."""
        found = target_logprobs(self._lm, pack, **asked)
        names = ("logprobs", "is_greedy", "logsumexp", "mean_logprob")
        return {name: values for name in names if (values := getattr(found, name)) is not None}


def _twin(lm: LanguageModel) -> LanguageModel:
    """A second set of modules that share the same weights."""
    shared = {id(weight): weight for weight in lm.model.parameters()}
    return replace(lm, model=copy.deepcopy(lm.model, shared))
