"""A tuned model carries what it was taught, and is not measured on that by mistake."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from flantune.contamination.compared_rows import make_corpus
from flantune.contamination.record_files import copy_record, read_index, read_record, write_record
from flantune.contamination.training_record import (
    FILE,
    Measured,
    check_seen,
    make_index,
    make_training_index,
    record_of,
)
from flantune.errors import SourceError
from flantune.evaluation.seen import candidates
from flantune.mixture.taxonomy import load_taxonomy
from flantune.tasks.example_store import PreparedTask
from flantune.tasks.sources.hub import HubSource
from flantune.types import Example, Task, Template

TAXONOMY = load_taxonomy(None)
STORY = "the old miller of the {} valley took {} sacks of flour down to the river before the sun had risen that day"


def prepared(name="rte", *, cluster="natural language inference", family="rte", rows=8, source=None) -> PreparedTask:
    examples = tuple(
        Example(
            row=n, fields={"premise": STORY.format(f"{name}{n}", n), "hypothesis": f"flour {n}"}, references=("yes",)
        )
        for n in range(rows)
    )
    task = Task(
        name=name,
        clusters=(cluster,),
        source_family=family,
        kind="classification",
        source=source or HubSource(id="aps/super_glue", config=name),
        adapter=lambda row: None,
        splits={"train": "train"},
        templates=(Template(name="a", inputs="{premise}"),),
        metrics=("accuracy",),
    )
    return PreparedTask(task=task, stores={"train": examples}, reports={})


def taught(*tasks, held_out=("sentiment",), base=""):
    return record_of(tasks, held_out=held_out, base=base, fingerprint="f"), make_training_index(tasks)


def reasons(measured: Measured, *tasks) -> str:
    record, index = taught(*(tasks or (prepared(),)))
    return "\n".join(check_seen(record, index, measured, TAXONOMY).reasons)


@pytest.mark.parametrize(
    ("measured", "said"),
    [
        (Measured(name="rte here", tasks=("RTE",)), 'trained on the task "rte"'),
        (Measured(name="it", hub="aps/super_glue:rte"), "made from aps/super_glue:rte"),
        (Measured(name="it", hub="aps/super_glue"), "made from aps/super_glue"),
        (Measured(name="it", families=("rte",)), 'source family "rte"'),
        (Measured(name="it", clusters=("NLI",)), 'both belong to the cluster "NLI"'),
        (Measured(name="it", clusters=("paraphrase",)), 'overlaps with "natural language inference"'),
    ],
)  # fmt: skip
def test_each_kind_of_kinship_is_found_and_names_both_sides(measured, said):
    found = reasons(measured)
    assert said in found and measured.name in found and '"rte"' in found


@pytest.mark.parametrize(
    "measured",
    [
        Measured(name="it", tasks=("copa",), clusters=("sentiment",), families=("copa",), hub="aps/super_glue:copa"),
        Measured(name="it", hub="cais/mmlu", families=("mmlu",)),
    ],
)
def test_what_was_not_taught_is_not_seen(measured):
    assert reasons(measured) == ""


def test_rows_that_were_taught_are_found_in_another_data_sets_words():
    record, index = taught(prepared())
    known = STORY.format("rte3", 3)
    rows = [
        (f"Passage: {known}!", "Where was the miller?"),
        (known.upper().replace(" ", "  "),),
        ("a wholly different text about the migration of swallows over the southern sea in the month of may",),
        ("short",),
    ]
    seen = check_seen(record, index, Measured(name="reading", rows=lambda: enumerate(rows)), TAXONOMY)
    assert seen.rows == {0, 1}
    assert "2 of 4 questions of reading" in seen.reasons[-1]


def test_a_row_that_shares_little_is_not_seen():
    _, index = taught(prepared())
    tail = " and then he met a merchant from the northern towns who sold him three horses and an iron plough for gold"
    assert index.is_seen([(STORY.format("rte1", 1) + tail * 3,)]).tolist() == [False]


def test_an_index_cut_short_still_knows_long_rows_and_says_nothing_of_what_it_dropped():
    tasks = [prepared(rows=400)]
    whole = make_training_index(tasks)
    small = make_index(make_corpus(tasks, "train"), max_grams=500)
    assert np.array_equal(small.hashes, whole.hashes[:500]) and small.limit == small.hashes[-1] < whole.limit
    long_row = " ".join(STORY.format(f"rte{n}", n) for n in range(60))
    assert small.is_seen([(long_row,), ("swallows fly over the sea in may and nobody in the town has seen them",)]).tolist() == [True, False]  # fmt: skip  # noqa: E501


@pytest.mark.parametrize("most", [100, 500, 1 << 20])
def test_an_index_does_not_depend_on_the_size_of_blocks(most, monkeypatch):
    corpus = make_corpus([prepared(rows=400)], "train")
    whole = make_index(corpus, max_grams=most)
    monkeypatch.setattr("flantune.contamination.compared_rows.BLOCK_CHARACTERS", 2_000)
    parts = make_index(corpus, max_grams=most)
    assert np.array_equal(parts.hashes, whole.hashes) and parts.limit == whole.limit


def test_a_record_is_read_as_it_was_written(tmp_path):
    record, index = taught(prepared(), prepared("cb", family="cb"))
    write_record(tmp_path, record, index)
    found = read_record(tmp_path)
    assert found is not None and found.sha256 == found.content_sha256 and len(found.index.sha256) == 64
    assert replace(found, sha256="", index=record.index) == record
    again = read_index(tmp_path)
    assert np.array_equal(again.hashes, index.hashes) and again.limit == index.limit
    first = (tmp_path / "training_rows.npz").read_bytes()
    write_record(tmp_path, record, index)
    assert (tmp_path / "training_rows.npz").read_bytes() == first


def test_a_model_tuned_on_from_a_tuned_one_has_seen_both(tmp_path):
    (tmp_path / "one").mkdir(), (tmp_path / "two").mkdir()
    write_record(tmp_path / "one", *taught(prepared()))
    write_record(tmp_path / "two", *taught(prepared("imdb", cluster="sentiment"), base=str(tmp_path / "one")))
    record, index = read_record(tmp_path / "two"), read_index(tmp_path / "two")
    assert [task.name for task in record.tasks] == ["imdb", "rte"]
    assert index.is_seen([(STORY.format("rte2", 2),), (STORY.format("imdb2", 2),)]).all()


def test_tasks_of_one_name_are_kept_both_unless_they_are_the_same_task(tmp_path):
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    write_record(tmp_path / "one", *taught(prepared("reviews", cluster="sentiment", family="films")))
    other = prepared("reviews", cluster="summarization", family="phones")
    write_record(tmp_path / "two", *taught(other, base=str(tmp_path / "one")))
    found = read_record(tmp_path / "two")
    assert [(task.name, task.clusters) for task in found.tasks] == [
        ("reviews", ("summarization",)),
        ("reviews", ("sentiment",)),
    ]
    assert "sentiment" in check_seen(found, read_index(tmp_path / "two"), Measured(clusters=("sentiment",)), TAXONOMY).reasons[0]  # fmt: skip  # noqa: E501
    write_record(tmp_path / "three", *taught(other, base=str(tmp_path / "two")))
    assert read_record(tmp_path / "three").tasks == found.tasks


def test_what_a_gguf_file_was_trained_on_is_beside_it_and_goes_on(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    write_record(tmp_path / "one", *taught(prepared()))
    file = tmp_path / "one.gguf"
    assert copy_record(tmp_path / "two", file) == () and read_record(file) is None
    copied = copy_record(tmp_path / "one", file)
    assert [path.name for path in copied] == ["one.gguf.flantune.json", "one.gguf.training_rows.npz"]
    file.touch()
    assert read_record(file) == read_record(tmp_path / "one")
    (candidate,) = candidates([str(file)])
    assert candidate.name == "one.gguf" and candidate.index.is_seen([(STORY.format("rte2", 2),)]).all()
    write_record(tmp_path / "two", *taught(prepared("imdb", cluster="sentiment"), base=str(file)))
    assert [task.name for task in read_record(tmp_path / "two").tasks] == ["imdb", "rte"]


def test_a_model_of_others_has_no_record(tmp_path):
    assert read_record(tmp_path) is None and not read_index(tmp_path).is_seen([(STORY,)]).any()


def test_a_broken_record_is_an_error_and_not_a_clean_slate(tmp_path):
    (tmp_path / FILE).write_text(json.dumps({"schema": 1, "tasks": [{"name": "rte"}]}))
    with pytest.raises(SourceError, match="no training record"):
        read_record(tmp_path)
