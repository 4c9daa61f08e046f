"""Variants of architectures that meet what the usual configs do not: dtypes, routers, kinds of layers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from benchmarks.architectures import build, config_of, plain_step, prompts_of, tuned_step

from flantune.config import ModelSettings
from flantune.models.adapters import attach_adapter
from flantune.models.rope import known_positions
from flantune.models.selftest import check_isolation


@pytest.mark.parametrize("name", ["xglm", "m2m_100"])
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
    # What starts from nothing changes nothing.
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
