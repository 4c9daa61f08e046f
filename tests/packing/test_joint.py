"""Inputs and options tokenized together, against the rule that lm-evaluation-harness follows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flantune.models.scratch import train_tokenizer
from flantune.packing.encode import Codec
from flantune.prompts.layout import Layout
from flantune.types import Exemplar, Prompt

TOKENIZER = train_tokenizer(["the answer is yes and no", "an answerable question, yes yes", "anyes  no"] * 9, 320)
LAYOUT = Layout(target_separator=" ", exemplar_separator="\n\n")


def codec(family="decoder-only", **knobs) -> Codec:
    return Codec(
        tokenizer=TOKENIZER,
        family=family,
        layout=LAYOUT,
        **{
            "max_input_tokens": 200,
            "max_target_tokens": 60,
            "tokenization": "joint",
            "score_eos": False,
            "drops_exemplars": False,
            "truncation": "left",
            **knobs,
        },
    )


def prompt_of(inputs: str, options=("yes", "no"), exemplars=()) -> Prompt:
    return Prompt(
        task="t", split="test", row=0, template="a", inputs=inputs, targets="", options=options, exemplars=exemplars
    )


def ids(text: str) -> list[int]:
    return TOKENIZER.encode(text, add_special_tokens=False)


def by_the_rule(context: str, option: str, longest: int) -> tuple[list[int], list[int]]:
    """Spaces at the context's end go with the option; cut after as many tokens as the context has alone."""
    stripped = context.rstrip()
    continuation = context[len(stripped) :] + option
    whole, alone = ids(stripped + continuation), ids(stripped)
    before, after = whole[: len(alone)], whole[len(alone) :]
    return (before + after)[-(longest + 1) :][: -len(after)], after


texts = st.text(alphabet="anyesw o\n", min_size=1, max_size=40).filter(lambda text: text.strip())


@settings(max_examples=150, deadline=None)
@given(texts, st.lists(texts, min_size=1, max_size=3), st.integers(8, 40))
def test_tokens_are_those_of_the_rule(inputs, options, longest):
    made = codec(joint_cut="length", max_row_tokens=longest + 1)
    (encoded,) = made.encode_prompts([prompt_of(inputs, tuple(options))], continuations="options")
    expected = [by_the_rule(inputs, f" {option}", longest) for option in options]
    if encoded is None or not all(after for _, after in expected):
        return
    for at, (before, after) in enumerate(expected):
        context = encoded.contexts[at] if encoded.contexts else encoded.inputs
        assert (context.tolist(), encoded.targets[at].tolist()) == (before, after)


def test_few_shot_text_is_joined_as_the_layout_says():
    shown = (Exemplar(row=3, inputs="Is it?", targets="no"), Exemplar(row=4, inputs="Was it?", targets="yes"))
    (encoded,) = codec().encode_prompts([prompt_of("Will it?", exemplars=shown)], continuations="options")
    text = "Is it? no\n\nWas it? yes\n\nWill it?"
    assert encoded.inputs.tolist() == ids(text)
    assert [target.tolist() for target in encoded.targets] == [
        ids(text + f" {o}")[len(ids(text)) :] for o in ("yes", "no")
    ]


def test_trap_09_a_border_within_a_token_is_scored_again_and_counted():
    """With an empty separator "an" + "answer" may become one token that begins before the border."""
    made = replace(codec(), layout=Layout(target_separator="", exemplar_separator="\n\n"))
    (whole,) = [ids("the answer is yes")]
    inputs, option = "the answer is y", "es"
    assert ids(inputs) != whole[: len(ids(inputs))]
    encoded = made.encode_prompts([prompt_of(inputs, (option, "o"))], continuations="options")
    (tokens,) = encoded
    assert encoded.counts.borders_merged == 1
    common = len([a for a, b in zip(ids(inputs), whole, strict=False) if a == b])
    assert tokens.inputs.tolist() == whole[:common]
    assert tokens.targets[0].tolist() == whole[common:]
    # The other option stands for the same text: it begins at the same place.
    assert tokens.inputs.tolist() + tokens.targets[1].tolist() == ids("the answer is yo")


