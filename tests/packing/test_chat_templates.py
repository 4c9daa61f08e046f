"""Ids of a chat are those of the template and the tokenizer themselves, whatever the format, make and contents."""

from __future__ import annotations

import functools
import json
from dataclasses import replace

import pytest
from tests.packing.chat_formats import FORMATS, QWEN_THINKING, Format
from tests.packing.made_tokenizers import MAKES, finished, metaspace_bpe
from tokenizers import Tokenizer

from flantune.packing.chat import chat_tokens
from flantune.packing.encode import Codec
from flantune.prompts.layout import Layout
from flantune.settings.config import PromptSettings
from flantune.types import Exemplar, Prompt

CONTENTS = {
    "plain": ("Is the lake deep?", "yes"),
    "white space": ("  two  blanks \n\n and a line \t", "  it is  "),
    "line breaks": ("\nbegins and ends with one\n", "\nno\n"),
    "unicode": ("Zoe\u0308 in Malmö, 数字 \U0001f6f6 \ufb01n", "слово \U0001f6f6"),
    "marks": ("- a\n- b\n### [ ] { } \\ / |", "### | [a]"),
    "of one sign": ("?", "!"),
}


@functools.cache
def made(make: str, name: str):
    one = FORMATS[name]
    special = [word for word in (one.bos, one.eos, *one.control) if word]
    return finished(MAKES[make](special), bos=one.bos, eos=one.eos, template=one.template, adds_bos=True)


def codec(tokenizer, one: Format, *, system: str = "", **changes) -> Codec:
    settings = PromptSettings(chat=True, system=system, chat_thinking=one.thinks, **changes)
    return Codec(
        tokenizer=tokenizer, family="decoder-only", layout=Layout(), max_input_tokens=2_000, max_target_tokens=500,
        chat=chat_tokens(tokenizer, settings),
    )  # fmt: skip


def own_ids(tokenizer, messages, one: Format, *, asks: bool = False) -> list[int]:
    given = {} if one.thinks is None else {"enable_thinking": one.thinks}
    return list(
        tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False, add_generation_prompt=asks, **given)
    )


def conversation(inputs: str, *, system: str = "", reply: str | None = None, solved=()) -> list[dict[str, str]]:
    turns = [text for pair in solved for text in pair] + [inputs] + ([reply] if reply is not None else [])
    said = [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(turns)]
    return [*([{"role": "system", "content": system}] if system else []), *said]


def prompt(inputs: str, targets: str = "", **changes) -> Prompt:
    return Prompt(task="t", split="train", row=0, template="t", inputs=inputs, targets=targets, **changes)


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("name", FORMATS)
def test_asked_and_trained_ids_are_the_templates_own(name, make):
    tokenizer, one = made(make, name), FORMATS[name]
    for system in ("", "Be brief, \n please.") if one.has_system else ("",):
        encoder = codec(tokenizer, one, system=system)
        for inputs, targets in CONTENTS.values():
            asked = encoder.encode_prompts([prompt(inputs)], continuations="none")[0].inputs.tolist()
            assert asked == own_ids(tokenizer, conversation(inputs, system=system), one, asks=True)
            whole = own_ids(tokenizer, conversation(inputs, system=system, reply=targets), one)
            trained = encoder.encode_prompts([prompt(inputs, targets)], continuations="target")[0]
            assert trained.inputs.tolist() == asked
            mine = [*asked, *trained.targets[0].tolist()]
            assert mine[-1] == tokenizer.convert_tokens_to_ids(one.end)
            if targets not in encoder.framing.chat_encoder.apart:
                assert mine == whole[: len(mine)]
            else:
                # Two line breaks in one token, across the border: the prompt is what is asked, the text is the same.
                assert targets.startswith("\n")
                assert tokenizer.decode(whole).startswith(tokenizer.decode(mine))


