"""Weight gradients in the layout for AMX: the same results, and used only if the processor has AMX."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.models.test_training_form import distance, gradients, pack_of

import flantune.models.forms.training_form as training_form
from flantune.models.forms.tile_products import TileLinear, has_tiles, tile_form
from flantune.models.forms.training_form import TrainingForm


def tiled(form) -> int:
    return sum(isinstance(other, TileLinear) for *_, other in form._modules)


@pytest.mark.parametrize("bias", [False, True])
def test_a_layer_has_the_gradients_it_had(bias):
    layer = torch.nn.Linear(24, 40, bias=bias)
    x, towards = torch.randn(3, 7, 24, requires_grad=True), torch.randn(3, 7, 40)
    mine = TileLinear(layer)
    leaves = (x, *layer.parameters())
    torch.testing.assert_close(mine(x), layer(x))
    for found, expected in zip(
        torch.autograd.grad(mine(x), leaves, towards), torch.autograd.grad(layer(x), leaves, towards), strict=True
    ):
        torch.testing.assert_close(found, expected)


def test_a_model_has_the_gradients_it_had(lm, monkeypatch):
    half = replace(lm, compute_dtype=torch.bfloat16)
    exact = gradients(lm, TrainingForm(lm), [pack_of(lm)])
    found, head = {}, lm.model.get_output_embeddings()
    layers = [part for part in lm.model.modules() if type(part) is torch.nn.Linear and part is not head]
    for has in (False, True):
        monkeypatch.setattr(training_form, "has_tiles", lambda has=has: has)
        form = TrainingForm(half)
        assert tiled(form) == (len(layers) if has else 0)
        found[has] = distance(gradients(half, form, [pack_of(lm)]), exact)
    assert found[True] < 0.1
    assert found[True] < 1.2 * found[False] + 1e-3


def test_neither_frozen_layers_nor_the_head_nor_float32_take_that_form(lm, monkeypatch):
    monkeypatch.setattr(training_form, "has_tiles", lambda: True)
    assert tiled(TrainingForm(lm)) == 0
    form = tile_form(lm.model)
    head = lm.model.get_output_embeddings()
    assert form(head) is None
    layers = [part for part in lm.model.modules() if type(part) is torch.nn.Linear and part is not head]
    for layer in layers:
        assert isinstance(form(layer), TileLinear)
        layer.weight.requires_grad_(False)
        assert form(layer) is None
        layer.weight.requires_grad_(True)


def test_whether_it_has_tiles_is_read_from_the_processors_flags(monkeypatch):
    from flantune.models.forms import tile_products

    class Told:
        def __init__(self, text: str) -> None:
            self.text = text

        def read_text(self, **_: str) -> str:
            return self.text

    for text, expected in (("flags\t\t: fpu amx_bf16 amx_tile", True), ("flags : fpu avx512_bf16", False), ("", False)):
        monkeypatch.setattr(tile_products, "Path", lambda _, text=text: Told(text))
        has_tiles.cache_clear()
        assert has_tiles() is expected
    has_tiles.cache_clear()
