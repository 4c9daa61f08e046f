"""``flantune judge --summary`` on files and terminals as they come: long names, narrow screens, odd lines and paths."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flantune.cli.main import cli
from flantune.errors import SourceError
from flantune.judging.answers import LineWriter, read_answers
from flantune.judging.comparisons import comparisons
from flantune.judging.ratings import Rating, read_ratings

LONG = (
    "a-tuned-model-of-some-organization-with-a-name-of-sixty-letters",
    "another-model-whose-name-is-just-as-long-as-that",
)


def lay(folder: Path, models: tuple[str, ...], name: str = "answers.jsonl") -> Path:
    path = folder / name
    rows = [
        {"id": str(number), "prompt": f"Question {number}?", "model": model, "answer": f"{number} by {model}"}
        for number in range(12)
        for model in models
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    lines = [
        asdict(
            Rating(
                comparison=pair.key, prompt=pair.left.id, left=pair.left.model, right=pair.right.model,
                choice="left" if pair.left.model == models[0] else "right", seconds=2.0,
            )
        )
        for pair in comparisons(read_answers(path), seed=0)
    ]  # fmt: skip
    path.with_suffix(".ratings.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def summary(path: Path, *more: str, columns: int | None = None) -> Result:
    env = {"COLUMNS": str(columns)} if columns else {}
    return CliRunner(env=env).invoke(cli, ["judge", str(path), "--summary", *more])


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 200])
@pytest.mark.parametrize("models", [LONG, (LONG[0], "b"), ("base", "tuned"), (*LONG, "third")])
def test_names_and_numbers_can_be_read_at_any_width(tmp_path, models, columns):
    result = summary(lay(tmp_path, models), columns=columns)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    if columns >= 80:
        table = [line for line in lines if "preferred on" not in line]
        assert max(map(len, table)) <= columns
    # No name a letter a line: whatever is folded is folded into long pieces.
    assert not [line for line in lines if len(line.strip()) == 1]
    whole = "".join(part.strip() for part in lines)
    for number in ("won", "95%", "bootstrap 95%", "73.5 to 100.0", "100.0"):
        assert number.replace(" ", "") in re.sub(r"\s", "", whole)
    for model in models:
        assert model in re.sub(r"\s", "", whole)


def test_other_tables_do_not_fall_into_letters_either():
    from rich.table import Table
    from rich.text import Text

    from flantune.cli.terminal import show

    table = Table(title="run", box=None, pad_edge=False)
    table.add_column("held-out cluster", overflow="fold")
    for heading in ("chance", "base", "tuned", "difference", "95% interval", "p", "detectable"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_row(*map(Text, ("natural language inference", "50.0", "51.2", "61.0", "+9.8", "+1 to +18", "0.02", "±9")))
    os.environ["COLUMNS"] = "50"
    try:
        import contextlib
        import io

        with contextlib.redirect_stdout(io.StringIO()) as said:
            show(table)
    finally:
        del os.environ["COLUMNS"]
    lines = said.getvalue().splitlines()
    assert lines[0] == "run" and "natural language inference" in lines[1]
    assert "  95% interval +1 to +18" in lines and len(lines) == 9


BAD = [
    "[" * 50_000,
    '{"comparison": [], "prompt": "1", "left": "a", "right": "b", "choice": "left"}',
    '{"comparison": "c", "prompt": "1", "left": "a", "right": "b", "choice": ["left"]}',
    '{"comparison": "c", "prompt": "1", "left": "a", "right": 5, "choice": "left"}',
    '{"comparison": "c", "prompt": "1", "left": "a", "right": "b", "choice": "left", "seconds": "long"}',
    '{"comparison": "c", "prompt": "1", "left": "a", "right": "b", "choice": "left", "surprise": 1}',
    '["left"]',
    "7",
    "9" * 5_000,
]


@pytest.mark.parametrize("line", BAD, ids=range(len(BAD)))
def test_a_line_that_is_no_rating_is_named_without_a_traceback(tmp_path, line):
    path = lay(tmp_path, ("a", "b"))
    ratings = path.with_suffix(".ratings.jsonl")
    ratings.write_text(line + "\n" + ratings.read_text(), encoding="utf-8")
    result = summary(path)
    assert isinstance(result.exception, SourceError), result.exception
    assert result.exception.where == f"{ratings}:1" and "is no rating" in result.exception.message


@pytest.mark.parametrize("seconds", ["1e999", "-1e999", "NaN", "1e300", "1" + "0" * 400])
def test_a_rating_counts_however_long_it_took(tmp_path, seconds):
    path = lay(tmp_path, ("a", "b"))
    ratings = path.with_suffix(".ratings.jsonl")
    ratings.write_text(ratings.read_text().replace('"seconds": 2.0', f'"seconds": {seconds}'), encoding="utf-8")
    result = summary(path, "--json")
    assert result.exit_code == 0 and json.loads(result.stdout)["rated"] == 12


@pytest.mark.parametrize(
    "line",
    [
        "[" * 50_000,
        '{"prompt": "p", "model": "m", "answer": "x", "tokens": 1e999}',
        '{"prompt": "p", "model": "m", "answer": "x", "tokens": []}',
        '{"prompt": 1, "model": "m", "answer": "x"}',
    ],
    ids=range(4),
)
def test_a_line_that_is_no_answer_is_named_without_a_traceback(tmp_path, line):
    path = lay(tmp_path, ("a", "b"))
    path.write_text(line + "\n" + path.read_text(), encoding="utf-8")
    result = summary(path)
    assert isinstance(result.exception, SourceError) and result.exception.where == f"{path}:1"


def test_a_line_too_deep_to_be_told_torn_is_kept(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_text("[" * 50_000, encoding="utf-8")
    with LineWriter(path) as lines:
        lines.add({"a": 1})
    assert path.read_text().splitlines() == ["[" * 50_000, '{"a": 1}']


def test_a_path_that_is_no_utf8_is_printed_and_put_on_the_page(tmp_path):
    try:
        path = lay(tmp_path, ("a", "b"), name=os.fsdecode(b"answ\xff\xe9rs.jsonl"))
    except OSError:
        pytest.skip("this file system takes no such name")
    page = tmp_path / os.fsdecode(b"p\xffge.html")
    result = summary(path, "--html", str(page))
    assert result.exit_code == 0, result.output
    assert "p\\udcffge.html" in result.stdout and page.is_file()
    assert read_ratings(path.with_suffix(".ratings.jsonl"))
