"""Texts lose what files and tokenizers leave in them, where a task file asks for it, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flantune.tasks.prepare import prepare_task
from flantune.tasks.taskfile import load_task_file
from flantune.tasks.tidy import tidy

COLLECTIONS = Path(__file__).parents[2] / "src/flantune/shipped"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        # HTML entities, also escaped twice.
        ("salt &amp; vinegar", "salt & vinegar"), ("he said &quot;no&quot;", 'he said "no"'), ("don&#39;t", "don't"),
        ("3 &lt; 5 &gt; 4", "3 < 5 > 4"), ("&amp;amp;", "&"), ("caf&eacute;", "café"), ("&#x2014;", "—"),
        # Spaces.
        ("two  spaces and   three", "two spaces and three"), ("a\u00a0b", "a b"), ("a\u200bb\ufeff", "ab"),
        ("a line  \n  indented  twice", "a line  \n  indented twice"),
        # The Penn Treebank's brackets, quotes and slashes.
        ("25 -LCB- hours -RCB- -LRB- sic -RRB- -LSB-", "25 { hours } ( sic ) ["),
        ("`` Yes , '' he said", '" Yes , " he said'),
        ("the ``meld''.", 'the "meld".'), ('a "slow\'\' day', 'a "slow" day'),
        ("products and\\/or services", "products and/or services"),
        # Characters that nobody sees, or that were misread.
        ("put \x08a picture", "put a picture"), ("it\x92s", "it’s"), ("Iraqâ€™s", "Iraq’s"), ("PrzekrÃ³j", "Przekrój"),
        ("Iraq\xe2\x80\x99s", "Iraq’s"), ("one\u2028two", "one\ntwo"),
    ],
)  # fmt: skip
def test_what_is_left_in_a_text_is_mended(text: str, kept: str) -> None:
    assert tidy(text) == kept
    assert tidy(kept) == kept


@pytest.mark.parametrize(
    "text",
    [
        "AT&T and R&D; Q&A", "&copy without an end", "&nosuchentity;", "6'' wide", "35'43''N", "f''(x)",
        "rock 'n' roll",
        r"$\frac{1}{2}$ \alpha \n", "a stirring , funny film .", "naïve café, “quoted” – Ελληνικά",
        "Âge, Ã la carte", "x = y",
        "line\nbreaks\n\nstay", "`code`", "می‌خواهم", "C:\\new", "", " edges ", "- LRB -", "1 < 2 & 3 > 2",
    ],
)  # fmt: skip
def test_all_else_stays_as_it_is(text: str) -> None:
    assert tidy(text) == text


@given(text=st.text("ab &;#39amp'`\"\\/-LRB \n\u00a0\u0080Ãâ€™", max_size=40))
@settings(max_examples=200)
def test_any_text_can_be_tidied(text: str) -> None:
    once = tidy(text)
    assert len(once) <= len(text)
    assert once.encode().decode() == once


@pytest.mark.parametrize("is_tidy", [True, False])
def test_a_task_file_asks_for_it(tmp_path: Path, is_tidy: bool) -> None:
    rows = [{"q": "Salt  &amp; pepper", "o": ["``a''", "b"], "a": 0}, {"q": "Plain.", "o": ["c", "d"], "a": 1}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    text = """
name = "t"
clusters = ["c"]
kind = "classification"
TIDY
[source]
files = { test = "rows.jsonl" }
[splits]
test = "test"
[fields]
q = "q"
[options]
column = "o"
[answer]
column = "a"
[[templates]]
inputs = "{q}"
"""
    (tmp_path / "t.toml").write_text(text.replace("TIDY", f"tidy = {str(is_tidy).lower()}"), encoding="utf-8")
    task = load_task_file(tmp_path / "t.toml")
    store = prepare_task(task, cache=tmp_path / "cache").stores["test"]
    expected = ("Salt & pepper", ('"a"', "b")) if is_tidy else ("Salt  &amp; pepper", ("``a''", "b"))
    assert (store[0].fields["q"], store[0].options) == expected
    assert store[0].references == store[0].options[:1]
    assert store[1].fields["q"] == "Plain."


def test_the_two_kinds_of_file_have_stores_of_their_own(tmp_path: Path) -> None:
    path = COLLECTIONS / "flan2021/rte.toml"
    text = path.read_text(encoding="utf-8")
    (tmp_path / "rte.toml").write_text(text.replace("tidy = true\n", ""), encoding="utf-8")
    assert load_task_file(path).adapter_fingerprint != load_task_file(tmp_path / "rte.toml").adapter_fingerprint


@pytest.mark.parametrize("path", sorted(COLLECTIONS.glob("*/*[!7].toml")), ids=lambda path: path.stem)
def test_every_shipped_task_is_tidied(path: Path) -> None:
    # Programs keep every character: two blanks in a row, or an entity, may be what they are about.
    assert ("\ntidy = true\n" in path.read_text(encoding="utf-8")) == (path.parent.name != "programs")
