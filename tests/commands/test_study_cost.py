"""A study's cost is its runs' costs, with what they share counted once."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from tests.end_to_end.small_world import write_small_world

from flantune.commands.cost_lines import study_lines
from flantune.commands.study_cost import estimate_study
from flantune.runs.folder import RunFolder
from flantune.settings.run_file import RunFile, load_run_file
from flantune.studies.study import Arm, arm_file


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run as a study plans it."""

    number: int
    arm: Arm
    seed: int
    file: RunFile
    folder: RunFolder
    tuned_by: int | None = None
    starts_from: int | None = None


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    folder = tmp_path_factory.mktemp("world")
    file = load_run_file(write_small_world(folder), overrides=('holdout.folds=[["sentiment"]]',))
    arms = (
        Arm(name="short", settings={}),
        Arm(name="long", settings={"training.steps": 12}),
        # Tuned like the first, and asked otherwise.
        Arm(name="asked few", settings={"evaluation.max_examples": 4}),
    )
    found: list[Run] = []
    for arm in arms:
        for seed in (1, 2):
            found.append(
                Run(
                    number=len(found),
                    arm=arm,
                    seed=seed,
                    file=arm_file(file, arm, seed=seed),
                    folder=RunFolder(folder / "study"),
                    tuned_by=seed - 1 if arm.name == "asked few" else None,
                )
            )
    return found


def test_what_is_shared_is_counted_once(runs: list[Run]) -> None:
    cost = estimate_study(runs, range(6), device="h100")
    short, long, few = cost.arms
    assert [arm.missing for arm in cost.arms] == [2, 2, 2]
    assert short.training.tokens == 2 * short.cost.training.tokens
    assert long.training.tokens == pytest.approx(2 * short.training.tokens, rel=0.1)
    assert few.training.tokens == 0
    assert short.measuring.tokens == 2 * (short.cost.base.tokens + short.cost.tuned.tokens)
    # The base model is asked the same as in the first arm.
    assert long.measuring.tokens == 2 * long.cost.tuned.tokens
    assert few.measuring.tokens == 2 * (few.cost.base.tokens + few.cost.tuned.tokens) < long.measuring.tokens * 2
    assert cost.total.tokens == sum(arm.training.tokens + arm.measuring.tokens for arm in cost.arms)
    assert cost.device == "NVIDIA H100 SXM" and cost.total.seconds > 0


def test_runs_that_are_there_cost_nothing_more(runs: list[Run]) -> None:
    cost = estimate_study(runs, [3])
    assert [arm.missing for arm in cost.arms] == [0, 1, 0]
    assert cost.arms[0].training.tokens == cost.arms[0].measuring.tokens == 0
    assert cost.total.seconds == 0 and cost.device == ""
    said = dict(study_lines(cost))
    assert said["short"].startswith("0 runs to do, 2 there") and "time" not in said
    assert "points" in said["detectable"]
