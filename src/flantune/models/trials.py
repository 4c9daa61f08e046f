"""What trying a model out takes: made-up text, quiet, a list of what may go wrong, and a memory of what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from flantune.models.load import LanguageModel

T = TypeVar("T")

PROBE = (3, 5, 7, 11, 13, 17, 19, 23)
FAILURES = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError)
"""What a model may raise that is given something it does not know."""


def once_a_model(find: Callable[[LanguageModel], T]) -> Callable[[LanguageModel], T]:
    """Tries a model once and remembers the outcome for as long as the model lives.

    ``remembered.outcomes`` holds the outcomes by model.
    """
    outcomes: WeakKeyDictionary[PreTrainedModel, T] = WeakKeyDictionary()

    @wraps(find)
    def remembered(lm: LanguageModel) -> T:
        if lm.model not in outcomes:
            outcomes[lm.model] = find(lm)
        return outcomes[lm.model]

    remembered.outcomes = outcomes  # type: ignore[attr-defined]
    return remembered


def made_up(lm: LanguageModel) -> torch.Tensor:
    """A row of token ids that every model has, [1, 8]."""
    return torch.tensor([[token % vocabulary(lm) for token in PROBE]], device=lm.device)


def vocabulary(lm: LanguageModel) -> int:
    """How many token ids the model both reads and writes; some embed more than they write."""
    model: Any = lm.model
    read = int(model.get_input_embeddings().weight.shape[0])
    return min(read, int(getattr(model.config.get_text_config(), "vocab_size", None) or read))


@contextmanager
def quiet(model: torch.nn.Module) -> Iterator[None]:
    """The model without dropout and in full precision, for as long as the block lasts; then as it was."""
    was_training = [module for module in model.modules() if module.training]
    device = next(model.parameters()).device.type
    model.eval()
    try:
        with torch.autocast(device, enabled=False):
            yield
    finally:
        for module in was_training:
            module.training = True
