"""Variants of architectures with features that the usual configs lack: dtypes, routers, kinds of layers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from benchmarks.architectures import build, config_of, difference, plain_step, prompts_of, tuned_step

from flantune.errors import ModelError
from flantune.models.adapters import attach_adapter, merged
from flantune.models.checks.isolation import check_isolation
from flantune.models.forms.last_layer import find_narrowed
from flantune.models.load import save_model
from flantune.models.rope import known_positions
from flantune.settings.config import ModelSettings


@pytest.mark.parametrize("name", ["xglm", "m2m_100", "mamba"])
def test_models_that_add_float32_numbers_of_their_own_compute_in_bfloat16_all_the_same(name):
    lm = build(name)
    prompts = prompts_of(lm, count=4)
    exact, _ = plain_step(lm, prompts)
    packed = check_isolation(lm).is_isolated
    found, gradient = tuned_step(replace(lm, compute_dtype=torch.bfloat16), prompts, packed=packed)
    assert found == pytest.approx(exact, abs=0.1) and all(each.dtype == torch.float32 for each in gradient.values())


@pytest.mark.parametrize("name", ["phimoe", "llama4_text"])
def test_adapters_leave_routers_alone(name):
    lm = build(name)
    prompts = prompts_of(lm, count=4)
    before, _ = plain_step(lm, prompts)
    with_own = attach_adapter(lm, ModelSettings(path="x", adapter="lora"), seed=1)
    after, gradient = plain_step(with_own, prompts)
    # A fresh adapter changes nothing.
    assert after == pytest.approx(before, abs=1e-5)
    assert gradient and not any("router" in each or "gate.weight" in each for each in gradient)
    found, _ = tuned_step(with_own, prompts, packed=check_isolation(with_own).is_isolated)
    assert found == pytest.approx(before, abs=1e-4)


@pytest.mark.parametrize("kind", ["full_attention", "sliding_attention"])
def test_a_kind_of_layers_with_dynamic_scaling_reads_as_far_as_it_says(kind):
    plain = {"rope_type": "default", "rope_theta": 1e4}
    config = config_of("gemma3_text")
    config.max_position_embeddings = 24
    config.rope_parameters = {
        "full_attention": plain, "sliding_attention": plain, kind: {**plain, "rope_type": "dynamic", "factor": 8.0}
    }  # fmt: skip
    lm = build("gemma3_text", config=config)
    assert known_positions(lm) == 192
    prompts = prompts_of(lm, count=6)
    expected, _ = plain_step(lm, prompts)
    found, _ = tuned_step(lm, prompts, packed=check_isolation(lm).is_isolated)
    assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", ["granitemoe", "llama", "falcon", "gpt_neox"])
def test_adapters_that_have_learnt_are_read_wherever_their_layer_is(name):
    lm = build(name)
    settings = ModelSettings.model_validate({"path": "x", "adapter": "lora", "lora": {"rank": 2}})
    with_own = attach_adapter(lm, settings, seed=1)
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in with_own.model.parameters():
            if weight.requires_grad:
                weight += 0.03 * torch.randn_like(weight)
    assert not [part.name for part in find_narrowed(with_own) if hasattr(part.parent, "base_layer")]
    prompts = prompts_of(with_own, count=4)
    expected, gradient = plain_step(with_own, prompts)
    found, own = tuned_step(with_own, prompts, packed=False)
    assert found == pytest.approx(expected, abs=1e-5) and difference(own, gradient) < 1e-4


def test_prompt_tuning_of_a_model_without_heads_is_stored(tmp_path):
    lm = build("mamba")
    with_own = attach_adapter(lm, ModelSettings.model_validate({"path": "x", "adapter": "prompt"}), seed=1)
    folder = save_model(with_own, tmp_path / "adapter", card="")
    assert (folder / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize(("name", "is_same"), [("zamba2", False), ("jamba", False), ("llama", True), ("t5", True)])
def test_a_merged_model_that_says_something_else_is_refused(name, is_same):
    lm = build(name)
    with_own = attach_adapter(lm, ModelSettings(path="x", adapter="lora"), seed=1)
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in with_own.model.parameters():
            if weight.requires_grad:
                weight += 0.1 * torch.randn_like(weight)
    if is_same:
        assert merged(with_own).adapter is None
    else:
        with pytest.raises(ModelError, match="differs by"):
            merged(with_own)
