"""Every file format gives the rows its author wrote."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from flantune.errors import MissingDataError, SourceError
from flantune.tasks.rows import BadRow, UnreadableRow
from flantune.tasks.sources.files import FileSource
from flantune.tasks.sources.formats import FileFormat, read_aligned, read_rows

ROWS = [{"a": "one", "b": "Zwei Äpfel"}, {"a": "three", "b": "vier"}]


def rows_of(path: Path, **form: object) -> list[object]:
    return list(read_rows(path, FileFormat(**form)))  # type: ignore[arg-type]


def written(tmp_path: Path, name: str, data: bytes | str) -> Path:
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


TEXTS = {
    "x.csv": 'a,b\none,"Zwei Äpfel"\nthree,vier\n',
    "x.tsv": "a\tb\none\tZwei Äpfel\nthree\tvier\n",
    "x.jsonl": '{"a": "one", "b": "Zwei Äpfel"}\n\n{"a": "three", "b": "vier"}',
    "x.json": json.dumps(ROWS),
    "crlf.csv": "a,b\r\none,Zwei Äpfel\r\nthree,vier\r\n",
    "crlf.tsv": "a\tb\r\none\tZwei Äpfel\r\nthree\tvier\r\n",
    "blank.tsv": "a\tb\n\none\tZwei Äpfel\nthree\tvier\n\n",
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["", "byte-order mark"])
@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_text_formats_with_and_without_mark_and_compression(
    tmp_path: Path, name: str, mark: bytes, suffix: str
) -> None:
    data = mark + TEXTS[name].encode()
    packed = {"": lambda d: d, ".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}[suffix](data)
    assert rows_of(written(tmp_path, name + suffix, packed)) == ROWS


def test_parquet_gives_plain_nested_values(tmp_path: Path) -> None:
    rows = [{"n": {"text": ["x", "y"], "k": None}, "label": 1}, {"n": {"text": [], "k": 2}, "label": -1}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    assert rows_of(tmp_path / "x.parquet") == rows


def test_headerless_file_gets_its_names_from_the_task_file(tmp_path: Path) -> None:
    path = written(tmp_path, "x.tsv", "gj04\t1\t\tThey left.\ngj04\t0\t*\tThem left.\n")
    rows = rows_of(path, columns=("source", "label", "mark", "sentence"))
    assert rows[1] == {"source": "gj04", "label": "0", "mark": "*", "sentence": "Them left."}
    assert len(rows) == 2


def test_header_can_be_replaced(tmp_path: Path) -> None:
    path = written(tmp_path, "x.csv", "a,a\n1,2\n")
    with pytest.raises(SourceError, match="more than once"):
        rows_of(path)
    assert rows_of(path, columns=("x", "y"), header=True) == [{"x": "1", "y": "2"}]


def test_bare_quotes_are_text_in_tsv(tmp_path: Path) -> None:
    text = 'n\ta\tb\n1\t"So he said\tand left."\n2\t"all of it"\tsay "no" twice\n'
    rows = rows_of(written(tmp_path, "x.tsv", text))
    assert rows == [
        {"n": "1", "a": '"So he said', "b": 'and left."'},
        {"n": "2", "a": '"all of it"', "b": 'say "no" twice'},
    ]


def test_standard_quoting_reads_line_breaks_and_doubled_quotes(tmp_path: Path) -> None:
    text = 'a,b\n"two\nlines","say ""no"""\n'
    assert rows_of(written(tmp_path, "x.csv", text)) == [{"a": "two\nlines", "b": 'say "no"'}]
    assert rows_of(written(tmp_path, "x.tsv", text.replace(",", "\t")), quoting="standard") == [
        {"a": "two\nlines", "b": 'say "no"'}
    ]


def test_other_delimiter_and_encoding(tmp_path: Path) -> None:
    path = written(tmp_path, "x.csv", "a;b\nÄ;ö\n".encode("latin-1"))
    assert rows_of(path, delimiter=";", encoding="latin-1") == [{"a": "Ä", "b": "ö"}]
    path = written(tmp_path, "y.tsv", "a\tb\nÄ\tö\n".encode("utf-16"))
    assert rows_of(path, encoding="utf-16") == [{"a": "Ä", "b": "ö"}]


def test_a_cell_longer_than_pythons_own_limit(tmp_path: Path) -> None:
    long = "word " * 100_000
    assert rows_of(written(tmp_path, "x.csv", f'a,b\n"{long}",2\n')) == [{"a": long, "b": "2"}]


