from __future__ import annotations

import pytest
import torch
from transformers.pytorch_utils import Conv1D

from flantune.models.forms import matrix_products as products
from flantune.models.forms.matrix_products import FEWEST_ROWS, FastLinear, fast_form, has_faster_products
from flantune.models.forms.reading_form import scoring_mode

needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="PyTorch without oneDNN")


@pytest.fixture
def is_faster(monkeypatch):
    """Pretends that oneDNN is the faster library."""
    monkeypatch.setattr(products, "has_faster_products", lambda: True)


@needs_onednn
@pytest.mark.parametrize("layer", [torch.nn.Linear(24, 40), torch.nn.Linear(24, 40, bias=False), Conv1D(40, 24)])
@pytest.mark.parametrize("shape", [(3, 24), (FEWEST_ROWS, 24), (2, 37, 24), (0, 24)])
def test_a_layer_gives_the_same_numbers(is_faster, layer, shape):
    x = torch.randn(shape)
    with torch.no_grad():
        fast = fast_form(layer)
        torch.testing.assert_close(fast(x), layer(x))
        # A changed weight takes effect at once, since nothing is copied.
        layer.weight.mul_(2.0)
        torch.testing.assert_close(fast(x), layer(x))


@needs_onednn
def test_only_plain_float32_layers_are_changed(is_faster):
    class Own(torch.nn.Linear):
        pass

    assert fast_form(Own(8, 8)) is None
    assert fast_form(torch.nn.Linear(8, 8, dtype=torch.bfloat16)) is None
    assert fast_form(torch.nn.Embedding(8, 8)) is None


def test_nothing_is_changed_where_it_is_not_faster(monkeypatch):
    monkeypatch.setattr(products, "has_faster_products", lambda: False)
    assert fast_form(torch.nn.Linear(8, 8)) is None


def test_on_intel_pytorch_is_left_alone(monkeypatch):
    monkeypatch.setattr(products, "_is_intel", lambda: True)
    has_faster_products.cache_clear()
    try:
        assert not has_faster_products()
    finally:
        has_faster_products.cache_clear()


@needs_onednn
def test_a_model_is_as_before_once_it_was_scored(is_faster, lm):
    before = {name: type(module) for name, module in lm.model.named_modules()}
    with scoring_mode(lm):
        assert any(isinstance(module, FastLinear) for module in lm.model.modules())
    assert {name: type(module) for name, module in lm.model.named_modules()} == before
