"""The text of each token: all of them together are the text, and a space that is not there is not shown."""

from __future__ import annotations

import pytest
from tests.packing.made_tokenizers import MAKES, finished

from flantune.packing.pieces import text_pieces

CONTROL = ["</s>", "<pad>"]
TEXTS = ["Is the lake deep?\nyes", "two  blanks", "Zoë: 数字 \U0001f6f6 и", "a,b", " starts with one"]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("make", [make for make in MAKES if "Unigram" not in make])
def test_together_they_are_the_text(make, text):
    tokenizer = finished(MAKES[make](CONTROL))
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    pieces = text_pieces(tokenizer, [*ids, tokenizer.eos_token_id])
    assert len(pieces) == len(ids) + 1 and pieces[-1] == "</s>"
    # Some makes put a blank before a text: the model sees it, so it is shown.
    assert "".join(pieces[:-1]) in (text, f" {text}")


@pytest.mark.parametrize("make", MAKES)
def test_a_missing_space_can_be_seen(make):
    tokenizer = finished(MAKES[make](CONTROL))
    joined, apart = (
        "".join(text_pieces(tokenizer, tokenizer(text, add_special_tokens=False)["input_ids"]))
        for text in ("yes?no", "yes? no")
    )
    assert joined.strip() == "yes?no" and apart.strip() == "yes? no"


def test_a_character_of_several_tokens_stands_where_its_last_one_does():
    tokenizer = finished(MAKES["BPE, blank never"](CONTROL))
    pieces = text_pieces(tokenizer, tokenizer("a\U0001f6f6b", add_special_tokens=False)["input_ids"])
    assert pieces == ("a", "", "", "", "\U0001f6f6", "b")


def test_a_broken_character_is_shown_as_broken():
    tokenizer = finished(MAKES["byte-level"](CONTROL))
    ids = tokenizer("\U0001f6f6", add_special_tokens=False)["input_ids"]
    pieces = text_pieces(tokenizer, [*ids[:1], tokenizer.eos_token_id])
    assert "\ufffd" in "".join(pieces) and pieces[-1].endswith("</s>")