@pytest.mark.parametrize("scheme", ["first", "always", "never"])
def test_a_token_that_would_span_the_border_leaves_the_prompt_as_it_is_asked(scheme):
    """Here a line break and "no" are one piece."""
    one = FORMATS["ChatML"]
    special = [one.eos, *one.control]
    tokenizer = finished(metaspace_bpe(special, scheme=scheme, joins_lines=True), template=one.template)
    encoder = codec(tokenizer, one)
    found = encoder.encode_prompts([prompt("Is it?", "no"), prompt("Is it?", "yes")], continuations="target")
    for encoded, reply in zip(found, ("no", "yes"), strict=True):
        assert encoded.inputs.tolist() == own_ids(tokenizer, conversation("Is it?"), one, asks=True)
        text = tokenizer.decode([*encoded.inputs, *encoded.targets[0]])
        assert text == tokenizer.decode(own_ids(tokenizer, conversation("Is it?", reply=reply), one)).rstrip()
    assert encoder.framing.chat_encoder.apart == {"no"}


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("name", FORMATS)
def test_exemplars_as_turns_are_the_templates_own_conversation(name, make):
    tokenizer, one = made(make, name), FORMATS[name]
    solved = (("Which boat?", "the red one"), ("  0 + 1 = ", " 1\n"))
    shown = tuple(Exemplar(row=at, inputs=asked, targets=said) for at, (asked, said) in enumerate(solved))
    encoder = codec(tokenizer, one, chat_exemplars="turns")
    found = encoder.encode_prompts([prompt("Is it?", "no", exemplars=shown)], continuations="target")[0]
    assert found.inputs.tolist() == own_ids(tokenizer, conversation("Is it?", solved=solved), one, asks=True)
    mine = [*found.inputs.tolist(), *found.targets[0].tolist()]
    whole = own_ids(tokenizer, conversation("Is it?", reply="no", solved=solved), one)
    assert mine == whole[: len(mine)]


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("name", FORMATS)
def test_control_words_in_the_data_are_words(name, make):
    """As many control tokens as the template writes, and the text is still all there."""
    tokenizer, one = made(make, name), FORMATS[name]
    encoder = codec(tokenizer, one)
    words = [word for word in (one.bos, one.eos, *one.control, "<unk>") if word]
    special = {tokenizer.convert_tokens_to_ids(word) for word in words if word != "<unk>"}
    plain = encoder.encode_prompts([prompt("a b", "c d")], continuations="target")[0]
    for word in words:
        tricky = encoder.encode_prompts([prompt(f"a {word} b", f"c {word}{word} d")], continuations="target")[0]
        for ids, like in ((tricky.inputs, plain.inputs), (tricky.targets[0], plain.targets[0])):
            assert [at for at in ids.tolist() if at in special] == [at for at in like.tolist() if at in special]
        if "Unigram" not in make and word != "<unk>":
            assert word in tokenizer.decode(tricky.targets[0])


@pytest.mark.parametrize("flag", ["lstrip", "rstrip", "normalized"])
@pytest.mark.parametrize("make", ["byte-level", "BPE, blank first", "BPE, blank prepended", "Unigram, normalizing"])
@pytest.mark.parametrize("name", ["Phi", "Llama 3", "Mistral, control tokens"])
def test_control_tokens_may_take_white_space_or_be_looked_for_in_normalized_text(name, make, flag):
    one = FORMATS[name]
    described = json.loads(made(make, name).backend_tokenizer.to_str())
    for token in described["added_tokens"]:
        token[flag] = token["content"] in one.control
    tokenizer = finished(Tokenizer.from_str(json.dumps(described)), bos=one.bos, eos=one.eos, template=one.template)
    encoder = codec(tokenizer, one)
    for inputs, targets in [*CONTENTS.values(), (f"a {one.end} b", f"c {one.end} d")]:
        found = encoder.encode_prompts([prompt(inputs, targets)], continuations="target")[0]
        mine = [*found.inputs.tolist(), *found.targets[0].tolist()]
        if one.end in inputs:
            end = tokenizer.convert_tokens_to_ids(one.end)
            plain = encoder.encode_prompts([prompt("a b", "c d")], continuations="target")[0]
            assert mine.count(end) == [*plain.inputs, *plain.targets[0]].count(end)
        else:
            assert found.inputs.tolist() == own_ids(tokenizer, conversation(inputs), one, asks=True)
            whole = own_ids(tokenizer, conversation(inputs, reply=targets), one)
            assert mine == whole[: len(mine)] or targets in encoder.framing.chat_encoder.apart


