"""One class writes a JSON file and reads it back; what is wrong with a file is one error that says where."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from flantune.errors import FlantuneError, SourceError
from flantune.settings.json_file import read_value, write_value


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    name: str
    rows: Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    schema: Literal[2] = 2
    leaves: tuple[Leaf, ...] = ()
    rate: float | None = None
    rows: frozenset[int] = frozenset()
    notes: dict[str, str] = field(default_factory=dict)


def test_a_value_comes_back_as_it_was(tmp_path: Path) -> None:
    tree = Tree(leaves=(Leaf(name="ä", rows=3),), rate=0.5, rows=frozenset({1, 2}), notes={"a": "b"})
    assert read_value(write_value(tmp_path / "tree.json", tree), Tree) == tree


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"leaves": [{"name": "a", "rows": -1}]}', r"leaves\[0\].rows: should be at least 0, got -1"),
        ('{"leaves": [{"rows": 1}]}', r"leaves\[0\].name: is missing"),
        ('{"leaves": 3}', "leaves: should be a list, got 3"),
        ('{"leaves": [7]}', r"leaves\[0\]: should be an object, got 7"),
        ('{"rate": "half"}', 'rate: should be a number, got "half"'),
        ('{"leaves": [{"name": "a", "rows": true}]}', r"leaves\[0\].rows: should be a whole number, got true"),
        ('{"leaves": [{"name": "a", "rows": NaN}]}', r"leaves\[0\].rows: should be a whole number, got null"),
        ("[]", r"should be a JSON object, got \[\]"),
        ("null", "should be a JSON object, got null"),
        ('{"schema": 1}', r"another version of flantune \(version 1; this one reads 2\)"),
        ("{", "not valid JSON"),
        ('{"leaves": [1, 2, 3, 4, 5]}', "and 2 more"),
    ],
)
def test_what_is_wrong_says_where_and_what_to_do(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "tree.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SourceError, match=rf"tree\.json: .*{said}") as caught:
        read_value(path, Tree, mends="write it again", error=SourceError)
    assert caught.value.hint == "write it again"


def test_numbers_that_are_none_are_null_where_null_may_stand(tmp_path: Path) -> None:
    path = tmp_path / "tree.json"
    for number in ("NaN", "Infinity", "1e999", "9" * 26):
        path.write_text(f'{{"rate": {number}, "more": 1}}', encoding="utf-8")
        assert read_value(path, Tree).rate is None


def test_half_a_character_becomes_a_question_mark(tmp_path: Path) -> None:
    path = tmp_path / "tree.json"
    path.write_text(r'{"notes": {"a": "half a pair \ud83d here"}}', encoding="utf-8")
    assert read_value(path, Tree).notes["a"] == "half a pair ? here"


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FlantuneError, match="no such file"):
        read_value(tmp_path / "tree.json", Tree)
