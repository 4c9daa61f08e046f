from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from flantune.errors import ModelError
from flantune.models.scratch import build_model, train_tokenizer
from flantune.settings.config import ScratchSettings

TEXTS = ["Is the sky blue? yes", "Does the premise entail the hypothesis? no", "sort these words: b a c"] * 5
TOKENIZER = train_tokenizer(TEXTS, 320)


@pytest.mark.parametrize("architecture", ["llama", "gpt_neox", "gpt2", "t5"])
def test_same_seed_same_weights_and_the_global_state_untouched(architecture):
    scratch = ScratchSettings(architecture=architecture, hidden_size=32, layers=2, heads=2)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = build_model(scratch, TOKENIZER, seed=1).model.state_dict()
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(3)
    second, third = (build_model(scratch, TOKENIZER, seed=seed).model.state_dict() for seed in (1, 2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], third[name]) for name in first)


def test_t5_is_of_the_1_1_kind():
    lm = build_model(ScratchSettings(architecture="t5", hidden_size=32, layers=2, heads=2), TOKENIZER, seed=1)
    assert lm.family == "encoder-decoder"
    assert lm.model.config.feed_forward_proj == "gated-gelu"
    assert lm.model.config.num_decoder_layers == 2
    assert lm.model.generation_config.decoder_start_token_id == TOKENIZER.pad_token_id


def test_heads_must_divide_the_width():
    with pytest.raises(ModelError, match="hidden_size = 33"):
        build_model(ScratchSettings(hidden_size=32, heads=3), TOKENIZER, seed=1)


def test_the_tokenizer_is_the_same_each_time():
    again = train_tokenizer(iter(TEXTS), 320)
    assert again.backend_tokenizer.to_str() == TOKENIZER.backend_tokenizer.to_str()
    assert TOKENIZER.bos_token_id is None
    assert len({TOKENIZER.pad_token_id, TOKENIZER.eos_token_id, TOKENIZER.unk_token_id}) == 3
    assert TOKENIZER("a").input_ids == TOKENIZER("a", add_special_tokens=False).input_ids


def test_the_tokenizer_reloads(tmp_path):
    TOKENIZER.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again("Is the grass blue?").input_ids == TOKENIZER("Is the grass blue?").input_ids
    assert (again.pad_token_id, again.eos_token_id) == (TOKENIZER.pad_token_id, TOKENIZER.eos_token_id)


@settings(max_examples=40)
@given(st.text())
def test_any_text_survives_the_tokenizer(text):
    assume_plain = text.encode("utf-8", "replace").decode("utf-8")
    ids = TOKENIZER.backend_tokenizer.encode(assume_plain, add_special_tokens=False).ids
    if not any(word in assume_plain for word in ("<pad>", "</s>", "<unk>")):
        assert TOKENIZER.decode(ids) == assume_plain