@pytest.mark.parametrize(
    ("name", "text", "reason", "detail"),
    [
        ("x.jsonl", '{"a": 1}\n{"a": \n', "not valid JSON", "line 2: Expecting value"),
        ("x.jsonl", '{"a": 1}\n[1, 2]\n', "not an object", "line 2: got list [1, 2]; expected an object"),
        ("x.json", '[{"a": 1}, 7]', "not an object", "item 1: got int 7; expected an object"),
        ("x.tsv", "a\tb\n1\t2\n1\t2\t3\n", "wrong number of columns", "line 3: got 3, expected 2 (a, b)"),
        ("x.csv", "a,b\n1,2\n1\n", "wrong number of columns", "line 3: got 1, expected 2 (a, b)"),
        ("x.csv", 'a,b\n1,2\n"x" y,2\n', "broken quoting", "line 3: "),
        ("x.csv", 'a,b\n1,2\n"x,2\n', "broken quoting", "line 3: unexpected end of data"),
    ],
)
def test_rows_that_cannot_be_parsed_keep_their_number(
    tmp_path: Path, name: str, text: str, reason: str, detail: str
) -> None:
    rows = rows_of(written(tmp_path, name, text))
    assert len(rows) == 2
    assert not isinstance(rows[0], UnreadableRow)
    bad = rows[1]
    assert isinstance(bad, UnreadableRow)
    assert (bad.reason, bad.detail[: len(detail)]) == (reason, detail)
    with pytest.raises(BadRow):
        bad["a"]
    with pytest.raises(BadRow):
        bad.get("a")
    with pytest.raises(BadRow):
        list(bad)


def test_reading_goes_on_after_broken_quoting(tmp_path: Path) -> None:
    rows = rows_of(written(tmp_path, "x.csv", 'a,b\n"x" y,2\n3,4\n'))
    assert rows[1] == {"a": "3", "b": "4"}


LINES = [f"the film of {k} was long,{'good' if k % 3 else 'bad'}" for k in range(120)]
ASKED = [f"what is {k} and one,it is {k + 1}" for k in range(120)]


@pytest.mark.parametrize(
    ("lines", "changed", "lost", "what"),
    [
        (
            LINES,
            {20: '"the film,bad', 79: 'was long",good'},
            60,
            'line 22: a quote opens a cell of "text" that ends in',
        ),
        (LINES, {20: '"the film,bad', 21: 'was long",good'}, 2, 'of "text" that ends in line 23 only; 2 lines'),
        (sorted(LINES, key=lambda line: line[-3:]), {20: '"it,bad', 110: 'on",good'}, 91, "91 lines of it look like"),
        (LINES, {20: '"the film,bad'}, 100, "line 22: a quote opens there, and the lines up to 121 are lost with it"),
        (LINES, {20: '"the film,bad', 30: '"Well, no",bad'}, 11, "the lines up to 32 are lost with it: ',' expected"),
        (ASKED, {20: '"what,it', 79: 'so",one'}, 60, "line 22: a quote opens a cell"),
        (["a line"] * 9, {3: '"a line'}, 6, "the lines up to 10 are lost with it"),
    ],
)
def test_rows_that_a_stray_quote_swallows_are_counted(
    tmp_path: Path, lines: list[str], changed: dict[int, str], lost: int, what: str
) -> None:
    lines = [changed.get(number, line) for number, line in enumerate(lines)]
    header = "text,label" if "," in lines[0] else "text"
    rows = rows_of(written(tmp_path, "x.csv", "\n".join([header, *lines, ""])))
    bad = [row for row in rows if isinstance(row, UnreadableRow)]
    assert len(rows) == len(lines) and len(bad) == lost
    assert what in bad[0].detail and {row.reason for row in bad} == {"broken quoting"}
    assert all("that opens in line" in row.detail for row in bad[1:])


TABLE = "name,age\nAnn,3\nBob,4\nCy,5\nDi,6\nEd,7\nFay,8\nGil,9\n"


@pytest.mark.parametrize(
    "cell",
    [
        "two\nlines",
        "two\r\n\r\nparagraphs",
        "Yes, sir,\nno, sir,\nso it goes, sir",
        "One, two\nthree, four\nfive",
        TABLE,
        f"\n{TABLE}which of them?",
        TABLE.rstrip(),
        "a verse\n" * 40,
    ],
)
def test_a_cell_of_several_lines_is_no_swallowed_row(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "x.csv"
    for lines, answer in ((LINES, "good"), (ASKED, "it is so")):
        path.write_text("\n".join(["text,label", *lines, f'"{cell}",{answer}', ""]), newline="")
        assert rows_of(path)[-1] == {"text": cell, "label": answer}


def test_where_most_cells_have_several_lines_they_may_look_like_rows(tmp_path: Path) -> None:
    lines = [f'"{TABLE}Who is {k}?",it is {k}' for k in range(3, 9)]
    rows = rows_of(written(tmp_path, "x.csv", "\n".join(["text,label", *lines])))
    assert [row["label"] for row in rows] == [f"it is {k}" for k in range(3, 9)]


def test_json_object_with_one_list_or_a_key(tmp_path: Path) -> None:
    one = written(tmp_path, "one.json", json.dumps({"name": "x", "rows": ROWS}))
    assert rows_of(one) == ROWS
    two = written(tmp_path, "two.json", json.dumps({"Names": ["x"], "Rows": ROWS}))
    assert rows_of(two, key="Rows") == ROWS
    with pytest.raises(SourceError, match=r'lists there: "Names", "Rows"'):
        rows_of(two)
    with pytest.raises(SourceError, match='did you mean "Rows"'):
        rows_of(two, key="Row")


def test_json_lines_with_the_wrong_suffix_say_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match='format = "jsonl"'):
        rows_of(written(tmp_path, "x.json", TEXTS["x.jsonl"]))
    assert rows_of(tmp_path / "x.json", name="jsonl") == ROWS


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_truncated_files_are_not_taken_for_whole_ones(tmp_path: Path, suffix: str) -> None:
    data = b"".join(b'{"a": %d}\n' % (k * 7919) for k in range(20_000))
    packed = gzip.compress(data) if suffix == ".gz" else zstandard.ZstdCompressor().compress(data)
    path = written(tmp_path, f"x.jsonl{suffix}", packed[:-2000])
    with pytest.raises(SourceError, match="cannot be read"):
        rows_of(path)


