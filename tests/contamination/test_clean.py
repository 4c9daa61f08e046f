from __future__ import annotations

import pickle

import pytest

from flantune.contamination.clean import KeptExamples, fold_of, leave_out, read_clean, write_clean
from flantune.contamination.compare import compare
from flantune.contamination.findings import Contamination, Settings
from flantune.errors import ConfigError, FlantuneError


@pytest.fixture
def sides(prepared, sentence):
    train = prepared(
        "a", train=[f"{sentence('own', 10)} x{k}" if k % 2 else sentence(f"dup{k}-", 20) for k in range(6)]
    )
    test = prepared("b", test=[sentence("dup2-", 20), sentence("new", 20), sentence("dup4-", 20)])
    return train, test


@pytest.fixture
def report(sides):
    found = compare([sides[0]], [sides[1]], held_out=("qa", "nli"))
    return Contamination(name="r", settings=Settings(), folds=(found,))


def test_the_filter_comes_back_from_its_file(tmp_path, report):
    fold = fold_of(read_clean(write_clean(tmp_path / "clean.json", report)), ["nli", "qa"])
    assert fold.train == {"a": {20, 40}}
    assert fold.test == {"b": {0, 20}}


def test_what_is_left_has_no_overlap(tmp_path, sides, report):
    (fold,) = read_clean(write_clean(tmp_path / "clean.json", report))
    (left,) = leave_out([sides[0]], fold.train)
    assert [example.row for example in left.stores["train"]] == [0, 10, 30, 50]
    assert not compare([left], [sides[1]]).has_overlap


def test_a_task_without_rows_left_has_no_train_split(sides):
    (left,) = leave_out([sides[0]], {"a": range(0, 60, 10)})
    assert "train" not in left.stores
    assert "train" not in left.task.splits


def test_unknown_rows_and_tasks_leave_a_task_as_it_is(sides):
    assert leave_out([sides[0]], {"a": [7, 1000], "other": [0]})[0] is sides[0]


def test_kept_examples_slice_pickle_and_say_what_is_missing(sides):
    kept = KeptExamples(sides[0].stores["train"], [0, 2, 5])
    assert [example.row for example in kept[1:]] == [20, 50]
    assert kept[-1].row == 50
    assert [example.row for example in pickle.loads(pickle.dumps(kept))] == [0, 20, 50]
    assert "without=[1, 3, 4]" in repr(kept)
    with pytest.raises(IndexError):
        kept[3]


def test_another_fold_is_an_error_that_names_the_folds(tmp_path, report):
    path = write_clean(tmp_path / "clean.json", report)
    with pytest.raises(ConfigError, match="its folds are: qa, nli"):
        fold_of(read_clean(path), ["summarization"])


@pytest.mark.parametrize("text", ['{"schema": 9}', "[]", '{"schema": 1}', '{"schema": 1, "folds": [1]}'])
def test_a_file_that_is_no_filter_is_an_error(tmp_path, text):
    path = tmp_path / "clean.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FlantuneError, match="no filter file"):
        read_clean(path)
