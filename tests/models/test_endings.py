"""An answer ends at each end token of the model, its tokenizer or its chat template, as in other programs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.models.written import generate

from flantune.models.load import load_model, save_model
from flantune.models.scratch import build_model
from flantune.models.writing.decoding import Decoding
from flantune.models.writing.endings import end_tokens, keep_template
from flantune.models.writing.generate import write
from flantune.packing.chat import chat_tokens
from flantune.settings.config import ModelSettings, PromptSettings, ScratchSettings

STEPS = 10


@pytest.fixture
def model(tokenizer):
    scratch = ScratchSettings(architecture="llama", hidden_size=32, layers=2, heads=2)
    made = build_model(scratch, tokenizer, seed=1)
    for weight in made.model.parameters():
        if weight.ndim > 1:  # with the weights of a fresh model, it would write one token over and over
            weight.data.mul_(3.0)
    return made


def inputs(count: int = 6) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.integers(3, 90, length).astype(np.int32) for length in range(4, 4 + count)]


def halfway(model) -> int:
    """A token from the middle of an answer."""
    written = generate(model, inputs(), max_new_tokens=STEPS)
    return next(token for tokens in written for token in tokens[2:] if token not in tokens[:2])


@pytest.mark.parametrize("as_list", [True, False])
def test_every_end_of_the_generation_config_ends_an_answer(model, as_list):
    end = halfway(model)
    model.model.generation_config.eos_token_id = [model.tokenizer.eos_token_id, end] if as_list else end
    found = generate(model, inputs(), max_new_tokens=STEPS)
    assert any(len(tokens) < STEPS for tokens in found) and not any(end in tokens for tokens in found)
    for ids, tokens in zip(inputs(), found, strict=True):
        given = torch.from_numpy(ids).long()[None]
        # Together with the tokenizer's end token, this is what transformers does by itself.
        own = model.model.generate(given, max_new_tokens=STEPS, do_sample=False, pad_token_id=0)[0, len(ids) :].tolist()
        if as_list:
            assert tokens == [token for token in own if token not in model.model.generation_config.eos_token_id]


def test_the_end_of_a_turn_of_the_tokenizers_chat_template_ends_an_answer(model, tokenizer):
    end = halfway(model)
    word = tokenizer.convert_ids_to_tokens(end)
    changed = type(tokenizer)(tokenizer_object=tokenizer.backend_tokenizer, eos_token="</s>", pad_token="<pad>")
    changed.add_special_tokens({"additional_special_tokens": [word]})
    changed.chat_template = "{% for m in messages %}{{ m.role }} {{ m.content }}" + word + "{% endfor %}"
    lm = replace(model, tokenizer=changed)
    assert changed.convert_tokens_to_ids(word) == end
    assert end in end_tokens(lm) and end not in end_tokens(model)
    assert any(len(tokens) < STEPS for tokens in generate(lm, inputs(), max_new_tokens=STEPS))


def test_a_template_that_cannot_be_rendered_names_no_end(model, tokenizer):
    changed = type(tokenizer)(tokenizer_object=tokenizer.backend_tokenizer, eos_token="</s>", pad_token="<pad>")
    changed.chat_template = "{{ raise_exception('no') }}"
    assert end_tokens(replace(model, tokenizer=changed)) == (tokenizer.eos_token_id,)


@pytest.mark.parametrize(
    "own", [None, "{% for m in messages %}<{{ m.role }}> {{ m.content }}{{ eos_token }}{% endfor %}"]
)
def test_a_tuned_model_takes_the_template_with_it_that_it_was_tuned_with(model, tokenizer, own, tmp_path):
    used = "{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ eos_token }}{% endfor %}"
    (tmp_path / "own.jinja").write_text(used)
    changed = type(tokenizer)(tokenizer_object=tokenizer.backend_tokenizer, eos_token="</s>", pad_token="<pad>")
    changed.chat_template = own
    lm = replace(model, tokenizer=changed)
    keep_template(lm, chat_tokens(changed, PromptSettings(chat=True, chat_template=tmp_path / "own.jinja")))
    saved = load_model(ModelSettings(path=str(save_model(lm, tmp_path / "saved", card="")), device="cpu"))
    said = [{"role": "user", "content": "yes"}]
    assert saved.tokenizer.apply_chat_template(said, tokenize=False) == "[user] yes</s>"


@pytest.mark.parametrize("names", [("rag", "tool_use"), ("default", "tool_use")])
def test_a_tokenizer_with_several_templates_keeps_the_one_it_was_tuned_with(model, tokenizer, names, tmp_path):
    used = "{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ eos_token }}{% endfor %}"
    (tmp_path / "own.jinja").write_text(used)
    changed = type(tokenizer)(tokenizer_object=tokenizer.backend_tokenizer, eos_token="</s>", pad_token="<pad>")
    changed.chat_template = dict.fromkeys(names, "{{ messages[0].content }}")
    keep_template(
        replace(model, tokenizer=changed),
        chat_tokens(changed, PromptSettings(chat=True, chat_template=tmp_path / "own.jinja")),
    )
    assert changed.chat_template == used
    changed.chat_template = {"default": used, "tool_use": "x"}
    keep_template(replace(model, tokenizer=changed), chat_tokens(changed, PromptSettings(chat=True)))
    assert changed.chat_template == {"default": used, "tool_use": "x"}


@pytest.mark.parametrize("method", ["mixed", "even", "uncached"])
def test_however_it_is_written_all_ends_count(model, method):
    end = halfway(model)
    decoding = Decoding(max_new_tokens=STEPS, end_tokens=(end,))
    for one in write(model, inputs(), decoding, method=method):
        assert end not in one.tokens
        assert one.finish == ("length" if len(one.tokens) == STEPS else "eos")
