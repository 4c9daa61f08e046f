"""From samples to words: where a preference for an answer moved the raw score or hid what a model can do."""

from __future__ import annotations

import numpy as np
import pytest

from flantune.evaluation.results import Results
from flantune.evaluation.run_samples import FoldInput
from flantune.evaluation.statistics.seeds import over_seeds
from flantune.settings.config import EvaluationSettings
from flantune.settings.json_file import value_of
from flantune.types import Sample

from .made import info, summarize, write_run

LABELS = ("negative", "positive")


def answers(*, signal, liking, rows=120, templates="abcd", gold_share=0.5, seed=0, task="t", options=LABELS):
    """Samples of a model that tells the labels apart by so much and likes the last one by so much, in nats."""
    random = np.random.default_rng(seed)
    hard = random.normal(0.0, 1.0, rows)
    made = []
    for template in templates:
        noise = random.normal(0.0, 0.5, rows)
        for row in range(rows):
            gold = int(row < gold_share * rows)
            score = signal * (gold - 0.5) + hard[row] + noise[row] + liking
            made.append(
                Sample(
                    task=task, split="test", row=row, template=template, shots=0, inputs="x", options=options,
                    answer=gold, references=(options[gold],), scores=(-3.0, -3.0 + score), lengths=(2, 2),
                )
            )  # fmt: skip
    return made


def conclude(folder, base, tuned, *, tasks=("t",), **settings):
    write_run(
        folder, base if isinstance(base, dict) else {"t": base}, tuned if isinstance(tuned, dict) else {"t": tuned}
    )
    fold = FoldInput(name="f", clusters=("c",), unseen=tasks)
    infos = [info(name) for name in tasks]
    return summarize(folder, folds=[fold], tasks=infos, seed=3, **settings)


def notes(results):
    return " ".join(results["verdicts"]["tuned"]["notes"])


def test_the_reported_case_says_what_accuracy_cannot(tmp_path):
    """The base answers "positive" always, the tuned model "negative" nine times in ten, and knows more."""
    base, tuned = answers(signal=0.5, liking=6.0), answers(signal=1.6, liking=-2.2, seed=0)
    results = conclude(tmp_path, base, tuned)
    (task,) = results["tasks"]
    first, second = (task["scores"][model]["skill"] for model in ("base", "tuned"))
    assert (first["answers"]["answer"], first["answers"]["share"], first["answers"]["gold"]) == ("positive", 1.0, 0.5)
    assert second["answers"]["answer"] == "negative"
    assert 0.9 < second["answers"]["share"] < 1.0
    assert abs(task["differences"]["tuned"]["value"]) < 0.1
    assert task["differences"]["tuned"]["skill"]["discrimination"]["low"] > 0.0
    assert second["discrimination"]["value"] - first["discrimination"]["value"] == pytest.approx(
        task["differences"]["tuned"]["skill"]["discrimination"]["value"]
    )
    said = notes(results)
    assert "A preference for certain answers hides a gain of skill: on 1 ranked task" in said
    assert f"from {100 * first['discrimination']['value']:.1f} to {100 * second['discrimination']['value']:.1f}" in said
    assert "Collapsed to one answer for over 90% of the prompts: the base model on 1 of 1 ranked task" in said
    assert "(t: “positive” for 100%, right for 50%)" in said
    assert "the tuned model on 1 of 1 ranked task (t: “negative” for 9" in said
    # The headline stays the papers' raw score.
    assert results["verdicts"]["tuned"]["second"] == task["scores"]["tuned"]["mean"]["value"]
    assert results["verdicts"]["tuned"]["direction"] != "better"


@pytest.mark.parametrize(
    ("base", "tuned", "said"),
    [
        # Seven in ten are positive: liking it is worth points and takes no skill.
        (
            {"signal": 1.0, "liking": -1.5},
            {"signal": 1.0, "liking": 1.0},
            "The gain may reflect a preference",
        ),
        (
            {"signal": 1.0, "liking": 1.0},
            {"signal": 1.0, "liking": -1.5},
            "The loss may reflect a preference",
        ),
        ({"signal": 0.3, "liking": 1.0}, {"signal": 2.0, "liking": -1.6}, "hides a gain of skill"),
        ({"signal": 2.0, "liking": -1.6}, {"signal": 0.3, "liking": 1.0}, "hides a loss of skill"),
    ],
)
def test_a_preference_that_moves_or_hides_is_named(tmp_path, base, tuned, said):
    results = conclude(tmp_path, answers(**base, gold_share=0.7), answers(**tuned, gold_share=0.7, seed=1))
    assert said in notes(results)


def test_a_task_with_one_right_answer_throughout_is_named_since_a_preference_scores_there(tmp_path):
    base, tuned = (answers(signal=1.0, liking=liking, gold_share=1.0) for liking in (0.0, 5.0))
    results = conclude(tmp_path, base, tuned)
    assert results["verdicts"]["tuned"]["direction"] == "better"
    assert notes(results) == (
        "On 1 of 1 ranked task a preference for the right answer cannot be distinguished from skill "
        '(t: the right answer of every row is "positive").'
    )


