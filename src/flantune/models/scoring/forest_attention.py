"""Options scored by a decoder-only model on a CPU: all requests in one line, each token read once, without padding.

Only attention treats requests one by one: the tokens of a request attend to what its context shares with earlier
requests, and to the request itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from flantune.errors import ModelError
from flantune.models.attention.door import find_program
from flantune.models.attention.interface import install
from flantune.models.forms.last_layer import only_at
from flantune.models.forward import check_positions
from flantune.models.heads import find_head, outputs_of
from flantune.models.language_model import as_tensor
from flantune.models.scoring.forest_layout import Forest, PlacedRequest, forest
from flantune.models.scoring.forest_segments import ForestSegments
from flantune.models.scoring.targets import LIMIT, PrefixStates, shared_cache
from flantune.packing.packs import EncodedPrompt, TargetTokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flantune.models.language_model import LanguageModel


def forest_targets(
    lm: LanguageModel, units: Sequence[EncodedPrompt], prefix: PrefixStates | None
) -> tuple[Tensor, TargetTokens]:
    """Hidden states of a line of requests (logits if no head was found), and the target tokens with their places.

    Args:
        lm: A decoder-only model on a CPU.
        units: The requests.
        prefix: The start that all contexts share, already read; None: none.

    Returns:
        States, [1, places, width], defined only at the places of targets; and the targets.

    Raises:
        ModelError: The model's attention cannot be exchanged, or it is not on a CPU.
    """
    if lm.device.type != "cpu" or not install(lm.model):
        raise ModelError("lines need a CPU and a model whose attention can be exchanged", where="model")
    laid = forest(units, known=0 if prefix is None else len(prefix.tokens), is_mutual=lm.reads_both_ways)
    check_positions(lm, int(laid.positions.max()) + 1, setting=LIMIT)
    head = find_head(lm)
    inputs: dict[str, object] = {
        "input_ids": as_tensor(laid.tokens, lm.device)[None],
        "position_ids": as_tensor(laid.positions, lm.device)[None],
        # Never read; because it has four dimensions, transformers passes it on instead of making a mask.
        "attention_mask": torch.zeros(1, 1, 1, 1),
        "use_cache": prefix is not None,
        "forest": ForestAttention(laid),
    }
    if prefix is not None:
        inputs["past_key_values"] = shared_cache(prefix)
    with only_at(lm, laid.targets.position, len(laid.tokens)):
        return outputs_of(lm, head, inputs), laid.targets


class ForestAttention:
    """Attention of a line's requests, one by one; called in each layer.

    Args:
        laid: The line.
    """

    def __init__(self, laid: Forest) -> None:
        self._laid = laid
        self._masks: dict[int, list[Tensor | None]] = {}
        self._segments: ForestSegments | None = None

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, *, scale: float | None, window: int) -> Tensor:
        """Attention of each token to its own request and the shared start of its context.

        Args:
            query: [1, heads, tokens, width].
            key: [1, heads or a divisor of them, known + tokens, width].
            value: Like ``key``.
            scale: Factor of the scores; None: 1 / √width.
            window: Sliding window: how many tokens back a token attends to, itself included; 0: no limit.

        Returns:
            [1, tokens, heads, width]; zeros for padding.
        """
        if torch.is_autocast_enabled("cpu"):
            # Rotary positions are float32 and convert queries and keys to it, too.
            query, key, value = (line.to(torch.get_autocast_dtype("cpu")) for line in (query, key, value))
        if not window and (segments := self._by_program(query, value)) is not None:
            factor = query.shape[-1] ** -0.5 if scale is None else scale
            return segments(*(line[0].transpose(0, 1) for line in (query, key, value)), scale=factor)[None]
        groups = query.shape[1] // key.shape[1]
        if groups > 1:
            key, value = (line.repeat_interleave(groups, dim=1) for line in (key, value))
        mixed = query.new_zeros(query.shape[2], query.shape[1], value.shape[-1])
        if window not in self._masks:
            self._masks[window] = [self._mask(request, window, query.dtype) for request in self._laid.requests]
        for request, mask in zip(self._laid.requests, self._masks[window], strict=True):
            own = slice(request.start, request.end)
            k, v = (self._seen(line, request) for line in (key, value))
            found = scaled_dot_product_attention(
                query[:, :, own], k, v, attn_mask=mask, is_causal=mask is None, scale=scale
            )
            mixed[own] = found[0].transpose(0, 1)
        return mixed[None]

    def _by_program(self, query: Tensor, value: Tensor) -> ForestSegments | None:
        """The program for segments if it supports this attention in bfloat16; in float32 PyTorch is as fast."""
        if query.dtype != torch.bfloat16 or query.shape[-1] != value.shape[-1]:
            return None
        program = find_program()
        if program.read is None or query.dtype not in program.dtypes or query.shape[-1] % program.width_step:
            return None
        self._segments = self._segments or ForestSegments(self._laid, program.read)
        return self._segments

    def _seen(self, line: Tensor, request: PlacedRequest) -> Tensor:
        known = self._laid.known
        stretches = [(known + start, known + end) for start, end in (*request.seen, (request.start, request.end))]
        if known:
            stretches.insert(0, (0, known))
        parts = [line[:, :, start:end] for start, end in stretches]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)

    def _mask(self, request: PlacedRequest, window: int, dtype: torch.dtype) -> Tensor | None:
        """The mask as numbers to add to the scores, [own tokens, keys]; None: plain causal attention."""
        before = [self._laid.positions[start:end] for start, end in request.seen]
        own = self._laid.positions[request.start : request.end]
        is_causal = request.trie.is_chain and not request.is_mutual
        if not self._laid.known and not before and not window and is_causal:
            return None
        keys = np.concatenate([np.arange(self._laid.known), *before, own])
        sees: NDArray[np.bool_] = np.ones((len(own), len(keys)), dtype=np.bool_)
        sees[:, len(keys) - len(own) :] = request.sees
        if window:
            sees &= np.abs(own[:, None] - keys[None]) < window
        return torch.zeros(sees.shape, dtype=dtype).masked_fill_(torch.from_numpy(~sees), float("-inf"))
