"""Splits as run files: what is written is what is run."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.end_to_end.small_world import write_small_world

from flantune.cli.splits import command
from flantune.errors import ConfigError
from flantune.mixture.holdout import folds_of, hold_out_fold
from flantune.mixture.taxonomy import load_taxonomy
from flantune.settings.run_file import load_run_file
from flantune.studies.paper import KINDS
from flantune.studies.split_files import (
    MAKERS,
    SplitOptions,
    fragment,
    plan_splits,
    taxonomy_toml,
    write_split,
)
from flantune.studies.splits import paper_rules
from flantune.tasks.load import load_tasks

OPTIONS = SplitOptions(order=("topic", "copying"), test=("sentiment",))


def plan_and_write(folder: Path, kind: str, options: SplitOptions):
    file = load_run_file(write_small_world(folder))
    planned = plan_splits(file, kind=kind, options=options)
    return planned, [write_split(split, planned, file=file, folder=folder / "out") for split in planned.study.splits]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("leave-one-cluster-out", SplitOptions()),
        ("leave-one-cluster-out", SplitOptions(paper_rules=True)),
        ("within-cluster", SplitOptions(counts=(2,))),
        ("clusters", OPTIONS),
        ("tasks-per-cluster", OPTIONS),
        ("templates", replace(OPTIONS, counts=(1, 2))),
        ("training-tasks", replace(OPTIONS, counts=(1, 2))),
    ],
)
def test_a_written_run_file_has_just_the_splits_tasks(tmp_path: Path, kind: str, options: SplitOptions) -> None:
    planned, paths = plan_and_write(tmp_path, kind, options)
    assert len(paths) == len(planned.study.splits) > 0
    for split, path in zip(planned.study.splits, paths, strict=True):
        file = load_run_file(path)
        tasks = load_tasks(file.config.data, root=file.root)
        taxonomy = load_taxonomy(file.config.holdout.taxonomy)
        (fold,) = folds_of(file.config.holdout)
        held = hold_out_fold(tasks, fold, taxonomy=taxonomy)
        assert {task.name for task in held.train} == set(split.train)
        assert {task.name for task in held.unseen} == set(split.test)
        assert held.excluded == ()
        assert file.config.prompts.max_templates == split.max_templates
        assert file.config.training == load_run_file(tmp_path / "run.toml").config.training


def test_writing_twice_writes_the_same_bytes(tmp_path: Path) -> None:
    _, paths = plan_and_write(tmp_path, "within-cluster", SplitOptions(counts=(2,)))
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    plan_and_write(tmp_path, "within-cluster", SplitOptions(counts=(2,)))
    assert before == {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert len(paths) == 2 and len(before) == 2


def test_tasks_keep_their_clusters_rows_and_adapters(tmp_path: Path) -> None:
    """A held-out task stands where its file says: the cache of adapted examples is shared by all splits."""
    _, paths = plan_and_write(tmp_path, "within-cluster", SplitOptions(counts=(2,)))
    found = []
    for path in paths:
        file = load_run_file(path)
        found.append({task.name: task for task in load_tasks(file.config.data, root=file.root)})
    one, other = found
    assert {name: (task.adapter_fingerprint, task.clusters) for name, task in one.items()} == {
        name: (task.adapter_fingerprint, task.clusters) for name, task in other.items()
    }
    assert next(iter(one["mood"].source.rows("train")))["text"].startswith("In train story 0")


def test_a_grouping_of_ones_own_is_named_in_the_run_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = '[clusters]\nfeeling = ["mood", "tone"]\nother = ["animal", "echo"]\n'
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    planned, paths = plan_and_write(tmp_path, "leave-one-cluster-out", SplitOptions(clusters="mine.toml"))
    assert [split.held_out for split in planned.study.splits] == [("feeling",), ("other",)]
    for split, path in zip(planned.study.splits, paths, strict=True):
        file = load_run_file(path)
        held = hold_out_fold(
            load_tasks(file.config.data, root=file.root), folds_of(file.config.holdout)[0], taxonomy=load_taxonomy(None)
        )
        assert {task.name for task in held.train} == set(split.train)


def test_fragments_are_toml_and_say_what_they_cannot(tmp_path: Path) -> None:
    file = load_run_file(write_small_world(tmp_path))
    planned = plan_splits(file, kind="within-cluster", options=SplitOptions(counts=(1,)))
    text = fragment(planned.study.splits[0], planned)
    assert "# On purpose: a task of the same cluster" in text
    assert tomllib.loads(text)["holdout"] == {"task_folds": [list(planned.study.splits[0].hidden)]}
    plain = plan_splits(file, kind="leave-one-cluster-out")
    lines = tomllib.loads(fragment(plain.study.splits[0], plain))
    assert lines["holdout"]["folds"] == [list(plain.study.splits[0].held_out)]
    assert set(lines["data"]["include"]) == {"mood", "tone", "animal", "echo"}


def test_a_taxonomy_survives_being_written(tmp_path: Path) -> None:
    for taxonomy in (load_taxonomy(None), paper_rules(load_taxonomy(None))):
        (tmp_path / "t.toml").write_text(taxonomy_toml(taxonomy), encoding="utf-8")
        read = load_taxonomy(tmp_path / "t.toml")
        assert (read.overlaps, read.aliases, read.kin) == (taxonomy.overlaps, taxonomy.aliases, taxonomy.kin)


def test_the_command_prints_json_alone_on_stdout(tmp_path: Path) -> None:
    run = write_small_world(tmp_path)
    result = CliRunner().invoke(command, [str(run), "--json"])
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    assert [split["held_out"] for split in shown["splits"]] == [["topic"], ["copying"], ["sentiment"]]


def test_the_command_writes_run_files(tmp_path: Path) -> None:
    run = write_small_world(tmp_path)
    result = CliRunner().invoke(command, [str(run), "--out", str(tmp_path / "splits")])
    assert result.exit_code == 0, result.output
    paths = result.stdout.split()
    assert len(paths) == 3 and all(Path(path).is_file() for path in paths)
    assert f"next: flantune run {paths[0]}" in result.stderr


def test_the_papers_order_needs_the_papers_clusters(tmp_path: Path) -> None:
    file = load_run_file(write_small_world(tmp_path))
    with pytest.raises(ConfigError, match='no task belongs to the cluster "summarization"'):
        plan_splits(file, kind="clusters")
    with pytest.raises(ConfigError, match="no study"):
        plan_splits(file, kind="cluster")


def test_the_command_knows_every_study() -> None:
    option = next(one for one in command.params if one.name == "kind")
    assert tuple(option.type.choices) == KINDS == tuple(MAKERS)
