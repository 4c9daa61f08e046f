"""A run file may call a cluster by another of its names than the tasks do; what was tuned is found all the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flantune.errors import FlantuneError
from flantune.evaluation.run_samples import FoldInput, TaskInfo
from flantune.mixture.taxonomy import load_taxonomy
from flantune.runs.fold_inputs import fold_inputs, with_one_name
from flantune.runs.folder import RunFolder
from flantune.settings.config import RunConfig

NAME = "natural language inference"


def finished(root: Path) -> RunFolder:
    """A run folder with one fold, named as the tasks name the cluster."""
    folder = RunFolder(root)
    mixture = {"held_out": [NAME], "clusters": [NAME], "breaks": [], "train": ["x"], "unseen": ["t"], "draws": 1}
    tree = {"seed": 0, "cycle": 1, "clusters": []}
    path = folder.fold((NAME,)).mixture
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({**mixture, "measured_seen": [], "excluded": [], "tree": tree}), encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", [NAME, "NLI", "Textual Entailment"])
def test_any_name_of_the_cluster_finds_the_fold(name: str, tmp_path: Path) -> None:
    config = RunConfig.model_validate({"holdout": {"folds": [[name]]}})
    (fold,) = fold_inputs(finished(tmp_path), config)
    assert (fold.name, fold.clusters, fold.unseen) == ("natural-language-inference", (NAME,), ("t",))


def test_another_cluster_is_not_finished(tmp_path: Path) -> None:
    config = RunConfig.model_validate({"holdout": {"folds": [["sentiment"]]}})
    with pytest.raises(FlantuneError, match="not finished"):
        fold_inputs(finished(tmp_path), config)


def test_tasks_that_name_one_cluster_in_two_ways_are_in_one_mean() -> None:
    """A task under the other name would be measured, and then be in no cluster's score."""
    taxonomy = load_taxonomy(None)
    folds = [
        FoldInput(name="f", clusters=(NAME,), unseen=("a", "b")),
        FoldInput(name="g", clusters=("NLI",), unseen=("a",)),
    ]
    tasks = [
        TaskInfo(name=name, clusters=clusters, kind="classification", metrics=("accuracy",))
        for name, clusters in (("a", (NAME,)), ("b", ("Textual Entailment", "other")), ("c", ("sentiment",)))
    ]
    one, other = with_one_name(folds, tasks, taxonomy=taxonomy)
    assert [fold.clusters for fold in one] == [(NAME,), (NAME,)]
    assert [task.clusters for task in other] == [(NAME,), (NAME, "other"), ("sentiment",)]
