"""A prefix LM is trained as the other families are: packed or not, in any micro-batches, stopped or straight."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.training.small import (
    SIZES,
    assert_resumed_equals_straight,
    lines,
    make_batches,
    make_lm,
    settings,
    tune_small,
)


def prefix_lm(seed=0):
    return replace(make_lm("llama", seed=seed), attention="prefix")


def test_packed_unpacked_and_in_micro_batches_are_one_trajectory(tmp_path):
    chosen = settings(steps=3, dropout=None, max_grad_norm=0)
    ways = {"packed": (True, 0), "unpacked": (False, 0), "micro": (True, 150), "causal": (True, 0)}
    for way, (is_packed, size) in ways.items():
        lm = make_lm("llama") if way == "causal" else prefix_lm()
        batches = make_batches(lm, sizes=SIZES.model_copy(update={"enabled": is_packed}), micro_batch_tokens=size)
        tune_small(tmp_path / way, lm, chosen, batches=batches)
    found = {way: [(line["loss"], line["grad_norm"]) for line in lines(tmp_path / way)] for way in ways}
    for way in ("unpacked", "micro"):
        for mine, theirs in zip(found["packed"], found[way], strict=True):
            assert mine == pytest.approx(theirs, rel=1e-4)
    assert found["causal"][0] != pytest.approx(found["packed"][0], rel=1e-4)


def test_resumed_equals_straight(tmp_path):
    chosen = settings(steps=5, optimizer="adamw", checkpoint_every=2)
    assert_resumed_equals_straight(tmp_path, prefix_lm, chosen, stop=3)
