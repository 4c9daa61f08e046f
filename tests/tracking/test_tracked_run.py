"""A whole run that is tracked: every fold, its curves, its scores; and tracking is no part of what was trained."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tests.end_to_end.small_world import write_small_world

from flantune.commands.tracking import scores_of
from flantune.runs.folder import RunFolder
from flantune.settings.run_file import load_run_file


def test_scores_of_benchmarks_are_those_of_the_fold():
    def measured(name: str, fold: str, value: float) -> Any:
        raw = SimpleNamespace(scores={"base": SimpleNamespace(value=0.5), "tuned": SimpleNamespace(value=value)})
        differences = {"tuned": SimpleNamespace(value=value - 0.5)}
        return SimpleNamespace(name=name, fold=fold, averages=[SimpleNamespace(raw=raw)], differences=differences)

    benchmarks = [measured("gsm8k", "one", 0.75), measured("gsm8k", "two", 0.25)]
    results: Any = SimpleNamespace(clusters=(), tasks=(), benchmarks=benchmarks)
    assert scores_of(results, "one") == {
        "benchmark/gsm8k/base": 50.0, "benchmark/gsm8k/tuned": 75.0, "benchmark/gsm8k/tuned change": 25.0,
    }  # fmt: skip


def test_a_run_and_the_same_command_with_another_tracker(tmp_path, monkeypatch):
    from flantune.commands.run import run

    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    path = write_small_world(tmp_path, steps=4, rows=30)
    short = ["evaluation.shots=[0]", "training.log_every=2"]
    done = run(load_run_file(path, overrides=[*short, 'tracking.to=["tensorboard"]']), out=tmp_path / "out")
    for fold in RunFolder(tmp_path / "out").folds():
        shown = accumulator.EventAccumulator(str(fold.root / "tensorboard"))
        shown.Reload()
        assert [event.step for event in shown.Scalars("training/loss")] == [2, 4]
        (cluster,) = [one for one in done.results.clusters if one.fold == fold.root.name]
        told = shown.Scalars(f"unseen/{cluster.cluster}/tuned")[0].value
        assert told == pytest.approx(100 * cluster.raw.scores["tuned"].value, rel=1e-5)
        tasks = [one for one in done.results.tasks if one.fold == fold.root.name]
        for task in tasks:
            told = shown.Scalars(f"task/{task.name}/tuned change")[0].value
            assert told == pytest.approx(100 * task.differences["tuned"].value, rel=1e-5, abs=1e-6)
        # So a run that holds nothing out has final scores, too.
        without_clusters = scores_of(done.results.model_copy(update={"clusters": ()}), fold.root.name)
        assert {f"task/{task.name}/{model}" for task in tasks for model in ("base", "tuned")} <= {*without_clusters}
        assert tasks
    weights = [fold.model / "model.safetensors" for fold in RunFolder(tmp_path / "out").folds()]
    before = [weight.stat().st_mtime_ns for weight in weights]
    run(load_run_file(path, overrides=[*short, "tracking.to=[]"]), out=tmp_path / "out")
    assert [weight.stat().st_mtime_ns for weight in weights] == before
