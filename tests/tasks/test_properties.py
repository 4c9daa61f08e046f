"""Whatever rows are written, the same come back."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flantune.errors import SourceError
from flantune.prompts.slots import compile_slots
from flantune.tasks.example_store import ExampleStore, ExampleWriter
from flantune.tasks.rows import UnreadableRow
from flantune.tasks.sources.formats import FileFormat, read_rows
from flantune.tasks.sources.slices import parse_slice
from flantune.types import Example

SETTINGS = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
# A mark at the very beginning of a file is a byte-order mark by definition.
CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\t\ufeff"), max_size=20)


@given(rows=st.lists(st.dictionaries(TEXT, VALUES, max_size=4), max_size=6), is_ascii=st.booleans())
@SETTINGS
def test_json_lines_come_back(tmp_path: Path, rows: list[dict[str, object]], is_ascii: bool) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(
        "".join(json.dumps(row, ensure_ascii=is_ascii) + "\n" for row in rows), encoding="utf-8", newline=""
    )
    assert list(read_rows(path, FileFormat())) == rows


@given(rows=st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=8))
@SETTINGS
def test_plain_tsv_comes_back(tmp_path: Path, rows: list[list[str]]) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8", newline="")
    assert [list(row.values()) for row in read_rows(path, FileFormat(columns=("a", "b")))] == rows


@given(rows=st.lists(st.lists(TEXT, min_size=2, max_size=2), max_size=8), delimiter=st.sampled_from(",;\t"))
@SETTINGS
def test_quoted_csv_comes_back(tmp_path: Path, rows: list[list[str]], delimiter: str) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows([["a", "b"], *rows])
    path = tmp_path / "x.csv"
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    assert [list(row.values()) for row in read_rows(path, FileFormat(delimiter=delimiter))] == rows


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
@given(data=st.binary(max_size=200))
@SETTINGS
def test_no_bytes_at_all_make_a_text_reader_fail(tmp_path: Path, suffix: str, data: bytes) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(data)
    try:
        for row in read_rows(path, FileFormat(columns=("a", "b"))):
            assert isinstance(row, UnreadableRow | dict)
    except SourceError as error:  # another kind of file altogether: a web page, a compressed file
        assert error.hint


EXAMPLES = st.lists(
    st.builds(
        lambda a, b, options, references: Example(
            row=0,
            fields={"a": a, "b": b},
            options=tuple(options),
            answer=0 if options else None,
            references=tuple(references),
        ),
        TEXT,
        TEXT,
        st.lists(TEXT, max_size=3),
        st.lists(TEXT, min_size=1, max_size=3),
    ),
    max_size=10,
)


@given(examples=EXAMPLES)
@SETTINGS
def test_stored_examples_come_back(tmp_path: Path, examples: list[Example]) -> None:
    path = tmp_path / "x.arrow"
    writer = ExampleWriter(path)
    for number, example in enumerate(examples):
        writer.add(number, example)
    writer.close()
    stored = list(ExampleStore(path, 0, len(examples)))
    assert [example.row for example in stored] == list(range(len(examples)))
    assert [(e.fields, e.options, e.answer, e.references) for e in stored] == [
        (e.fields, e.options, e.answer, e.references) for e in examples
    ]


BORDERS = st.tuples(st.none() | st.integers(-30, 30), st.none() | st.integers(-30, 30))


@given(parts=st.lists(BORDERS, min_size=1, max_size=3), rows=st.integers(0, 20))
@SETTINGS
def test_slices_are_pythons(parts: list[tuple[int | None, int | None]], rows: int) -> None:
    written = [f"train[{'' if one is None else one}:{'' if other is None else other}]" for one, other in parts]
    part = parse_slice(" + ".join(written))
    found = [row for low, high in part.bounds(rows) for row in range(low, high)]
    assert sorted(found) == sorted(row for one, other in parts for row in range(rows)[slice(one, other)])
    if part.rows_needed is not None:
        needed = min(rows, part.rows_needed)
        assert [row for low, high in part.bounds(needed) for row in range(low, high)] == found


@given(share=st.integers(1, 99), rows=st.integers(0, 400))
@SETTINGS
def test_percents_divide_a_split_without_a_row_lost_or_shared(share: int, rows: int) -> None:
    first, rest = parse_slice(f"train[:{share}%]"), parse_slice(f"train[{share}%:]")
    (low, middle), (again, high) = first.bounds(rows)[0], rest.bounds(rows)[0]
    assert (low, high) == (0, rows) and middle == again == rows * share // 100
    assert parse_slice(f"train[-{100 - share}%:]").bounds(rows) == rest.bounds(rows)
    assert first.rows_needed is None


def test_a_role_takes_rows_of_one_source_split() -> None:
    with pytest.raises(ValueError, match="joins rows of train and test"):
        parse_slice("train[:5] + test")


@pytest.mark.parametrize(
    "text",
    [
        "train[",
        "train[1]",
        "train[a:b]",
        "train[:101%]",
        "train[:1.5%]",
        "train[%:]",
        "",
        "train[1:2]x",
        "train[-:]",
        "train +",
        "+train",
    ],
)
def test_what_is_no_slice(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a slice|not a whole number"):
        parse_slice(text)


@given(names=st.lists(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), max_size=5), words=TEXT)
@SETTINGS
def test_slots_are_found_between_any_words(names: list[str], words: str) -> None:
    literal = words.replace("{", "{{").replace("}", "}}")
    text = literal + literal.join(f"{{{name}}}" for name in names) + literal
    assert compile_slots(text).slots == tuple(names)
