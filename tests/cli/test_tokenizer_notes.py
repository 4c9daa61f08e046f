"""What commands say of a model's tokenizer and chat template: answers that cannot be written, templates that fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import transformers
from click.testing import CliRunner
from tests.packing.chat_formats import FORMATS, QWEN_THINKING
from tests.packing.made_tokenizers import MAKES, finished
from tests.task_files import task_text

from flantune.cli import answer as answer_cli
from flantune.cli import preview as preview_cli
from flantune.cli import tasks as tasks_cli
from flantune.errors import ConfigError, ModelError, TemplateError

RUN = """
[data]
tasks = ["seen.toml", "held.toml"]
[holdout]
folds = [["held"]]
[model]
path = "model"
[packing]
row_tokens = 256
"""


def run_file(folder: Path, tokenizer, *options: str, more: str = "") -> Path:
    tokenizer.save_pretrained(folder / "model")
    transformers.LlamaConfig(vocab_size=len(tokenizer)).save_pretrained(folder / "model")
    for name, thing in (("seen", "boat"), ("held", "bird")):
        rows = [{"text": f"{thing} {at}", "label": at % 2} for at in range(6)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        files = dict.fromkeys(("train", "test"), f"{name}.jsonl")
        task = task_text(name, files, cluster=name, options=options, inputs="{text}\nWhich?\n{options}")
        (folder / f"{name}.toml").write_text(task)
    (folder / "run.toml").write_text(RUN + more)
    return folder / "run.toml"


@pytest.mark.parametrize("options", [("\u4e0a", "\u4e0b"), ("a  b", "a b")])
def test_check_and_preview_refuse_options_with_the_same_tokens(tmp_path, options):
    run = run_file(tmp_path, finished(MAKES["Unigram, normalizing"](["</s>"])), *options)
    checked = CliRunner().invoke(tasks_cli.command, ["check", str(run)])
    assert checked.exit_code == 1
    assert f"error: seen: the options {options[0]!r} and {options[1]!r} have the same tokens" in checked.stdout
    shown = CliRunner().invoke(preview_cli.command, [str(run)])
    assert isinstance(shown.exception, ModelError) and "always tie; 6 of 6 rows" in str(shown.exception)


def test_check_and_preview_warn_of_answers_with_the_unknown_token(tmp_path):
    run = run_file(tmp_path, finished(MAKES["Unigram, blank always"](["</s>"])), "yes", "no \u4e0b")
    checked = CliRunner().invoke(tasks_cli.command, ["check", str(run)])
    assert checked.exit_code == 0 and "warning: seen: the tokenizer cannot write 'no \u4e0b'" in checked.stdout
    shown = CliRunner().invoke(preview_cli.command, [str(run), "--count", "1"])
    assert shown.exit_code == 0 and "note: seen: the tokenizer cannot write" in shown.stderr


def test_without_a_model_or_with_a_good_tokenizer_nothing_is_said(tmp_path):
    run = run_file(tmp_path, finished(MAKES["byte-level"](["</s>"])), "yes", "no \u4e0b")
    for text in (RUN, RUN.replace('[model]\npath = "model"', "[model.scratch]\nhidden_size = 16")):
        run.write_text(text)
        checked = CliRunner().invoke(tasks_cli.command, ["check", str(run)])
        assert checked.exit_code == 0 and "cannot write" not in checked.output


def test_preview_shows_the_spaces_of_every_token(tmp_path):
    run = run_file(tmp_path, finished(MAKES["BPE, blank first"](["</s>"])), "yes it is", "no")
    shown = CliRunner().invoke(preview_cli.command, [str(run), "--count", "4", "--json"])
    texts = [
        "".join([*one["input_tokens"], *one["target_tokens"]]) for one in map(json.loads, shown.stdout.splitlines())
    ]
    assert all(text.startswith(" boat ") and "\nWhich?\nOPTIONS:\n- yes it is\n- no\n" in text for text in texts)
    assert {text.rpartition("\n")[2] for text in texts} <= {" yes it is</s>", " no</s>"}


def test_a_template_that_refuses_a_system_message_is_one_error_with_a_hint(tmp_path):
    one = FORMATS["Gemma"]
    tokenizer = finished(MAKES["byte-level"]([one.bos, one.eos, *one.control]), bos=one.bos, eos=one.eos)
    tokenizer.chat_template = one.template
    run = run_file(tmp_path, tokenizer, "yes", "no", more='[prompts]\nchat = true\nsystem = "Be brief."\n')
    shown = CliRunner().invoke(preview_cli.command, [str(run)])
    assert isinstance(shown.exception, TemplateError)
    assert "this model knows no system role" in str(shown.exception) and "prompts.system" in str(shown.exception)


@pytest.mark.parametrize("thinks", [None, False])
def test_a_template_that_asks_otherwise_than_it_writes_is_said(tmp_path, thinks):
    tokenizer = finished(MAKES["byte-level"](["<|im_start|>", "<|im_end|>", "</s>"]), template=QWEN_THINKING)
    more = "[prompts]\nchat = true\n" + ("chat_thinking = false\n" if thinks is False else "")
    run = run_file(tmp_path, tokenizer, "yes", "no", more=more)
    shown = CliRunner().invoke(preview_cli.command, [str(run), "--count", "1", "--json"])
    assert ("in its generation prompt" in shown.stderr) == (thinks is None)
    prompt = "".join(json.loads(shown.stdout)["input_tokens"])
    assert prompt.endswith("assistant\n" if thinks is None else "assistant\n<think>\n\n</think>\n\n")


@pytest.mark.parametrize(
    ("option", "values"), [("--no-thinking", ()), ("--thinking", ()), ("--system", ("Be brief.",))]
)
def test_what_says_nothing_without_a_chat_is_refused_before_a_model_is_loaded(tmp_path, option, values):
    (tmp_path / "prompts.txt").write_text("Is it?\n")
    args = [str(tmp_path / "prompts.txt"), "no-such-model", "--out", str(tmp_path / "out.jsonl"), option, *values]
    done = CliRunner().invoke(answer_cli.command, args)
    assert isinstance(done.exception, ConfigError) and "has no effect without --chat" in str(done.exception)
    assert option.removeprefix("--no-").removeprefix("--") in done.exception.where


def test_preview_shows_prompts_as_short_as_their_rows_are(tmp_path):
    run = run_file(tmp_path, finished(MAKES["byte-level"](["</s>"])), "yes", "no")
    run.write_text(run.read_text().replace("row_tokens = 256", "row_tokens = 12\nbatch_tokens = 12"))
    shown = CliRunner().invoke(preview_cli.command, [str(run), "--count", "4", "--json"])
    found = [json.loads(line) for line in shown.stdout.splitlines()]
    assert found and all(len(one["input_tokens"]) + len(one["target_tokens"]) <= 12 for one in found)
