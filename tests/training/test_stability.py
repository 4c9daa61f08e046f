"""A step that is not a number: named, and left out only as often as the run file says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.training.small import (
    StoppedError,
    lines,
    make_batches,
    make_lm,
    settings,
    stop_at,
    tune_small,
    weights_digest,
)

import flantune.training.loop as loop
from flantune.errors import TrainingError
from flantune.packing.packs import Batch, Counts
from flantune.training.loss import StepLoss, find_nonfinite, loss_by_task

BATCH = Batch(cursor=0, next_cursor=3, packs=(), tasks=("rte", "boolq", "rte"), rows=(11, 22, 33), counts=Counts())
BAD = StepLoss(weighted_loss=float("nan"), item_nll=np.array([np.nan, 1.0, np.inf]), item_tokens=np.array([1, 2, 1]))
GOOD = StepLoss(weighted_loss=1.0, item_nll=np.ones(3), item_tokens=np.ones(3, dtype=np.int64))


def test_a_loss_that_is_no_number_names_tasks_and_rows():
    found = find_nonfinite(BAD, 1.0, step=7, batch=BATCH)
    assert (found.what, found.rows) == ("loss", {"rte": (11, 33)})
    text = str(found.error())
    assert text.startswith("training step 7: the loss is not a finite number; in the batch: rte rows 11, 33\n")
    assert "skip_nonfinite" in text and "boolq" not in text
    found = find_nonfinite(GOOD, float("inf"), step=7, batch=BATCH)
    assert "the gradient is not a finite number; in the batch: boolq rows 22; rte rows 11, 33" in str(found.error())
    assert find_nonfinite(GOOD, 1.0, step=7, batch=BATCH) is None


def test_the_rest_of_the_step_still_counts_in_the_losses_by_task():
    assert {name: task.nll for name, task in loss_by_task(BAD, BATCH.tasks).items()} == {"boolq": 1.0}


@pytest.fixture
def poisoned(monkeypatch):
    """Steps 2 and 4 have a loss that is not a number, in the items of the first row."""
    real, calls = loop.accumulate_gradient, []

    def accumulate(batch, *args, **options):
        found = real(batch, *args, **options)
        calls.append(batch.cursor)
        if len(set(calls)) not in (2, 4):
            return found
        nll = found.item_nll.copy()
        nll[0] = np.nan
        return replace(found, item_nll=nll)

    monkeypatch.setattr(loop, "accumulate_gradient", accumulate)
    return calls


def test_skipped_steps_leave_the_weights_and_are_counted(tmp_path, poisoned):
    lm = make_lm("llama")
    chosen = settings(skip_nonfinite=2, steps=5, checkpoint_every=5)
    seen = []
    summary = tune_small(tmp_path, lm, chosen, progress=lambda p: seen.append(weights_digest(lm)))
    assert [step.step for step in summary.skipped] == [2, 4]
    assert seen[0] == seen[1] != seen[2] == seen[3] != seen[4]
    assert summary.steps == 5
    batch = make_batches(lm).batch(0)
    assert summary.skipped[0].rows == {batches_task(lm, 1): (make_batches(lm).batch(batch.next_cursor).rows[0],)}
    entries = lines(tmp_path)
    assert [entry["skipped"] for entry in entries] == [0, 1, 0, 1, 0]
    assert entries[1]["grad_norm"] is None and entries[1]["weighted_loss"] is None
    assert np.isfinite(entries[1]["loss"])
    assert summary.to_json()["skipped"][0]["step"] == 2
    assert all(torch.isfinite(weight).all() for weight in lm.model.parameters())


def batches_task(lm, number):
    batches, cursor = make_batches(lm), 0
    for _ in range(number):
        cursor = batches.batch(cursor).next_cursor
    return batches.batch(cursor).tasks[0]


def test_one_step_too_many_stops_the_run(tmp_path, poisoned):
    with pytest.raises(TrainingError, match=r"training step 4: the loss .*\(steps left out before it: 1\)"):
        tune_small(tmp_path, make_lm("llama"), settings(skip_nonfinite=1, steps=5))


def test_skipped_steps_survive_a_stop(tmp_path, poisoned):
    """Stopped behind step 3, which the checkpoint of step 3 has; the count goes on from 1."""
    chosen = settings(skip_nonfinite=3, steps=5, checkpoint_every=3)
    with pytest.raises(StoppedError):
        tune_small(tmp_path, make_lm("llama"), chosen, progress=stop_at(3))
    summary = tune_small(tmp_path, make_lm("llama"), chosen)
    assert [step.step for step in summary.skipped] == [2, 4]
