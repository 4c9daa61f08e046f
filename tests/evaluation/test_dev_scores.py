"""Looks at the model while it is tuned: at dev rows of what it is tuned on, without leaving a trace."""

from __future__ import annotations

import json

import pytest
from safetensors.numpy import load_file

import flantune.evaluation.dev_scores
from flantune.settings.run_file import load_run_file
from tests.end_to_end.small_world import write_small_world

CHANGES = ["training.measure_every=2", "training.measure_examples=5", 'holdout.folds=[["sentiment"]]']
QUICK = ["evaluation.max_examples=1", "evaluation.dev_examples=0", "evaluation.max_templates=1", "training.dropout=0.1"]


@pytest.fixture(scope="module")
def looked(tmp_path_factory):
    """A run that looks, one that does not, and every prompt that was asked at the looks."""
    from flantune.commands.run import run

    folder = tmp_path_factory.mktemp("measuring")
    run_file = write_small_world(folder)
    asked, compiled = [], []

    class Listening(flantune.evaluation.dev_scores.PromptScorer):
        def compiled(self, prompts):
            compiled.append(prompts)
            return super().compiled(prompts)

        def score_requests(self, waves, **options):
            assert not self.lm.model.training
            asked.append([prompt for groups in waves for group in groups for prompt in group.prompts])
            return super().score_requests(waves, **options)

    patch = pytest.MonkeyPatch()
    patch.setattr(flantune.evaluation.dev_scores, "PromptScorer", Listening)
    run(load_run_file(run_file, overrides=[*QUICK, *CHANGES]), out=folder / "looking")
    patch.undo()
    assert len(compiled) == 1, "questions are made into requests once, not at every look"
    run(load_run_file(run_file, overrides=[*QUICK, CHANGES[-1]]), out=folder / "blind")
    return folder, asked


def test_looking_changes_no_bit_of_the_weights(looked):
    folder, asked = looked
    mine, theirs = (
        load_file(folder / name / "folds/sentiment/model/model.safetensors") for name in ("looking", "blind")
    )
    assert len(asked) == 3
    assert mine.keys() == theirs.keys()
    assert all(mine[name].tobytes() == theirs[name].tobytes() for name in mine)


def test_trap_08_a_look_never_sees_what_is_held_out(looked):
    _, asked = looked
    prompts = [prompt for look in asked for prompt in look]
    assert {prompt.task for prompt in prompts} == {"animal", "echo"}
    assert {prompt.split for prompt in prompts} == {"dev"}
    assert asked[0] == asked[1] == asked[2]
    assert len(asked[0]) == 2 * 5


def test_the_curve_stands_in_the_metrics(looked):
    folder, _ = looked
    lines = [json.loads(text) for text in (folder / "looking/folds/sentiment/metrics.jsonl").read_text().splitlines()]
    measured = {line["step"]: line["measured"] for line in lines if line["measured"]}
    assert list(measured) == [2, 4, 6]
    for found in measured.values():
        assert found.keys() == {"accuracy", "accuracy/animal", "loss", "loss/animal", "loss/echo"}
        assert 0 <= found["accuracy"] <= 1
        assert found["loss"] == pytest.approx((found["loss/animal"] + found["loss/echo"]) / 2)
    # A loss of the same rows, which tuning lowers.
    assert measured[6]["loss"] < measured[2]["loss"]
    assert all(line["clusters"].keys() <= {"topic", "copying"} for line in lines)


def test_one_lock_is_left_by_none(looked):
    folder, _ = looked
    assert not list(folder.glob("*/.lock"))
