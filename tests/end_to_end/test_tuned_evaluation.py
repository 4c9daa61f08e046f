"""A model that was really tuned, evaluated: what it was taught is refused, what it was blind to is not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from flantune.commands.evaluate import EvaluationRequest, evaluate
from flantune.commands.run import run
from flantune.contamination.record_files import read_index, read_record
from flantune.errors import LeakError
from flantune.settings.config import DataSettings
from flantune.settings.run_file import load_run_file

from .small_world import write_small_world


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    file = write_small_world(folder, steps=2, rows=30)
    run(load_run_file(file, overrides=("evaluation.max_examples=2", "evaluation.dev_examples=0")), out=folder / "run")
    return folder


def measure(world: Path, out: Path, *names: str, fold="sentiment", **values):
    data = DataSettings(tasks=tuple(str(world / f"{name}_task.toml") for name in names))
    model = world / "run/folds" / fold / "model"
    return evaluate(EvaluationRequest(models=(str(model),), out=out, data=data, limit=4, **values))


def test_the_tuned_model_carries_its_mixture(world):
    record = read_record(world / "run/folds/sentiment/model")
    assert {task.name for task in record.tasks} == {"animal", "echo"} and record.held_out == ("sentiment",)
    assert all(task.source and task.rows == 30 for task in record.tasks)
    index = read_index(world / "run/folds/sentiment/model")
    (first, *_) = (world / "animal/train.jsonl").read_text().splitlines()
    other = "In another story the whale was wet and cold and far from its home again."
    assert index.is_seen([(json.loads(first)["text"],), (other,)]).tolist() == [True, False]


def test_it_is_refused_on_a_task_it_was_taught(world, tmp_path):
    with pytest.raises(LeakError) as error:
        measure(world, tmp_path, "animal")
    assert '"animal"' in str(error.value) and "folds/sentiment/model" in str(error.value)


def test_the_other_fold_was_taught_other_tasks(world, tmp_path):
    assert measure(world, tmp_path, "animal", fold="topic").tasks[0].is_seen is False


def test_it_is_measured_on_what_it_was_blind_to(world, tmp_path):
    results = measure(world, tmp_path, "mood", "tone")
    assert [one.name for one in results.tasks] == ["mood", "tone"] and not any(one.is_seen for one in results.tasks)
    assert results.models[0].trained_by_flantune


def test_another_task_of_a_cluster_it_was_taught_is_refused(world, tmp_path):
    text = (world / "animal_task.toml").read_text().replace('name = "animal"', 'name = "beasts"')
    (world / "beasts_task.toml").write_text(
        text.replace('family = "animal"', 'family = "beasts"').replace('"animal/', '"beasts/')
    )
    shutil.copytree(world / "animal", world / "beasts")
    for path in (world / "beasts").iterdir():  # other files, or the tasks would be kin
        path.write_text(path.read_text() + path.read_text().splitlines()[0].replace("the", "a") + "\n")
    with pytest.raises(LeakError, match='both belong to the cluster "topic"'):
        measure(world, tmp_path, "beasts")


def test_rows_it_was_taught_are_found_under_another_name(world, tmp_path):
    """The same rows in a task of a new name, family and cluster."""
    shutil.copytree(world / "echo", tmp_path / "copied")
    shutil.copy(tmp_path / "copied/train.jsonl", tmp_path / "copied/test.jsonl")
    text = (world / "echo_task.toml").read_text().replace("echo", "copied").replace("copying", "unheard of")
    (tmp_path / "copied_task.toml").write_text(text)
    for split in ("train", "test"):
        path = tmp_path / f"copied/{split}.jsonl"
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps({**row, "text": row["text"].upper()}) + "\n" for row in rows))
    with pytest.raises(LeakError, match='4 of 4 questions of the task "copied"'):
        measure(tmp_path_world(world, tmp_path), tmp_path / "out", "copied")
    results = measure(tmp_path_world(world, tmp_path), tmp_path / "out", "copied", allow_seen=True)
    assert (
        any("nearly word for word" in why for one in results.tasks[0].scores.values() for why in one.seen)
        and not results.is_reportable
    )


def tmp_path_world(world: Path, tmp_path: Path) -> Path:
    (tmp_path / "run").exists() or (tmp_path / "run").symlink_to(world / "run")
    return tmp_path
