"""TRL's side of a race: ``SFTTrainer`` with its best packing and flash attention, completion-only labels.

Where flash-attn is not installed, attention is PyTorch's kernel for segments, which is the same algorithm: the ends of
the segments are found once a pass, where transformers looks for them in every layer.
"""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from typing import Any

import torch

from benchmarks.gpu.made_up import ROW_TOKENS, model
from benchmarks.gpu.racing import Watch, arguments, rows_of, shape_of, taking_time
from benchmarks.gpu.timing import Task

KERNEL = "torch_varlen"


def measure(task: Task) -> dict[str, Any]:
    """Useful tokens a second of some optimizer steps."""
    from datasets import Dataset, disable_progress_bars
    from trl import SFTConfig, SFTTrainer

    disable_progress_bars()
    lm = model(shape_of(task), task.device)
    attention = _attention(task)
    lm.model.set_attn_implementation(attention)
    watch = Watch(task=task, tokens=lambda: int(trainer._total_train_tokens))
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=lm.model,
            args=SFTConfig(max_length=ROW_TOKENS, packing=True, **arguments(task, folder)),
            train_dataset=Dataset.from_list(rows_of(task)),
            processing_class=lm.tokenizer,
            callbacks=[taking_time(watch)],
        )
        trainer.train()
    return {"attention": attention, **watch.figures()}


def _attention(task: Task) -> str:
    if task.device.type == "cpu":
        return "sdpa"
    if find_spec("flash_attn") is not None:
        return "flash_attention_2"
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(KERNEL, _by_kernel)
    AttentionMaskInterface.register(KERNEL, lambda *_, **__: None)
    return KERNEL


class _Ends:
    """Where the segments of a pass end, found when its first layer asks."""

    positions: torch.Tensor | None = None
    ends: torch.Tensor
    longest: int


def _by_kernel(
    _module: object,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    _mask: object,
    *,
    position_ids: torch.Tensor,
    scaling: float | None = None,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """What the model calls in each layer; tensors are [1, heads, tokens, width], positions start with each segment."""
    from torch.nn.attention.varlen import varlen_attn

    if _Ends.positions is not position_ids:
        starts = (position_ids.flatten() == 0).nonzero().flatten()
        ends = torch.cat([starts, starts.new_tensor([position_ids.numel()])]).int()
        _Ends.positions, _Ends.ends, _Ends.longest = position_ids, ends, int(ends.diff().max())
    q, k, v = (line[0].transpose(0, 1) for line in (query, key, value))
    found: Any = varlen_attn(
        q, k, v, _Ends.ends, _Ends.ends, _Ends.longest, _Ends.longest, scale=scaling, window_size=(-1, 0)
    )  # fmt: skip
    return found[None], None
