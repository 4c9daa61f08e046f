"""Folds that would be counted twice, and tasks that would share a file."""

from __future__ import annotations

import pytest
from tests.task_files import task_text

from flantune.commands.plan import prepare_tasks
from flantune.errors import ConfigError, SourceError, TaskError
from flantune.mixture.holdout import check_folds
from flantune.mixture.taxonomy import load_taxonomy
from flantune.settings.config import DataSettings
from flantune.settings.run_file import load_run_file
from flantune.tasks.load import load_tasks


def task(name: str) -> str:
    files = {"train": "rows.jsonl", "test": "rows.jsonl"}
    return task_text(name, files, cluster="natural language inference", splits={"train": "train"}, answer="text")


@pytest.fixture
def tasks(tmp_path):
    for number, name in enumerate(("rte", "sick")):
        (tmp_path / f"{number}.toml").write_text(task(name))
    return load_tasks(DataSettings(tasks=("*.toml",)), root=tmp_path)


@pytest.mark.parametrize(
    "folds",
    [[["NLI"], ["natural language inference"]], [["natural_language inference", "nli"]], [["nli"], ["nli"]]],
)
def test_a_cluster_under_two_names_is_one(tasks, folds):
    with pytest.raises(ConfigError, match="name the same clusters"):
        check_folds(tasks, folds, taxonomy=load_taxonomy(None))


def test_folds_that_differ_are_fine(tasks):
    check_folds(tasks, [["nli"]], taxonomy=load_taxonomy(None))


@pytest.mark.parametrize(("one", "other"), [("rte", "RTE"), ("Snli", "sNLI")])
def test_tasks_whose_names_differ_by_capitals_only_are_refused(tmp_path, one, other):
    for number, name in enumerate((one, other)):
        (tmp_path / f"{number}.toml").write_text(task(name))
    with pytest.raises(TaskError, match="differ in capital letters only"):
        load_tasks(DataSettings(tasks=("*.toml",)), root=tmp_path)


HUB_RUN = """
[data]
collection = "flan2021"
include = ["rte", "copa"]
mirror = "not/there"
missing = "{missing}"
[holdout]
folds = [["natural language inference"]]
"""


@pytest.mark.parametrize("missing", ["skip", "error"])
def test_a_mirror_that_is_not_there_is_named_with_what_to_do(tmp_path, missing):
    (tmp_path / "run.toml").write_text(HUB_RUN.format(missing=missing))
    file = load_run_file(tmp_path / "run.toml")
    with pytest.raises((ConfigError, SourceError), match="the mirror folder does not exist") as caught:
        prepare_tasks(file.config, root=file.root, cache=tmp_path / "cache")
    assert str(tmp_path / "not/there") in str(caught.value)
    assert "flantune fetch" in caught.value.hint
    assert "data.mirror" in str(caught.value)


def test_tasks_that_all_lack_data_are_counted_by_reason(tmp_path):
    (tmp_path / "a.toml").write_text(task("rte"))
    (tmp_path / "run.toml").write_text(
        '[data]\ntasks = ["a.toml"]\nmissing = "skip"\n[holdout]\nfolds = [["natural language inference"]]\n'
    )
    file = load_run_file(tmp_path / "run.toml")
    with pytest.raises(ConfigError, match="no task has data") as caught:
        prepare_tasks(file.config, root=file.root, cache=tmp_path / "cache")
    assert "rows.jsonl" in str(caught.value) or "no such file" in str(caught.value)


def test_a_folder_in_the_place_of_data_is_called_one(tmp_path):
    (tmp_path / "rows.jsonl").mkdir()
    (tmp_path / "a.toml").write_text(task("rte"))
    (tmp_path / "run.toml").write_text('[data]\ntasks = ["a.toml"]\n')
    file = load_run_file(tmp_path / "run.toml")
    with pytest.raises(SourceError, match="is a folder; expected a file") as caught:
        prepare_tasks(file.config, root=file.root, cache=tmp_path / "cache")
    assert "did you mean" not in str(caught.value)
