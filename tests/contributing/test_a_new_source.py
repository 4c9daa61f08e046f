"""A new kind of source is one file and one line: what follows adds one as docs/contributing.md says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from flantune.errors import MissingDataError, TaskError
from flantune.mixture.taxonomy import Taxonomy
from flantune.report.collection_page import render_collection_page
from flantune.report.task_sheet import describe_definition
from flantune.settings.config import DataSettings
from flantune.tasks.catalog import example_rows, summarize_task
from flantune.tasks.load import load_tasks
from flantune.tasks.prepare import prepare_task
from flantune.tasks.same_data import same_source
from flantune.tasks.sources import kinds
from flantune.tasks.sources.section import SourceSection
from flantune.tasks.taskfile import load_task_file
from flantune.types import HubDataset, Row, Source, Task

# The file. ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums(Source):
    """Sums up to a number, made as they are read."""

    upto: int

    def rows(self, split: str) -> Iterator[Row]:
        if split != "train":
            raise MissingDataError(f"no sums to {split}")
        for number in range(self.upto):
            yield {"sum": f"{number} + 1", "makes": str(number + 1)}

    def fingerprint(self, split: str) -> str:
        return f"{split} {self.upto}"

    def describe(self, split: str, row: int | None = None) -> str:
        return f"sums up to {self.upto}"


class SumsSection(SourceSection):
    """``[source]`` with sums."""

    sums: int
    """Up to which number."""

    def source(self, folder: Path) -> Sums:
        return Sums(upto=self.sums)


# The line, in KINDS of flantune/tasks/sources/kinds.py. ---------------------------------------------------------------


@pytest.fixture(autouse=True)
def with_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "KINDS", {**kinds.KINDS, "sums": SumsSection})


# What it gives. -------------------------------------------------------------------------------------------------------

TASK = """
name = "sums"
clusters = ["arithmetic"]
kind = "generation"

[source]
sums = 5

[splits]
train = "train[:3]"
dev = "train[3:]"

[fields]
sum = "sum"

[answer]
column = "makes"

[[templates]]
inputs = "{sum} ="
"""


def load(folder: Path, text: str = TASK, **options: Path) -> Task:
    (folder / "sums.toml").write_text(text)
    return load_task_file(folder / "sums.toml", **options)


def test_a_task_file_names_it_and_its_rows_are_learned(tmp_path: Path) -> None:
    task = load(tmp_path, mirror=tmp_path / "mirror")
    assert task.source == Sums(upto=5)
    prepared = prepare_task(task, cache=tmp_path / "cache")
    assert [one.references for one in prepared.stores["dev"]] == [("4",), ("5",)]
    assert prepared.reports["train"].source == "sums up to 5 (train[:3])"
    gone = load(tmp_path, TASK.replace('"train[3:]"', '"more"'))
    with pytest.raises(MissingDataError, match="task sums: no sums to more"):
        prepare_task(gone, cache=tmp_path / "cache")
    assert prepare_task(gone, cache=tmp_path / "cache", skip_missing=True).missing.keys() == {"dev"}


def test_what_is_wrong_with_its_table_is_said_as_ever(tmp_path: Path) -> None:
    for line, said in (
        ('sums = "many"', 'source.sums: should be a whole number, got "many"'),
        ('sums = 5\ndelimiter = ";"', "source: delimiter cannot be combined with sums"),
        ('sums = 5\nhub = "a/b"', "source: set either files or hub or sums"),
        ("summs = 5", 'source.summs: unknown key; did you mean "sums"?'),
    ):
        with pytest.raises(TaskError) as caught:
            load(tmp_path, TASK.replace("sums = 5", line))
        assert said in caught.value.message


def test_everything_that_looks_at_sources_knows_it(tmp_path: Path) -> None:
    task = load(tmp_path)
    assert summarize_task(task)["hub"] == ""
    assert describe_definition(task)["manual"] == ""
    assert len(example_rows(task, count=2)) == 2
    assert same_source(task.source, task.source) == ""
    page = render_collection_page([task], {}, title="Mine", taxonomy=Taxonomy())
    assert "Sums" in page


def test_what_it_knows_of_itself_is_heard(tmp_path: Path) -> None:
    class Mirrored(Sums):
        @property
        def hub(self) -> HubDataset:
            return HubDataset(id="me/sums", config="small")

    one, other = (replace(load(tmp_path), source=Mirrored(upto=upto)) for upto in (3, 4))
    assert summarize_task(one)["hub"] == "me/sums:small"
    assert same_source(one.source, other.source) == "both are made from the same source, me/sums:small of the hub"


def test_a_python_file_may_bring_its_own(tmp_path: Path) -> None:
    text = """
from flantune.types import Example, Source, Task, Template

class Words({base}):
    def rows(self, split):
        yield {{"word": "sea"}}
    def fingerprint(self, split):
        return "words"
    def describe(self, split, row=None):
        return "words"

def ask(row):
    return Example(row=0, fields={{"word": row["word"]}}, references=("water",))

def tasks():
    return [Task(name="words", clusters=("w",), source_family="w", kind="generation", source=Words(), adapter=ask,
        splits={{"test": "test"}}, templates=(Template(name="t", inputs="{{word}}"),), metrics=("exact_match",))]
"""
    (tmp_path / "words.py").write_text(text.format(base="Source"))
    (task,) = load_tasks(DataSettings(tasks=("words.py",)), root=tmp_path)
    assert [one.fields for one in example_rows(task)] == [{"word": "sea"}]
    (tmp_path / "words.py").write_text(text.format(base="object"))
    with pytest.raises(TaskError, match="words: Words is not a source"):
        load_tasks(DataSettings(tasks=("words.py",)), root=tmp_path)
