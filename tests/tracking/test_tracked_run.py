"""A whole run that is tracked: every fold, its curves, its scores; and tracking is no part of what was trained."""

from __future__ import annotations

import pytest
from tests.end_to_end.small_world import write_small_world

from flantune.runs.folder import RunFolder
from flantune.settings.run_file import load_run_file


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
    weights = [fold.model / "model.safetensors" for fold in RunFolder(tmp_path / "out").folds()]
    before = [weight.stat().st_mtime_ns for weight in weights]
    run(load_run_file(path, overrides=[*short, "tracking.to=[]"]), out=tmp_path / "out")
    assert [weight.stat().st_mtime_ns for weight in weights] == before
