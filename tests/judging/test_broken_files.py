"""Files of prompts, answers and ratings that are broken: what is wrong, in words, and where."""

from __future__ import annotations

import os

import pytest

from flantune.errors import SourceError
from flantune.judging.answers import read_answers, read_prompts
from flantune.judging.ratings import read_ratings

GOOD = '{"prompt": "Where?", "model": "a", "answer": "here"}\n'


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"prompt": "x", "model": "a"}', "answer: is missing"),
        ('{"prompt": "x", "answer": "a"}', "model: is missing"),
        ("{", "not valid JSON: Expecting property name enclosed in double quotes, at character 2"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_broken_answer_is_told_in_words(tmp_path, line, said):
    path = tmp_path / "answers.jsonl"
    path.write_text(f"{GOOD}{line}\n", encoding="utf-8")
    with pytest.raises(SourceError) as caught:
        read_answers(path)
    assert said in caught.value.message
    assert caught.value.where == f"{path}:2"
    assert "Error" not in caught.value.message


def test_a_byte_order_mark_is_no_part_of_an_answer(tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert read_answers(path)[0].answer == "here"


@pytest.mark.parametrize("read", [read_answers, read_ratings, read_prompts])
@pytest.mark.parametrize("kind", ["folder", "pipe", "loop"])
def test_what_is_no_file_is_an_error_and_nobody_waits(tmp_path, read, kind):
    path = tmp_path / "file.jsonl"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("file.jsonl")
    if read is read_ratings and kind == "loop":
        return  # as if there were none yet
    with pytest.raises(SourceError) as caught:
        read(path)
    assert "Errno" not in caught.value.message
