from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.models.plain import greedy_by_hand
from tests.models.written import generate
from transformers import GenerationConfig

from flantune.errors import ModelError
from flantune.models.scratch import build_model
from flantune.settings.config import ScratchSettings


def some_inputs(vocabulary, lengths=(5, 17, 9, 9, 30, 2)):
    rng = np.random.default_rng(0)
    return [rng.integers(3, vocabulary, length).astype(np.int32) for length in lengths]


def test_batched_equals_greedy_by_hand(lm):
    inputs = some_inputs(len(lm.tokenizer))
    found = generate(lm, inputs, max_new_tokens=8)
    assert found == [greedy_by_hand(lm, torch.from_numpy(ids).long(), 8, {lm.tokenizer.eos_token_id}) for ids in inputs]
    assert generate(lm, inputs, max_new_tokens=8, batch_tokens=40) == found


def test_stops_at_end_of_sequence(lm):
    inputs = some_inputs(len(lm.tokenizer))
    found = generate(lm, inputs, max_new_tokens=8)
    stop = found[0][-1]
    before, lm.tokenizer.eos_token = lm.tokenizer.eos_token, lm.tokenizer.convert_ids_to_tokens(stop)
    try:
        stopped = generate(lm, inputs, max_new_tokens=8)
    finally:
        lm.tokenizer.eos_token = before
    assert stopped[0] == found[0][: found[0].index(stop)]
    for whole, cut in zip(found, stopped, strict=True):
        if stop in whole or len(whole) == 8:
            assert cut == (whole[: whole.index(stop)] if stop in whole else whole)


def test_the_models_own_generation_config_does_not_count_and_stays(lm):
    inputs = some_inputs(len(lm.tokenizer))
    found = generate(lm, inputs, max_new_tokens=6)
    own = GenerationConfig(do_sample=True, temperature=9.0, repetition_penalty=5.0, min_new_tokens=3)
    before, lm.model.generation_config = lm.model.generation_config, own
    try:
        assert generate(lm, inputs, max_new_tokens=6) == found
        assert lm.model.generation_config is own
    finally:
        lm.model.generation_config = before


def test_no_inputs_no_outputs(lm):
    assert generate(lm, [], max_new_tokens=3) == []


def test_the_room_behind_a_long_input(tokenizer):
    lm = build_model(ScratchSettings(architecture="gpt2", hidden_size=16, layers=1, heads=2), tokenizer, seed=1)
    long, longer, short = some_inputs(len(tokenizer), (2045, 2048, 4))
    written = generate(lm, [long, short], max_new_tokens=8)
    assert len(written[0]) <= 3
    assert written[1] == generate(lm, [short], max_new_tokens=8)[0]
    with pytest.raises(ModelError, match="2048 positions"):
        generate(lm, [longer], max_new_tokens=8)
