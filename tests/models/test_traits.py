from __future__ import annotations

import gc
import pkgutil
import weakref
from dataclasses import replace
from importlib import import_module

import pytest
import torch
from tests.training.small import make_lm

from flantune import models
from flantune.models import traits
from flantune.models.modes import in_mode, own_chance, own_gradients, quiet
from flantune.models.traits import Trait, trait, trait_by


def test_every_trait_is_listed():
    found = set()
    for module in pkgutil.walk_packages(models.__path__, "flantune.models."):
        for value in vars(import_module(module.name)).values():
            if isinstance(value, Trait):
                find = value.find
                found.add(f"{find.__module__.removeprefix('flantune.models.')}.{find.__name__}")
    assert len(found) >= 7
    assert [name for name in found if f"``{name}``" not in (traits.__doc__ or "")] == []


def test_a_model_is_tried_once_whoever_holds_it_and_forgotten_with_it():
    tried = []
    find = trait(lambda lm: tried.append(lm) or len(tried))
    one, other = make_lm("llama"), make_lm("llama")
    assert find(one) == find(replace(one, compute_dtype=torch.bfloat16)) == 1
    assert find(other) == 2
    find.settle(one, 7)
    assert (find(one), find(other), len(tried)) == (7, 2, 2)
    model = weakref.ref(one.model)
    tried.clear()
    del one
    gc.collect()
    assert model() is None


def test_what_depends_on_more_is_tried_for_each():
    find = trait_by(lambda lm: lm.compute_dtype)(lambda lm: str(lm.compute_dtype))
    lm = make_lm("llama")
    assert find(lm) == "torch.float32"
    assert find(replace(lm, compute_dtype=torch.bfloat16)) == "torch.bfloat16"


@pytest.mark.parametrize("training", [True, False])
def test_a_mode_is_lent(training):
    model = make_lm("llama").model.train()
    model.lm_head.eval()
    before = {name: module.training for name, module in model.named_modules()}
    with pytest.raises(RuntimeError), in_mode(model, training=training):
        assert {module.training for module in model.modules()} == {training}
        raise RuntimeError
    assert {name: module.training for name, module in model.named_modules()} == before


def test_gradients_and_chance_are_lent():
    model = make_lm("llama").model
    weight = next(model.parameters())
    weight.grad = torch.ones_like(weight)
    state = torch.random.get_rng_state()
    with own_gradients(model), own_chance(torch.device("cpu")):
        torch.randn(3)
        weight.grad = None
    assert (weight.grad == 1).all() and torch.equal(torch.random.get_rng_state(), state)
    with quiet(model), torch.no_grad():
        assert not torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu")
