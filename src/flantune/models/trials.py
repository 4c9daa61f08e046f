"""What trying a model out takes: made-up text, and a list of what may go wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from flantune.models.language_model import embedded_tokens

if TYPE_CHECKING:
    from flantune.models.language_model import LanguageModel
    from flantune.types import Int32

PROBE = (3, 5, 7, 11, 13, 17, 19, 23)
FAILURES = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError)
"""What a model may raise that is given something it does not know."""


def made_up(lm: LanguageModel) -> torch.Tensor:
    """A row of token ids that every model has, [1, 8]."""
    return torch.tensor([[token % vocabulary(lm) for token in PROBE]], device=lm.device)


def vocabulary(lm: LanguageModel) -> int:
    """How many token ids the model both reads and writes; some embed more than they write."""
    read = embedded_tokens(lm.model)
    return min(read, int(getattr(lm.model.config.get_text_config(), "vocab_size", None) or read))


def made_up_ids(lm: LanguageModel, count: int, drawn: np.random.Generator) -> Int32:
    """So many token ids that the model reads and writes; not the first few, which may be special."""
    rows = vocabulary(lm)
    return drawn.integers(min(10, rows - 1), rows, count).astype(np.int32)
