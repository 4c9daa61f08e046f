"""The same command under `torchrun`: two processes over gloo give what one gives, and no way of dying hangs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.conftest import HUNG_AFTER_S
from tests.end_to_end.small_world import write_small_world
from tests.end_to_end.torchrun import start
from tests.processes import run_command
from tests.training.team import start_commands

pytestmark = pytest.mark.slow

ONE_FOLD = ["--set", 'holdout.folds=[["sentiment"]]']
SHORT = [*ONE_FOLD, "--set", "training.dropout=0.0", "--set", "training.measure_every=3"]
LONG = [*ONE_FOLD, "--set", "training.steps=100000", "--set", "evaluation.max_examples=1"]
MODEL = "folds/sentiment/model/model.safetensors"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    return write_small_world(folder), folder


@pytest.fixture(scope="module")
def alone(world):
    from flantune.commands.run import run
    from flantune.settings.run_file import load_run_file

    run_file, folder = world
    run(load_run_file(run_file, overrides=[text for text in SHORT if text != "--set"]), out=folder / "alone")
    return folder / "alone"


def test_two_processes_make_the_run_of_one(world, alone):
    run_file, folder = world
    out = folder / "two"
    job = start(2, "run", str(run_file), "--out", str(out), *SHORT, "--set", "training.parallel=sharded", "--json")
    printed, told = job.communicate(timeout=HUNG_AFTER_S)
    assert job.returncode == 0, told
    # One of them speaks: JSON once.
    results = json.loads(printed)
    assert results == json.loads((out / "results.json").read_text())
    mine, theirs = load_file(out / MODEL), load_file(alone / MODEL)
    begin = load_file(alone / "base/model/model.safetensors")
    for name, weight in theirs.items():
        moved = np.linalg.norm(weight - begin[name])
        assert np.linalg.norm(mine[name] - weight) <= 0.02 * moved + 1e-6, name
    ours, others = (
        [json.loads(text) for text in (run / "folds/sentiment/metrics.jsonl").read_text().splitlines()]
        for run in (out, alone)
    )
    for line, other in zip(ours, others, strict=True):
        assert line["cursor"] == other["cursor"]
        assert line["loss"] == pytest.approx(other["loss"], rel=1e-4)
        assert line.get("measured", {}) == pytest.approx(other.get("measured", {}), abs=1e-3)
    assert json.loads((out / "folds/sentiment/training.json").read_text())["processes"] == 2
    assert [task["name"] for task in results["tasks"]]
    assert {entry.name for entry in out.iterdir()} == {entry.name for entry in alone.iterdir()}


def wait_for(condition, *, timeout_s: float = HUNG_AFTER_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not get that far"
        time.sleep(0.05)


def workers(job: subprocess.Popen[str]) -> list[int]:
    return [int(text) for text in Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux to find the processes")
def test_kill_9_of_one_rank_ends_the_job_and_the_next_start_goes_on(world, tmp_path):
    run_file, folder = world
    out = folder / "killed"
    arguments = ["run", str(run_file), "--out", str(out), *LONG]
    steps = out / "folds/sentiment/checkpoints"
    job = start(2, *arguments)
    wait_for(lambda: list(steps.glob("step-*")))
    # A second command in the same folder is told who is there.
    code, _, told = run_command(tmp_path, *arguments)
    assert code == 2
    first_rank = next(pid for pid in workers(job) if f"process {pid} on" in told)
    assert "is in use by process" in told

    os.kill(next(pid for pid in workers(job) if pid != first_rank), signal.SIGKILL)
    job.communicate(timeout=HUNG_AFTER_S)
    assert job.returncode != 0

    before = max(int(entry.name[5:]) for entry in steps.glob("step-*"))
    again = start_commands(2, tmp_path / "again", *arguments)
    wait_for(lambda: any(int(entry.name[5:]) > before + 4 for entry in steps.glob("step-*")))
    for one in again:
        one.process.terminate()
    for one in again:
        one.end()
    lines = [json.loads(text) for text in (steps.parent / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    assert len(lines) > before
    cursors = [line["cursor"] for line in lines]
    assert cursors == sorted(set(cursors))
