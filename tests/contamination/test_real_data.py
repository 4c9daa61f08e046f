"""Datasets that nobody here made: what is known of them is found, and what is found is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from flantune.contamination.compare import compare
from flantune.contamination.words import split_words
from flantune.settings.config import DataSettings
from flantune.tasks.load import load_tasks
from flantune.tasks.prepare import prepare_task

MIRROR = Path(__file__).parents[2] / "../shared/data/hub"

pytestmark = pytest.mark.skipif(not MIRROR.is_dir(), reason="no real data here")


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    names = ("rte", "copa", "arc_easy", "arc_challenge", "web_questions", "trec")
    tasks = load_tasks(
        DataSettings(collection=("flan2021", "more"), mirror=MIRROR.resolve(), include=names),
        root=tmp_path_factory.mktemp("root"),
    )
    cache = tmp_path_factory.mktemp("cache")
    return {task.name: prepare_task(task, cache=cache, skip_missing=True) for task in tasks}


def test_a_task_overlaps_with_its_own_rows_entirely(real):
    rte = real["rte"]
    itself = type(rte)(task=rte.task, stores={"train": rte.stores["test"]}, reports={})
    task = compare([itself], [rte]).tasks[0]
    assert task.overlapping + task.common_only + task.too_short >= 0.99 * task.rows
    assert task.duplicates == task.rows - task.too_short


def test_what_is_reported_is_there(real):
    found = compare([real[name] for name in ("arc_easy", "web_questions")], [real["arc_challenge"]])
    task = found.tasks[0]
    assert task.rows == len(real["arc_challenge"].stores["test"])
    assert task.examples
    stores = {name: {e.row: e for e in real[name].stores["train"]} for name in ("arc_easy", "web_questions")}
    tests = {e.row: e for e in real["arc_challenge"].stores["test"]}
    for shown in task.examples:
        train, test = stores[shown.train_task][shown.train_row], tests[shown.row]
        for example in (train, test) if shown.jaccard is None else (train,):
            words = " ".join(split_words(" ".join((*example.fields.values(), *example.references))))
            assert all(part.strip() in words for part in shown.span.split("…"))


def test_unrelated_datasets_do_not_overlap(real):
    assert not compare([real["trec"]], [real["copa"]]).has_overlap
