"""`flantune answer` and `flantune judge` from the command line."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request

import pytest
from click.testing import CliRunner
from tests.conftest import HUNG_AFTER_S

from flantune.cli.main import cli
from flantune.judging.answers import read_answers
from flantune.judging.ratings import read_ratings
from flantune.models.load import save_model
from flantune.models.scratch import build_model, train_tokenizer
from flantune.settings.config import ScratchSettings
from flantune.system.locking import BusyFolderError, locked


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    tokenizer = train_tokenizer(["Is the sky blue? yes", "Name a river. Rhine"] * 5, 300)
    for seed, architecture in enumerate(("llama", "t5")):
        scratch = ScratchSettings(architecture=architecture, hidden_size=16, layers=1, heads=2)
        save_model(build_model(scratch, tokenizer, seed=seed), folder / architecture, card="")
    return folder


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("Is the sky blue?\nName a river.\n", encoding="utf-8")
    return path


def invoke(*arguments, code=0):
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def test_two_models_answer_and_repeating_the_command_changes_nothing(models, prompts, tmp_path):
    out = tmp_path / "answers.jsonl"
    command = ("answer", prompts, models / "llama", f"second={models / 't5'}", "--out", out, "--max-new-tokens", 4)
    result = invoke(*command)
    assert f"flantune judge {out}" in result.stderr
    answers = read_answers(out)
    assert {(answer.id, answer.model) for answer in answers} == {(at, m) for at in "12" for m in ("llama", "second")}
    assert all(answer.tokens <= 4 for answer in answers)
    before = out.read_bytes()
    invoke(*command)
    assert out.read_bytes() == before
    with prompts.open("a", encoding="utf-8") as handle:
        handle.write("And now?\n")
    invoke(*command)
    assert out.read_bytes().startswith(before)
    assert len(read_answers(out)) == 6


def test_chat_models_are_asked_in_their_template(models, prompts, tmp_path, monkeypatch):
    seen = []

    def spy(lm, asked, *, codec, **values):
        seen.append(
            (
                codec.chat is not None,
                [lm.tokenizer.decode(one.inputs) for one in codec.encode_prompts(asked, continuations="none") if one],
            )
        )
        return []

    monkeypatch.setattr("flantune.evaluation.asking.answers.write_answers", spy)
    template = tmp_path / "chat.jinja"
    template.write_text(
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}", encoding="utf-8"
    )
    command = ("answer", prompts, models / "llama", "--out", tmp_path / "answers.jsonl")
    invoke(*command, "--chat", "--chat-template", template, "--system", "Be brief.")
    invoke(*command)
    assert [is_chat for is_chat, _ in seen] == [True, False]
    assert seen[0][1][0].startswith("<system>Be brief.") and "<user>Is the sky blue?" in seen[0][1][0]
    assert "<user>" not in seen[1][1][0]
    result = CliRunner().invoke(cli, [str(one) for one in (*command, "--system", "Be brief.")])
    assert "has no effect without --chat" in str(result.exception)


CHATS = {
    "writes something else before a reply": "{% for m in messages %}{{ m.role }}:{% if m.role == 'assistant' %}<hm/>"
    "{% endif %}{{ m.content + eos_token }}{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}",
    "writes no token that ends a reply": "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}",
    "writes today's date": "{{ strftime_now('%x') }}{% for m in messages %}{{ m.content + eos_token }}{% endfor %}",
}


@pytest.mark.parametrize("said", CHATS)
def test_what_to_know_of_a_chat_template_is_said(models, prompts, tmp_path, said):
    template = tmp_path / "chat.jinja"
    template.write_text(CHATS[said], encoding="utf-8")
    command = ("answer", prompts, models / "llama", "--max-new-tokens", 2, "--chat", "--chat-template", template)
    shown = " ".join(invoke(*command, "--out", tmp_path / "answers.jsonl").stderr.split())
    assert said in shown and sum(other in shown for other in CHATS) == 1


def test_prompts_that_are_too_long_are_said_and_only_what_is_written_is_counted(models, tmp_path):
    prompts, template, out = tmp_path / "prompts.jsonl", tmp_path / "chat.jinja", tmp_path / "answers.jsonl"
    asked = [
        {"id": name, "prompt": text} for name, text in (("short", "a"), ("long", "river " * 30), ("tall", "b " * 40))
    ]
    prompts.write_text("".join(json.dumps(one) + "\n" for one in asked), encoding="utf-8")
    command = ("answer", prompts, models / "llama", "--out", out, "--max-new-tokens", 2)
    shown = " ".join(invoke(*command, "--max-input-tokens", 20).stderr.split())
    assert "2 of 3 prompts are shortened by --max-input-tokens (20); the first is long" in shown
    assert "3 answers written, 0 were there" in shown
    out.unlink()
    template.write_text("{% for m in messages %}{{ 'a long frame, ' * 9 + m.content + eos_token }}{% endfor %}")
    shown = " ".join(invoke(*command, "--max-input-tokens", 20, "--chat", "--chat-template", template).stderr.split())
    assert "3 of 3 prompts get no answer" in shown and "0 answers written, 0 were there" in shown
    assert read_answers(out) == ()


def test_other_settings_do_not_mix_in(models, prompts, tmp_path):
    out = tmp_path / "answers.jsonl"
    invoke("answer", prompts, models / "llama", "--out", out, "--max-new-tokens", 4)
    result = CliRunner().invoke(cli, ["answer", str(prompts), str(models / "llama"), "--out", str(out)])
    assert "other settings" in str(result.exception)


def test_only_one_command_at_a_time_writes_a_file(models, prompts, tmp_path):
    out = tmp_path / "answers.jsonl"
    command = ["answer", str(prompts), str(models / "llama"), "--max-new-tokens", "2", "--out"]
    with locked(tmp_path, name=".answers.jsonl.lock"):
        result = CliRunner().invoke(cli, [*command, str(out)])
        assert isinstance(result.exception, BusyFolderError) and result.exception.where == str(out)
        invoke(*command, tmp_path / "others.jsonl")  # another file in the folder is free
    invoke(*command, out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.jsonl", "others.jsonl", "prompts.txt"]


def test_two_models_of_one_name_are_refused(models, prompts, tmp_path):
    result = CliRunner().invoke(
        cli, ["answer", str(prompts), f"a={models / 't5'}", f"a={models / 'llama'}", "--out", str(tmp_path / "x.jsonl")]
    )
    assert "NAME=PATH" in str(result.exception)


def test_the_page_is_served_until_interrupted(answers_file):
    command = [sys.executable, "-m", "flantune", "judge", str(answers_file), "--no-browser"]
    command[1:3] = ["-c", "from flantune.cli.main import main; main()"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        url = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{32,}/", url)
        with urllib.request.urlopen(f"{url}pair", timeout=HUNG_AFTER_S) as reply:
            pair = json.load(reply)
        body = json.dumps({"at": 0, "key": pair["key"], "choice": "left", "seconds": 1}).encode()
        asked = urllib.request.Request(f"{url}rate", data=body, headers={"Content-Type": "application/json"})
        urllib.request.urlopen(asked, timeout=HUNG_AFTER_S).close()
        assert [rating.choice for rating in read_ratings(answers_file.with_suffix(".ratings.jsonl"))] == ["left"]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=HUNG_AFTER_S)
    finally:
        process.kill()
    assert process.returncode == 0
    assert out.strip() == str(answers_file.with_suffix(".ratings.jsonl"))
    assert "1 of 2 pairs are rated" in err
    assert "--summary" in err


def test_summary_as_table_json_and_page(answers_file, tmp_path):
    from flantune.judging.comparisons import comparisons
    from flantune.judging.ratings import Desk

    desk = Desk(comparisons(read_answers(answers_file), seed=0), answers_file.with_suffix(".ratings.jsonl"))
    desk.rate(0, "left", seconds=1)
    page = tmp_path / "out.html"
    shown = invoke("judge", answers_file, "--summary", "--html", page)
    assert "1 of 2 pairs rated" in shown.stdout
    assert "Undecided between" in shown.stdout
    assert "95% interval" in page.read_text(encoding="utf-8")
    found = json.loads(invoke("judge", answers_file, "--summary", "--json").stdout)
    assert (found["rated"], found["pairs"][0]["prompts"], found["pairs"][0]["same"]) == (1, 2, 1)
    invoke("judge", answers_file, "--json", code=2)
