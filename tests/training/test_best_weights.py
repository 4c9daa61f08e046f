"""The weights that were best on dev rows are the result, through any stops; by default the last ones are."""

from __future__ import annotations

from functools import partial

import pytest
from pydantic import ValidationError
from tests.training.small import (
    ARCHITECTURES,
    StoppedError,
    assert_resumed_equals_straight,
    lines,
    make_lm,
    settings,
    stop_at,
    tune_small,
    weights_digest,
)

from flantune.errors import TrainingError
from flantune.settings.config import TrainingSettings

LOSSES = {1: 5.0, 2: 3.0, 3: 4.0, 4: 2.0, 5: 2.0, 6: 9.0}


def look(step: int) -> dict[str, float]:
    return {"loss": LOSSES[step]}


def choosing(**values: object) -> TrainingSettings:
    return settings(**{"steps": 6, "measure_every": 1, "keep": "best-dev", "checkpoint_every": 2, **values})


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_earliest_of_the_best_is_the_result(tmp_path, architecture):
    chosen, until = make_lm(architecture), make_lm(architecture)
    summary = tune_small(tmp_path / "chosen", chosen, choosing(), measure=look)
    tune_small(tmp_path / "until", until, settings(steps=4))
    assert (summary.steps, summary.kept_step) == (6, 4)
    assert weights_digest(chosen) == weights_digest(until)
    again = make_lm(architecture, seed=9)
    assert tune_small(tmp_path / "chosen", again, choosing(), measure=look) == summary
    assert weights_digest(again) == weights_digest(chosen)


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_stopped_and_repeated_ends_with_the_same_weights(tmp_path, stop):
    # Stopped behind the first step, it begins anew with the model it is given.
    seed = 0 if stop == 1 else 9
    assert_resumed_equals_straight(tmp_path, partial(make_lm, "llama"), choosing(), stop=stop, seed=seed, measure=look)


def test_choosing_changes_no_step(tmp_path):
    plain = settings(steps=6, measure_every=1)
    tune_small(tmp_path / "last", make_lm("llama"), plain, measure=look)
    tune_small(tmp_path / "best", make_lm("llama"), choosing(), measure=look)
    assert [line["loss"] for line in lines(tmp_path / "last")] == [line["loss"] for line in lines(tmp_path / "best")]


def test_weights_that_are_gone_or_of_another_step_are_told(tmp_path):
    tune_small(tmp_path, make_lm("llama"), choosing(), measure=look)
    best = tmp_path / "checkpoints/best.safetensors"
    kept = best.read_bytes()
    best.write_bytes(kept[:100])
    with pytest.raises(TrainingError, match="the weights of step 4, which were best on dev rows, cannot be read"):
        tune_small(tmp_path, make_lm("llama"), choosing(), measure=look)
    best.write_bytes(kept.replace(b'"step":"4"', b'"step":"3"'))
    with pytest.raises(TrainingError, match="they are of step 3"):
        tune_small(tmp_path, make_lm("llama"), choosing(), measure=look)


def test_what_is_looked_at_is_part_of_the_run_where_it_chooses(tmp_path):
    with pytest.raises(StoppedError):
        tune_small(tmp_path, make_lm("llama"), choosing(), measure=look, progress=stop_at(3))
    with pytest.raises(TrainingError, match=r"training\.measure_every"):
        tune_small(tmp_path, make_lm("llama"), choosing(measure_every=2), measure=look)


def test_choosing_without_looking_is_refused():
    with pytest.raises(ValidationError, match="set measure_every"):
        TrainingSettings(keep="best-dev")


@pytest.mark.parametrize("keep", ["last", "best-dev"])
def test_tuning_ends_when_looks_find_no_lower_loss(tmp_path, keep):
    losses = {1: 5.0, 2: 3.0, 3: 4.0, 4: 3.0, 5: 1.0, 6: 1.0}

    def patient(**values):
        return settings(
            **{"steps": 6, "measure_every": 1, "keep": keep, "patience": 2, "checkpoint_every": 3, **values}
        )

    found, until = make_lm("llama"), make_lm("llama")
    summary = tune_small(tmp_path / "found", found, patient(), measure=lambda step: {"loss": losses[step]})
    assert (summary.steps, summary.kept_step) == (4, 2 if keep == "best-dev" else None)
    tune_small(tmp_path / "until", until, settings(steps=2 if keep == "best-dev" else 4))
    assert weights_digest(found) == weights_digest(until)
    assert [line["step"] for line in lines(tmp_path / "found")] == [1, 2, 3, 4]
    again = make_lm("llama", seed=9)
    assert tune_small(tmp_path / "found", again, patient(), measure=lambda _: {"loss": 0.0}) == summary
    assert weights_digest(again) == weights_digest(found)
    resumed = make_lm("llama")
    with pytest.raises(StoppedError):
        tune_small(
            tmp_path / "stopped", make_lm("llama"), patient(), measure=lambda step: {"loss": losses[step]},
            progress=stop_at(3),
        )  # fmt: skip
    tune_small(tmp_path / "stopped", resumed, patient(), measure=lambda step: {"loss": losses[step]})
    assert weights_digest(resumed) == weights_digest(found)


def test_patience_needs_looks_and_names_what_it_goes_by():
    with pytest.raises(ValidationError, match="patience needs dev scores: set measure_every"):
        TrainingSettings(patience=2)
    with pytest.raises(ValidationError, match="keep needs dev scores"):
        TrainingSettings(keep="best-dev")
