"""What ``flantune check`` says about rows that repeat, labels, few steps, and several bad splits."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import pytest

from flantune.commands.check import RunCheck, check_run_file
from flantune.commands.check_lines import check_lines
from flantune.settings.run_file import load_run_file

TASK = """
name = "notes"
clusters = ["notes"]
kind = "classification"
[source]
files = { train = "../train.csv", dev = "../dev.csv", test = "../test.csv" }
[splits]
train = "train"
dev = "dev"
test = "test"
[fields]
text = "text"
[options]
values = ["good", "bad"]
[answer]
column = "label"
[[templates]]
inputs = \"\"\"
Is this good or bad? {text}
{options}\"\"\"
"""
RUN = """
[data]
tasks = ["tasks/*.toml"]
[packing]
max_input_tokens = 64
max_target_tokens = 8
row_tokens = 72
batch_tokens = 2880
[model]
scratch = { vocabulary_size = 300, hidden_size = 32, layers = 1, heads = 2 }
[training]
epochs = 2
"""
Rows = Iterable[tuple[str, str]]


def several(count: int, name: str = "row") -> list[tuple[str, str]]:
    """Rows of sixteen words that no other row has."""
    return [
        (" ".join(f"{name}{number}x{word}" for word in range(16)), ("good", "bad")[number % 3 == 0])
        for number in range(count)
    ]


@pytest.fixture
def check(tmp_path: Path):
    def checked(
        train: Rows, test: Rows, dev: Rows = (("something else entirely", "good"),), *overrides: str
    ) -> RunCheck:
        for name, rows in (("train", train), ("dev", dev), ("test", test)):
            with (tmp_path / f"{name}.csv").open("w", newline="") as handle:
                csv.writer(handle).writerows([("text", "label"), *rows])
        (tmp_path / "tasks").mkdir(exist_ok=True)
        (tmp_path / "tasks/notes.toml").write_text(TASK)
        (tmp_path / "run.toml").write_text(RUN)
        return check_run_file(load_run_file(tmp_path / "run.toml", overrides=overrides), cache=tmp_path / "cache")

    return checked


def texts(found: RunCheck, severity: str) -> list[str]:
    return [one.text for one in found.found if one.severity == severity]


def test_copies_and_contradictions_are_counted_and_shown(check) -> None:
    train = [*several(9), ("the same", "good"), ("the same", "good"), ("it depends", "good"), ("it depends", "bad")]
    found = check(train, several(3, "test"))
    copies, contradictions = (one.text for one in found.found if one.rule in ("repeated-rows", "contradictory-rows"))
    assert copies.startswith("notes: 1 of 13 training rows is an exact copy of an earlier one")
    assert "rows 9 and 10 (counted from 0)" in copies and "the same" in copies
    assert "2 of 13 training rows differ from others only in their labels" in contradictions
    assert "rows 11 and 12" in contradictions and "it depends" in contradictions
    (one,) = found.repeats
    assert (one.rows, one.repeated, one.contradictory) == (13, 1, 2)
    assert found.to_json()["repeats"][0]["copy"] == (9, 10)


def test_rows_that_are_all_different_are_not_warned_of(check) -> None:
    found = check(several(40), several(6, "test"))
    (one,) = found.repeats
    assert (one.repeated, one.contradictory) == (0, 0)
    assert not [one for one in found.found if one.rule in ("repeated-rows", "contradictory-rows")]
    assert found.overlapping == {"notes": (6, 0)} and found.too_short == 0


def test_short_copies_of_training_rows_are_found(check) -> None:
    found = check(
        [("Fine by me", "good"), *several(8)], [("fine by me!", "good"), ("Not here", "bad"), *several(2, "x")]
    )
    assert found.overlapping == {"notes": (4, 1)} and found.too_short == 1
    (said,) = [text for text in texts(found, "warning") if "copies of training rows" in text]
    assert "1 of 4 test rows" in said
    assert any("of 1 short one only exact copies were looked for" in line for line in check_lines(found))


def test_labels_are_counted_in_every_split(check) -> None:
    lines = list(check_lines(check(several(9), several(6, "test"))))
    (line,) = [line for line in lines if line.startswith("labels")]
    assert 'train 6 "good", 3 "bad"' in line and 'test 4 "good", 2 "bad"' in line
    assert 'a model that always says "good" would score 66.7% on test' in line


def test_nothing_held_out_is_not_called_unseen(check) -> None:
    lines = "\n".join(check_lines(check(several(9), several(6, "test"))))
    assert "held out" in lines and "nothing: 1 task trained on" in lines
    assert "unseen" not in lines
    few = "\n".join(check_lines(check(several(9), several(2, "test"))))
    assert "no difference in the mean over tasks could be detected with so few rows (1 task, 2 test rows)" in few


def test_few_steps_are_warned_of_with_a_number_that_helps(check) -> None:
    found = check(several(60), several(6, "test"))
    (few,) = [one for one in found.found if "teach little" in one.text]
    assert few.severity == "warning" and found.cost.steps < 30
    number = int(few.hint.split("packing.batch_tokens = ")[1].split(" ")[0].replace(",", ""))
    assert 72 <= number < 2880
    again = check(several(60), several(6, "test"), (("else", "good"),), f"packing.batch_tokens={number}")
    assert 35 <= again.cost.steps <= 65 and not [one for one in again.found if "teach little" in one.text]


def test_every_bad_split_is_named_and_nothing_else_is_blamed(check) -> None:
    wrong = [("a text", "neither"), ("another text", "good")]
    found = check(wrong, wrong, wrong)
    said = "\n".join(texts(found, "error"))
    assert all(name in said for name in ("train", "dev", "test"))
    assert "no task has data" not in said
    assert sum(sum(one.bad.values()) for one in found.rows) == 3
