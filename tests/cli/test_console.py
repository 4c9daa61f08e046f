"""Progress in one line of any terminal."""

from __future__ import annotations

import io
import re
import sys
import time
from collections.abc import Callable

import click
import pytest

from flantune.cli import console as progress
from flantune.cli.console import Console, bar_line, columns, fitted
from flantune.cli.terminal import end_redrawn, guarded, redraw
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
    assert 'error: --include: should name each once; "rte" occurs twice' in said
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


def wait_for(is_there: Callable[[], object]) -> None:
    ends = time.monotonic() + 60.0
    while not is_there() and time.monotonic() < ends:
        time.sleep(0.01)
    assert is_there()


class Screen(io.StringIO):
    """A terminal that keeps all that was written to it."""

    def isatty(self) -> bool:
        return True


def a_log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    log = io.StringIO()
    monkeypatch.setattr(progress, "_LINE_EVERY", 0.2)
    monkeypatch.setattr(sys, "stderr", log)
    return log


def test_a_log_is_told_what_takes_long(monkeypatch):
    log = a_log(monkeypatch)
    with Console() as told:
        told.stage("read a very large file")
        wait_for(lambda: re.search(r"read a very large file: \d+ s so far", log.getvalue()))
        told.stage("tune")
        told.step(1, 9, "step 1/9")
        wait_for(lambda: log.getvalue().count("step 1/9") > 1)
    ended = log.getvalue()
    time.sleep(0.6)
    assert log.getvalue() == ended, "nothing is said once the work is done"


def test_the_first_step_and_the_last_are_always_told(monkeypatch):
    log = a_log(monkeypatch)
    monkeypatch.setattr(progress, "_LINE_EVERY", 1e9)
    told = Console()
    told.stage("tune")
    for step in range(1, 10):
        told.step(step, 9, f"step {step}/9")
    assert re.findall(r"step \d/9", log.getvalue()) == ["step 1/9", "step 9/9"]


def test_a_terminal_sees_the_seconds_go_by_in_one_line(monkeypatch):
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(progress, "_WORTH_SAYING", 0.0)
    monkeypatch.setenv("COLUMNS", "60")
    with Console() as told:
        told.stage("tune")
        wait_for(lambda: re.search(r"\d s so far", screen.getvalue()))
        told.step(1, 9, "step 1/9, loss 1.500, 22 s left")
        wait_for(lambda: re.search(r"step 1/9.*\(\d s ago\)", screen.getvalue()))
    shown = [line.rpartition("\x1b[2K")[2] for line in re.split("[\r\n]", screen.getvalue())]
    assert max(map(columns, shown)) < 60
    assert screen.getvalue().endswith("\n"), "what comes next begins a line"


def test_whatever_is_printed_begins_a_line_of_its_own(monkeypatch):
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(sys, "stdout", screen)
    with guarded():
        redraw("half a line")
        click.echo("a table")
        end_redrawn()
    assert screen.getvalue() == "\r\x1b[2Khalf a line\na table\n"


def test_while_results_are_printed_nothing_comes_between(monkeypatch):
    log = a_log(monkeypatch)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with guarded(), Console() as told:
        told.stage("measure")
        click.echo("the first table")
        before = log.getvalue()
        time.sleep(0.8)
        assert log.getvalue() == before


def test_while_a_person_is_to_speak_nothing_is_said(monkeypatch):
    log = a_log(monkeypatch)
    with Console() as told:
        told.stage("ready")
        told.rest()
        before = log.getvalue()
        time.sleep(0.6)
        assert log.getvalue() == before
