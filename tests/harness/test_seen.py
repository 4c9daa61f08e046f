"""A task file whose rows were trained on is not called unseen, whatever either side calls the file."""

from __future__ import annotations

import gzip
import json

import pytest

from flantune.contamination.record_files import write_record
from flantune.contamination.training_record import make_training_index, record_of
from flantune.errors import LeakError
from flantune.evaluation.seen import candidates, check_candidates
from flantune.harness.read import harness_exams
from flantune.suites.suite import SuiteData
from flantune.tasks.example_store import PreparedTask
from flantune.tasks.sources.files import FileSource
from flantune.tasks.sources.hub import HubSource
from flantune.types import Example, Task, Template

ROWS = "".join(json.dumps({"q": f"Is {n} even?", "a": n % 2}) + "\n" for n in range(6))
FILE = """
task: parity
output_type: multiple_choice
doc_to_text: q
doc_to_choice: ["yes", "no"]
doc_to_target: a
test_split: test
"""


def tuned(folder, source):
    """A model's folder that says it was tuned on one short task."""
    task = Task(
        name="counting", clusters=("numbers",), source_family="", kind="generation", source=source,
        adapter=lambda row: None, splits={"train": "train"}, templates=(Template(name="a", inputs="{q}"),),
        metrics=("exact_match",),
    )  # fmt: skip
    prepared = PreparedTask(
        task=task, stores={"train": (Example(row=0, fields={"q": "Is 0 even?"}, references=("yes",)),)}, reports={}
    )
    model = folder / "model"
    model.mkdir()
    record = record_of([prepared], held_out=(), base="", fingerprint="f")
    write_record(model, record, make_training_index([prepared]))
    return candidates([str(model)])


def part(folder, data: str, *, hub=None):
    path = folder / "parity.yaml"
    path.write_text(FILE + data)
    (found,) = harness_exams([path], SuiteData(root=hub))
    return found.exam


@pytest.mark.parametrize("name", ["rows.jsonl", "copy.jsonl.gz"])
def test_the_same_file_is_found_by_what_it_holds(tmp_path, name):
    (tmp_path / "rows.jsonl").write_text(ROWS)
    with gzip.open(tmp_path / "copy.jsonl.gz", "wt") as handle:
        handle.write(ROWS)
    models = tuned(tmp_path, FileSource(files={"train": "rows.jsonl"}, root=tmp_path))
    asked = part(tmp_path, f"dataset_path: json\ndataset_kwargs: {{data_files: {{test: {name}}}}}\n")
    with pytest.raises(LeakError, match='reads the same files as the task "counting"'):
        check_candidates(models, [asked], allow_seen=False)
    (seen,) = check_candidates(models, [asked], allow_seen=True)
    assert seen.seen_of(asked.key).reasons


def test_the_same_hub_data_set_is_found_in_any_revision(tmp_path):
    home = tmp_path / "hub" / "org" / "parity" / "small"
    home.mkdir(parents=True)
    (home / "test.jsonl").write_text(ROWS)
    models = tuned(tmp_path, HubSource(id="Org/Parity", config="small", revision="v1"))
    asked = part(tmp_path, "dataset_path: org/parity\ndataset_name: small\n", hub=tmp_path)
    with pytest.raises(LeakError, match="made from org/parity:small"):
        check_candidates(models, [asked], allow_seen=False)


def test_other_rows_are_unseen(tmp_path):
    (tmp_path / "rows.jsonl").write_text(ROWS)
    (tmp_path / "other.jsonl").write_text(ROWS.replace("even", "odd"))
    models = tuned(tmp_path, FileSource(files={"train": "rows.jsonl"}, root=tmp_path))
    asked = part(tmp_path, "dataset_path: json\ndataset_kwargs: {data_files: {test: other.jsonl}}\n")
    assert not check_candidates(models, [asked], allow_seen=False)[0].seen_of(asked.key).reasons
