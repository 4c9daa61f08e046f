"""The form in which a model scores and generates: no dropout, no gradients, faster operations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import torch

from flantune.models.attention.door import only_rows_in_use
from flantune.models.forms.exchange import Exchange, exchanged, exchanges
from flantune.models.forms.fused import lean_form
from flantune.models.forms.gated import gated_form
from flantune.models.forms.last_layer import find_narrowed
from flantune.models.forms.matrix_products import fast_form
from flantune.models.forms.rotary import LeanRotation, rotated, rotations
from flantune.models.forms.rounded_products import RoundedWeights, has_packed_products, packed_form
from flantune.models.heads import find_head
from flantune.models.modes import in_mode

if TYPE_CHECKING:
    from flantune.models.language_model import LanguageModel


class ReadingForm:
    """A model prepared for scoring and generation: no dropout, no gradients, faster operations.

    On a CPU, norms, gated activations and rotary positions take a single pass over memory where the program in C++ is
    available, and fewer passes than usual otherwise. In float32, linear layers are computed by the faster of two
    libraries. In bfloat16, their weights are rounded once, here; the copy takes half the memory of the model's weights.
    Results are the same to within rounding.

    Args:
        lm: The model; its weights must not change while the form is used.
    """

    def __init__(self, lm: LanguageModel) -> None:
        is_exact, is_on_cpu = lm.compute_dtype == torch.float32, lm.device.type == "cpu"
        # These traits are found by comparing results; they are determined (and cached) on the unchanged model.
        find_head(lm)
        self._model = lm.model
        self._modules: list[Exchange] = []
        self._rotations: list[LeanRotation] = []
        self._rounded: RoundedWeights | None = None
        self._rows = only_rows_in_use if is_on_cpu else nullcontext
        if is_on_cpu:
            product_form = fast_form if is_exact else packed_form
            self._modules = exchanges(lm.model, lambda module: lean_form(module) or product_form(module))
            self._modules += exchanges(lm.model, gated_form)
            self._rotations = rotations(lm.model)
        if not is_exact and not (is_on_cpu and has_packed_products()):
            self._rounded = RoundedWeights(lm.model)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within the block, the model computes in this form; afterwards it is as before."""
        rounded = nullcontext() if self._rounded is None else self._rounded.in_place()
        with (
            in_mode(self._model, training=False),
            torch.no_grad(),
            rounded,
            self._rows(),
            rotated(self._rotations),
            exchanged(self._modules),
            # Once more, because replacements have a training mode of their own.
            in_mode(self._model, training=False),
        ):
            yield


@contextmanager
def scoring_mode(lm: LanguageModel) -> Iterator[None]:
    """Within the block, the model is in its ``ReadingForm``; ``find_narrowed`` is determined before."""
    find_narrowed(lm)
    with ReadingForm(lm).in_place():
        yield
