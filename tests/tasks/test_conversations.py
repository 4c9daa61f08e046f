"""Conversations of a file as a task: how turns are read, which replies are examples, and what is wrong with a row."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from flantune.contamination.clean import KeptExamples
from flantune.errors import BadRowsError, ConfigError, SourceError, TaskError
from flantune.mixture.mixture import Mixture
from flantune.settings.config import DataSettings, MixtureSettings, PromptSettings
from flantune.settings.run_file import load_run_file
from flantune.tasks.catalog import tasks_in
from flantune.tasks.conversations import ConversationAdapter
from flantune.tasks.every_reply import EveryReply
from flantune.tasks.prepare import prepare_task
from flantune.tasks.repeated_rows import find_repeated_rows
from flantune.tasks.rows import BadRow
from flantune.tasks.taskfile import load_task_file
from flantune.tasks.taskfile_conversation import ConversationSection
from flantune.types import Task, Turn

FIVE_LINES = """\
name = "chats"
clusters = ["conversation"]
source.files.train = "train.jsonl"
splits.train = "train"
conversation.column = "messages"
"""


def messages(*said: str, system: str = "") -> list[dict[str, str]]:
    told = [{"role": "system", "content": system}] if system else []
    return [*told, *({"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(said))]


ROWS = [
    {"messages": messages("Hello?", "Yes.", "Why?", "So.", system="Be brief.")},
    {"messages": messages("Who is it?", "Me.")},
    {"messages": messages("One?", "1", "Two?", "2", "Three?", "3", "And no answer?")},
]


@pytest.fixture
def load(tmp_path: Path, write_rows):
    def load(rows=ROWS, *, more: str = "", text: str = FIVE_LINES) -> Task:
        write_rows(rows)
        (tmp_path / "chats.toml").write_text(text + more, encoding="utf-8")
        return load_task_file(tmp_path / "chats.toml")

    return load


def asked(task: Task, tmp_path: Path, **settings) -> list[tuple[str, str]]:
    """Every prompt of a cycle: what was last said, and the reply."""
    prepared = prepare_task(task, cache=tmp_path / "cache")
    mixture = Mixture([prepared], seed=3, **settings)
    prompts = [mixture[number] for number in range(mixture.cycle)]
    return sorted((one.conversation.turns[-1].text, one.targets) for one in prompts)


def test_five_lines_make_a_task_that_asks_for_every_reply_once(load, tmp_path) -> None:
    task = load()
    assert (task.kind, task.metrics[0], [one.name for one in task.templates]) == ("generation", "rougeL", ["as_said"])
    assert asked(task, tmp_path) == [
        ("Hello?", "Yes."), ("One?", "1"), ("Three?", "3"), ("Two?", "2"), ("Who is it?", "Me."), ("Why?", "So."),
    ]  # fmt: skip


def test_a_drawn_reply_is_another_at_another_visit(load, tmp_path) -> None:
    task = load(more='conversation.trains_on = "drawn"\n')
    prepared = prepare_task(task, cache=tmp_path / "cache")
    mixture = Mixture([prepared], seed=3)
    assert mixture.cycle == 3
    found = {mixture[number].targets for number in range(90)}
    assert found == {"Yes.", "So.", "1", "2", "3", "Me."}
    assert [mixture[number] for number in range(9)] == mixture.block(0, 9)


def test_the_last_reply_alone(load, tmp_path) -> None:
    task = load(more='conversation.trains_on = "last"\n')
    assert asked(task, tmp_path) == [("Three?", "3"), ("Who is it?", "Me."), ("Why?", "So.")]


def test_every_reply_is_a_view_of_the_store_wherever_it_is_sliced(load, tmp_path) -> None:
    rows = [{"messages": messages(*map(str, range(at, at + 2 * (at % 4) + 2)))} for at in range(2_500)]
    task = load(rows, text=FIVE_LINES.replace('splits.train = "train"', 'splits.train = "train[:300] + train[400:]"'))
    store = prepare_task(task, cache=tmp_path / "cache").stores["train"]
    view = EveryReply(store)
    wanted = [(example.row, reply) for example in store for reply in example.replies]
    assert len(view) == len(wanted) and (300, 1) not in wanted
    some = [*range(0, len(wanted), 97), len(wanted) - 1]
    assert [(view[at].row, view[at].replies[0]) for at in some] == [wanted[at] for at in some]
    again = pickle.loads(pickle.dumps(view))
    assert again[7] == view[7] and len(again) == len(view)
    plain = EveryReply(tuple(store[at] for at in range(20)))
    assert [plain[at] for at in range(len(plain))] == [view[at] for at in range(len(plain))]


def test_a_cap_counts_replies_and_no_conversation_shows_itself(load, tmp_path) -> None:
    rows = [{"messages": messages("a?", "1", "b?", "2", "c?", f"{at}")} for at in range(30)]
    prepared = prepare_task(load(rows), cache=tmp_path / "cache")
    settings = {"settings": MixtureSettings(max_examples=40), "prompts": PromptSettings(train_shots=(2,))}
    mixture = Mixture([prepared], seed=0, **settings)
    assert mixture.cycle == 40
    for number in range(40):
        prompt = mixture[number]
        assert prompt.row not in {exemplar.row for exemplar in prompt.exemplars}


@pytest.mark.parametrize(
    ("row", "more"),
    [
        ({"conversations": [{"from": "human", "value": "Hi?"}, {"from": "gpt", "value": "Ho."}]}, ""),
        ({"conversations": [{"speaker": "user", "text": "Hi?"}, {"speaker": "assistant", "text": "Ho."}]}, ""),
        ({"conversations": ["Hi?", "Ho."]}, ""),
        ({"conversations": json.dumps(messages("Hi?", "Ho."))}, ""),
        ({"conversations": {"role": ["user", "assistant"], "content": ["Hi?", "Ho."]}}, ""),
        ({"conversations": [{"role": "user", "content": [{"type": "text", "text": "Hi?"}]}, {"role": "assistant", "content": "Ho."}]}, ""),  # noqa: E501
        ({"conversations": [{"who": 0, "says": "Hi?"}, {"who": 1, "says": "Ho."}]}, 'conversation.speaker = "who"\nconversation.text = "says"\nconversation.speakers = {0 = "user", 1 = "assistant"}\n'),  # noqa: E501
        ({"conversations": ["Welcome.", "Hi?", "Ho."]}, 'conversation.alternating = ["assistant", "user"]\nconversation.drops_opening = true\n'),  # noqa: E501
        ({"conversations": [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": None}, {"role": "assistant", "content": "Ho."}]}, ""),  # noqa: E501
    ],
    ids=["ShareGPT", "speaker", "texts by turns", "JSON in a cell", "columns", "parts", "own keys", "opening", "empty"],
)  # fmt: skip
def test_turns_are_read_however_they_are_written(load, tmp_path, row, more) -> None:
    task = load([row], text=FIVE_LINES.replace('"messages"', '"conversations"'), more=more)
    assert asked(task, tmp_path) == [("Hi?", "Ho.")]


def test_several_columns_a_system_column_and_further_fields(load, tmp_path) -> None:
    row = {"history": ["Hi?", "Ho."], "question": "Why?", "reply": "So.", "rules": "Be brief.", "topic": "tea"}
    text = FIVE_LINES.replace('"messages"', '["history", "question", "reply"]')
    more = """conversation.system = "rules"
