"""Models of several runs on the same rows: paired, refused where they are not the same, and an exit code."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from tests.runs.made_runs import PLAIN, make_run

from flantune.cli.main import cli
from flantune.commands.compare import judge, verdict_line
from flantune.errors import EvaluationError
from flantune.evaluation.results import Results
from flantune.evaluation.samples import read_samples, samples_path, write_samples
from flantune.runs.compared import Side, compare_runs
from flantune.runs.files import read_results
from flantune.runs.folder import RunFolder
from flantune.settings.json_file import value_of


@pytest.fixture
def old(tmp_path):
    return make_run(tmp_path / "old", tuned=0.6)


@pytest.fixture
def new(tmp_path):
    return make_run(tmp_path / "new", seed=1, tuned=0.9)


def run(*arguments):
    result = CliRunner().invoke(cli, ["compare", *map(str, arguments)], standalone_mode=False)
    return result, result.return_value


def test_base_against_tuned_of_one_run_is_what_the_run_itself_found(old):
    found = compare_runs({"base": Side(old, "base"), "tuned": Side(old)}).results
    own = read_results(old)
    assert found.verdict.difference == own.verdict.difference
    assert [one.differences["tuned"].value for one in found.tasks] == [
        one.differences["tuned"].value for one in own.tasks
    ]
    assert [(one.cluster, one.fold) for one in found.clusters] == [(one.cluster, one.fold) for one in own.clusters]


def test_any_number_of_runs_against_the_first(old, new, tmp_path):
    third = make_run(tmp_path / "third", seed=2, tuned=0.3)
    found = compare_runs({"old": Side(old), "new": Side(new), "third": Side(third)}).results
    assert found.names == ("old", "new", "third")
    assert {name: verdict.direction for name, verdict in found.verdicts.items()} == {"new": "better", "third": "worse"}
    one = found.tasks[0]
    assert one.differences["new"].value == pytest.approx(one.scores["new"].mean.value - one.scores["old"].mean.value)


def test_only_rows_that_both_answered_count(old, tmp_path):
    other = make_run(tmp_path / "other", rows=range(20, 60), tuned=0.6)
    (first, *_) = compare_runs({"old": Side(old), "other": Side(other)}).results.tasks
    assert first.examples == first.differences["other"].examples == 20
    assert first.differences["other"].value == 0.0, "on these rows the two answered alike"


def test_folds_that_differ_are_compared_task_by_task_and_what_is_left_out_is_named(old, tmp_path):
    both = make_run(tmp_path / "both", folds={"sentiment": ("film",)})
    found = compare_runs({"old": Side(old), "both": Side(both)})
    assert [one.name for one in found.results.tasks] == ["film"]
    assert dict(found.left_out) == dict.fromkeys(("shop", "topic"), "not measured as unseen by both")


def test_other_rows_under_the_same_numbers_are_refused(old, new):
    path = samples_path(RunFolder(new).fold(("sentiment",)).tuned, "film")
    from dataclasses import replace

    changed = [replace(one, references=("yes", "no")) if one.row == 3 else one for one in read_samples(path)]
    write_samples(path, changed)
    with pytest.raises(EvaluationError, match=r"row 3 of film is not the same in both runs"):
        compare_runs({"old": Side(old), "new": Side(new)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"templates": ("a", "c")}, "film was not asked in the same templates: b, c"),
        ({"settings": {"evaluation": {"score_end_of_sequence": False}}}, "not asked and scored alike: score_eos"),
        ({"rows": range(100, 110)}, "no row of film was answered by all"),
        ({"folds": {"topic classification": ("topic",)}, "rows": range(100, 110)}, "no row of topic"),
    ],
)
def test_runs_that_do_not_go_together_are_refused(old, tmp_path, changes, message):
    other = make_run(tmp_path / "other", **changes)
    with pytest.raises(EvaluationError, match=message):
        compare_runs({"old": Side(old), "other": Side(other)})


def test_runs_without_a_task_in_common_are_refused(tmp_path):
    one = make_run(tmp_path / "one", folds={"sentiment": ("film",)})
    two = make_run(tmp_path / "two", folds={"topic classification": ("topic",)})
    with pytest.raises(EvaluationError, match="no unseen task in common"):
        compare_runs({"one": Side(one), "two": Side(two)})


def test_runs_that_held_nothing_out_are_compared_on_what_both_were_trained_on(tmp_path):
    sides = {
        name: Side(make_run(tmp_path / name, seed=seed, tuned=rate, folds=PLAIN))
        for seed, (name, rate) in enumerate({"slow": 0.6, "fast": 0.9}.items())
    }
    found = compare_runs(sides).results
    assert {one.name for one in found.tasks} == {"film", "shop", "topic"}
    assert found.verdict.direction == "better" and (found.verdict.tasks, found.verdict.clusters) == (3, 2)
    result, code = run(tmp_path / "fast", tmp_path / "slow", "--fail-below", "-1")
    assert code == 1 and "failed: all clusters" in result.stderr
    held_out = make_run(tmp_path / "held", folds={"sentiment": ("film",)})
    with pytest.raises(EvaluationError, match="no unseen task in common"):
        compare_runs({"slow": sides["slow"], "held": Side(held_out)})


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_says_it_and_fails_a_build_only_below_the_limit(old, new):
    result, code = run(old, new)
    assert code == 0 and "All clusters" in result.stdout and "): better.\nClearly better: sentiment" in result.stdout
    result, code = run(new, old, "--fail-below", "-1")
    assert code == 1 and "failed: all clusters: the difference is" in result.stderr
    assert run(old, new, "--fail-below", "0")[1] == 0


def test_an_end_of_the_interval_can_be_what_is_judged(old, new):
    difference = compare_runs({"old": Side(old), "new": Side(new)}).results.verdict.difference
    for by, value in (("lower-end", difference.low), ("difference", difference.value), ("upper-end", difference.high)):
        for limit, passes in ((value * 100 - 0.1, True), (value * 100 + 0.1, False)):
            assert run(old, new, "--fail-below", limit, "--by", by)[1] == (0 if passes else 1)


def test_json_is_all_that_is_on_stdout(old, new):
    result, code = run(old, f"{new}:tuned", "--json", "--fail-below", 90)
    found = json.loads(result.stdout)
    assert code == 1 and not found["passed"] and found["judged"][0]["name"] == "all clusters"
    assert value_of(found["results"], Results, where="stdout").names == ("old", "new:tuned")


def test_models_of_one_evaluation(tmp_path):
    from tests.report.conftest import make_evaluation

    home = tmp_path / "ev"
    home.mkdir()
    (home / "results.json").write_text(json.dumps(make_evaluation({"llama": 0.0, "nli": 0.3, "other": -0.3})))
    assert run(f"{home}:llama", f"{home}:nli", "--fail-below", 1)[1] == 0
    result, code = run(f"{home}:llama", f"{home}:other", "--fail-below", 1)
    assert code == 1 and "mmlu_direct" in result.stdout and "nli" not in result.stdout
    assert "other was not compared with nli" in str(run(f"{home}:nli", f"{home}:other")[0].exception)
    assert 'no model "ni"' in str(run(f"{home}:llama", f"{home}:ni")[0].exception)


def test_what_cannot_be_compared_is_said(old, tmp_path):
    assert "no such folder" in str(run(old, tmp_path / "nowhere")[0].exception)
    assert "compared with itself" in str(run(old, old)[0].exception)
    assert 'no model "best"' in str(run(old, f"{old}:best")[0].exception)


@pytest.mark.parametrize(
    ("value", "limit", "said"),
    [
        (-0.07, -7, "passed: {}: the difference is −7.0 points, not below -7"),  # times 100: -7.000000000000001
        (-0.07001, -7, "failed: {}: the difference is −7.001 points, below -7"),
        (-0.0704, -7, "failed: {}: the difference is −7.04 points, below -7"),
        (-0.0712, -7, "failed: {}: the difference is −7.1 points, below -7"),
        (-0.0696, -6.98, "passed: {}: the difference is −6.96 points, not below -6.98"),
        (0.29, 29, "passed: {}: the difference is +29.0 points, not below +29"),
    ],
)
def test_exactly_the_limit_passes_and_the_line_agrees_with_its_verdict(value, limit, said):
    from tests.report.conftest import make_evaluation

    results = value_of(make_evaluation({"a": 0.0, "b": 0.1}), Results, where="made")
    benchmark = results.benchmarks[0]
    difference = benchmark.differences["b"].model_copy(update={"value": value})
    one = benchmark.model_copy(update={"differences": {"b": difference}})
    (judged,) = judge(results.model_copy(update={"verdicts": {}, "benchmarks": (one,)}), limit=limit)
    assert verdict_line(judged, limit=limit, by="difference") == said.format(benchmark.name)


def test_a_limit_without_a_difference_does_not_pass():
    from tests.report.conftest import make_evaluation

    results = value_of(make_evaluation({"a": 0.0, "b": 0.1}), Results, where="made")
    empty = results.model_copy(update={"verdicts": {}, "benchmarks": ()})
    assert judge(empty, limit=None) == ()
    with pytest.raises(EvaluationError, match="no difference to judge"):
        judge(empty, limit=0.0)
