from __future__ import annotations

import pytest
import torch
from tests.training.small import make_lm, settings

from flantune.errors import TrainingError
from flantune.training.adafactor import Adafactor
from flantune.training.optimizers import (
    build_optimizer,
    check_float32,
    optimizer_tensors,
    restore_optimizer,
    trainable,
    weight_decay_groups,
)


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gpt_neox", "t5"])
def test_only_matrices_decay(architecture):
    model = make_lm(architecture).model
    names = {id(weight): name for name, weight in model.named_parameters()}
    groups = weight_decay_groups(model, 0.1)
    decays = {names[id(weight)]: group["weight_decay"] for group in groups for _, weight in group["params"]}
    assert decays.keys() == set(names.values())
    for name, decay in decays.items():
        is_spared = any(part in name for part in ("norm", "bias", "ln_", "embed", "wte", "wpe", "shared"))
        assert decay == (0.0 if is_spared else 0.1), name
    assert set(decays.values()) == {0.0, 0.1}


@pytest.mark.parametrize("spared", [(), ("norms",), ("biases",), ("embeddings",), ("norms", "biases", "embeddings")])
def test_what_the_decay_spares_is_a_setting(spared):
    model = make_lm("gpt_neox").model
    optimizer = build_optimizer(model, settings(optimizer="adamw", weight_decay=0.1, no_decay=spared))
    names = {id(weight): name for name, weight in model.named_parameters()}
    decays = {names[id(w)]: group["weight_decay"] for group in optimizer.param_groups for w in group["params"]}
    examples = {
        "norms": "gpt_neox.final_layer_norm.weight",
        "biases": "gpt_neox.layers.0.mlp.dense_4h_to_h.bias",
        "embeddings": "gpt_neox.embed_in.weight",
    }
    for kind, name in examples.items():
        assert decays[name] == (0.0 if kind in spared else 0.1), kind
    assert decays["gpt_neox.layers.0.mlp.dense_4h_to_h.weight"] == 0.1


def test_adams_own_settings_arrive():
    optimizer = build_optimizer(
        make_lm("llama").model, settings(optimizer="adamw", adam={"betas": (0.8, 0.95), "eps": 1e-6})
    )
    for group in optimizer.param_groups:
        assert (tuple(group["betas"]), group["eps"], group["fused"]) == ((0.8, 0.95), 1e-6, True)


def test_the_run_file_names_the_optimizer():
    model = make_lm("llama").model
    assert isinstance(build_optimizer(model, settings()), Adafactor)
    assert isinstance(build_optimizer(model, settings(optimizer="adamw")), torch.optim.AdamW)


def test_a_shared_weight_and_a_frozen_weight_count_once_and_never():
    model = make_lm("llama").model
    everything = trainable(model)
    assert len({id(weight) for weight in everything.values()}) == len(everything)
    model.model.norm.weight.requires_grad_(False)
    assert everything.keys() - trainable(model).keys() == {"model.norm.weight"}


def test_state_of_an_unknown_weight_is_refused():
    model = make_lm("llama").model
    optimizer = build_optimizer(model, settings())
    assert optimizer_tensors(model, optimizer) == {}
    with pytest.raises(TrainingError, match="'nobody', which the model lacks"):
        restore_optimizer(model, optimizer, {"nobody/v": torch.ones(1)})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_trap_12_half_precision_weights_are_refused(dtype):
    model = make_lm("t5").model.to(dtype)
    with pytest.raises(TrainingError, match=f"are not float32: .* is {dtype}"):
        check_float32(model)