[fields]
topic = "topic"
[[templates]]
inputs = "On {topic}: {conversation}"
"""
    task = load([row], text=text, more=more)
    prepared = prepare_task(task, cache=tmp_path / "cache")
    mixture = Mixture([prepared], seed=0, prompts=PromptSettings(turns=("{speaker}: {text}\n",)))
    assert sorted(mixture[number].inputs for number in range(mixture.cycle)) == [
        "On tea: Be brief.\n\nUser: Hi?\nAssistant:",
        "On tea: Be brief.\n\nUser: Hi?\nAssistant: Ho.\nUser: Why?\nAssistant:",
    ]


def test_conversations_on_one_thing_are_one_group_and_repeated_ones_are_told(load, tmp_path) -> None:
    rows = [{"messages": messages(f"Is shop {at % 3} open?", f"{at}"), "shop": f"s{at % 3}"} for at in range(60)]
    text = FIVE_LINES.replace("splits.train", "splits.test")
    told = find_repeated_rows(task := load(rows, text=text), [*map(task.adapter, rows)])
    assert told is not None and "[conversation]" in told.advice
    grouped = load(rows, text=text, more='conversation.group = ["shop"]\n')
    assert {grouped.adapter(row).group for row in rows} == {"s0", "s1", "s2"}


def test_every_key_of_the_table_is_on_its_page() -> None:
    page = (Path(__file__).parents[2] / "docs/conversations.md").read_text(encoding="utf-8")
    for key in ConversationSection.model_fields:
        assert f"`{key}`" in page, key


def test_neighboring_turns_of_one_speaker_are_one() -> None:
    adapter = ConversationAdapter(columns=("c",))
    said = [("user", "Hm."), ("user", "Why?"), ("assistant", "So."), ("assistant", "There.")]
    example = adapter({"c": [{"role": who, "content": text} for who, text in said]})
    assert example.turns == (Turn("user", "Hm.\nWhy?"), Turn("assistant", "So.\nThere."))


@pytest.mark.parametrize("text", ["[laughs] Why?", "[1, 2]", '["a", "b"]', "[" * 5_000])
def test_a_turn_that_looks_like_a_list_stays_a_text(text) -> None:
    example = ConversationAdapter(columns=("q", "a"))({"q": text, "a": "So."})
    assert example.turns == (Turn("user", text), Turn("assistant", "So."))


def test_replies_of_anyone_and_of_the_user() -> None:
    row = {"c": messages("a", "b", "c", "d")}
    assert ConversationAdapter(columns=("c",), replies_of="anyone")(row).replies == (1, 2, 3)
    assert ConversationAdapter(columns=("c",), replies_of="user")(row).replies == (2,)
    assert ConversationAdapter(columns=("c",), replies_of="anyone", max_turns=2)(row).replies == (1, 2)


@pytest.mark.parametrize(
    ("row", "reason", "said"),
    [
        ({"c": None}, "missing value", 'got null in column "c"'),
        ({"d": []}, "missing column", 'expected "c"'),
        ({"c": 7}, "not text", "expected a list of turns"),
        ({"c": []}, "no reply to ask for", "0 turns of nobody"),
        ({"c": messages("Hello?")}, "no reply to ask for", 'got 1 turn of user; expected a reply of "assistant"'),
        ({"c": [{"role": "assistant", "content": "Hello."}]}, "no reply to ask for", "assistant"),
        ({"c": messages("Hello?", "")}, "no reply to ask for", "got an empty reply in turn 2; expected a reply of"),
        (
            {"c": [{"role": "system", "content": "Hm."}, *messages("Hello?", " ")]},
            "no reply to ask for",
            "got an empty reply in turn 3;",
        ),
        ({"c": [*messages("Hello?"), {"role": "assistant", "content": None}]}, "no reply to ask for", "in turn 2;"),
        ({"c": messages("", "")}, "no reply to ask for", "got 0 turns of nobody"),
        ({"c": [{"role": "guest", "content": "7"}]}, "unknown speaker", 'speakers = { "guest" = "user" }'),
        ({"c": [{"content": "7"}]}, "missing column", "expected one of role, from, speaker"),
        ({"c": [{"role": "user", "image": "x"}]}, "missing column", "expected one of content, value, text"),
        ({"c": [{"role": "user", "content": [{"type": "image", "url": "x"}]}]}, "not text", "in a turn"),
        ({"c": [["a"], ["b"]]}, "not text", "expected text"),
    ],
)
def test_a_row_that_is_none_says_why(row, reason, said) -> None:
    with pytest.raises(BadRow) as error:
        ConversationAdapter(columns=("c",))(row)
    assert error.value.reason == reason and said in error.value.detail


def test_fault_07_a_conversation_of_fewer_than_three_utterances_is_counted_not_a_crash(load, tmp_path) -> None:
    rows = [{"messages": ["Welcome.", "Hi?", "Ho."]}] * 200 + [{"messages": ["Welcome.", "Hi?"]}, {"messages": ["Hm."]}]
    more = 'conversation.alternating = ["assistant", "user"]\nconversation.drops_opening = true\n'
    prepared = prepare_task(load(rows, more=more), cache=tmp_path / "cache")
    report = prepared.reports["train"]
    assert (report.kept, dict(report.bad)) == (200, {"no reply to ask for": 2})


def test_too_many_bad_conversations_stop_with_the_first_of_them(load, tmp_path) -> None:
    rows = [*ROWS, {"messages": [{"role": "customer", "content": "Hi?"}]}]
    with pytest.raises(BadRowsError, match=r"unknown speaker.*speakers"):
        prepare_task(load(rows), cache=tmp_path / "cache")
    with pytest.raises(SourceError, match="no example is left"):
        prepare_task(load(rows[3:]), cache=tmp_path / "cache", max_bad_share=1.0)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('conversation.colum = "x"\n', 'unknown key; did you mean "column"'),
        ('conversation.trains_on = "some"\n', "conversation.trains_on"),
        ('conversation.alternating = ["user", "user"]\n', "names one speaker twice"),
        ('conversation.alternating = ["user"]\n', "conversation.alternating"),
        ('[answer]\ncolumn = "x"\n', "cannot be combined with conversation"),
        ('[fields]\nconversation = "x"\n', "use another name"),
        ('[[templates]]\ninputs = "{conversaton}"\n', 'no field "conversaton"; did you mean "conversation"'),
    ],
)
def test_a_mistake_in_the_table_is_told_with_its_place(load, more, said) -> None:
    with pytest.raises(TaskError) as error:
        load(more=more)
    assert said in error.value.render()


def test_a_classification_task_has_no_conversation(load) -> None:
    with pytest.raises(TaskError, match='should be "generation"'):
        load(text='kind = "classification"\n' + FIVE_LINES)


def test_a_conversation_file_is_known_as_a_task_file(load, tmp_path) -> None:
    load()
    assert [task.name for task in tasks_in(tmp_path / "chats.toml")] == ["chats"]
    with pytest.raises(ConfigError, match="this is a task file, not a run file"):
        load_run_file(tmp_path / "chats.toml")


def test_a_changed_table_meets_no_old_store(load, tmp_path) -> None:
    first, second = load(), load(more='conversation.trains_on = "last"\n')
    assert first.adapter_fingerprint != second.adapter_fingerprint
    stores = [prepare_task(task, cache=tmp_path / "cache").stores["train"] for task in (first, second)]
    assert [len(store[0].replies) for store in stores] == [2, 1]


def test_tidy_reaches_the_turns(load, tmp_path) -> None:
    task = load([{"messages": messages("A &amp; B?", "&lt;3", "C &gt; D?", "no")}], text="tidy = true\n" + FIVE_LINES)
    assert asked(task, tmp_path) == [("A & B?", "<3"), ("C > D?", "no")]
    example = prepare_task(task, cache=tmp_path / "cache").stores["train"][0]
    assert example.fields["conversation"] == "User: A & B?\nAssistant: <3\nUser: C > D?"


def test_conversations_and_plain_rows_do_not_mix_in_one_task(tmp_path, write_rows) -> None:
    (tmp_path / "mixed.py").write_text(
        "from flantune.tasks.conversations import ConversationAdapter\n"
        "from flantune.types import Example\n"
        "def adapt(row):\n"
        "    if 'text' in row:\n"
        "        return Example(row=0, fields={'conversation': row['text']}, references=('x',))\n"
        "    return ConversationAdapter(columns=('messages',))(row)\n"
    )
    write_rows([*ROWS, {"text": "plain"}])
    text = FIVE_LINES.replace(
        'conversation.column = "messages"', 'kind = "generation"\nadapter.python = "mixed.py:adapt"'
    )
    (tmp_path / "t.toml").write_text(text + '[[templates]]\ninputs = "{conversation}"\n')
    task = load_task_file(tmp_path / "t.toml")
    report = prepare_task(task, cache=tmp_path / "cache", max_bad_share=1.0).reports["train"]
    assert (report.kept, dict(report.bad)) == (3, {"other fields than the first row": 1})


def test_memory_holds_a_number_for_a_block_of_conversations(load, tmp_path) -> None:
    rows = [{"messages": messages("a?", "b")} for _ in range(3_000)]
    view = EveryReply(prepare_task(load(rows), cache=tmp_path / "cache").stores["train"])
    assert view._ends == (1_024, 2_048, 3_000)
    assert json.dumps(view[2_999].replies) == "[1]"


def test_settings_take_other_ways_to_write_a_turn_and_refuse_what_is_none() -> None:
    assert PromptSettings(turns=("{speaker} — {text}\n",)).turns == ("{speaker} — {text}\n",)
    for wrong in ("{text}\n", "{speaker}: {text}", "{text} {speaker}\n", "{speaker} {speaker} {text}\n"):
        with pytest.raises(ValueError, match="should"):
            PromptSettings(turns=(wrong,))
    assert DataSettings().tasks == ()


def test_every_reply_of_conversations_that_a_filter_leaves(load, tmp_path) -> None:
    rows = [{"messages": messages(*map(str, range(2 * (at % 3) + 2)))} for at in range(60)]
    store = prepare_task(load(rows), cache=tmp_path / "cache").stores["train"]
    kept = [number for number in range(60) if number % 7]
    view = EveryReply(KeptExamples(store, kept))
    assert [(one.row, *one.replies) for one in view] == [
        (example.row, reply) for example in store if example.row in kept for reply in example.replies
    ]


@pytest.mark.parametrize(
    "names", [("system", "user", "assistant"), ("developer", "human", "model"), ("system", "human", "gpt")]
)
def test_names_that_chat_programs_give_are_known(names) -> None:
    row = {"c": [{"role": who, "content": text} for who, text in zip(names, ("Be brief.", "Why?", "So."), strict=True)]}
    assert [turn.speaker for turn in ConversationAdapter(columns=("c",))(row).turns] == ["system", "user", "assistant"]


CALL = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"place": "Bern"}'}}
SAID = [{"role": "user", "content": "Is it raining?"}, {"role": "assistant", "content": "It is."}]
CALLED = [SAID[0], {"role": "assistant", "content": None, "tool_calls": [CALL]},
          {"role": "tool", "tool_call_id": "1", "content": "rain"}, SAID[1]]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"c": CALLED}, 'got a call of a tool ("weather") in turn 2 of column "c"; tool calls cannot be taught'),
        ({"c": [SAID[0], {**SAID[1], "tool_calls": [CALL]}]}, "got a call of a tool"),
        ({"c": [SAID[0], {"role": "assistant", "function_call": {"name": "weather"}}]}, '("weather") in turn 2'),
        ({"c": [*CALLED[2:]]}, 'got what a tool answered in turn 1 of column "c"'),
        (
            {"c": [{"from": "human", "value": "Hm?"}, {"from": "observation", "value": "7"}]},
            "what a tool answered in turn 2",
        ),
        ({"c": SAID, "tools": [CALL]}, 'got tools ("weather") in column "tools"'),
        ({"c": SAID, "tools": json.dumps([{"name": "weather"}])}, 'got tools ("weather") in column "tools"'),
        ({"c": json.dumps(CALLED)}, "in turn 2"),
    ],
)
def test_tools_are_refused_and_named_or_left_out(row, said):
    with pytest.raises(BadRow) as caught:
        ConversationAdapter(columns=("c",))(row)
    assert caught.value.reason == "tool calls" and said in caught.value.detail and "tool_rows" in caught.value.detail
    assert ConversationAdapter(columns=("c",), tool_rows="drop")(row) is None


@pytest.mark.parametrize("more", [{}, {"tools": []}, {"tools": None}, {"tools": "hammer"}, {"tools": ["hammer"]}])
def test_what_only_looks_like_tools_is_kept(more):
    said = [SAID[0], {**SAID[1], "tool_calls": None}]
    example = ConversationAdapter(columns=("c",))({"c": said, **more})
    assert example.references == ("It is.",)
    named = ConversationAdapter(columns=("c",), speakers={"tool": "user"})({"c": CALLED[2:]})
    assert [turn.speaker for turn in named.turns] == ["user", "assistant"]