def behind_letters(place, *, rows=40, templates="ab"):
    """A model that always writes one letter, whichever option stands behind it."""
    random = np.random.default_rng(5)
    letters = ("(A)", "(B)", "(C)")
    for row in range(rows):
        order = tuple(random.permutation(3).tolist())
        gold = order.index(row % 3)
        for template in templates:
            scores = tuple(-1.0 if at == place else -2.0 - random.random() for at in range(3))
            yield Sample(
                task="t", split="test", row=row, template=template, shots=0, inputs="x", options=letters, answer=gold,
                references=(letters[gold],), scores=scores, lengths=(2, 2, 2),
                order=order,
            )  # fmt: skip


def test_a_letter_that_is_always_written_is_named_though_the_options_behind_it_are_shuffled(tmp_path):
    results = conclude(tmp_path, list(behind_letters(0)), list(behind_letters(2)))
    found = [results["tasks"][0]["scores"][model]["skill"]["answers"] for model in ("base", "tuned")]
    assert [(one["answer"], one["share"], one["by_place"], one["is_collapsed"]) for one in found] == [
        ("(A)", 1.0, True, True), ("(C)", 1.0, True, True),
    ]  # fmt: skip
    assert "the base model on 1 of 1 ranked task (t: “(A)” for 100%, right for " in notes(results)


def test_a_score_that_stays_is_not_said_to_change(tmp_path):
    results = conclude(tmp_path, answers(signal=1.0, liking=0.0), answers(signal=1.0, liking=0.0))
    before = results["verdicts"]["tuned"]["first"]
    assert (
        f"it never trained on, tuning left the score at {100 * before:.1f} (0.0 points, "
        in results["verdicts"]["tuned"]["text"]
    )


@pytest.mark.parametrize(
    ("base", "tuned"),
    [
        ({"signal": 0.2, "liking": 0.0}, {"signal": 2.5, "liking": 0.0}),  # both rise
        ({"signal": 2.5, "liking": 0.0}, {"signal": 0.2, "liking": 0.0}),  # both fall
        ({"signal": 1.0, "liking": 0.1}, {"signal": 1.0, "liking": -0.1}),  # neither moves
    ],
)
def test_nothing_is_said_where_score_and_skill_agree(tmp_path, base, tuned):
    assert conclude(tmp_path, answers(**base), answers(**tuned, seed=1))["verdicts"]["tuned"]["notes"] == []


def test_swapped_models_are_told_the_mirror_image(tmp_path):
    one, two = answers(signal=0.3, liking=3.0), answers(signal=2.0, liking=-3.0, seed=1)
    there, back = conclude(tmp_path / "there", one, two), conclude(tmp_path / "back", two, one)
    assert "hides a gain of skill" in notes(there)
    assert "hides a loss of skill" in notes(back)
    first, second = (found["tasks"][0]["differences"]["tuned"]["skill"] for found in (there, back))
    for measure in ("discrimination", "calibrated_accuracy"):
        assert first[measure]["value"] == pytest.approx(-second[measure]["value"])
        assert first[measure]["low"] == pytest.approx(-second[measure]["high"])


def test_of_several_tasks_those_that_hide_something_are_named(tmp_path):
    tasks = ("hidden", "moved", "plain")
    base = {
        "hidden": answers(signal=0.2, liking=3.0, task="hidden"),
        "moved": answers(signal=1.0, liking=-2.0, gold_share=0.8, task="moved", seed=2),
        "plain": answers(signal=1.0, liking=0.0, task="plain", seed=4),
    }
    tuned = {
        "hidden": answers(signal=2.5, liking=-3.0, task="hidden", seed=1),
        "moved": answers(signal=1.0, liking=1.0, gold_share=0.8, task="moved", seed=2),
        "plain": answers(signal=1.0, liking=0.0, task="plain", seed=5),
    }
    said = notes(conclude(tmp_path, base, tuned, tasks=tasks))
    assert "The raw score does not show a gain of skill on hidden." in said
    assert "The gain of raw score on moved may only reflect a preference" in said
    assert "plain" not in said


