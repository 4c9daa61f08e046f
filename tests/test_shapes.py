"""Shapes that signatures state hold for real arrays; nothing checks them when the program runs."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import jaxtyping
import numpy as np
import pytest
from jaxtyping import jaxtyped
from numpy.typing import NDArray

from flantune.models.forward import target_logprobs
from flantune.packing.batches import size_array
from flantune.training.loss import accumulate_gradient, item_tokens
from flantune.training.weighting import item_weights
from flantune.types import Float32, Int32
from tests.training.small import ARCHITECTURES, make_batches, make_lm, prompt

KINDS = {name: getattr(jaxtyping, name) for name in ("Bool", "Float", "Int")}
# What modules import for types only.
NAMES = {**KINDS, "NDArray": NDArray, "Int32": Int32, "Float32": Float32}


def shapes(stated: Any) -> dict[str, Any]:
    """The annotations of a class or function that state a shape."""
    place = vars(sys.modules[stated.__module__]) | NAMES
    return {
        name: eval(text, place)
        for name, text in inspect.get_annotations(stated).items()
        if text.startswith(tuple(f"{kind}[" for kind in KINDS))
    }


def check(value: Any) -> None:
    """Fields of one value agree with each other: a name stands for one length in all of them."""
    stated = shapes(type(value))
    assert stated
    with jaxtyped("context"):
        for field in fields(value):
            if field.name in stated:
                assert isinstance(getattr(value, field.name), stated[field.name]), field.name


def checked(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What a function returns, whose arguments and result have the shapes that it states."""
    stated = shapes(function)
    assert stated
    given = inspect.signature(function).bind(*args, **kwargs).arguments
    found = function(*args, **kwargs)
    with jaxtyped("context"):
        for name, value in [*given.items(), ("return", found)]:
            assert name not in stated or isinstance(value, stated[name]), name
    return found


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_shapes_are_as_stated(architecture):
    lm = make_lm(architecture)
    batches = make_batches(lm, micro_batch_tokens=200)
    encoded = batches.stream.codec.encode_prompts([prompt(i) for i in range(5)], continuations="target").prompts
    for one in encoded:
        check(one)
    assert checked(size_array, encoded, lm.family).shape == (5, 1 if lm.family == "decoder-only" else 2)
    batch = batches.batch(0)
    for pack in batch.packs:
        check(pack)
        check(pack.targets)
        check(target_logprobs(lm, pack, with_greedy=True, with_logsumexp=True))
    weights = checked(item_weights, checked(item_tokens, batch), weighting="example")
    assert weights.shape == (len(batch.tasks),)
    check(accumulate_gradient(batch, lambda pack: target_logprobs(lm, pack), device=lm.device))


def test_a_wrong_shape_is_noticed():
    pack = make_batches(make_lm("llama")).batch(0).packs[0]
    with pytest.raises(AssertionError, match="segments"):
        check(replace(pack, segments=pack.segments[:, 1:]))
    with pytest.raises(AssertionError, match="item"):
        check(replace(pack.targets, item=pack.targets.item[None]))
    with pytest.raises(AssertionError, match="tokens"):
        checked(item_weights, np.ones((2, 2), dtype=np.int64))