def test_options_that_end_within_the_inputs_last_token_are_still_scored():
    """Where a merge leaves nothing behind the inputs' own number of tokens, the cut moves to the left."""
    made = replace(codec(joint_cut="length"), layout=Layout(target_separator="", exemplar_separator="\n\n"))
    inputs, option = "an answer", "able"
    encoded = made.encode_prompts([prompt_of(inputs, (option,))], continuations="options")
    assert len(encoded[0].targets[0]) > 0
    assert encoded[0].inputs.tolist() + encoded[0].targets[0].tolist() == ids("an answerable")


def test_spaces_before_the_option_are_moved_to_it():
    (encoded,) = codec().encode_prompts([prompt_of("yes and  \n")], continuations="options")
    assert encoded.inputs.tolist() == ids("yes and")
    assert TOKENIZER.decode(encoded.targets[0]) == "  \n yes"


def test_no_context_at_all_is_the_first_token():
    (encoded,) = codec().encode_prompts([prompt_of("")], continuations="options")
    assert encoded.inputs.tolist() == [TOKENIZER.eos_token_id]
    assert encoded.targets[0].tolist() == ids(" yes")


def test_the_end_is_scored_where_asked_for():
    (encoded,) = codec(score_eos=True).encode_prompts([prompt_of("is it")], continuations="options")
    assert all(target[-1] == TOKENIZER.eos_token_id for target in encoded.targets)


def test_left_truncation_leaves_each_option_its_own_room():
    made = codec(max_row_tokens=12)
    long = prompt_of("the answer is yes and no " * 8, ("yes", "yes and no and yes"))
    encoded = made.encode_prompts([long], continuations="options")
    (tokens,) = encoded
    assert encoded.counts.inputs_shortened == 1
    assert [len(c) + len(t) for c, t in zip(tokens.contexts, tokens.targets, strict=True)] == [12, 12]
    whole = ids(long.inputs.rstrip())
    assert all(context.tolist() == whole[len(whole) - len(context) :] for context in tokens.contexts)


@pytest.mark.parametrize(("truncation", "kept"), [("middle", True), ("left", True), ("drop", False)])
@pytest.mark.parametrize("tokenization", ["joint", "separate"])
def test_what_is_too_long_is_cut_or_dropped_and_counted(truncation, kept, tokenization):
    made = codec(truncation=truncation, max_input_tokens=10, tokenization=tokenization)
    encoded = made.encode_prompts([prompt_of("yes and no " * 9), prompt_of("no")], continuations="options")
    assert (encoded[0] is not None) == kept
    assert encoded[1] is not None
    assert (encoded.counts.inputs_shortened, encoded.counts.prompts_dropped) == ((1, 0) if kept else (0, 1))


def test_exemplars_go_first_where_the_protocol_says_so():
    shown = tuple(Exemplar(row=at, inputs="the answer is", targets="yes") for at in range(6))
    prompt = prompt_of("is it no", exemplars=shown)
    dropping = codec(drops_exemplars=True, max_input_tokens=20).encode_prompts([prompt], continuations="options")
    cutting = codec(max_input_tokens=20).encode_prompts([prompt], continuations="options")
    assert 0 < dropping.counts.exemplars_dropped < 6
    assert dropping.counts.inputs_shortened == 0
    assert (cutting.counts.exemplars_dropped, cutting.counts.inputs_shortened) == (0, 1)
    assert len(cutting[0].inputs) == 20


def test_an_encoder_decoder_reads_them_apart_with_the_separator_before_the_option():
    (encoded,) = codec("encoder-decoder").encode_prompts([prompt_of("is it ")], continuations="options")
    assert encoded.inputs.tolist() == [*ids("is it"), TOKENIZER.eos_token_id]
    assert [target.tolist() for target in encoded.targets] == [ids("  yes"), ids("  no")]


def test_inputs_without_their_end_where_the_protocol_says_so():
    made = codec("encoder-decoder", inputs_eos=False, tokenization="separate")
    (encoded,) = made.encode_prompts([prompt_of("is it")], continuations="options")
    assert encoded.inputs.tolist() == ids("is it")
