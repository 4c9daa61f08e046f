"""The form in which a model is read: no dropout, no gradients, small operations in lean forms."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import torch

from flantune.models.forms.exchange import exchanged, exchanges
from flantune.models.forms.fused import lean_form
from flantune.models.forms.matrix_products import fast_form
from flantune.models.modes import in_mode

if TYPE_CHECKING:
    from torch import nn

    from flantune.models.language_model import LanguageModel


@contextmanager
def scoring_mode(lm: LanguageModel) -> Iterator[None]:
    """Within the block, a model is read and nothing else; afterwards all is as it was.

    On a CPU, norms and activations pass over their tensors less often, and linear layers are computed by the faster of
    two libraries where arithmetic is float32; the numbers are the same to rounding.
    """
    is_exact = lm.compute_dtype == torch.float32

    def form(module: nn.Module) -> nn.Module | None:
        return lean_form(module) or (fast_form(module) if is_exact else None)

    with in_mode(lm.model, training=False), torch.no_grad(), ExitStack() as forms:
        if lm.device.type == "cpu":
            forms.enter_context(exchanged(exchanges(lm.model, form)))
        yield
