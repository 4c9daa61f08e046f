"""A study's cost is its runs' costs, with what they share counted once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.end_to_end.small_world import write_small_world

from flantune.commands.study import ExpandedStudy, expand_study
from flantune.commands.study_cost import study_cost
from flantune.commands.study_lines import study_lines
from flantune.settings.run_file import load_run_file

STUDY = """
[study]
name = "length"
question = "Do more steps help?"
axis = "steps"
baseline = "short"

[[arms]]
name = "short"

[[arms]]
name = "long"
settings = { training.steps = 12 }

[[arms]]
name = "asked few"                       # tuned like the first, and asked otherwise
settings = { evaluation.max_examples = 4 }
"""


@pytest.fixture(scope="module")
def expanded(tmp_path_factory: pytest.TempPathFactory) -> ExpandedStudy:
    folder = tmp_path_factory.mktemp("world")
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    file = load_run_file(write_small_world(folder), overrides=('holdout.folds=[["sentiment"]]',))
    return expand_study(str(folder / "study.toml"), file, out=folder / "study", seeds=2)


def test_what_is_shared_is_counted_once(expanded: ExpandedStudy) -> None:
    cost = study_cost(expanded, device="h100")
    short, long, few = cost.arms
    assert [(arm.runs, arm.there, arm.shared) for arm in cost.arms] == [(2, 0, 0), (2, 0, 0), (2, 0, 2)]
    alone = [study_cost(replace(expanded, missing=(number,)), device="h100") for number in (0, 2)]
    assert short.load.tokens == 2 * alone[0].arms[0].load.tokens
    # The base model is asked the same as in the first arm.
    assert long.load.tokens < 2 * alone[1].arms[1].load.tokens
    assert few.load.tokens < short.load.tokens
    assert cost.total.tokens == sum(arm.load.tokens for arm in cost.arms)
    assert cost.device == "NVIDIA H100 SXM" and cost.total.seconds > 0


def test_runs_that_are_there_cost_nothing_more(expanded: ExpandedStudy) -> None:
    left = replace(expanded, missing=(3,))
    cost = study_cost(left)
    assert [arm.runs - arm.there for arm in cost.arms] == [0, 1, 0]
    assert cost.arms[0].load.tokens == 0 and cost.total.seconds == 0 and cost.device == ""
    said = "\n".join(study_lines(left, cost))
    assert "2 runs: 2 there, 0 to do" in said and "training.steps = 12" in said
    assert "detectable" in said and "points" in said
