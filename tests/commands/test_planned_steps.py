"""Tuning that is told in epochs: as many prompts as rows are in use, times so many, whatever the steps hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError
from tests.end_to_end.small_world import write_small_world
from tests.training.small import make_batches, make_lm

from flantune.commands.check import check_run_file
from flantune.commands.planned_steps import length_notes, planned, steps_of
from flantune.commands.run import run
from flantune.settings.config import TrainingSettings
from flantune.settings.run_file import load_run_file
from flantune.training.tuning_summary import TuningSummary


def taken(batches, draws: int) -> int:
    cursor = steps = 0
    while cursor < draws:
        cursor, steps = batches.batch(cursor).next_cursor, steps + 1
    return steps


def test_few_draws_are_counted_and_many_are_told_by_the_first():
    batches = make_batches(make_lm("llama"))
    assert steps_of(batches, draws=1) == 1
    assert steps_of(batches, draws=300) == taken(batches, 300)
    assert steps_of(batches, draws=12_000) == pytest.approx(taken(batches, 12_000), rel=0.02)


def test_a_share_of_the_steps_warms_up():
    assert planned(TrainingSettings(steps=200, warmup_share=0.05)).warmup_steps == 10
    assert planned(TrainingSettings(steps=200, warmup_steps=7)).warmup_steps == 7
    with pytest.raises(ValidationError, match="leave one of them out"):
        TrainingSettings(warmup_steps=7, warmup_share=0.05)


def summary(steps: int) -> TuningSummary:
    from flantune.packing.packs import Counts

    return TuningSummary(
        steps=steps, cursor=9, counts=Counts(), seconds=1, data_wait_seconds=0, tokens_per_s=1, peak_memory_bytes=1
    )  # fmt: skip


def test_a_run_shorter_than_a_setting_says_is_told():
    wanted = TrainingSettings(steps=100, epochs=3.0, patience=2, measure_every=1)
    shorter = wanted.model_copy(update={"steps": 40})
    assert list(length_notes(wanted, shorter, summary(40))) == []
    (capped,) = length_notes(wanted, wanted, summary(100))
    assert "training.steps = 100 ended tuning before 3 epochs" in capped
    (early,) = length_notes(wanted, shorter, summary(12))
    assert early.startswith("tuning ended after 12 of 40 steps: 2 measurements")


def test_a_run_draws_each_row_as_often_as_there_are_epochs(tmp_path: Path) -> None:
    path = write_small_world(tmp_path, steps=1_000, rows=30)
    changes = ["holdout.folds=[]", "training.epochs=2", "evaluation.max_examples=3", 'data.include=["mood", "echo"]']
    file = load_run_file(path, overrides=changes)
    cost = check_run_file(file, cache=tmp_path / "cache", contamination=False).cost
    done = run(file, out=tmp_path / "out")
    fold = done.folder / "folds/nothing-held-out"
    training = json.loads((fold / "training.json").read_text())
    rows = sum(task["splits"]["train"]["kept"] for task in json.loads((done.folder / "data.json").read_text())["tasks"])
    assert 2 * rows <= training["cursor"] < 2 * rows + 20
    assert cost is not None and cost.steps == training["steps"] < 100
    assert f"for {training['steps']} steps" in (fold / "model/README.md").read_text()
