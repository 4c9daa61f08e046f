"""Conversations as ids: in a chat template as its own messages, and whole turns go where there is no room."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from tests.no_source import NoSource
from tests.packing.chat_formats import FORMATS
from tests.packing.made_tokenizers import MAKES
from tests.packing.test_chat_templates import codec, made, own_ids

from flantune.mixture.mixture import Mixture
from flantune.packing.batches import Batches
from flantune.packing.encode import Codec
from flantune.packing.stream import PromptStream
from flantune.prompts.layout import Layout
from flantune.prompts.render import render
from flantune.settings.config import PackingSettings
from flantune.tasks.conversations import conversation_example
from flantune.tasks.prepare import prepare_task
from flantune.tasks.taskfile import load_task_file
from flantune.tasks.taskfile_conversation import AS_SAID
from flantune.types import Prompt, Task, Template, Turn

MAKE = next(iter(MAKES))
TASK = Task(
    name="chats", clusters=("conversation",), source_family="chats", kind="generation", source=NoSource(), adapter=None,
    splits={"train": "train"}, templates=(AS_SAID,), metrics=("rougeL",),
)  # fmt: skip
SAID = [("user", "Is the lake deep?"), ("assistant", "yes"), ("user", "And cold, </s> too?"), ("assistant", "no")]


def asked(said=SAID, *, system: str = "", template: Template = AS_SAID) -> Prompt:
    turns = [*([Turn("system", system)] if system else []), *(Turn(who, text) for who, text in said)]
    return render(TASK, conversation_example(turns, [len(turns) - 1]), template, split="train")


def messages(said=SAID, *, system: str = "") -> list[dict[str, str]]:
    told = [{"role": "system", "content": system}] if system else []
    return [*told, *({"role": who, "content": text} for who, text in said)]


def ids(encoder: Codec, prompt: Prompt) -> tuple[list[int], list[int]]:
    encoded = encoder.encode_prompts([prompt], continuations="target")[0]
    return encoded.inputs.tolist(), encoded.targets[0].tolist()


@pytest.mark.parametrize("name", FORMATS)
def test_a_conversation_is_the_templates_own_and_the_loss_is_on_the_reply_alone(name) -> None:
    tokenizer, one = made(MAKE, name), FORMATS[name]
    plain = [(who, text.replace(" </s>", "")) for who, text in SAID]
    inputs, target = ids(codec(tokenizer, one), asked(plain))
    assert inputs == own_ids(tokenizer, messages(plain[:-1]), one, asks=True)
    assert tokenizer.decode(target[:-1]).strip() == "no"
    assert target[-1] == tokenizer.convert_tokens_to_ids(one.end)


@pytest.mark.parametrize("name", FORMATS)
def test_a_system_message_of_the_data_is_the_templates_or_stands_before_the_first_words(name) -> None:
    tokenizer, one = made(MAKE, name), FORMATS[name]
    plain = [(who, text.replace(" </s>", "")) for who, text in SAID]
    inputs, _ = ids(
        codec(tokenizer, one, system="Of the run." if one.has_system else ""), asked(plain, system="Be brief.")
    )
    if one.has_system:
        assert inputs == own_ids(tokenizer, messages(plain[:-1], system="Be brief."), one, asks=True)
    else:
        first = ("user", f"Be brief.\n\n{plain[0][1]}")
        assert inputs == own_ids(tokenizer, messages([first, *plain[1:-1]]), one, asks=True)


@pytest.mark.parametrize("name", FORMATS)
def test_control_words_in_turns_stay_words(name) -> None:
    tokenizer, one = made(MAKE, name), FORMATS[name]
    inputs, _ = ids(codec(tokenizer, one), asked())
    plain = [(who, text.replace(" </s>", "")) for who, text in SAID]
    control = {tokenizer.convert_tokens_to_ids(word) for word in (one.bos, one.eos, *one.control) if word}
    theirs = own_ids(tokenizer, messages(plain[:-1]), one, asks=True)
    assert [token for token in inputs if token in control] == [token for token in theirs if token in control]


REFUSES_OPENING = """
{%- for turn in messages -%}
{%- if loop.first and turn.role == 'assistant' -%}{{ raise_exception('a user begins') }}{%- endif -%}
<|im_start|>{{ turn.role + '\\n' + turn.content }}<|im_end|>{{ '\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}<|im_start|>assistant{{ '\\n' }}{%- endif -%}
"""


def test_an_opening_of_the_one_who_replies_stays_where_the_template_takes_it() -> None:
    tokenizer, one = made(MAKE, "ChatML"), FORMATS["ChatML"]
    opened = [("assistant", "yes?"), *SAID[:2]]
    plain = codec(tokenizer, one)
    assert ids(plain, asked(opened))[0] == own_ids(tokenizer, messages(opened[:-1]), one, asks=True)
    strict = replace(plain, chat=replace(plain.chat, template=REFUSES_OPENING))
    assert ids(strict, asked(opened))[0] == own_ids(tokenizer, messages(opened[1:-1]), one, asks=True)


def test_words_around_the_turns_make_one_message_of_the_user() -> None:
    tokenizer, one = made(MAKE, "ChatML"), FORMATS["ChatML"]
    worded = Template(name="worded", inputs="A chat:\n{conversation}\nWhat comes next?")
    prompt = asked([("user", "deep?"), ("assistant", "yes")], template=worded)
    inputs, _ = ids(codec(tokenizer, one), prompt)
    assert inputs == own_ids(tokenizer, messages([("user", prompt.inputs)]), one, asks=True)


def long_chat(turns: int) -> list[tuple[str, str]]:
    return [(("user", "assistant")[at % 2], f"sort these words {at}: b a c") for at in range(turns)]


@pytest.mark.parametrize("room", [60, 90, 150, 400])
@pytest.mark.parametrize("system", ["", "Be brief."])
def test_a_chat_without_room_loses_its_oldest_turns_whole(room, system) -> None:
    tokenizer, one = made(MAKE, "ChatML"), FORMATS["ChatML"]
    said = long_chat(22)
    encoder = replace(codec(tokenizer, one), max_input_tokens=room)
    encoded = encoder.encode_prompts([asked(said, system=system)], continuations="target")
    choices = [own_ids(tokenizer, messages(said[start:-1], system=system), one, asks=True) for start in range(0, 21, 2)]
    fitting = [one for one in choices if len(one) <= room]
    assert fitting, "the last turn fits"
    assert encoded[0].inputs.tolist() == max(fitting, key=len)
    assert encoded.counts.inputs_shortened == (len(fitting) < len(choices))


def test_a_chat_is_never_cut_between_its_turns_whatever_the_protocol() -> None:
    tokenizer, one = made(MAKE, "ChatML"), FORMATS["ChatML"]
    encoder = replace(codec(tokenizer, one), max_input_tokens=90, drops_exemplars=False, truncation="left")
    said = long_chat(22)
    inputs, _ = ids(encoder, asked(said))
    assert inputs in [own_ids(tokenizer, messages(said[start:-1]), one, asks=True) for start in range(2, 21, 2)]


def test_of_a_last_turn_without_room_the_middle_goes_and_the_template_stays_whole() -> None:
    tokenizer, one = made(MAKE, "ChatML"), FORMATS["ChatML"]
    said = [*long_chat(4), ("user", "sort these words: " + "b a c " * 60), ("assistant", "no")]
    encoder = replace(codec(tokenizer, one), max_input_tokens=40)
    inputs, target = ids(encoder, asked(said, system="Be brief."))
    frame = own_ids(tokenizer, messages([("user", "q")]), one, asks=True)
    assert len(inputs) == 40 and inputs[0] == frame[0] and inputs[-4:] == frame[-4:]
    start = tokenizer.convert_tokens_to_ids("<|im_start|>")
    assert inputs.count(start) == 2 and tokenizer.decode(target[:-1]).strip() == "no"


@pytest.mark.parametrize("family", ["decoder-only", "encoder-decoder"])
def test_text_without_room_loses_its_oldest_turns_whole(tokenizer, family) -> None:
    said = long_chat(22)
    encoder = Codec(
        tokenizer=tokenizer, family=family, layout=Layout(target_separator="\n"), max_input_tokens=100,
        max_target_tokens=60,
    )  # fmt: skip
    worded = Template(name="worded", inputs="Does this go on?\n\n{conversation}\n\nsort these words")
    for template in (AS_SAID, worded):
        whole = asked(said, template=template)
        encoded = encoder.encode_prompts([whole], continuations="target")
        found = tokenizer.decode(encoded[0].inputs, skip_special_tokens=True).rstrip("\n")
        shorter = [asked(said[start:], template=template) for start in range(0, 21, 2)]
        fitting = [one for one in shorter if len(encoder.framing.inputs([one])[0]) <= 100]
        assert found == fitting[0].inputs and fitting[0] is not shorter[0]
        assert encoded.counts.inputs_shortened == 1 and encoded.counts.prompts == 1


def test_long_and_short_conversations_and_plain_prompts_are_fitted_together(tokenizer) -> None:
    encoder = Codec(
        tokenizer=tokenizer, family="decoder-only", layout=Layout(), max_input_tokens=100, max_target_tokens=60
    )
    plain = Prompt(task="t", split="train", row=0, template="t", inputs="Is the sky blue? " * 40, targets="yes")
    prompts = [asked(long_chat(22)), plain, asked(long_chat(2)), asked(long_chat(14)), replace(plain, inputs="blue?")]
    together = encoder.encode_prompts(prompts, continuations="target")
    for at, prompt in enumerate(prompts):
        alone = encoder.encode_prompts([prompt], continuations="target")
        assert together[at].inputs.tolist() == alone[0].inputs.tolist() and together.each[at] == alone.each[0]
    assert [one.inputs_shortened for one in together.each] == [1, 1, 0, 1, 0]


@pytest.mark.parametrize("family", ["decoder-only", "encoder-decoder"])
def test_a_file_of_five_lines_becomes_batches_whose_loss_is_on_the_replies_alone(tokenizer, tmp_path, family) -> None:
    rows = [{"messages": messages([*long_chat(at % 3 * 2 + 2)], system="yes")} for at in range(12)]
    (tmp_path / "chats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "chats.toml").write_text(
        'name = "chats"\nclusters = ["c"]\nsource.files.train = "chats.jsonl"\nsplits.train = "train"\n'
        'conversation.column = "messages"\n'
    )
    prepared = prepare_task(load_task_file(tmp_path / "chats.toml"), cache=tmp_path / "cache")
    mixture = Mixture([prepared], seed=0)
    codec = Codec(tokenizer=tokenizer, family=family, layout=Layout(), max_input_tokens=200, max_target_tokens=60)
    settings = PackingSettings(max_input_tokens=200, max_target_tokens=60, row_tokens=260, batch_tokens=1_040)
    batch = Batches(PromptStream(mixture, codec, row_tokens=260), settings).batch(0)
    taught = sorted(
        tokenizer.decode(pack.targets.token[pack.targets.item == item], skip_special_tokens=True)
        for pack in batch.packs
        for item in np.unique(pack.targets.item)
    )
    assert taught == sorted(mixture[number].targets for number in range(batch.counts.prompts))
    assert batch.counts.prompts > 4 and {text[:16] for text in taught} == {"sort these words"}
