"""Each tracker hears what the metrics file has, once, whatever happens in between; and none can stop a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.training.test_log import line

from flantune.errors import ConfigError
from flantune.tracking import tracker as trackers
from flantune.tracking.follow import curves, follow
from flantune.training.log import MetricsLog

STEPS = [1, 2, 3, 4]


def tell(folder: Path, name: str, *, after: int, steps: list[int], notes: list[str] | None = None, **end) -> None:
    """One start of a tuning: its log, and a tracker that follows it."""
    log = MetricsLog(folder, after=after)
    followers = follow(
        (name,),
        metrics=folder / "metrics.jsonl",
        note=(notes if notes is not None else []).append,
        project="a project",
        run="a run",
        fold="sentiment",
        settings={"training.steps": 4, "data.include": ["rte", "sst2"], "data.mirror": None},
    )
    for number in steps:
        log.write(line(number))
        followers.tell()
    log.close()
    if end:
        followers.conclude(**end)
    followers.close()


def told(folder: Path, name: str, notes: list[str]) -> Path:
    """A tuning that is stopped at step 4, goes on from a checkpoint at step 2, and ends with a score and a report."""
    tell(folder, name, after=0, steps=[1, 2, 3], notes=notes)
    report = folder / "report.html"
    report.write_text("<p>report</p>")
    end = {"scores": {"unseen/sentiment/tuned": 61.5}, "files": [report, folder / "not there"]}
    tell(folder, name, after=2, steps=[3, 4], notes=notes, **end)
    return folder


def test_tensorboard_is_drawn_anew_with_scores_beside_the_curves(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    notes: list[str] = []
    told(tmp_path, "tensorboard", notes)
    shown = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    shown.Reload()
    assert not notes
    assert [event.step for event in shown.Scalars("training/loss")] == STEPS
    assert shown.Scalars("loss/rte")[0].value == 2.0
    assert shown.Scalars("unseen/sentiment/tuned")[0].value == 61.5


def test_mlflow_has_curves_settings_scores_and_report(tmp_path, monkeypatch):
    tracking = pytest.importorskip("mlflow.tracking")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    notes: list[str] = []
    told(tmp_path, "mlflow", notes)
    assert not notes
    client = tracking.MlflowClient()
    experiment = client.get_experiment_by_name("a project")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("a run: sentiment", "FINISHED")
    assert [point.step for point in client.get_metric_history(run.info.run_id, "training/loss")] == STEPS
    assert run.data.params["training.steps"] == "4"
    assert run.data.metrics["unseen/sentiment/tuned"] == 61.5
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["report.html"]


def test_wandb_has_one_run_that_goes_on(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    notes: list[str] = []
    told(tmp_path, "wandb", notes)
    assert not notes
    kept = json.loads((tmp_path / "tracked.json").read_text())["wandb"]
    assert kept["step"] == 4
    written = list((tmp_path / "wandb").glob(f"offline-run-*/run-{kept['key']}.wandb"))
    assert len(written) == 2 and all(path.stat().st_size > 0 for path in written)


def test_trackio_has_one_run_that_goes_on(tmp_path, monkeypatch):
    pytest.importorskip("trackio")
    storage = pytest.importorskip("trackio.sqlite_storage")
    monkeypatch.setattr("trackio.utils.ARTIFACTS_DIR", tmp_path / "artifacts")
    monkeypatch.setattr(storage, "TRACKIO_DIR", tmp_path / "store")
    notes: list[str] = []
    told(tmp_path, "trackio", notes)
    assert not notes
    (name,) = storage.SQLiteStorage.get_runs("a project")
    assert name.startswith("a run: sentiment ")
    logged = storage.SQLiteStorage.get_logs("a project", name)
    assert [point["step"] for point in logged if "training/loss" in point] == STEPS
    assert [point["unseen/sentiment/tuned"] for point in logged if "training/loss" not in point] == [61.5]
    assert [kept["name"] for kept in storage.SQLiteStorage.get_artifacts("a project")] == ["report.html"]
    assert storage.SQLiteStorage.get_run_config("a project", name)["training.steps"] == 4


class Heard:
    """A tracker that writes down what it hears, and breaks where it is told to."""

    said: list[object]
    breaks_at = 0

    def __init__(self, tracked: trackers.Tracked) -> None:
        self.key = tracked.earlier or "key"
        self.said.append(("open", tracked.title, tracked.earlier))

    def log(self, step, values):
        if step == self.breaks_at:
            raise RuntimeError("no answer\nand more lines")
        self.said.append(step)

    def conclude(self, scores, files):
        self.said.append((scores, [path.name for path in files]))

    def close(self):
        self.said.append("close")


@pytest.fixture
def heard(monkeypatch):
    Heard.said, Heard.breaks_at = [], 0
    monkeypatch.setattr("flantune.tracking.follow.open_tracker", lambda name, tracked: Heard(tracked))
    return Heard.said


def test_every_step_is_told_once_and_the_key_goes_on(tmp_path, heard):
    told(tmp_path, "wandb", [])
    assert heard[0] == ("open", "a run: sentiment", "")
    assert [entry for entry in heard if isinstance(entry, int)] == STEPS
    assert ("open", "a run: sentiment", "key") in heard
    assert heard[-2:] == [({"unseen/sentiment/tuned": 61.5}, ["report.html"]), "close"]


def test_a_tracker_that_fails_is_left_out_and_the_run_goes_on(tmp_path, heard):
    Heard.breaks_at = 2
    notes: list[str] = []
    tell(tmp_path, "wandb", after=0, steps=STEPS, notes=notes)
    assert [entry for entry in heard if isinstance(entry, int)] == [1] and heard.count("close") == 1
    assert notes == [f"wandb receives nothing more: no answer; {tmp_path / 'metrics.jsonl'} has everything"]


def test_one_that_fails_to_close_is_closed_once(tmp_path, heard, monkeypatch):
    def close(self):
        heard.append("close")
        raise RuntimeError("no answer")

    monkeypatch.setattr(Heard, "close", close)
    notes: list[str] = []
    tell(tmp_path, "wandb", after=0, steps=[1], notes=notes)
    assert heard.count("close") == 1 and len(notes) == 1


def test_a_start_that_is_killed_before_its_first_line_is_continued(tmp_path, heard):
    common = {"note": print, "project": "p", "run": "a run", "fold": "sentiment", "settings": {}}
    follow(("wandb",), metrics=tmp_path / "metrics.jsonl", **common)  # and nothing is ever told
    tell(tmp_path, "wandb", after=0, steps=STEPS)
    assert heard[:2] == [("open", "a run: sentiment", ""), ("open", "a run: sentiment", "key")]
    assert [entry for entry in heard if isinstance(entry, int)] == STEPS


def test_one_that_cannot_be_opened_is_left_out_too(tmp_path, monkeypatch):
    def refuse(name, tracked):
        raise OSError("no network")

    monkeypatch.setattr("flantune.tracking.follow.open_tracker", refuse)
    notes: list[str] = []
    tell(tmp_path, "wandb", after=0, steps=[1], notes=notes)
    assert notes == ["wandb receives nothing: no network"]


def test_what_is_not_installed_is_said_before_anything_runs(monkeypatch):
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="not installed: wandb") as caught:
        trackers.check_trackers(("wandb",))
    assert "pip install wandb" in caught.value.hint


def test_curves_leave_out_what_was_not_measured():
    found = curves(line(1))
    assert found["training/loss"] == 2.0 and found["loss/rte"] == 2.0
    assert all(isinstance(value, float) for value in found.values())