@pytest.mark.parametrize("make", ["byte-level", "BPE, blank first", "BPE, blank prepended", "Unigram, blank always"])
@pytest.mark.parametrize("name", FORMATS)
def test_too_long_prompts_lose_exemplars_first_then_their_middle_and_never_the_template(name, make):
    tokenizer, one = made(make, name), FORMATS[name]
    solved = [(f"Which boat, number {at}?", "the red one") for at in range(4)]
    shown = tuple(Exemplar(row=at, inputs=asked, targets=said) for at, (asked, said) in enumerate(solved))
    size = len(own_ids(tokenizer, conversation("Is it?", solved=solved[:2]), one, asks=True))
    encoder = replace(codec(tokenizer, one, chat_exemplars="turns"), max_input_tokens=size)
    found = encoder.encode_prompts([prompt("Is it?", "no", exemplars=shown)], continuations="target")
    assert found[0].inputs.tolist() == own_ids(tokenizer, conversation("Is it?", solved=solved[:2]), one, asks=True)
    assert (found.counts.exemplars_dropped, found.counts.inputs_shortened) == (2, 0)
    before, after = encoder.chat.before, encoder.chat.after
    encoder = replace(encoder, max_input_tokens=len(before) + len(after) + 9)
    long = encoder.encode_prompts([prompt("words " * 40, "no", exemplars=shown)], continuations="target")
    assert len(long[0].inputs) == encoder.max_input_tokens and long.counts.inputs_shortened == 1
    assert tuple(long[0].inputs[: len(before)]) == before and tuple(long[0].inputs[-len(after) :]) == after
    assert long[0].targets[0].tolist() == found[0].targets[0].tolist()
    tight = replace(encoder, max_input_tokens=len(before) + len(after))
    assert tight.encode_prompts([prompt("words", "no")], continuations="target").prompts == (None,)


@pytest.mark.parametrize("make", ["byte-level", "BPE, blank first", "Unigram, blank always"])
@pytest.mark.parametrize("name", FORMATS)
def test_options_are_replies_and_their_end_is_left_out_where_it_is_not_scored(name, make):
    tokenizer, one = made(make, name), FORMATS[name]
    choice = prompt("Is it?", "no", options=("yes", "no", "it is not"))
    for scores_end in (True, False):
        encoder = replace(codec(tokenizer, one), score_eos=scores_end)
        found = encoder.encode_prompts([choice], continuations="options")[0]
        for option, target in zip(choice.options, found.targets, strict=True):
            whole = own_ids(tokenizer, conversation("Is it?", reply=option), one)
            mine = [*found.inputs.tolist(), *target.tolist()]
            assert mine == whole[: len(mine)]
            assert (mine[-1] == tokenizer.convert_tokens_to_ids(one.end)) == scores_end
            if not scores_end:
                assert whole[len(mine)] == tokenizer.convert_tokens_to_ids(one.end)


def test_a_thinking_block_that_is_not_asked_is_not_taught():
    thinking = Format(template=QWEN_THINKING, control=(), end="<|im_end|>")
    tokenizer = finished(MAKES["byte-level"](["<|im_start|>", "<|im_end|>", "</s>"]), template=QWEN_THINKING)
    encoder = codec(tokenizer, thinking)
    found = encoder.encode_prompts([prompt("Is it?", "no")], continuations="target")[0]
    assert found.inputs.tolist() == own_ids(tokenizer, conversation("Is it?"), thinking, asks=True)
    assert tokenizer.decode(found.targets[0]) == "no<|im_end|>"
    assert any("lacks '<think>" in note for note in encoder.chat.notes)
    assert codec(tokenizer, FORMATS["Qwen without thinking"]).chat.notes == ()


def test_a_reply_with_a_thought_of_its_own_is_written_as_the_template_writes_it():
    tokenizer = finished(MAKES["byte-level"](["<|im_start|>", "<|im_end|>", "</s>"]), template=QWEN_THINKING)
    thinking = Format(template=QWEN_THINKING, control=(), end="<|im_end|>")
    reply = "<think>\nit floats\n</think>\n\nno"
    found = codec(tokenizer, thinking).encode_prompts([prompt("Is it?", reply)], continuations="target")[0]
    mine = [*found.inputs.tolist(), *found.targets[0].tolist()]
    assert mine == own_ids(tokenizer, conversation("Is it?", reply=reply), thinking)[: len(mine)]
    assert tokenizer.decode(found.targets[0]) == f"{reply}<|im_end|>"


def test_a_template_that_leaves_a_part_of_a_reply_out_cuts_no_target():
    drops = "{% for m in messages %}<|im_start|>{{ m.content.split('#')[-1] }}<|im_end|>{% endfor %}"
    tokenizer = finished(MAKES["byte-level"](["<|im_start|>", "<|im_end|>", "</s>"]), template=drops)
    one = Format(template=drops, control=(), end="<|im_end|>")
    found = codec(tokenizer, one).encode_prompts([prompt("a", "b # c")], continuations="target")[0]
    assert tokenizer.decode(found.targets[0]) == "b # c<|im_end|>"
