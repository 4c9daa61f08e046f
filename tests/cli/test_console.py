"""Progress in one line of any terminal."""

from __future__ import annotations

import pytest

from flantune.cli.console import bar_line, columns, fitted
from flantune.training.tuning_summary import TuningProgress

LONG = TuningProgress(
    step=29_999,
    steps=30_000,
    loss=1.5,
    learning_rate=3e-5,
    tokens_per_s=123_456.7,
    seconds=9e4,
    seconds_left=7_300,
    pipeline_tokens_per_s=1_650_000.0,
)


@pytest.mark.parametrize("width", [1, 5, 12, 20, 39, 60, 79, 100, 200])
@pytest.mark.parametrize(
    "text",
    [
        str(LONG),
        "animal_names_in_seventeen_languages_and_their_many_dialects: 1,234,567 of 9,999,999 prompts",
        "推論と感情の分類を含む課題の名前がとても長い場合: 12 of 34 prompts",
        "",
        "e\u0301" * 90,
    ],
)
@pytest.mark.parametrize("share", [0.0, 0.333, 1.0])
def test_a_line_is_never_wider_than_the_terminal(text, width, share):
    line = bar_line(share, text, width=width)
    assert columns(line) <= width
    assert "\n" not in line


def test_eighty_columns_hold_step_and_time_left():
    line = bar_line(0.99, str(LONG), width=79)
    assert "step 29,999/30,000" in line
    assert "2.0 h left" in line
    assert "99%" in line


def test_names_cannot_steer_the_terminal():
    assert "\x1b" not in bar_line(0.5, "evil\x1b[2J\r\nname", width=79)
    assert fitted("a\x07b", 9) == "a�b"


def test_options_that_no_setting_takes_are_said_in_words(monkeypatch, capsys):
    from flantune.cli.main import main

    arguments = ["evaluate", "model", "--collection", "more", "--include", "rte", "--include", "rte"]
    monkeypatch.setattr("sys.argv", ["flantune", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert 'error: --include: should name each once; "rte" is there twice' in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [
        (["rescore", "."], "--confidence", "nan"),
        (["answer", "p.txt", "m", "--out", "o"], "--temperature", "nan"),
        (["answer", "p.txt", "m", "--out", "o"], "--temperature", "inf"),
        (["answer", "p.txt", "m", "--out", "o"], "--seed", str(2**64)),
        (["evaluate", "m"], "--seed", str(2**63)),
        (["evaluate", "m"], "--temperature", "1e999"),
        (["demo"], "--seed", "-1"),
    ],
)
def test_a_number_on_the_command_line_is_one(command, option, value):
    from click.testing import CliRunner

    from flantune.cli.main import cli

    result = CliRunner().invoke(cli, [*command, option, value])
    assert result.exit_code == 2
    assert option in result.output
