"""From runs to a study's outcome: pairs over rows, lines, seeds, and the sentence."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.runs.made_runs import FOLDS, make_run

from flantune.errors import EvaluationError
from flantune.evaluation.statistics.means import Mean, false_discovery_rates
from flantune.evaluation.statistics.seeds import over_seeds, seed_mean
from flantune.runs.files import read_results
from flantune.runs.folder import RunFolder
from flantune.studies.arm_runs import ArmRun, Cell, read_arm_run, weights_of
from flantune.studies.benchmark_means import against
from flantune.studies.conclude import conclude
from flantune.studies.contrasts import slope_weights
from flantune.studies.gather import outcome_csv
from flantune.studies.outcome import Lacking, StudyOutcome, Written
from flantune.studies.seed_means import ArmMeans, SeedMeans, TaskMeans, seed_means
from flantune.studies.study import Arm, Measure, Study

WRITTEN = Written(sha256="0" * 64, when="2022-10-20 00:00:00", changed=())
RATES = {"one": 0.55, "two": 0.6, "three": 0.75}
ARMS = tuple(Arm(name=name, x=place) for place, name in enumerate(RATES, start=1))
STUDY = Study(name="s", question="?", axis="things", arms=ARMS, baseline="one", figure="line")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Path]:
    root = tmp_path_factory.mktemp("runs")
    return {
        (name, seed): make_run(root / f"{name}-{seed}", seed=seed, tuned=rate, rows=range(40 * seed, 40 * seed + 40))
        for name, rate in RATES.items()
        for seed in (0, 1, 2)
    }


def arm_runs(folders, study: Study, seed: int) -> list[ArmRun]:
    return [
        read_arm_run(arm, seed, RunFolder(folders[arm.name, seed]), arm.measure or study.measure) for arm in study.arms
    ]


def outcome_of(folders, study: Study, seeds=(0, 1, 2)) -> StudyOutcome:
    found = {seed: seed_means(study, arm_runs(folders, study, seed), confidence=0.95) for seed in seeds}
    return conclude(study, found, seeds=seeds, confidence=0.95, written=WRITTEN)


def test_against_its_own_base_model_an_arm_is_what_its_run_found(folders) -> None:
    outcome = outcome_of(folders, replace(STUDY, baseline=""), seeds=(0,))
    for arm in outcome.arms:
        results = read_results(folders[arm.name, 0])
        own = results.overall[0].raw
        assert arm.score.value == pytest.approx(own.scores["tuned"].value)
        assert (arm.score.low, arm.score.high) == pytest.approx((own.scores["tuned"].low, own.scores["tuned"].high))
        assert arm.base.value == pytest.approx(own.scores["base"].value)
        found, expected = arm.difference, own.differences["tuned"]
        assert (found.value, found.se, found.p) == pytest.approx((expected.value, expected.se, expected.p))
        tasks = {task.name: task for task in arm.tasks}
        for task in results.tasks:
            expected = task.differences["tuned"]
            assert tasks[task.name].difference.value == pytest.approx(expected.value)
            assert tasks[task.name].difference.se == pytest.approx(expected.se)
            assert tasks[task.name].template_std == pytest.approx(task.scores["tuned"].std)


def test_over_seeds_an_arm_is_what_seeds_finds(folders) -> None:
    """One formula for several seeds, whatever asks."""
    outcome = outcome_of(folders, replace(STUDY, baseline=""))
    for arm in outcome.arms:
        summary = over_seeds([read_results(folders[arm.name, seed]) for seed in (0, 1, 2)])
        (expected,) = [one for one in summary.effects if one.level == "overall" and one.measure == "raw"]
        found = arm.difference
        assert found.each == pytest.approx(expected.each)
        assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))
        assert found.shares_rows == expected.shares_rows


def test_arms_are_paired_row_by_row(folders) -> None:
    outcome = outcome_of(folders, STUDY)
    one, three = outcome.arm("one"), outcome.arm("three")
    assert one.difference is None and one.paired_with == "" and three.paired_with == "one"
    assert three.difference.value == pytest.approx(three.score.value - one.score.value)
    assert three.compared == 3 and three.difference.q is not None
    # Paired differences of one seed cover rows: their error is no sum of the two scores' errors.
    alone = outcome_of(folders, STUDY, seeds=(0,)).arm("three")
    assert alone.difference.row_se == pytest.approx(alone.difference.se)


def test_arms_may_be_asked_in_other_templates(folders, tmp_path) -> None:
    asked = dict(folders)
    asked["two", 0] = make_run(tmp_path / "two", tuned=RATES["two"], templates=("b", "c", "d"))
    with_them = outcome_of(asked, STUDY, seeds=(0,)).arm("two")
    assert with_them.compared == 3
    assert with_them.tasks[0].templates == 3
    assert with_them.difference.value == pytest.approx(
        with_them.score.value - outcome_of(asked, STUDY, seeds=(0,)).arm("one").score.value
    )


def test_only_rows_that_both_answered_are_paired(folders, tmp_path) -> None:
    asked = dict(folders)
    asked["two", 0] = make_run(tmp_path / "two", tuned=RATES["two"], rows=range(20, 60))
    paired = outcome_of(asked, STUDY, seeds=(0,)).arm("two").difference
    half = {name: make_run(tmp_path / f"{name}-half", tuned=RATES[name], rows=range(20, 40)) for name in ("one", "two")}
    means = [read_results(half[name]).overall[0].raw.scores["tuned"].value for name in ("one", "two")]
    assert paired.value == pytest.approx(means[1] - means[0])


def test_tasks_that_one_of_them_lacks_are_left_out_and_counted(folders, tmp_path) -> None:
    asked = dict(folders)
    asked["two", 0] = make_run(tmp_path / "two", tuned=0.6, folds={"sentiment": FOLDS["sentiment"]})
    outcome = outcome_of(asked, replace(STUDY, figure="bars"), seeds=(0,))
    assert outcome.arm("two").compared == 2 and outcome.arm("three").compared == 3
    assert outcome.trends == ()  # a line through scores on other tasks would say nothing


def test_the_slope_of_a_line_is_the_weighted_sum_of_its_arms(folders) -> None:
    outcome = outcome_of(folders, STUDY)
    (trend,) = outcome.trends
    scores = [arm.score.value for arm in outcome.arms]
    assert trend.slope.value == pytest.approx(np.polyfit([1, 2, 3], scores, 1)[0])
    assert trend.arms == ("one", "two", "three")
    assert "every step of one in things" in outcome.verdict.text
    doubled = replace(STUDY, x_scale="log", arms=tuple(replace(arm, x=2.0**arm.x) for arm in ARMS))
    assert outcome_of(folders, doubled).trends[0].slope.value == pytest.approx(trend.slope.value)


def test_a_measure_names_clusters_or_tasks(folders) -> None:
    cluster = replace(STUDY, measure=Measure(of="clusters", names=("sentiment analysis", "topic classification")))
    tasks = replace(STUDY, measure=Measure(of="tasks", names=("film", "topic")))
    means = {
        name: one.scores["tuned"].mean.value for one in read_results(folders["one", 0]).tasks for name in [one.name]
    }
    found = outcome_of(folders, tasks, seeds=(0,)).arm("one")
    assert found.score.value == pytest.approx((means["film"] + means["topic"]) / 2)
    names = {task.cluster for task in outcome_of(folders, cluster, seeds=(0,)).arm("one").tasks}
    assert "topic classification" in names
    wrong = replace(STUDY, measure=Measure(of="tasks", names=("none",)))
    with pytest.raises(EvaluationError, match="measured nothing of what is compared"):
        arm_runs(folders, wrong, 0)
    with pytest.raises(EvaluationError, match="was not measured with 5 exemplars"):
        arm_runs(folders, replace(STUDY, measure=Measure(shots=5)), 0)


def test_a_label_is_the_baseline_of_every_series(folders) -> None:
    arms = tuple(replace(arm, x=None, series=series, label=label) for arm, series, label in zip(
        ARMS, ("a", "a", "b"), ("first", "then", "first"), strict=True))  # fmt: skip
    outcome = outcome_of(folders, replace(STUDY, arms=arms, baseline="first", figure="bars"), seeds=(0,))
    assert [arm.paired_with for arm in outcome.arms] == ["", "one", ""]
    assert [arm.difference is None for arm in outcome.arms] == [True, False, True]


def test_the_sentence_names_each_arm_that_others_are_paired_with(folders) -> None:
    arms = tuple(replace(ARMS[at], name=name, x=None, series=series, label=label) for at, name, series, label in (
        (0, "one", "a", "first"), (2, "three", "a", "then"), (1, "two", "b", "first"),
        (2, "three again", "b", "then")))  # fmt: skip
    study = replace(STUDY, arms=arms, baseline="first", figure="bars")
    runs = {"one": "one", "two": "two", "three": "three", "three again": "three"}
    shared = {(name, seed): folders[source, seed] for name, source in runs.items() for seed in (0, 1, 2)}
    text = outcome_of(shared, study).verdict.text
    assert text.count("Against “") == 2 and "“first”" not in text
    assert "Against “one”, over 3 seeds, “three” changed the score by +" in text
    assert "Against “two”, over 3 seeds, “three again” changed the score by +" in text


def test_an_arm_that_reads_the_base_model(folders) -> None:
    arms = (ARMS[0], replace(ARMS[1], reads="base"))
    outcome = outcome_of(folders, replace(STUDY, arms=arms, figure="bars"), seeds=(0,))
    base = outcome.arm("two")
    assert base.score.value == pytest.approx(base.base.value) == pytest.approx(outcome.arm("one").base.value)


# --- numbers over seeds, from numbers made by hand -------------------------------------------------------------------


def made(value: float, *, se: float = 0.02, rows: str = "r") -> ArmMeans:
    mean = Mean(value=value, se=se, df=99)
    cell = Cell(fold="f", task="t", cluster="c", group=0)
    task = TaskMeans(cell=cell, score=mean, base=mean, difference=mean, chance=0.5, metric="accuracy", rows=10,
                     rows_sha256=rows, templates=1, template_std=None)  # fmt: skip
    return ArmMeans(score=mean, base=mean, difference=mean, compared=1, chance=0.5, tasks=(task,))


def concluded(values: dict[str, list[float]], *, baseline: str = "a", rows: str = "r", **changes) -> StudyOutcome:
    arms = tuple(Arm(name=name) for name in ("a", *values))
    found = {
        seed: SeedMeans(
            arms={name: made(each[seed], rows=rows or str(seed)) for name, each in values.items()},
            slopes={},
            overall=None,
        )
        for seed in range(len(next(iter(values.values()))))
    }
    study = Study(name="s", question="?", axis="x", arms=arms, baseline=baseline)
    return conclude(study, found, seeds=tuple(found), confidence=0.95, written=changes.pop("written", WRITTEN),
                    **changes)  # fmt: skip


def test_an_interval_covers_rows_and_seeds() -> None:
    values = {"b": [0.1, 0.2, 0.3]}
    together, apart = concluded(values).arm("b").difference, concluded(values, rows="").arm("b").difference
    mean = seed_mean(values["b"], [0.02] * 3, shares_rows=True)
    assert together.shares_rows and not apart.shares_rows
    assert (together.value, together.se) == pytest.approx((mean.value, mean.se))
    assert apart.se < together.se
    assert together.row_se == pytest.approx(0.02)
    alone = concluded({"b": [0.1]})
    assert alone.arm("b").difference.se == pytest.approx(0.02) and "One seed" in alone.verdict.notes[0]


def test_rates_of_false_discovery_are_among_all_arms() -> None:
    outcome = concluded({"b": [0.1, 0.2, 0.3], "c": [0.01, -0.02, 0.02], "d": [-0.3, -0.31, -0.3]})
    tested = [arm.difference for arm in outcome.arms if arm.difference]
    assert [one.q for one in tested] == pytest.approx(false_discovery_rates([one.p for one in tested]))


def test_the_sentence_counts_who_is_better_and_worse() -> None:
    better = concluded({"b": [0.3, 0.31, 0.3], "c": [0.0, 0.02, -0.02]}).verdict
    assert better.direction == "better" and "1 of 2 arms is better, 0 worse and 1 undecided" in better.text
    assert "“b”, by +30.3 points" in better.text
    worse = concluded({"b": [-0.3, -0.31, -0.3], "c": [0.0, 0.02, -0.02]}).verdict
    assert worse.direction == "worse"
    both = concluded({"b": [-0.3, -0.31, -0.3], "c": [0.3, 0.3, 0.29]}).verdict
    assert both.direction == "undecided" and "1 of 2 arms is better, 1 worse" in both.text
    undecided = concluded({"b": [0.0, 0.02, -0.02]}).verdict
    assert undecided.direction == "undecided"
    assert undecided.text.startswith("Against “a”, over 3 seeds, “b” changed the score by 0.0 points (95% interval")
    assert undecided.text.endswith("): undecided.")


def test_what_is_lacking_or_changed_stands_beside_the_sentence() -> None:
    written = replace_written(("seeds: 0 were planned, 0, 1 were run",))
    notes = concluded({"b": [0.1, 0.2]}, written=written, lacking=[Lacking(arm="b", seed=2, why="not run yet")]).verdict
    assert any("1 run is not finished" in note for note in notes.notes)
    assert any("deviate from the recorded plan: 1 change" in note for note in notes.notes)


def replace_written(changed: tuple[str, ...]) -> Written:
    return WRITTEN.model_copy(update={"changed": changed})


def test_nothing_measured_is_undecided() -> None:
    study = Study(name="s", question="?", axis="x", arms=(Arm(name="a"), Arm(name="b")), baseline="a")
    outcome = conclude(study, {}, seeds=(0,), confidence=0.95, written=WRITTEN)
    assert outcome.verdict.direction == "undecided" and outcome.arm("b").score is None


def test_the_table_has_a_line_an_arm_and_a_line_a_task(folders) -> None:
    outcome = outcome_of(folders, STUDY)
    lines = list(csv.DictReader(io.StringIO(outcome_csv(outcome))))
    assert [(line["arm"], line["task"]) for line in lines[:4]] == [("one", ""), *(("one", task.name) for task in
            outcome.arms[0].tasks)]  # fmt: skip
    assert float(lines[4]["difference"]) == outcome.arm("two").difference.value


def test_benchmarks_of_two_arms_are_compared_as_two_samples() -> None:
    (one,), (two,) = made(0.4).tasks, made(0.5, se=0.03).tasks
    (found,) = against([two], [one])
    assert found.difference.value == pytest.approx(0.1)
    assert found.difference.se == pytest.approx(math.hypot(0.02, 0.03))
    assert list(against([two], [])) == [two]


def test_weights_are_means_over_groups_of_means() -> None:
    cells = [Cell(fold="f", task=name, cluster="c", group=group) for name, group in (("a", 0), ("b", 0), ("c", 1))]
    assert weights_of(cells) == [0.25, 0.25, 0.5]


def test_slopes_are_least_squares() -> None:
    places = {"a": 1.0, "b": 2.0, "c": 5.0, "d": 7.0}
    heights = dict(zip(places, (3.0, 1.0, 4.0, 1.5), strict=True))
    slope = sum(weight * heights[name] for name, weight in slope_weights(places).items())
    assert slope == pytest.approx(np.polyfit(list(places.values()), list(heights.values()), 1)[0])
