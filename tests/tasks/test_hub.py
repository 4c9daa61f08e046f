"""The hub, its mirror and what lays one down: the same task gives the same examples from each."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flantune.errors import MissingDataError, SourceError
from flantune.tasks.prepare import prepare_task
from flantune.tasks.sources import hub_api
from flantune.tasks.sources.fetch import fetch_to_mirror, parse_reference
from flantune.tasks.sources.hub import HubSource
from flantune.tasks.sources.mirror import mirrored_splits
from flantune.types import HubDataset, Task

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ROWS = [
    {
        "question": f"Which one is {k}?",
        "choices": {"text": [f"number {k}", f"number {k + 1}"], "label": ["A", "B"]},
        "answerKey": "AB"[k % 2],
        "note": None if k % 3 else "odd",
        "level": k % 2,
    }
    for k in range(10)
]

TASK = """
name = "numbers"
clusters = ["closed-book QA"]
kind = "classification"
[source]
hub = "me/numbers"
config = "small"
[splits]
train = "train[:-2]"
dev = "train[-2:]"
test = "validation"
[fields]
question = "question"
[options]
column = "choices.text"
[answer]
column = "answerKey"
keys = "choices.label"
[[templates]]
inputs = "{question}\\n{options}"
"""


@pytest.fixture
def small_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Puts the real ``datasets``, on local Parquet files, in place of the hub; the calls made of it."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {
            "question": datasets.Value("string"),
            "choices": {
                "text": datasets.List(datasets.Value("string")),
                "label": datasets.List(datasets.Value("string")),
            },
            "answerKey": datasets.Value("string"),
            "note": datasets.Value("string"),
            "level": datasets.ClassLabel(names=["easy", "hard"]),
        }
    )
    files = {}
    for split, rows in (("train", ROWS), ("validation", ROWS[:4])):
        files[split] = str(tmp_path / f"upstream-{split}.parquet")
        datasets.Dataset.from_list(rows, features=features).to_parquet(files[split])
    real, calls = datasets.load_dataset, list[dict[str, Any]]()

    def load_dataset(hub_id: str, config: str | None, *, split: str, revision: str | None, streaming: bool) -> Any:
        calls.append({"id": hub_id, "config": config, "split": split, "revision": revision, "streaming": streaming})
        if hub_id != "me/numbers":
            raise ConnectionError(f"Couldn't reach '{hub_id}' on the Hub\nand so on")
        return real("parquet", data_files=files, split=split, streaming=streaming, cache_dir=str(tmp_path / "hf"))

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(datasets, "get_dataset_split_names", lambda *_, **__: ["train", "validation"])
    monkeypatch.setattr(hub_api, "resolve_revision", lambda wanted: wanted.revision or COMMIT)
    monkeypatch.setattr(hub_api, "hub_answers", lambda: True)
    return calls


def write_mirror(mirror: Path, form: str) -> None:
    folder = mirror / "me/numbers/small"
    folder.mkdir(parents=True)
    for split, rows in (("train", ROWS), ("validation", ROWS[:4])):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        if form == "parquet":
            pq.write_table(pa.Table.from_pylist(rows), folder / f"{split}.parquet")
        elif form == "shards":
            for k, part in enumerate((rows[:3], rows[3:])):
                pq.write_table(pa.Table.from_pylist(part), folder / f"{split}-0000{k}-of-00002.parquet")
        elif form == "jsonl":
            (folder / f"{split}.jsonl").write_text(text)
        else:
            (folder / f"{split}.jsonl.gz").write_bytes(gzip.compress(text.encode()))


@pytest.mark.parametrize("form", ["parquet", "shards", "jsonl", "jsonl.gz"])
def test_rows_of_a_mirror_are_those_of_the_hub(tmp_path: Path, small_hub: list[dict[str, Any]], form: str) -> None:
    write_mirror(tmp_path / "mirror", form)
    of_hub = list(HubSource(id="me/numbers", config="small").rows("train"))
    of_mirror = list(HubSource(id="me/numbers", config="small", mirror=tmp_path / "mirror").rows("train"))
    assert of_hub == of_mirror == ROWS
    assert [[type(value) for value in row.values()] for row in of_hub] == [
        [type(value) for value in row.values()] for row in of_mirror
    ]
    assert small_hub[0]["streaming"] is True


def test_one_task_file_on_hub_and_mirror(
    tmp_path: Path, load_text: Callable[..., Task], small_hub: list[dict[str, Any]]
) -> None:
    write_mirror(tmp_path / "mirror", "jsonl.gz")
    on_hub = prepare_task(load_text(TASK), cache=tmp_path / "c1")
    on_mirror = prepare_task(load_text(TASK, mirror=tmp_path / "mirror"), cache=tmp_path / "c2")
    for role in ("train", "dev", "test"):
        assert list(on_hub.stores[role]) == list(on_mirror.stores[role])
    assert on_hub.stores["train"][1].references == ("number 2",)
    assert on_hub.reports["dev"].source == "hub:me/numbers (small) split train (train[-2:])"


def test_revision_is_pinned(load_text: Callable[..., Task], tmp_path: Path, small_hub: list[dict[str, Any]]) -> None:
    text = TASK.replace('config = "small"', f'config = "small"\nrevision = "{COMMIT}"')
    prepare_task(load_text(text), cache=tmp_path / "cache")
    assert {call["revision"] for call in small_hub} == {COMMIT}
    one, other = (HubSource(id="me/numbers", revision=revision) for revision in (COMMIT, COMMIT[::-1]))
    assert one.fingerprint("train") != other.fingerprint("train")


def test_without_a_network(small_hub: list[dict[str, Any]]) -> None:
    with pytest.raises(MissingDataError) as caught:
        list(HubSource(id="me/nothing", config="x").rows("train"))
    assert str(caught.value) == (
        "me/nothing:x: cannot be loaded from the Hugging Face hub:"
        " it could not be reached, and the dataset is not in the cache\n"
        "hint: on a machine with a network run: flantune fetch RUN_FILE --mirror hub; then set [data] mirror to it"
    )


def test_a_hub_that_does_not_answer_is_asked_for_one_dataset_and_no_more(
    small_hub: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets
    from huggingface_hub import constants

    for module in (constants, datasets.config):
        monkeypatch.setattr(module, "HF_HUB_OFFLINE", False)
    with pytest.raises(MissingDataError, match="could not be reached"):
        list(HubSource(id="me/nothing").rows("train"))
    assert not constants.HF_HUB_OFFLINE  # it answers: only this dataset cannot be had
    monkeypatch.setattr(hub_api, "hub_answers", lambda: False)
    with pytest.raises(MissingDataError, match="could not be reached"):
        list(HubSource(id="me/nothing").rows("train"))
    assert constants.HF_HUB_OFFLINE and datasets.config.HF_HUB_OFFLINE


def test_what_is_said_while_the_libraries_are_told_to_stay_off(monkeypatch: pytest.MonkeyPatch) -> None:
    from flantune.types import HubDataset

    error = ConnectionError("Couldn't reach 'me/nothing' on the Hub (OfflineModeIsEnabled)")
    monkeypatch.delenv("HF_DATASETS_OFFLINE", raising=False)
    for setting, said in (("1", "HF_HUB_OFFLINE is set"), ("", "it could not be reached")):
        monkeypatch.setenv("HF_HUB_OFFLINE", setting)
        message = hub_api.explained(error, HubDataset(id="me/nothing")).message
        assert message == f"cannot be loaded from the Hugging Face hub: {said}, and the dataset is not in the cache"


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(SourceError) as caught:
        list(HubSource(id="me/numbers").rows("train"))
    assert "which is not installed" in caught.value.message
    assert "pip install -e '.[hub]'" in caught.value.hint
    assert "flantune fetch" in caught.value.hint
    assert "[data] mirror" in caught.value.hint


class TestMirror:
    def test_a_missing_split_names_those_there(self, tmp_path: Path) -> None:
        write_mirror(tmp_path, "jsonl")
        (tmp_path / "me/numbers/small/train.jsonl").unlink()
        with pytest.raises(MissingDataError) as caught:
            list(HubSource(id="me/numbers", config="small", mirror=tmp_path).rows("train"))
        assert str(caught.value) == (
            f'{tmp_path}/me/numbers/small: the mirror has no split "train" of me/numbers (small);'
            " available: validation\n"
            f"hint: run: flantune fetch RUN_FILE --mirror {tmp_path}"
        )

    def test_a_missing_dataset(self, tmp_path: Path) -> None:
        with pytest.raises(MissingDataError, match="the mirror has no me/numbers"):
            list(HubSource(id="me/numbers", mirror=tmp_path).rows("train"))

    def test_the_only_configuration_is_the_default_one(self, tmp_path: Path) -> None:
        write_mirror(tmp_path, "jsonl")
        source = HubSource(id="me/numbers", mirror=tmp_path)
        assert len(list(source.rows("train"))) == 10
        (tmp_path / "me/numbers/large").mkdir()
        with pytest.raises(SourceError, match="several configurations: large, small"):
            list(source.rows("train"))

    def test_missing_shards_and_doubles_are_errors(self, tmp_path: Path) -> None:
        write_mirror(tmp_path, "shards")
        folder = tmp_path / "me/numbers/small"
        (folder / "validation.jsonl").write_text("")
        with pytest.raises(SourceError, match="occurs twice"):
            mirrored_splits(folder)
        (folder / "validation.jsonl").unlink()
        (folder / "train-00001-of-00002.parquet").unlink()
        with pytest.raises(SourceError, match='shards of split "train" are missing'):
            mirrored_splits(folder)


class TestFetch:
    def test_lays_down_what_tasks_need(
        self, tmp_path: Path, load_text: Callable[..., Task], small_hub: list[dict[str, Any]]
    ) -> None:
        mirror = tmp_path / "mirror"
        lines: list[str] = []
        fetched = fetch_to_mirror([load_text(TASK)], mirror, progress=lines.append)
        assert [(one.split, one.rows, one.was_there) for one in fetched] == [
            ("train", 10, False),
            ("validation", 4, False),
        ]
        assert lines[0] == "me/numbers small train: 10 rows, fetched"
        folder = mirror / "me/numbers/small"
        assert sorted(path.name for path in folder.iterdir()) == ["fetched.json", "train.parquet", "validation.parquet"]
        record = json.loads((folder / "fetched.json").read_text())
        assert record["splits"]["train"] == {"rows": 10, "is_whole": True, "revision": None, "commit": COMMIT}
        source = HubSource(id="me/numbers", config="small", mirror=mirror)
        assert list(source.rows("train")) == ROWS

    def test_keeps_what_is_there(
        self, tmp_path: Path, load_text: Callable[..., Task], small_hub: list[dict[str, Any]]
    ) -> None:
        fetch_to_mirror([load_text(TASK)], tmp_path / "mirror")
        calls = len(small_hub)
        again = fetch_to_mirror(["me/numbers:small"], tmp_path / "mirror")
        assert [(one.rows, one.was_there, one.revision) for one in again] == [(10, True, COMMIT), (4, True, COMMIT)]
        assert len(small_hub) == calls

    def test_the_users_own_files_stay(self, tmp_path: Path, small_hub: list[dict[str, Any]]) -> None:
        write_mirror(tmp_path, "jsonl.gz")
        assert [one.rows for one in fetch_to_mirror(["me/numbers:small"], tmp_path)] == [None, None]
        assert small_hub == []

    def test_another_revision_is_fetched_anew_and_refused_until_then(
        self, tmp_path: Path, small_hub: list[dict[str, Any]]
    ) -> None:
        fetch_to_mirror(["me/numbers:small"], tmp_path)
        other = COMMIT[::-1]
        source = HubSource(id="me/numbers", config="small", revision=other, mirror=tmp_path)
        with pytest.raises(SourceError) as caught:
            list(source.rows("train"))
        assert f"the mirror holds revision {COMMIT}" in caught.value.message
        assert "flantune fetch" in caught.value.hint
        (train, _) = fetch_to_mirror([f"me/numbers:small@{other}"], tmp_path)
        assert (train.was_there, train.revision) == (False, other)
        assert len(list(source.rows("train"))) == 10

    def test_some_rows_first_then_all(self, tmp_path: Path, small_hub: list[dict[str, Any]]) -> None:
        (train, validation) = fetch_to_mirror(["me/numbers:small"], tmp_path, max_rows=4)
        assert (train.rows, validation.rows) == (4, 4)
        assert small_hub[0]["streaming"] is True
        assert list(HubSource(id="me/numbers", config="small", mirror=tmp_path).rows("train")) == ROWS[:4]
        assert fetch_to_mirror(["me/numbers:small"], tmp_path, max_rows=3)[0].was_there
        assert fetch_to_mirror(["me/numbers:small"], tmp_path)[0].rows == 10

    def test_a_mirror_with_fewer_rows_than_a_task_reads_is_not_taken_for_whole(
        self, tmp_path: Path, load_text: Callable[..., Task], small_hub: list[dict[str, Any]]
    ) -> None:
        mirror = tmp_path / "mirror"
        fetch_to_mirror(["me/numbers:small"], mirror, max_rows=4)
        with pytest.raises(MissingDataError) as caught:
            prepare_task(load_text(TASK, mirror=mirror), cache=tmp_path / "cache")
        told = "the mirror has the first 4 rows of me/numbers (small), split train; the task reads all"
        assert caught.value.message == f"task numbers: {told}"
        assert "flantune fetch" in caught.value.hint
        front = TASK.replace("train[:-2]", "train[:3]").replace("train[-2:]", "train[3:4]")
        short = load_text(front.replace('"validation"', '"validation[:4]"'), mirror=mirror)
        assert len(prepare_task(short, cache=tmp_path / "cache").stores["train"]) == 3
        fetch_to_mirror([load_text(TASK)], mirror)
        assert len(prepare_task(load_text(TASK, mirror=mirror), cache=tmp_path / "cache").stores["train"]) == 8

    def test_killed_before_the_file_is_there_it_is_fetched_again(
        self, tmp_path: Path, small_hub: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file without a note would be taken for the user's own, and for whole."""
        rename = Path.replace

        def killed(path: Path, target: Path) -> Path:
            if target.suffix == ".parquet":
                raise KeyboardInterrupt
            return rename(path, target)

        def kill(max_rows: int) -> list[str]:
            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr(Path, "replace", killed)
                fetch_to_mirror(["me/numbers:small"], tmp_path, max_rows=max_rows)
            return sorted(path.name for path in (tmp_path / "me/numbers/small").iterdir())

        assert kill(4) == ["fetched.json"]
        assert [one.rows for one in fetch_to_mirror(["me/numbers:small"], tmp_path, max_rows=4)] == [4, 4]
        assert kill(0) == ["fetched.json", "validation.parquet"]
        (train, _) = fetch_to_mirror(["me/numbers:small"], tmp_path)
        assert (train.rows, train.was_there) == (10, False)

    def test_a_failure_does_not_stop_the_others_and_leaves_nothing_half_written(
        self, tmp_path: Path, small_hub: list[dict[str, Any]]
    ) -> None:
        with pytest.raises(SourceError) as caught:
            fetch_to_mirror(["me/nothing", "me/numbers:small", "me/nobody"], tmp_path)
        assert "2 datasets cannot be fetched" in str(caught.value)
        assert f"me/nothing@{COMMIT}: cannot be loaded" in str(caught.value)
        assert sorted(mirrored_splits(tmp_path / "me/numbers/small")) == ["train", "validation"]
        assert not (tmp_path / "me/nothing").exists()

    def test_a_broken_stream_leaves_nothing(
        self, tmp_path: Path, small_hub: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Broken:
            def with_format(self, _: str) -> Broken:
                return self

            def iter(self, batch_size: int) -> Any:
                yield pa.table({"a": [1]})
                raise TimeoutError("the line went dead")

        monkeypatch.setattr(hub_api, "load_hub_split", lambda *_, **__: Broken())
        with pytest.raises(SourceError, match="the line went dead"):
            fetch_to_mirror(["me/numbers:small"], tmp_path)
        assert [path for path in tmp_path.rglob("*") if path.is_file() and "numbers" in str(path)] == []

    @pytest.mark.parametrize("text", ["", "a b", "a/b/c", "a/b:"])
    def test_references_that_are_none(self, text: str) -> None:
        with pytest.raises(SourceError, match="is not a hub dataset"):
            parse_reference(text)


def test_the_commit_of_a_pinned_revision_needs_no_network() -> None:
    assert hub_api.resolve_revision(HubDataset(id="me/numbers", revision=COMMIT)) == COMMIT
