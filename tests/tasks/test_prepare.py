"""Rows become stored examples once; what is bad is counted, and nothing old is taken for new."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import resource
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from tests.task_files import task_text

from flantune.errors import BadRowsError, MissingDataError, SourceError, TaskError
from flantune.settings.json_file import plain, value_of
from flantune.tasks import prepare
from flantune.tasks.describe import TaskDescription, TemplateText, describe_task, task_fingerprint
from flantune.tasks.example_store import ExampleStore, PreparedTask
from flantune.tasks.examples import first_examples
from flantune.tasks.rows import BadRow
from flantune.tasks.sources.files import FileSource
from flantune.tasks.taskfile import load_task_file
from flantune.tasks.user_code import fingerprint_of
from flantune.types import Example, Row, Task

from .conftest import BODY, mood_rows

Moods = Callable[..., Task]
WriteRows = Callable[..., Path]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def prepared(task: Task, cache: Path, share: float = 0.01) -> PreparedTask:
    return prepare.prepare_task(task, cache=cache, max_bad_share=share)


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


class TestReports:
    def test_bad_and_dropped_rows_are_counted_by_reason_with_numbers(
        self, moods: Moods, write_rows: WriteRows, cache: Path
    ) -> None:
        rows = mood_rows(100)
        for k in (3, 5, 7, 11, 60):
            rows[k]["label"] = 9
        rows[8] = {"label": 1}
        rows[20]["label"] = rows[70]["label"] = -1
        write_rows(rows)
        body = BODY.replace('column = "label"', 'column = "label"\ndrop = [-1]')
        task = moods(splits='train = "train[:50]"\ntest = "train[50:]"', body=body)
        result = prepared(task, cache, 0.2)
        train, test = result.reports["train"], result.reports["test"]
        assert (train.raw_rows, train.kept, train.dropped) == (50, 44, 1)
        assert train.bad == {"label out of range": 4, "missing column": 1}
        assert [(note.reason, note.row) for note in train.first_bad] == [
            ("label out of range", 3),
            ("label out of range", 5),
            ("label out of range", 7),
            ("missing column", 8),
        ]
        assert (test.raw_rows, test.kept, test.dropped, test.bad) == (50, 48, 1, {"label out of range": 1})
        assert [note.row for note in test.first_bad] == [60]
        assert [example.row for example in result.stores["test"]] == [k for k in range(50, 100) if k not in (60, 70)]
        assert [example.row for example in result.stores["train"]][:8] == [0, 1, 2, 4, 6, 9, 10, 12]

    def test_too_many_bad_rows_stop_and_name_the_first(
        self, moods: Moods, write_rows: WriteRows, cache: Path, tmp_path: Path
    ) -> None:
        rows = mood_rows(50)
        rows[17]["label"] = "happy"
        rows[30] = {"txt": "x", "label": 1}
        write_rows(rows)
        with pytest.raises(BadRowsError) as caught:
            prepared(moods(), cache)
        assert str(caught.value) == (
            f"{tmp_path}/train.jsonl: 2 of 50 rows of task moods, split train, are bad (4.0%; at most 1.0% may be)\n"
            '  1 × answer not among options, first in row 17 (counted from 0): got "happy";'
            ' expected one of "sad", "glad"\n'
            "  1 × missing column, first in row 30 (counted from 0): got columns txt, label;"
            ' expected "text"; did you mean "txt"?\n'
            "hint: fix the rows, or the task file's columns; if these rows have no answer, leave them out:"
            ' [answer] drop = ["", "null"], the empty text and null; or raise [data] max_bad_share'
        )

    def test_what_is_wrong_with_a_row_of_a_table_is_said_with_its_line(self, tmp_path: Path, cache: Path) -> None:
        lines = ["text,label", '"two', 'lines",sad', "", *["fine,glad"] * 5, "what,", "fine,sad"]
        (tmp_path / "rows.csv").write_text("\n".join(lines))
        text = task_text("moods", {"train": "rows.csv"}, cluster="mood", options=("sad", "glad"))
        (tmp_path / "moods.toml").write_text(text)
        with pytest.raises(BadRowsError, match=r'in row 6 \(counted from 0\): line 10: got ""; expected') as caught:
            prepare.prepare_task(load_task_file(tmp_path / "moods.toml"), cache=cache)
        assert '[answer] drop = ["", "null"]' in caught.value.hint
        (tmp_path / "moods.toml").write_text(text.replace("[answer]", '[answer]\ndrop = ["", "null"]'))
        report = prepare.prepare_task(load_task_file(tmp_path / "moods.toml"), cache=cache).reports["train"]
        assert (report.kept, report.dropped, report.bad) == (7, 1, {})

    def test_the_share_is_a_share_and_the_store_is_kept(self, moods: Moods, write_rows: WriteRows, cache: Path) -> None:
        rows = mood_rows(100)
        rows[4]["label"] = 9
        write_rows(rows)
        assert len(prepared(moods(), cache, 0.01).stores["train"]) == 99
        with pytest.raises(BadRowsError):
            prepared(moods(), cache, 0.009)

    def test_the_bad_file_of_several_is_named(self, moods: Moods, write_rows: WriteRows, cache: Path) -> None:
        write_rows(mood_rows(10), "a.jsonl")
        second = write_rows([*mood_rows(5), {"text": "x", "label": 5}], "b.jsonl")
        with pytest.raises(BadRowsError) as caught:
            prepared(moods('files = { train = ["a.jsonl", "b.jsonl"] }'), cache)
        assert caught.value.where == str(second)

    @pytest.mark.parametrize(
        ("data", "source", "reason", "hint"),
        [
            (b"text\tlabel\nso\xe4\tglad\n", "x.tsv", "broken encoding", "encoding"),
            (b"text\tlabel\na\tb\tc\n", "x.tsv", "wrong number of columns", "quoting"),
            (b'text,label\n"a" b,c\n', "x.csv", "broken quoting", 'quoting = "none"'),
            (b'{"text": "\\ud800", "label": 1}\n', "x.jsonl", "broken encoding", "encoding"),
            (b"nonsense\n", "x.jsonl", "not valid JSON", "max_bad_share"),
        ],
    )
    def test_unreadable_rows_are_bad_rows(
        self, moods: Moods, tmp_path: Path, cache: Path, data: bytes, source: str, reason: str, hint: str
    ) -> None:
        (tmp_path / source).write_bytes(data)
        with pytest.raises(BadRowsError) as caught:
            prepared(moods(f'files = {{ train = "{source}" }}'), cache)
        assert f"1 × {reason}, first in row 0" in caught.value.message
        assert hint in caught.value.hint

    def test_rows_without_use_of_a_broken_column_pass(self, moods: Moods, tmp_path: Path, cache: Path) -> None:
        (tmp_path / "x.tsv").write_bytes(b"text\tlabel\tnote\nso\tglad\t\xe4\n")
        assert len(prepared(moods('files = { train = "x.tsv" }'), cache).stores["train"]) == 1

    def test_nothing_left_is_an_error(self, moods: Moods, write_rows: WriteRows, cache: Path) -> None:
        write_rows([{"text": "x", "label": -1}] * 3)
        body = BODY.replace('column = "label"', 'column = "label"\ndrop = [-1]')
        with pytest.raises(SourceError, match="no example is left of its 3 rows; 3 were dropped on purpose"):
            prepared(moods(body=body), cache)

    def test_description_is_json(self, moods: Moods, write_rows: WriteRows, cache: Path) -> None:
        rows = mood_rows(200)
        rows[3]["label"] = 7
        write_rows(rows)
        described = describe_task(prepared(moods(), cache))
        assert value_of(json.loads(json.dumps(plain(described))), TaskDescription, where="here") == described
        train = described.splits["train"]
        assert (train.raw_rows, train.kept, train.bad) == (200, 199, {"label out of range": 1})
        assert train.first_bad[0].row == 3
        (template,) = described.templates
        assert template == TemplateText(
            name="t1", inputs="How does it feel? {text}", targets="{answer}", is_inverted=False
        )


class TestSlices:
    def test_one_reading_serves_all_slices_of_a_split(self, moods: Moods, write_rows: WriteRows, cache: Path) -> None:
        write_rows(mood_rows(1000))
        result = prepared(moods(splits='train = "train[:-200]"\ndev = "train[-200:]"'), cache)
        train, dev = result.stores["train"], result.stores["dev"]
        assert (len(train), len(dev)) == (800, 200)
        assert (train[-1].row, dev[0].row, dev[199].row) == (799, 800, 999)
        assert len(list(cache.rglob("examples.arrow"))) == 1

    def test_only_the_rows_needed_are_read(self, moods: Moods, write_rows: WriteRows, cache: Path) -> None:
        path = write_rows(mood_rows(20))
        path.write_text(path.read_text() + "broken\n" * 100)
        result = prepared(moods(splits='train = "train[:10]"\ndev = "train[10:15]"'), cache)
        assert [len(result.stores[role]) for role in ("train", "dev")] == [10, 5]

    def test_a_slice_beyond_the_end_has_fewer_rows(self, moods: Moods, write_rows: WriteRows, cache: Path) -> None:
        write_rows(mood_rows(20))
        assert prepared(moods(splits='train = "train[:30000]"'), cache).reports["train"].raw_rows == 20

    @pytest.mark.parametrize(
        ("rows", "slice_", "has"),
        [
            (100, "train[:-200]", "has only 100 rows"),
            (100, "train[12400:12600]", "has only 100 rows"),
            (100, "train[100:200] + train[300:]", "has only 100 rows"),
            (1_250, "train[1250:]", "has only 1,250 rows"),
            (0, "train", "has no rows"),
        ],
    )
    def test_slices_that_take_no_row_are_errors(
        self, moods: Moods, write_rows: WriteRows, cache: Path, rows: int, slice_: str, has: str
    ) -> None:
        write_rows(mood_rows(rows))
        with pytest.raises(SourceError) as caught:
            prepared(moods(splits=f'train = "{slice_}"'), cache)
        assert caught.value.message.endswith(f'train = "{slice_}" takes no row: the split {has}')
        assert "get the whole of the data" in (caught.value.hint or "")

    @pytest.mark.parametrize("dev", ["train[90:]", "train[-20:]", "train"])
    def test_overlapping_slices_are_errors(self, moods: Moods, write_rows: WriteRows, cache: Path, dev: str) -> None:
        write_rows(mood_rows(100))
        with pytest.raises(TaskError, match=r"share \d+ rows"):
            prepared(moods(splits=f'train = "train[:95]"\ndev = "{dev}"'), cache)

    def test_absent_roles_are_absent(self, moods: Moods, write_rows: WriteRows, cache: Path) -> None:
        write_rows(mood_rows(10))
        assert set(prepared(moods(), cache).stores) == {"train"}


class TestMissing:
    SOURCE = 'files = { train = "train.jsonl", test = "gone.jsonl" }'
    SPLITS = 'train = "train"\ntest = "test"'

    def test_missing_data_is_an_error_of_its_own_kind(
        self, moods: Moods, write_rows: WriteRows, cache: Path, tmp_path: Path
    ) -> None:
        write_rows(mood_rows(10))
        with pytest.raises(MissingDataError) as caught:
            prepared(moods(self.SOURCE, self.SPLITS), cache)
        assert str(caught.value).startswith(f"{tmp_path}/gone.jsonl: task moods: no such file")

    def test_missing_roles_can_be_skipped_and_are_listed(
        self, moods: Moods, write_rows: WriteRows, cache: Path
    ) -> None:
        write_rows(mood_rows(10))
        result = prepare.prepare_task(moods(self.SOURCE, self.SPLITS), cache=cache, skip_missing=True)
        assert set(result.stores) == {"train"}
        assert "gone.jsonl" in result.missing["test"]

    def test_all_missing_is_still_an_error(self, moods: Moods, cache: Path) -> None:
        with pytest.raises(MissingDataError, match="no such file"):
            prepare.prepare_task(moods(self.SOURCE, self.SPLITS), cache=cache, skip_missing=True)


class TestTrap02:
    """A cache that ignores what changed."""

    def test_trap_02_an_unchanged_task_is_not_read_again(
        self, moods: Moods, write_rows: WriteRows, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_rows(mood_rows(10))
        before = prepared(moods(), cache)
        monkeypatch.setattr(FileSource, "rows", lambda self, split: pytest.fail("read again"))
        after = prepared(moods(), cache)
        assert list(after.stores["train"]) == list(before.stores["train"])
        assert after.reports == before.reports

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('values = ["sad", "glad"]', 'values = ["low", "high"]'),
            ('text = "text"', 'text = "other"'),
            ('text = "text"', 'text = { column = "text", join = "" }'),
            ('column = "label"', 'column = "label"\nmap = { "0" = "glad", "1" = "sad" }'),
            ('column = "label"', 'column = "label"\ndrop = [0]'),
        ],
    )
    def test_trap_02_a_changed_adapter_never_hits_an_old_store(
        self, moods: Moods, write_rows: WriteRows, cache: Path, old: str, new: str
    ) -> None:
        write_rows([row | {"other": "o"} for row in mood_rows(10)])
        before = prepare.store_key(moods(), "train", None)
        changed = moods(body=BODY.replace(old, new))
        assert prepare.store_key(changed, "train", None) != before
        prepared(moods(), cache)
        fresh = prepared(changed, cache / "elsewhere")
        assert list(prepared(changed, cache).stores["train"]) == list(fresh.stores["train"])

    def test_trap_02_a_changed_file_never_hits_an_old_store(
        self, moods: Moods, write_rows: WriteRows, cache: Path
    ) -> None:
        import os

        path = write_rows(mood_rows(10))
        times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
        prepared(moods(), cache)
        path.write_text(path.read_text().replace("sentence 3", "sentence X"))
        os.utime(path, ns=times)  # same size, same date
        assert prepared(moods(), cache).stores["train"][3].fields == {"text": "sentence X"}

    def test_trap_02_changed_python_never_hits_an_old_store(
        self, moods: Moods, write_rows: WriteRows, cache: Path, tmp_path: Path
    ) -> None:
        code = (
            "from flantune.types import Example\n"
            "def f(row):\n    return Example(row=0, fields={'text': WORD}, references=('x',))\n"
        )
        body = '[adapter]\npython = "mine.py:f"\n[[templates]]\ninputs = "{text}"\n'
        write_rows(mood_rows(10))
        for word in ("one", "two", "one"):
            (tmp_path / "mine.py").write_text(f"WORD = {word!r}\n{code}")
            task = replace(moods(body=body), kind="generation")
            assert prepared(task, cache).stores["train"][0].fields == {"text": word}

    def test_trap_02_adapters_without_a_fingerprint(self, moods: Moods, write_rows: WriteRows, cache: Path) -> None:
        def adapter_of(word: str) -> Callable[[Row], Example]:
            return lambda row: Example(row=0, fields={"text": word}, references=("x",))

        write_rows(mood_rows(10))
        task = replace(moods(), kind="generation", adapter_fingerprint="")
        for word in ("one", "two"):
            stored = prepared(replace(task, adapter=adapter_of(word)), cache).stores["train"]
            assert stored[0].fields == {"text": word}
        assert fingerprint_of(adapter_of("one")) == fingerprint_of(adapter_of("one"))

    def test_trap_02_templates_are_not_in_the_store_but_in_the_fingerprint(
        self, moods: Moods, write_rows: WriteRows, cache: Path
    ) -> None:
        write_rows(mood_rows(10))
        one = prepared(moods(), cache)
        other = prepared(moods(body=BODY.replace("feel?", "sound?")), cache)
        assert len(list(cache.rglob("examples.arrow"))) == 1
        assert task_fingerprint(one) != task_fingerprint(other)

    def test_the_fingerprint_does_not_depend_on_where_things_lie(
        self, moods: Moods, write_rows: WriteRows, tmp_path: Path
    ) -> None:
        write_rows(mood_rows(10))
        one = prepared(moods(), tmp_path / "cache1")
        write_rows(mood_rows(10), "moved.jsonl")
        other = prepared(moods('files = { train = "moved.jsonl" }'), tmp_path / "cache2")
        assert task_fingerprint(one) == task_fingerprint(other)


class TestPythonAdapters:
    def task(self, moods: Moods, adapter: Callable[[Row], Example | None]) -> Task:
        return replace(moods(), adapter=adapter, adapter_fingerprint="", kind="generation")

    @pytest.mark.parametrize(
        ("error", "reason", "detail"),
        [
            (KeyError("lable"), "missing column", "got columns text, label; KeyError: 'lable' (test_prepare.py line"),
            (KeyError("text"), "adapter raised KeyError", "KeyError: 'text'"),
            (ValueError("no"), "adapter raised ValueError", "ValueError: no (test_prepare.py line"),
            (BadRow("too short", "got 3 words"), "too short", "got 3 words"),
        ],
    )
    def test_what_adapters_raise_is_counted(
        self, moods: Moods, write_rows: WriteRows, cache: Path, error: Exception, reason: str, detail: str
    ) -> None:
        def adapt(row: Row) -> Example | None:
            if row["label"]:
                raise error
            return Example(row=0, fields={"text": row["text"]}, references=("x",))

        write_rows(mood_rows(10))
        report = prepared(self.task(moods, adapt), cache, 0.9).reports["train"]
        assert report.bad == {reason: 5}
        assert report.first_bad[0].detail.startswith(detail)

    def test_something_else_than_an_example(self, moods: Moods, write_rows: WriteRows, cache: Path) -> None:
        write_rows(mood_rows(10))
        with pytest.raises(TaskError, match="the adapter gave dict; expected Example or None"):
            prepared(self.task(moods, lambda row: dict(row)), cache)  # type: ignore[arg-type,return-value]
        assert files_below(cache) == []

    def test_fields_that_differ_between_rows(self, moods: Moods, write_rows: WriteRows, cache: Path) -> None:
        def adapt(row: Row) -> Example:
            return Example(row=0, fields={"text" if row["label"] == 0 else "txt": "x"}, references=("x",))

        write_rows(mood_rows(10))
        report = prepared(self.task(moods, adapt), cache, 0.9).reports["train"]
        assert report.bad == {"other fields than the first row": 5}
        assert report.first_bad[0].detail == "got txt; expected text"

    def test_a_template_that_asks_for_another_field(self, moods: Moods, write_rows: WriteRows, cache: Path) -> None:
        write_rows(mood_rows(10))
        with pytest.raises(TaskError, match='asks for "text", which the rows do not have; they have: words'):
            prepared(self.task(moods, lambda _: Example(row=0, fields={"words": "x"}, references=("x",))), cache)

    def test_first_examples(self, moods: Moods, write_rows: WriteRows) -> None:
        assert first_examples(moods(), count=3) == ()
        write_rows([{"text": "x", "label": 7}, *mood_rows(10)])
        assert [example.row for example in first_examples(moods(), count=3)] == [1, 2, 3]
        assert first_examples(moods(), count=0) == ()


class TestStore:
    @pytest.fixture
    def store(self, moods: Moods, write_rows: WriteRows, cache: Path) -> ExampleStore:
        write_rows(mood_rows(3000))
        store = prepared(moods(splits='train = "train[500:]"'), cache).stores["train"]
        assert isinstance(store, ExampleStore)
        return store

    def test_random_access_and_borders(self, store: ExampleStore) -> None:
        assert len(store) == 2500
        assert store[1999] == Example(
            row=2499, fields={"text": "sentence 2499"}, options=("sad", "glad"), answer=1, references=("glad",)
        )
        assert store[-1].row == 2999
        for outside in (2500, -2501):
            with pytest.raises(IndexError):
                store[outside]

    def test_numpy_numbers_and_slices(self, store: ExampleStore) -> None:
        import numpy as np

        assert store[np.int64(7)].row == 507  # type: ignore[call-overload]
        part = store[10:20]
        assert isinstance(part, ExampleStore)
        assert [example.row for example in part] == list(range(510, 520))
        assert [example.row for example in store[4:0:-2]] == [504, 502]
        assert len(store[20:10]) == 0

    def test_pickles_as_a_path(self, store: ExampleStore) -> None:
        assert store[0].row == 500  # opened
        data = pickle.dumps(store)
        assert len(data) < 500
        assert pickle.loads(data)[2499].row == 2999

    @pytest.mark.parametrize("method", ["fork", "spawn"])
    def test_other_processes_read_the_same(self, store: ExampleStore, method: str) -> None:
        assert store[3].row == 503
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(store.__getitem__, [0, 2499, 3]) == [store[0], store[2499], store[3]]

    def test_threads_read_the_same(self, store: ExampleStore) -> None:
        fresh = pickle.loads(pickle.dumps(store))
        with ThreadPoolExecutor(8) as pool:
            rows = [example.row for example in pool.map(fresh.__getitem__, [k % 2500 for k in range(0, 20_000, 7)])]
        assert rows == [500 + k % 2500 for k in range(0, 20_000, 7)]

    def test_a_broken_store_says_what_to_do(self, store: ExampleStore) -> None:
        store.path.write_bytes(b"no arrow file")
        with pytest.raises(SourceError, match="adapted examples are damaged"):
            ExampleStore(store.path, 0, 1)[0]

    def test_memory_does_not_grow_with_rows(self, moods: Moods, write_rows: WriteRows, cache: Path) -> None:
        peaks = []
        for number in (3_000, 30_000):
            write_rows({"text": f"{k} " + "word " * 40, "label": k % 2} for k in range(number))
            task = moods()
            tracemalloc.start()
            try:
                stored = prepared(task, cache).stores["train"]
                for k in range(0, number, 97):
                    stored[k]
                peaks.append(tracemalloc.get_traced_memory()[1])
            finally:
                tracemalloc.stop()
        assert peaks[1] < 1.2 * peaks[0] + 500_000


class TestDisk:
    def test_a_cache_that_cannot_be_written(self, moods: Moods, write_rows: WriteRows, tmp_path: Path) -> None:
        write_rows(mood_rows(10))
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(SourceError) as caught:
            prepared(moods(), tmp_path / "file" / "cache")
        assert "adapted examples cannot be written" in caught.value.message
        assert "[data] cache" in caught.value.hint

    def test_a_full_disk_leaves_nothing_half_written(self, moods: Moods, write_rows: WriteRows, cache: Path) -> None:
        write_rows([{"text": "word " * 200, "label": 1}] * 5000)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
        try:
            with pytest.raises(SourceError, match="adapted examples cannot be written"):
                prepared(moods(), cache)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert [path.name for path in cache.rglob("*") if path != cache / "moods"] == []
        assert len(prepared(moods(), cache).stores["train"]) == 5000

    def test_an_interrupted_writer_leaves_nothing(self, moods: Moods, write_rows: WriteRows, cache: Path) -> None:
        def adapt(row: Row) -> Example:
            raise KeyboardInterrupt

        write_rows(mood_rows(10))
        with pytest.raises(KeyboardInterrupt):
            prepared(replace(moods(), adapter=adapt, adapter_fingerprint="x"), cache)
        assert files_below(cache) == []

    @pytest.mark.parametrize("name", ["summary.json", "examples.arrow", "skipped.arrow", "examples.arrow.sums"])
    @pytest.mark.parametrize("damage", ["flipped", "short", "gone", "empty", "folder"])
    def test_a_damaged_store_is_made_again_and_said(
        self, moods: Moods, write_rows: WriteRows, cache: Path, name: str, damage: str
    ) -> None:
        write_rows(mood_rows(10))
        before = list(prepared(moods(), cache).stores["train"])
        (path,) = cache.rglob(name)
        raw = path.read_bytes()
        middle = len(raw) // 2
        path.unlink()
        if damage == "folder":
            path.mkdir()
        elif damage != "gone":
            flipped = raw[:middle] + bytes([raw[middle] ^ 4]) + raw[middle + 1 :]
            path.write_bytes({"flipped": flipped, "short": raw[:middle], "empty": b""}[damage])
        told: list[str] = []
        assert list(prepare.prepare_task(moods(), cache=cache, note=told.append).stores["train"]) == before
        if damage != "gone":
            assert len(told) == 1
            assert "task moods were damaged" in told[0]
            assert name in told[0]

    def test_two_writers_at_once_agree(self, moods: Moods, write_rows: WriteRows, cache: Path) -> None:
        write_rows(mood_rows(2000))
        task = moods()  # loaded once: what is tested is writing the store, not this fixture's task file
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(lambda _: prepared(task, cache), range(4)))
        assert len({store.path for result in results for store in result.stores.values()}) == 1  # type: ignore[attr-defined]
        assert not list(cache.rglob(".writing-*"))


class TestJoinedSlices:
    SPLITS = 'train = "train[:4] + train[6:10]"\ndev = "train[4:6]"\ntest = "train[-2:]"'

    def test_a_role_may_take_several_stretches_of_a_split(
        self, moods: Moods, write_rows: WriteRows, cache: Path
    ) -> None:
        rows = mood_rows(12)
        rows[1]["label"] = 9
        rows[7]["label"] = 9
        write_rows(rows)
        result = prepared(moods(splits=self.SPLITS), cache, 0.5)
        train = result.stores["train"]
        assert [example.row for example in train] == [0, 2, 3, 6, 8, 9]
        assert [train[k].row for k in range(-6, 6)] == [0, 2, 3, 6, 8, 9] * 2
        assert [one.row for one in train[1:4]] == [2, 3, 6]
        assert [example.row for example in result.stores["dev"]] == [4, 5]
        report = result.reports["train"]
        assert (report.raw_rows, report.kept, sum(report.bad.values())) == (8, 6, 2)
        assert [note.row for note in report.first_bad] == [1, 7]
        with pytest.raises(IndexError):
            train[6]

    def test_a_joined_store_travels_to_another_process(self, moods: Moods, write_rows: WriteRows, cache: Path) -> None:
        write_rows(mood_rows(12))
        train = prepared(moods(splits=self.SPLITS), cache).stores["train"]
        assert list(pickle.loads(pickle.dumps(train))) == list(train)

    def test_where_the_files_lie_does_not_count(
        self, moods: Moods, write_rows: WriteRows, tmp_path: Path, cache: Path
    ) -> None:
        write_rows(mood_rows(12))
        task = moods(splits=self.SPLITS)
        one, other = prepared(task, cache), prepared(task, tmp_path / "elsewhere")
        assert task_fingerprint(one) == task_fingerprint(other)
        another = prepared(moods(splits=self.SPLITS.replace("[6:10]", "[6:9]")), cache)
        assert task_fingerprint(one) != task_fingerprint(another)

    @pytest.mark.parametrize(
        ("splits", "message"),
        [
            ('train = "train[:6] + train[4:]"', "names 2 rows twice"),
            ('train = "train[:4] + train[8:]"\ntest = "train[3:9]"', "share 2 rows"),
        ],
    )
    def test_rows_named_twice_are_an_error(
        self, moods: Moods, write_rows: WriteRows, cache: Path, splits: str, message: str
    ) -> None:
        write_rows(mood_rows(12))
        with pytest.raises(TaskError, match=message):
            prepared(moods(splits=splits), cache)


def test_how_many_rows_have_been_read_is_told_while_they_are(
    moods: Moods, write_rows: WriteRows, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "_TOLD_ROWS", 10)
    write_rows(mood_rows(35))
    task, told = moods(), list[int]()
    prepare.prepare_task(task, cache=cache, on_rows=told.append)
    assert told == [10, 20, 30]
    prepare.prepare_task(task, cache=cache, on_rows=told.append)
    assert told == [10, 20, 30]
