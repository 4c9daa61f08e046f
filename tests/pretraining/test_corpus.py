from __future__ import annotations

import json
from pathlib import Path

import pytest

from flantune.errors import SourceError
from flantune.pretraining.corpus import MAX_CHARACTERS, read_corpus

POEMS = ("Roses are red.", "Violets are blue.", "Sugar is sweet,\nand so are you.")


def rows(path: Path, texts, column="text") -> Path:
    path.write_text("".join(json.dumps({"id": at, column: text}) + "\n" for at, text in enumerate(texts)))
    return path


def read(*paths: Path, cache: Path, **settings):
    return read_corpus(paths, cache=cache / "cache", **settings)


@pytest.fixture(params=["folder of texts", "rows", "both"])
def corpus(request, tmp_path):
    """The three poems, however they lie on the disk."""
    folder = tmp_path / "poems"
    (folder / "deeper").mkdir(parents=True)
    if request.param == "folder of texts":
        for at, poem in enumerate(POEMS):
            (folder / ("deeper" if at else ".") / f"{at}.txt").write_text(poem)
        return read(folder, cache=tmp_path)
    if request.param == "rows":
        return read(rows(tmp_path / "poems.jsonl", [*POEMS, " \n"]), cache=tmp_path)
    (folder / "0.txt").write_text(POEMS[0])
    return read(folder, rows(tmp_path / "more.jsonl", POEMS[1:]), cache=tmp_path)


def test_every_document_comes_once_before_any_comes_again(corpus):
    assert corpus.size == 3
    for turn in range(20):
        assert sorted(corpus[number] for number in range(3 * turn, 3 * turn + 3)) == sorted(POEMS)
    orders = {tuple(corpus[number] for number in range(3 * turn, 3 * turn + 3)) for turn in range(20)}
    assert len(orders) > 1


def test_the_order_is_the_seeds_and_the_identity_the_contents(tmp_path):
    poems = rows(tmp_path / "poems.jsonl", [f"poem {number}" for number in range(50)])
    one, again, other = (read(poems, cache=tmp_path, seed=seed) for seed in (0, 0, 1))
    first = [one[number] for number in range(50)]
    assert first == [again[number] for number in range(50)] != [other[number] for number in range(50)]
    assert one.identity == again.identity
    rows(poems, [f"poem {number}!" for number in range(50)])
    assert read(poems, cache=tmp_path).identity != one.identity


def test_without_a_seed_documents_come_in_the_order_of_the_files(tmp_path):
    files = [rows(tmp_path / f"{name}.jsonl", [f"{name} {at}" for at in range(20)]) for name in "ab"]
    corpus = read(*files, cache=tmp_path, seed=None)
    expected = [f"{name} {at}" for name in "ab" for at in range(20)]
    assert [corpus[number] for number in range(80)] == expected * 2


def test_a_long_document_is_several_and_loses_nothing(tmp_path):
    lines = [f"line {number} of a long text\n" for number in range(3_000)]
    (tmp_path / "long.txt").write_text("".join(lines))
    corpus = read(tmp_path / "long.txt", cache=tmp_path)
    parts = [corpus[number] for number in range(corpus.size)]
    assert max(map(len, parts)) <= MAX_CHARACTERS and all(part.endswith("text\n") for part in parts)
    assert sorted("".join(parts).splitlines(keepends=True)) == sorted(lines)


def test_files_are_read_once(tmp_path):
    poems = rows(tmp_path / "poems.jsonl", POEMS)
    read(poems, cache=tmp_path)
    stored = next(tmp_path.rglob("texts.arrow"))
    before = stored.stat().st_mtime_ns
    read(poems, cache=tmp_path)
    assert stored.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('{"texts": "a"}\n', "no column 'text'"),
        ('{"text": 3}\n', "has int, expected text"),
        ("nothing like JSON\n", "not valid JSON"),
        ("", "no text"),
    ],
)
def test_a_mistake_in_the_files_is_named(lines, message, tmp_path):
    (tmp_path / "poems.jsonl").write_text(lines)
    with pytest.raises(SourceError, match=message) as caught:
        read(tmp_path / "poems.jsonl", cache=tmp_path)
    assert "poems.jsonl" in caught.value.where


def test_a_near_column_is_named(tmp_path):
    with pytest.raises(SourceError) as caught:
        read(rows(tmp_path / "poems.jsonl", POEMS, column="texts"), cache=tmp_path)
    assert "texts" in caught.value.hint


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(SourceError, match=r"nowhere\.jsonl"):
        read(tmp_path / "nowhere.jsonl", cache=tmp_path)


def test_a_missing_file_is_looked_for_where_the_program_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError) as caught:
        read(Path("nowhere.txt"), cache=tmp_path)
    assert caught.value.hint == f"paths are relative to {tmp_path}"


def test_a_folder_without_files_is_an_error(tmp_path):
    (tmp_path / "texts/inside").mkdir(parents=True)
    with pytest.raises(SourceError, match="contains no file") as caught:
        read(tmp_path / "texts", cache=tmp_path / "cache")
    assert caught.value.where == str(tmp_path / "texts")
