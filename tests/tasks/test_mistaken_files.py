"""Data files that are not what their names say: the message names what they are, and the hint fits."""

from __future__ import annotations

import gzip
import json
import os

import pytest
from tests.task_files import task_text

from flantune.errors import FlantuneError, TaskError
from flantune.tasks.prepare import prepare_task
from flantune.tasks.taskfile import load_task_file

OPTIONS = ("river", "kettle")


def task(file: str) -> str:
    splits, inputs = {"train": "train[:20]", "test": "train[20:]"}, "What sang? {text} {options}"
    return task_text("sounds", {"train": file}, cluster="weather", splits=splits, options=OPTIONS, inputs=inputs)


ROWS = [{"text": f"it sang {k} times", "label": ["river", "kettle"][k % 2]} for k in range(40)]
CSV = "text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in ROWS)
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
PAGE = b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html><body>Not found</body></html>\n"


def refusal(folder, name: str, content: bytes | None) -> FlantuneError:
    (folder / "task.toml").write_text(task(name), encoding="utf-8")
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(FlantuneError) as caught:
        prepare_task(load_task_file(folder / "task.toml"), cache=folder / "cache")
    return caught.value


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv", "rows.jsonl", "rows.json", "rows.parquet", "rows.jsonl.gz"])
@pytest.mark.parametrize(
    ("content", "what", "hint"), [(POINTER, "Git LFS", "git lfs pull"), (PAGE, "page of the web", "download")]
)
def test_what_came_in_place_of_the_data_is_named(tmp_path, name, content, what, hint):
    error = refusal(tmp_path, name, content)
    assert what in error.message
    assert hint in error.hint


@pytest.mark.parametrize(
    ("name", "content", "what", "hint"),
    [
        ("rows.csv", CSV.replace(",", ";").encode(), "text;label", 'delimiter = ";"'),
        ("rows.csv", CSV.replace(",", "\t").encode(), "text", 'delimiter = "\\t"'),
        ("rows.tsv", CSV.encode(), "text,label", 'delimiter = ","'),
        ("rows.csv", CSV.replace(",", "|").encode(), "text|label", 'delimiter = "|"'),
        ("rows.csv", CSV.encode("utf-16"), "missing column", 'encoding = "utf-16"'),
        ("rows.csv", b"", "is empty", "get the file again"),
        ("rows.parquet", b"", "it is empty", "[source] format"),
        ("rows.parquet", CSV.encode(), "another format", "[source] format"),
        ("rows.csv.gz", CSV.encode(), "cannot be read", "take .gz off its name"),
        ("rows.csv.gz", gzip.compress(CSV.encode())[:-9], "cannot be read", "get the file again"),
        ("rows.jsonl", json.dumps(ROWS).encode(), "not an object", 'format = "json"'),
        ("rows.jsonl", json.dumps(ROWS[:3], indent=1).encode(), "not valid JSON", 'format = "json"'),
        ("rows.jsonl", b"1\n2\n3\n", "not an object", "one JSON object"),
    ],
)
def test_what_is_read_in_a_wrong_way_is_told_why(tmp_path, name, content, what, hint):
    error = refusal(tmp_path, name, content)
    assert what in error.message
    assert hint in error.render()
    assert not any(word in error.render() for word in ("magic bytes", "Errno", "Arrow"))


def test_too_few_rows_that_are_bad_are_too_few_because_they_are_bad(tmp_path):
    few = "\n".join(CSV.splitlines()[:6])
    error = refusal(tmp_path, "rows.csv", few.replace("it sang 3 times", '"it sang" 3 times').encode())
    assert "takes no row: the split has only 5 rows, and of these are bad:" in error.message
    assert "quoting" in error.hint


@pytest.mark.parametrize(
    ("kind", "what", "hint"),
    [
        ("loop", "is a link to rows.csv, where no file is", "fix the link"),
        ("dangling", "is a link to gone.csv", "fix the link"),
        ("pipe", "is a device or a pipe", "into a file"),
    ],
)
def test_what_is_no_file_is_not_said_to_be_absent(tmp_path, kind, what, hint):
    path = tmp_path / "rows.csv"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("rows.csv" if kind == "loop" else "gone.csv")
    error = refusal(tmp_path, "rows.csv", None)
    assert what in error.message
    assert hint in error.hint


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("https://example.org/rows.csv", "files are read from this machine"),
        ("hf://datasets/a/b.parquet", "files are read from this machine"),
        ("/no/where/rows.csv", "the folder /no is not there"),
        ("deep/er/rows.csv", "deep is not there"),
    ],
)
def test_the_hint_fits_the_path(tmp_path, name, hint):
    assert hint in refusal(tmp_path, name, None).hint


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('["river", "kettle"]', "[1, 2]", "options.values[1]: should be text, got 2"),
        ('["river", "kettle"]', "[true, false]", "options.values[0]: should be text, got true"),
        ('train = "train[:20]"', 'train = ["train[:20]"]', "splits.train: should be text"),
        ("[[templates]]", "[templates]", "write [[templates]], in double brackets"),
        ('[fields]\ntext = "text"', "", "fields: is missing"),
    ],
)
def test_a_problem_is_told_once_and_as_it_is(tmp_path, old, new, problem):
    text = task("rows.csv")
    assert old in text
    (tmp_path / "task.toml").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(TaskError) as caught:
        load_task_file(tmp_path / "task.toml")
    assert problem in caught.value.message
    assert "at least 2" not in caught.value.message
    assert "is not a slice" not in caught.value.message


def test_a_run_file_is_not_taken_for_a_task_file(tmp_path):
    (tmp_path / "run.toml").write_text('[data]\ntasks = ["a.toml"]\n', encoding="utf-8")
    with pytest.raises(FlantuneError, match="this is a run file, not a task file"):
        load_task_file(tmp_path / "run.toml")
