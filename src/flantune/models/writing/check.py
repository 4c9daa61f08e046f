"""How a given model can generate answers side by side, found by trying."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from flantune.errors import ModelError
from flantune.models.attention.masks import sliding_window
from flantune.models.modes import quiet
from flantune.models.traits import trait_by
from flantune.models.trials import FAILURES, made_up_ids, plain_logits
from flantune.models.writing.decoding import Decoding, Method, Row
from flantune.models.writing.shared_keys import can_share
from flantune.models.writing.writers import write_rows

if TYPE_CHECKING:
    from torch import Tensor

    from flantune.models.language_model import LanguageModel

TOLERANCE = 1e-3
"""Tolerance for log-probabilities: more than another order of float32 arithmetic explains."""

MAX_WINDOW = 256
"""The test exceeds sliding windows up to this width; wider ones would make it slow."""

_STEPS = 4


@trait_by(lambda lm: (lm.attention, lm.compute_dtype))
def writing_method(lm: LanguageModel) -> Method:
    """The fastest method of generation that gives each prompt the answer it gets alone. Tried once per model.

    Prompts of different length, one of them twice, are continued together, and the log-probabilities of each next token
    are compared with the model's plain forward on the prompt and its answer so far, without cache, mask or neighbors. A
    model that ignores position ids or masks fails "mixed"; one whose cache is not a key-value cache may fail "even"; an
    encoder-decoder that counts positions from the first column fails "joining".
    """
    exact = replace(lm, compute_dtype=torch.float32)
    candidates: list[Method] = ["mixed", "even"]
    if lm.family == "encoder-decoder":
        candidates.insert(0, "joining")
    elif can_share(lm):
        candidates.insert(0, "shared")
    with quiet(lm.model):
        return next((each for each in candidates if _passes(exact, each)), "uncached")


def _passes(lm: LanguageModel, method: Method) -> bool:
    found: list[tuple[Row, int, Tensor]] = []
    rows = _rows(lm)
    # Fewer slots than rows, so that one must wait until another leaves.
    budget = 2 * (max(len(row.inputs) for row in rows) + _STEPS)
    decoding = Decoding(max_new_tokens=_STEPS)
    try:
        for _ in write_rows(
            lm, rows, decoding, budget=budget, method=method,
            trace=lambda row, logits: found.append((row, len(row.tokens), logits)),
        ):  # fmt: skip
            pass
        return all(_is_plain(lm, *one) for one in found)
    except (*FAILURES, ModelError):
        return False


def _rows(lm: LanguageModel) -> list[Row]:
    drawn = np.random.default_rng(0)
    window = sliding_window(lm)
    beyond = window + 3 if window <= MAX_WINDOW else 0
    lengths = (max(11, beyond), 5, 8, 8)
    rows = [
        Row(
            prompt=at,
            sample=0,
            inputs=made_up_ids(lm, length, drawn),
            room=_STEPS - at % 2,
            key=0,
            watch=None,
        )
        for at, length in enumerate(lengths)
    ]
    # Two samples of one prompt, which share their start.
    return [*rows, replace(rows[0], sample=1, tokens=[])]


def _is_plain(lm: LanguageModel, row: Row, written: int, logits: Tensor) -> bool:
    """Whether these logits are those of the model's own forward on this row alone."""
    own = plain_logits(lm, row.inputs, row.tokens[:written])[-1]
    likely = torch.log_softmax(own.float(), dim=-1).topk(min(8, own.shape[-1]))
    found = torch.log_softmax(logits, dim=-1)[likely.indices]
    return bool((found - likely.values).abs().max() <= TOLERANCE)
