"""One reply of a conversation as a prompt: which reply, what stands before it, and what goes when it is too long."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from flantune.prompts.conversations import messages_of, most_dropped, with_fewer_turns
from flantune.prompts.exemplars import draw_exemplars
from flantune.prompts.render import render, render_words
from flantune.prompts.spans import render_spans
from flantune.prompts.styles import Style
from flantune.tasks.conversations import conversation_example
from flantune.tasks.taskfile_conversation import AS_SAID
from flantune.types import Example, Prompt, Template, Turn

SAID = (
    Turn("system", "Be brief."),
    Turn("user", "Is it {late}?"),
    Turn("assistant", "Yes."),
    Turn("user", "How late?"),
    Turn("assistant", "Past ten."),
)
WORDED = Template(name="worded", inputs="A chat:\n\n{conversation}\n\nWhat comes next?")


def chat(row: int = 0, *, replies: tuple[int, ...] = (2, 4)) -> Example:
    turns = tuple(replace(turn, text=f"{turn.text} ({row})") for turn in SAID)
    return replace(conversation_example(turns, replies), row=row)


@pytest.fixture
def task(make_task):
    return make_task(AS_SAID, WORDED, kind="generation")


def shown(prompt: Prompt) -> str:
    assert prompt.conversation is not None
    start = prompt.conversation.start
    return prompt.inputs[start : start + sum(map(len, prompt.conversation.shown))]


def test_the_turns_alone_end_with_the_mark_of_who_replies(task) -> None:
    example = replace(conversation_example(SAID, [4]), row=7)
    prompt = render(task, example, AS_SAID, split="test")
    assert prompt.inputs == "Be brief.\n\nUser: Is it {late}?\nAssistant: Yes.\nUser: How late?\nAssistant:"
    assert (prompt.targets, prompt.references) == ("Past ten.", ("Past ten.",))
    assert prompt.conversation.is_bare and shown(prompt) == prompt.inputs
    assert [turn.text for turn in prompt.conversation.turns] == [turn.text for turn in SAID[:4]]


def test_words_around_the_turns_stand_where_the_template_has_them(task) -> None:
    prompt = render(task, conversation_example(SAID, [2]), WORDED, split="test")
    assert prompt.inputs == "A chat:\n\nBe brief.\n\nUser: Is it {late}?\n\nWhat comes next?"
    assert shown(prompt) == "Be brief.\n\nUser: Is it {late}?"
    assert not prompt.conversation.is_bare


def test_a_drawn_reply_is_a_function_of_key_and_row_and_each_comes_up(task) -> None:
    found = Counter(render(task, chat(), AS_SAID, split="train", options_key=key).targets for key in range(400))
    assert set(found) == {"Yes. (0)", "Past ten. (0)"}
    assert 140 < found["Yes. (0)"] < 260
    again = [render(task, chat(), AS_SAID, split="train", options_key=9) for _ in range(2)]
    assert again[0] == again[1]


def test_fault_03_the_reference_graded_is_the_reply_that_is_trained_on(task) -> None:
    for key in range(50):
        for template in (AS_SAID, WORDED):
            prompt = render(task, chat(), template, split="train", options_key=key)
            words = render_words(task, chat(), template, options_key=key)
            assert prompt.references == (prompt.targets,) and words == (prompt.inputs, prompt.targets)
            assert prompt.targets not in prompt.inputs


def test_what_follows_a_reply_is_never_shown(task) -> None:
    for key in range(50):
        prompt = render(task, chat(), AS_SAID, split="train", options_key=key)
        if prompt.targets == "Yes. (0)":
            assert "How late?" not in prompt.inputs


def test_how_turns_are_written_is_drawn_and_the_first_way_measures(task) -> None:
    written = {render(task, chat(), AS_SAID, split="train", options_key=key).inputs[:40] for key in range(200)}
    assert len(written) == 10
    style = Style().measured
    measured = {render(task, chat(), AS_SAID, split="test", style=style, options_key=k).inputs[:30] for k in range(50)}
    assert measured == {"Be brief. (0)\n\nUser: Is it {la"}


def test_an_inverted_template_asks_for_the_turns(task) -> None:
    template = Template(name="back", inputs="Reply: {answer}", targets="{conversation}", is_inverted=True)
    prompt = render(task, chat(replies=(2,)), template, split="train")
    assert (prompt.inputs, prompt.targets) == ("Reply: Yes. (0)", "Be brief. (0)\n\nUser: Is it {late}? (0)")
    assert prompt.conversation is None


def test_spans_are_the_prompt(task) -> None:
    for template in (AS_SAID, WORDED):
        spans = render_spans(task, chat(), template)
        assert "".join(span.text for span in spans.inputs) == render(task, chat(), template, split="test").inputs


def test_exemplars_are_written_as_the_query_is_and_never_of_the_same_conversation(task) -> None:
    rows = [chat(row) for row in range(6)]
    for key in range(1, 20):
        query = render(task, rows[2], AS_SAID, split="train", options_key=key)
        exemplars = draw_exemplars(
            task, rows, query=rows[2], split="train", template=AS_SAID, shots=3, key=key, options_key=key
        )
        assert len(exemplars) == 3 and 2 not in {one.row for one in exemplars}
        for one in exemplars:
            assert one.inputs == render(task, rows[one.row], AS_SAID, split="train", options_key=key).inputs
            assert one.targets not in one.inputs
            assert one.inputs.removesuffix("\n")[-12:] == query.inputs[-12:]


def test_turns_go_oldest_first_a_user_turn_begins_and_the_system_goes_last(task) -> None:
    said = [("system", "S"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"), ("user", "e")]
    turns = [*(Turn(who, text) for who, text in said), Turn("assistant", "reply")]
    prompt = render(task, conversation_example(turns, [6]), WORDED, split="test")
    assert most_dropped(prompt.conversation) == 3
    kept = [with_fewer_turns(prompt, steps) for steps in range(4)]
    assert [[turn.text for turn in one.conversation.turns] for one in kept] == [
        ["S", "a", "b", "c", "d", "e"],
        ["S", "c", "d", "e"],
        ["S", "e"],
        ["e"],
    ]
    for one in kept:
        assert one.inputs == f"A chat:\n\n{shown(one)}\n\nWhat comes next?"
    assert kept[3].inputs == "A chat:\n\nUser: e\n\nWhat comes next?"


def test_who_replies_is_the_assistant_of_a_chat(task) -> None:
    turns = [Turn("Eva", "Hello."), Turn("Max", "Hi."), Turn("Ida", "Hey."), Turn("Eva", "All here?")]
    prompt = render(task, conversation_example(turns, [3]), AS_SAID, split="test")
    messages = messages_of(prompt.conversation)
    assert (messages.turns, messages.is_opened) == (("Hello.", "Hi.\nHey."), True)
    assert messages_of(prompt.conversation, takes_opening=False).turns == ("Hi.\nHey.",)


def test_a_prompt_without_turns_has_none(task, examples) -> None:
    template = Template(name="plain", inputs="{premise}")
    assert render(task, replace(examples[0], options=(), answer=None), template, split="test").conversation is None