def test_zst_of_several_frames_is_read_to_the_end(tmp_path: Path) -> None:
    frame = zstandard.ZstdCompressor().compress
    path = written(tmp_path, "x.jsonl.zst", frame(b'{"a": 1}\n') + frame(b'{"a": 2}\n'))
    assert rows_of(path) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.parquet", b"no parquet at all", "not a readable Parquet file"),
        ("x.jsonl.gz", b"no gzip at all", "cannot be read"),
        ("x.jsonl.zst", b"no zst at all", "cannot be read"),
        ("x.csv", b"", "no header row"),
        ("x.txt", b"a\tb", r"cannot tell the format by the name x.txt"),
    ],
)
def test_files_that_are_not_what_they_say(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        rows_of(written(tmp_path, name, data))
    assert caught.value.where == str(tmp_path / name)


def test_unknown_encoding(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="utf-9"):
        rows_of(written(tmp_path, "x.tsv", "a\n1\n"), encoding="utf-9")


def test_aligned_text_files(tmp_path: Path) -> None:
    german = written(tmp_path, "val.de.gz", gzip.compress(b"Ein Hund.\n\nZwei\tKatzen.\n"))
    english = written(tmp_path, "val.en", "A dog.\n\nTwo cats.\n")
    source = FileSource(files={"validation": {"de": german.name, "en": english.name}}, root=tmp_path)
    assert list(source.rows("validation")) == [
        {"de": "Ein Hund.", "en": "A dog."},
        {"de": "", "en": ""},
        {"de": "Zwei\tKatzen.", "en": "Two cats."},
    ]
    english.write_text("A dog.\n")
    with pytest.raises(SourceError, match="has 1 lines, fewer") as caught:
        list(read_aligned({"de": german, "en": english}, FileFormat()))
    assert caught.value.where == str(english)


class TestFileSource:
    def test_globs_are_read_in_order_of_names_and_located(self, tmp_path: Path) -> None:
        for k in (1, 0, 2):
            written(tmp_path, f"part-{k}.jsonl", f'{{"a": {k}}}\n{{"a": {k + 10}}}\n')
        source = FileSource(files={"train": "part-*.jsonl"}, root=tmp_path)
        assert [row["a"] for row in source.rows("train")] == [0, 10, 1, 11, 2, 12]
        assert source.describe("train", 3) == str(tmp_path / "part-1.jsonl")

    def test_a_name_with_brackets_is_a_name_first(self, tmp_path: Path) -> None:
        written(tmp_path, "x[1].jsonl", '{"a": 1}\n')
        assert list(FileSource(files={"train": "x[1].jsonl"}, root=tmp_path).rows("train")) == [{"a": 1}]

    def test_missing_file_names_a_near_one(self, tmp_path: Path) -> None:
        written(tmp_path, "train.jsonl", "")
        source = FileSource(files={"train": "trian.jsonl"}, root=tmp_path)
        with pytest.raises(MissingDataError) as caught:
            list(source.rows("train"))
        assert str(caught.value) == f'{tmp_path}/trian.jsonl: no such file\nhint: did you mean "train.jsonl"?'

    def test_fingerprint_is_of_content_and_reading(self, tmp_path: Path) -> None:
        one = written(tmp_path, "one.csv", "a,b\n1,2\n")
        written(tmp_path, "two.csv", "a,b\n1,2\n")
        prints = {
            FileSource(files={"t": name}, form=form, root=tmp_path).fingerprint("t")
            for name, form in [
                ("one.csv", FileFormat()),
                ("two.csv", FileFormat()),
                ("one.csv", FileFormat(quoting="none")),
            ]
        }
        assert len(prints) == 2
        before = FileSource(files={"t": "one.csv"}, root=tmp_path).fingerprint("t")
        stat = one.stat()
        one.write_text("a,b\n1,3\n")
        os.utime(one, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert FileSource(files={"t": "one.csv"}, root=tmp_path).fingerprint("t") != before
