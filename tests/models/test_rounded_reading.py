"""Scoring in bfloat16: weights rounded once, and attention of a line's requests by the program for segments."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.models.test_option_scores import by_hand, make, requests, scores

from flantune.models.attention.door import find_program
from flantune.models.forms import reading_form
from flantune.models.forms.reading_form import scoring_mode
from flantune.models.forms.rounded_products import PackedLinear, has_packed_products, packed_form
from flantune.models.language_model import LanguageModel
from flantune.models.scoring.check import scoring_layout
from flantune.models.scoring.forest_attention import ForestAttention
from flantune.models.scoring.forest_layout import forest
from flantune.models.scoring.forest_segments import ForestSegments
from flantune.packing.packs import EncodedPrompt


@pytest.fixture(params=[True, False], ids=["packed", "rounded in place"])
def packs(request, monkeypatch) -> bool:
    if request.param and not has_packed_products():
        pytest.skip("oneDNN has no bfloat16 here")
    for name in ("packed_form", "has_packed_products"):
        if not request.param:
            monkeypatch.setattr(reading_form, name, lambda *_: None)
    return bool(request.param)


def autocast_hidden(lm: LanguageModel, tokens: torch.Tensor) -> torch.Tensor:
    model = lm.model.base_model
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        return (model if lm.family == "decoder-only" else model.get_encoder())(input_ids=tokens).last_hidden_state


def apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found.float() - expected.float()).norm() / expected.float().norm())


def test_the_numbers_are_those_of_autocast_and_the_weights_come_back(lm, packs):
    half = replace(lm, compute_dtype=torch.bfloat16)
    tokens = torch.arange(20, 60)[None]
    before = {name: weight.clone() for name, weight in lm.model.named_parameters()}
    expected = autocast_hidden(half, tokens)
    with scoring_mode(half):
        kinds = {type(module) for module in lm.model.modules()}
        assert (PackedLinear in kinds) == packs
        found = autocast_hidden(half, tokens)
    with torch.no_grad():
        model = lm.model.base_model if lm.family == "decoder-only" else lm.model.get_encoder()
        exact = model(input_ids=tokens).last_hidden_state
    assert apart(found, expected) < 1e-2
    # Not less exact than autocast, since fewer numbers are rounded.
    assert apart(found, exact) < 1.1 * apart(expected, exact)
    after = dict(lm.model.named_parameters())
    assert after.keys() == before.keys()
    assert all(torch.equal(weight, before[name]) for name, weight in after.items())
    assert PackedLinear not in {type(module) for module in lm.model.modules()}


def test_a_layer_with_other_weights_is_left_alone():
    assert packed_form(torch.nn.Linear(8, 8, dtype=torch.bfloat16)) is None
    assert packed_form(torch.nn.LayerNorm(8)) is None


def test_scores_in_bfloat16_are_near_those_of_each_option_alone(lm, packs):
    half = replace(lm, compute_dtype=torch.bfloat16)
    units = requests(9)
    layout = scoring_layout(half).layout
    assert layout == ("line" if lm.family == "decoder-only" else layout)
    sums, _ = scores(half, units, layout)
    expected, _ = by_hand(lm, units)
    np.testing.assert_allclose(sums, expected, rtol=2e-2, atol=0.15)


def test_a_sliding_window_is_kept_in_bfloat16(tokenizer):
    lm = make("mistral", tokenizer)
    sums, _ = scores(replace(lm, compute_dtype=torch.bfloat16), requests(6), "line")
    np.testing.assert_allclose(sums, by_hand(lm, requests(6))[0], rtol=3e-2, atol=0.3)


def ids(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int32)


def many(is_deep: bool) -> list[EncodedPrompt]:
    """Contexts with shared starts, some nested, and options that branch, that do not, or that are one token long."""
    start = np.arange(10, 40, dtype=np.int32)
    options = (ids(5, 6, 7), ids(5, 6, 8, 9), ids(4)), (ids(3),), (ids(5, 6, 7, 8),)
    return [
        EncodedPrompt(
            inputs=np.concatenate([start[: 30 if is_deep else 0], np.full(12, 50 + at // 2), np.full(3 + at, 70 + at)]),
            targets=options[at % 3],
        )
        for at in range(7)
    ]


@pytest.mark.parametrize("known", [0, 11])
@pytest.mark.parametrize("is_deep", [True, False])
@pytest.mark.parametrize("key_heads", [1, 4])
@pytest.mark.parametrize("is_mutual", [True, False])
def test_the_program_sees_what_each_token_may_see(known, is_deep, key_heads, is_mutual):
    program = find_program()
    if program.read is None or torch.float32 not in program.dtypes:
        pytest.skip(program.why_not)
    if is_mutual and known:
        pytest.skip("prefix attention shares no starts")
    laid = forest(many(is_deep), known=known, is_mutual=is_mutual)
    if not known:
        assert any(request.seen for request in laid.requests) == (not is_mutual)
    drawn = torch.Generator().manual_seed(0)
    tokens = len(laid.tokens)
    query = torch.randn(1, 4, tokens, 32, generator=drawn)
    key, value = (torch.randn(1, key_heads, known + tokens, 32, generator=drawn) for _ in range(2))
    expected = ForestAttention(laid)(query, key, value, scale=0.3, window=0)[0]
    lines = (line[0].transpose(0, 1) for line in (query, key, value))
    found = ForestSegments(laid, program.read)(*lines, scale=0.3)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
