"""Words of the data never become control tokens, whatever the make of the tokenizer; the frame's own do."""

from __future__ import annotations

import functools

import pytest
from tests.packing.made_tokenizers import ALL_MAKES, finished
from transformers import PreTrainedTokenizerFast

from flantune.packing.encode import Codec
from flantune.packing.tokenize import TextTokenizer, decode, text_tokenizer
from flantune.prompts.layout import Layout
from flantune.types import Exemplar, Prompt

CONTROL = ("</s>", "<pad>", "<extra_id_0>", "<|im_end|>", "[MASK]")
FULL_WIDTH = "\uff1c/s\uff1e"
TEXTS = [
    text
    for word in (*CONTROL, "<unk>")
    for text in (word, f"a {word} b", f"a{word}b", f"{word}{word}", f"\n{word}\n", f"{word} ")
] + [FULL_WIDTH, f"a {FULL_WIDTH} b", "</s", "/s>", "<extra_id_1>"]


@functools.cache
def made(make: str) -> PreTrainedTokenizerFast:
    return finished(ALL_MAKES[make](list(CONTROL)))


def control_ids(tokenizer) -> set[int]:
    return {tokenizer.convert_tokens_to_ids(word) for word in CONTROL}


@pytest.mark.parametrize("make", ALL_MAKES)
def test_no_text_of_the_data_becomes_a_control_token(make):
    tokenizer = made(make)
    found = text_tokenizer(tokenizer).data(TEXTS)
    for text, ids in zip(TEXTS, found, strict=True):
        assert not control_ids(tokenizer) & set(ids), (text, tokenizer.convert_ids_to_tokens(ids))


@pytest.mark.parametrize("make", ["byte-level", "byte-level, at white space", "BPE, blank first", "BPE, blank never"])
def test_what_can_be_spelled_is_spelled(make):
    tokenizer = made(make)
    for text, ids in zip(TEXTS, text_tokenizer(tokenizer).data(TEXTS), strict=True):
        assert tokenizer.unk_token_id is None or tokenizer.unk_token_id not in ids
        assert decode(tokenizer, ids).strip() == text.strip()


@pytest.mark.parametrize("make", ALL_MAKES)
@pytest.mark.parametrize("family", ["decoder-only", "encoder-decoder"])
def test_the_frames_own_are_control_tokens(make, family):
    tokenizer = made(make)
    layout = Layout(target_separator="\n", exemplar_separator=" <eos> ")
    codec = Codec(tokenizer=tokenizer, family=family, layout=layout, max_input_tokens=400, max_target_tokens=99)
    word = " ".join(CONTROL)
    shown = (Exemplar(row=0, inputs=f"a {word}", targets=f"{word} b"),)
    prompt = Prompt(
        task="t", split="train", row=1, template="t", inputs=word, targets=word, options=(word, f"x {word}"),
        exemplars=shown,
    )  # fmt: skip
    for continuations in ("target", "options", "none"):
        encoded = codec.encode_prompts([prompt], continuations=continuations)[0]
        for target in encoded.targets:
            assert [at for at in target.tolist() if at in control_ids(tokenizer)] == [tokenizer.eos_token_id]
        # One in the separator, and one where an encoder's inputs end.
        ends = [tokenizer.eos_token_id] * (2 if family == "encoder-decoder" else 1)
        assert [at for at in encoded.inputs.tolist() if at in control_ids(tokenizer)] == ends


@pytest.mark.parametrize("make", ALL_MAKES)
def test_ordinary_text_has_the_ids_that_the_tokenizer_gives_it(make):
    tokenizer = made(make)
    texts = ["Is the lake deep?", " two  blanks \n", "Malmö 数字", ""]
    assert text_tokenizer(tokenizer).data(texts) == tokenizer(texts, add_special_tokens=False)["input_ids"]
    assert text_tokenizer(tokenizer).template(texts) == tokenizer(texts, add_special_tokens=False)["input_ids"]


def test_added_tokens_that_are_not_special_stay_words_of_the_vocabulary():
    tokenizer = finished(ALL_MAKES["byte-level"](list(CONTROL)))
    tokenizer.add_tokens(["<tool>"])
    assert text_tokenizer(tokenizer).data(["<tool>"]) == [[tokenizer.convert_tokens_to_ids("<tool>")]]


@pytest.mark.parametrize("make", ["byte-level", "BPE, blank first"])
def test_without_a_rust_tokenizer_words_are_words_too(make, monkeypatch):
    """A tokenizer in Python is asked to split special tokens; here a fast one answers through the same call."""
    tokenizer = made(make)
    monkeypatch.setattr("flantune.packing.tokenize._own_copy", lambda _: None)
    slow = TextTokenizer(tokenizer)
    assert slow.data(TEXTS) == text_tokenizer(tokenizer).data(TEXTS)
    text = f"a</s>{slow.guard('b </s> c')}</s>"
    assert slow.template([text])[0].count(tokenizer.eos_token_id) == 2
