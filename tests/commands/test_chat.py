"""Talking to a model: each reply is what the model writes to the same conversation asked in any other way."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.training.small import make_lm

from flantune.cli import chat as chat_command
from flantune.cli.main import cli
from flantune.commands import chat as chat_module
from flantune.commands.chat import Talk, Talking
from flantune.errors import EvaluationError, SourceError
from flantune.models.load import save_model
from flantune.models.writing.decoding import Decoding
from flantune.models.writing.generate import write

TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture
def lm():
    return make_lm("llama")


@pytest.fixture
def chatty(lm):
    import copy

    tokenizer = copy.deepcopy(lm.tokenizer)
    tokenizer.chat_template = TEMPLATE
    return replace(lm, tokenizer=tokenizer)


def asked(talk: Talk, monkeypatch: pytest.MonkeyPatch, *messages: str) -> list[str]:
    """What the model read before each reply, as text."""
    read: list[str] = []

    def spy(lm, inputs, decoding, **options):
        read.append(lm.tokenizer.decode(inputs[0]))
        yield replace(next(write(lm, inputs, decoding, **options)), text="So.")  # a tiny model may say nothing

    monkeypatch.setattr(chat_module, "write", spy)
    for message in messages:
        talk.reply(message)
    return read


def test_pieces_that_are_heard_are_the_reply(lm):
    heard: list[str] = []
    reply = Talk(lm, Talking(max_new_tokens=12)).reply("Spell red.", heard=heard.append)
    assert "".join(heard) == reply and len(heard) > 1


def test_a_model_without_a_template_is_asked_each_message_by_itself(lm, monkeypatch):
    talk = Talk(lm, Talking(max_new_tokens=4))
    assert talk.form == "alone"
    assert asked(talk, monkeypatch, "Spell red.", "Spell blue.") == ["Spell red.\n", "Spell blue.\n"]


def test_in_a_template_the_conversation_goes_on(chatty, monkeypatch):
    talk = Talk(chatty, Talking(max_new_tokens=4, system="Be brief."))
    first, second = asked(talk, monkeypatch, "Spell red.", "And blue?")
    assert talk.form == "chat"
    assert first.replace(" ", "").startswith("<system>Bebrief.")
    assert second.startswith(first) and "And blue?" in second
    talk.begin_again()
    assert asked(talk, monkeypatch, "Spell red.") == [first]


def test_turns_as_text_end_with_who_replies(lm, monkeypatch):
    talk = Talk(lm, Talking(form="turns", max_new_tokens=20, system="Be brief."))
    first, second = asked(talk, monkeypatch, "Spell red.", "And blue?")
    assert first == "Be brief.\n\nUser: Spell red.\nAssistant:\n"
    assert (
        second.startswith("Be brief.\n\nUser: Spell red.\nAssistant: So.\n") and "User: And blue?\nAssistant:" in second
    )


def test_an_interrupted_reply_ends_there(chatty):
    talk = Talk(chatty, Talking(max_new_tokens=30))
    heard: list[str] = []

    def stop(piece: str) -> None:
        heard.append(piece)
        if len(heard) == 3:
            raise KeyboardInterrupt

    assert talk.reply("Spell red.", heard=stop) == "".join(heard)


def test_what_has_no_place_is_told(lm):
    with pytest.raises(EvaluationError, match="has no place where messages stand alone"):
        Talk(lm, Talking(system="Be brief."))


def test_the_writer_finds_the_same_tokens_heard_or_not(lm):
    import numpy as np

    inputs = [np.arange(3, 20, dtype=np.int32)]
    heard: list[str] = []
    plain, told = (next(write(lm, inputs, Decoding(max_new_tokens=10), heard=one)) for one in (None, heard.append))
    assert plain == told and "".join(heard) == told.text


def test_input_that_is_not_utf_8_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_model(make_lm("llama"), tmp_path / "model", card="")
    result = CliRunner().invoke(cli, ["chat", str(folder), "--device", "cpu"], input=b"caf\xe9\n")
    assert isinstance(result.exception, SourceError) and "standard input: is not text in UTF-8" in str(result.exception)
    monkeypatch.setattr("sys.stdin", io.StringIO("caf\udce9\n"))  # how Python reads it in the locale C
    with pytest.raises(SourceError, match="is not text in UTF-8"):
        chat_command._next_line(is_terminal=False)


def test_ctrl_c_at_the_prompt_promises_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupted)
    monkeypatch.setattr(chat_command, "_converse", lambda *_, **__: chat_command._next_line(is_terminal=True))
    folder = save_model(make_lm("llama"), tmp_path / "model", card="")
    result = CliRunner().invoke(cli, ["chat", str(folder), "--device", "cpu"])
    assert result.exit_code == 130 and result.stderr.endswith("interrupted\n") and "repeat" not in result.stderr


def test_the_command_answers_each_line_of_its_input(tmp_path: Path) -> None:
    folder = save_model(make_lm("llama"), tmp_path / "model", card="")
    result = CliRunner().invoke(
        cli, ["chat", str(folder), "--max-new-tokens", "4", "--device", "cpu"], input="Spell red.\n\nSpell blue.\n"
    )
    assert result.exit_code == 0, result.output
    assert "each message by itself" in result.stderr
    expected = [Talk(make_lm("llama"), Talking(max_new_tokens=4)).reply(one) for one in ("Spell red.", "Spell blue.")]
    assert result.stdout == "".join(f"{reply}\n" for reply in expected)