def test_means_leave_out_tasks_that_cannot_say(tmp_path):
    """One task's gold is always the same label: its discrimination is not defined, and says why."""
    base = {
        "t": answers(signal=0.5, liking=0.0),
        "u": answers(signal=0.5, liking=0.0, gold_share=1.0, task="u", seed=2),
    }
    tuned = {
        "t": answers(signal=1.5, liking=0.0, seed=1),
        "u": answers(signal=1.5, liking=0.0, gold_share=1.0, task="u", seed=3),
    }
    results = conclude(tmp_path, base, tuned, tasks=("t", "u"))
    one, other = results["tasks"]
    assert other["scores"]["base"]["skill"]["discrimination"] is None
    assert other["scores"]["base"]["skill"]["not_defined"] == 'the right answer of every row is "positive"'
    assert other["differences"]["tuned"]["skill"]["discrimination"] is None
    (cluster,) = results["clusters"]
    assert cluster["discrimination"]["exams"] == ["t"]
    assert cluster["calibrated_accuracy"]["exams"] == ["t", "u"]
    change = one["differences"]["tuned"]["skill"]["discrimination"]
    assert cluster["discrimination"]["differences"]["tuned"]["value"] == pytest.approx(change["value"])
    each = [task["differences"]["tuned"]["skill"]["calibrated_accuracy"] for task in results["tasks"]]
    both = cluster["calibrated_accuracy"]["differences"]["tuned"]
    assert both["value"] == pytest.approx(np.mean([found["value"] for found in each]))
    assert both["se"] == pytest.approx(np.hypot(*(found["se"] for found in each)) / 2)
    (overall,) = results["overall"]
    assert overall["discrimination"]["scores"] == cluster["discrimination"]["scores"]


def test_rates_of_false_discovery_are_among_their_own_kind(tmp_path):
    tasks = tuple("abcd")
    base = {name: answers(signal=0.5, liking=0.0, task=name, seed=at) for at, name in enumerate(tasks)}
    tuned = {name: answers(signal=0.5 + 0.4 * at, liking=0.0, task=name, seed=at + 9) for at, name in enumerate(tasks)}
    found = [task["differences"]["tuned"]["skill"] for task in conclude(tmp_path, base, tuned, tasks=tasks)["tasks"]]
    for measure in ("discrimination", "calibrated_accuracy"):
        p = np.array([one[measure]["p"] for one in found])
        order = np.argsort(p)
        want = np.minimum.accumulate((p[order] * 4 / np.arange(1, 5))[::-1])[::-1]
        assert [found[at][f"{measure}_q"] for at in order] == pytest.approx(list(np.minimum(want, 1.0)))


def test_templates_and_the_normalization_count(tmp_path):
    results = conclude(tmp_path, answers(signal=0.5, liking=0.0), answers(signal=1.5, liking=0.0, seed=1))
    tuned = results["tasks"][0]["scores"]["tuned"]
    for measure in ("discrimination", "calibrated_accuracy"):
        each = [template[measure] for template in tuned["templates"]]
        assert np.mean(each) == pytest.approx(tuned["skill"][measure]["value"])
    # Labels of different lengths: by characters other scores are compared.
    long = ("negative as can be", "positive")
    one, two = answers(signal=0.5, liking=0.0, options=long), answers(signal=1.5, liking=0.0, seed=1, options=long)
    by_sum = conclude(tmp_path, one, two)["tasks"][0]["scores"]["tuned"]["skill"]
    by_character = conclude(tmp_path, one, two, normalization="character")["tasks"][0]["scores"]["tuned"]["skill"]
    assert by_character["answers"]["share"] > by_sum["answers"]["share"]


def test_a_task_that_is_written_has_no_such_numbers(tmp_path):
    written = [
        Sample(
            task="t", split="test", row=row, template="a", shots=0, inputs="x", references=("Oslo",), prediction="Oslo"
        )
        for row in range(5)
    ]
    write_run(tmp_path, {"t": written}, {"t": written})
    fold = FoldInput(name="f", clusters=("c",), unseen=("t",))
    settings = EvaluationSettings()
    tasks = [info(kind="generation", metrics=("exact_match",))]
    results = summarize(tmp_path, folds=[fold], tasks=tasks, settings=settings, seed=3)
    (task,) = results["tasks"]
    assert (task["differences"]["tuned"]["skill"], task["scores"]["base"]["skill"]) == (None, None)
    assert results["clusters"][0]["discrimination"] is None
    assert results["verdicts"]["tuned"]["notes"] == []


def test_words_of_the_data_cannot_command_a_terminal(tmp_path):
    hostile = ("good\x1b[2J\nnews", "bad")
    base = answers(signal=0.5, liking=-9.0, options=hostile)
    said = notes(conclude(tmp_path, base, answers(signal=0.5, liking=0.0, options=hostile, seed=1)))
    assert "“good [2J news” for 100%" in said
    assert "\x1b" not in said


def test_several_seeds_are_put_together_for_skill_too(tmp_path):
    runs = []
    for seed in range(3):
        base, tuned = answers(signal=0.5, liking=0.0), answers(signal=1.5, liking=0.0, seed=seed + 1)
        runs.append({**conclude(tmp_path / str(seed), base, tuned), "seed": seed})
    summary = over_seeds([value_of(one, Results, where="made") for one in runs])
    found = {(effect.measure, effect.level): effect for effect in summary.effects}
    assert len(found) == 9
    for measure in ("discrimination", "calibrated_accuracy"):
        each = tuple(run["tasks"][0]["differences"]["tuned"]["skill"][measure]["value"] for run in runs)
        assert found[measure, "task"].each == each
        assert found[measure, "overall"].value == pytest.approx(np.mean(each))
        assert found[measure, "task"].shares_rows
