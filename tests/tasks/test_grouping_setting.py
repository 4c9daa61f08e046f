"""[data] clusters: the same tasks under other clusters."""

from __future__ import annotations

from pathlib import Path

from flantune.settings.config import DataSettings
from flantune.tasks.load import load_tasks


def test_the_codes_finer_clusters_regroup_the_collection() -> None:
    settings = DataSettings(collection=("flan2021",), clusters="flan2021_clusters17")
    clusters = {task.name: task.clusters for task in load_tasks(settings, root=Path())}
    assert len({names[0] for name, names in clusters.items() if name != "wsc273"}) == 17
    assert clusters["wic"] == ("word disambiguation",)
    assert clusters["rte"] == ("entailment",)


def test_a_grouping_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[clusters]\npairs = ["rte", "mrpc"]\n')
    settings = DataSettings(collection=("flan2021",), clusters="mine.toml")
    clusters = {task.name: task.clusters for task in load_tasks(settings, root=tmp_path)}
    assert clusters["rte"] == clusters["mrpc"] == ("pairs",)
    assert clusters["copa"] == ("commonsense",)
