"""The form in which a model is read: no dropout, no gradients, small operations in lean forms."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import torch

from flantune.models.forms.exchange import exchanged, exchanges
from flantune.models.forms.fused import lean_form
from flantune.models.forms.last_layer import find_narrowed
from flantune.models.forms.matrix_products import fast_form
from flantune.models.forms.rounded_products import has_packed_products, packed_form, rounded_products
from flantune.models.heads import find_head
from flantune.models.modes import in_mode

if TYPE_CHECKING:
    from torch import nn

    from flantune.models.language_model import LanguageModel


@contextmanager
def scoring_mode(lm: LanguageModel) -> Iterator[None]:
    """Within the block, a model is read and nothing else; afterwards all is as it was.

    On a CPU, norms and activations pass over their tensors less often. Linear layers are computed by the faster of two
    libraries where arithmetic is float32; where it is bfloat16, their weights are rounded once for the whole block,
    in a copy that takes half the memory of the model's own. The numbers are the same to rounding.
    """
    is_exact, is_on_cpu = lm.compute_dtype == torch.float32, lm.device.type == "cpu"
    if not is_exact:
        # What is found out by comparing numbers is found out on the model as it is, and remembered.
        find_head(lm)
        find_narrowed(lm)

    def form(module: nn.Module) -> nn.Module | None:
        return lean_form(module) or (fast_form(module) if is_exact else packed_form(module))

    with in_mode(lm.model, training=False), torch.no_grad(), ExitStack() as forms:
        if is_on_cpu:
            forms.enter_context(exchanged(exchanges(lm.model, form)))
        if not is_exact and not (is_on_cpu and has_packed_products()):
            forms.enter_context(rounded_products(lm.model))
        yield
