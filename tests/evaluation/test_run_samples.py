from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

import flantune.evaluation
from flantune.errors import EvaluationError
from flantune.evaluation.results import Results, json_schema
from flantune.evaluation.run_samples import FoldInput
from flantune.evaluation.samples import samples_path, write_samples
from flantune.evaluation.statistics import means as statistics
from flantune.evaluation.statistics.pairs import REPLICATES
from flantune.types import Sample

from .made import choice_sample, info, summarize, write_run

FOLD = FoldInput(name="f", clusters=("c",), unseen=("t",))


def grid(rows, templates, rate, *, seed, task="t", **changes):
    """Samples that are right with some probability, by row and template."""
    rng = np.random.default_rng(seed)
    return [
        choice_sample(row, right=bool(rng.random() < rate), template=template, task=task, **changes)
        for template in templates
        for row in range(rows)
    ]


def conclude(folder, *, folds=(FOLD,), tasks=None, name="made", **settings):
    tasks = tasks or [info()]
    return summarize(folder, folds=folds, tasks=tasks, name=name, seed=3, **settings)


def interval(verdict):
    return verdict["difference"]["low"], verdict["difference"]["high"]


def value(verdict):
    return verdict["difference"]["value"]


def matrix(samples):
    rows, templates = (sorted({getattr(s, k) for s in samples}) for k in ("row", "template"))
    cells = np.zeros((len(rows), len(templates)))
    for s in samples:
        cells[rows.index(s.row), templates.index(s.template)] = s.scores[1] > s.scores[0]
    return cells


@pytest.fixture
def one_task(tmp_path):
    base, tuned = grid(50, "abc", 0.4, seed=0), grid(50, "abc", 0.8, seed=1)
    write_run(tmp_path, {"t": base}, {"t": tuned})
    return tmp_path, matrix(base), matrix(tuned)


def test_a_task_by_hand(one_task):
    folder, base, tuned = one_task
    (task,) = conclude(folder)["tasks"]
    assert task["scores"]["base"]["mean"]["value"] == pytest.approx(base.mean())
    assert [t["value"] for t in task["scores"]["tuned"]["templates"]] == pytest.approx(list(tuned.mean(axis=0)))
    assert task["scores"]["tuned"]["std"] == pytest.approx(tuned.mean(axis=0).std(ddof=1))
    assert task["scores"]["tuned"]["median"] == pytest.approx(np.median(tuned.mean(axis=0)))
    assert task["scores"]["tuned"]["iqr"] == pytest.approx(scipy.stats.iqr(tuned.mean(axis=0)))
    units = (tuned - base).mean(axis=1)
    low, high = scipy.stats.t.interval(0.95, 49, loc=units.mean(), scale=scipy.stats.sem(units))
    assert task["differences"]["tuned"]["value"] == pytest.approx(units.mean())
    assert (task["differences"]["tuned"]["low"], task["differences"]["tuned"]["high"]) == pytest.approx((low, high))
    was, now = base.mean(axis=1) > 0.5, tuned.mean(axis=1) > 0.5
    gained, lost = int((now & ~was).sum()), int((was & ~now).sum())
    change = task["differences"]["tuned"]
    assert change["mcnemar_p"] == pytest.approx(scipy.stats.binomtest(gained, gained + lost).pvalue)
    assert (task["chance"], task["metric"], task["fold"]) == (0.5, "accuracy", "f")
    assert task["differences"]["tuned"]["examples"] == task["scores"]["base"]["examples"] == 50
    assert (task["scores"]["tuned"]["seen"], task["scores"]["base"]["best_dev_template"]) == ([], None)


def test_the_verdict_says_better_with_numbers(one_task):
    folder, base, tuned = one_task
    verdict = conclude(folder)["verdicts"]["tuned"]
    assert verdict["direction"] == "better"
    low, high = interval(verdict)
    assert verdict["text"] == (
        f"On 1 task of 1 cluster it never trained on, tuning changed the score from {100 * base.mean():.1f} to "
        f"{100 * tuned.mean():.1f} ({100 * (tuned.mean() - base.mean()):+.1f} points, 95% interval {100 * low:+.1f} to "
        f"{100 * high:+.1f}; chance 50.0): better."
    )


def test_the_verdict_says_worse_when_the_samples_are_worse(tmp_path):
    write_run(tmp_path, {"t": grid(80, "ab", 0.9, seed=0)}, {"t": grid(80, "ab", 0.3, seed=1)})
    verdict = conclude(tmp_path)["verdicts"]["tuned"]
    assert verdict["direction"] == "worse"
    assert interval(verdict)[1] < 0 < verdict["first"] - verdict["second"]
    assert verdict["text"].endswith(": worse.")
    assert re.search(r"\(-\d+\.\d points", verdict["text"])


def test_the_verdict_is_the_mirror_image_when_base_and_tuned_are_swapped(tmp_path):
    one, two = grid(60, "ab", 0.4, seed=0), grid(60, "ab", 0.6, seed=1)
    write_run(tmp_path / "there", {"t": one}, {"t": two})
    write_run(tmp_path / "back", {"t": two}, {"t": one})
    there, back = (conclude(tmp_path / side)["verdicts"]["tuned"] for side in ("there", "back"))
    assert interval(there) == pytest.approx([-end for end in reversed(interval(back))])
    assert (there["direction"], back["direction"]) == ("better", "worse")


def test_the_verdict_is_undecided_when_the_interval_holds_zero(tmp_path):
    same = grid(60, "ab", 0.5, seed=0)
    write_run(tmp_path, {"t": same}, {"t": grid(60, "ab", 0.5, seed=9)})
    verdict = conclude(tmp_path)["verdicts"]["tuned"]
    assert interval(verdict)[0] <= 0 <= interval(verdict)[1]
    assert verdict["text"].endswith(": undecided.")
    write_run(tmp_path / "same", {"t": same}, {"t": same})
    assert conclude(tmp_path / "same")["verdicts"]["tuned"]["direction"] == "undecided"


def test_two_rows_are_no_verdict(tmp_path):
    write_run(tmp_path, {"t": grid(2, "a", 0.0, seed=0)}, {"t": grid(2, "a", 1.0, seed=0)})
    verdict = conclude(tmp_path)["verdicts"]["tuned"]
    assert value(verdict) == 1.0
    assert verdict["direction"] == "undecided"


def test_trap_08_the_best_template_is_chosen_on_dev_rows_only(tmp_path):
    """Template a is best on dev, b on test: a must be reported, with its lower test score."""
    samples = [
        *grid(20, "a", 0.3, seed=1), *grid(20, "b", 1.0, seed=2), *grid(20, "c", 0.5, seed=3),
        *grid(10, "a", 1.0, seed=4, split="dev"), *grid(10, "b", 0.5, seed=5, split="dev"),
        *grid(10, "c", 1.0, seed=6, split="dev"),
    ]  # fmt: skip
    write_run(tmp_path, {"t": samples}, {"t": samples})
    scores = conclude(tmp_path)["tasks"][0]["scores"]["tuned"]
    by_name = {t["template"]: t for t in scores["templates"]}
    # a and c tie on dev: the first is taken.
    assert scores["best_dev_template"] == "a"
    assert scores["best_dev_test"] == by_name["a"]["value"] < by_name["b"]["value"]
    assert by_name["a"]["dev"] == 1.0


def test_test_scores_have_no_say_in_the_choice_on_dev(tmp_path):
    dev = [*grid(10, "a", 0.4, seed=4, split="dev"), *grid(10, "b", 0.7, seed=5, split="dev")]
    chosen = []
    for rate in (0.1, 0.9):
        samples = [*grid(20, "a", 0.5, seed=1), *grid(20, "b", rate, seed=2), *dev]
        write_run(tmp_path / str(rate), {"t": samples}, {"t": samples})
        chosen.append(conclude(tmp_path / str(rate))["tasks"][0]["scores"]["base"]["best_dev_template"])
    assert chosen == ["b", "b"]


def test_tasks_make_clusters_and_clusters_make_the_whole(tmp_path):
    """Three tasks in two clusters of two folds: clusters weigh the same, whatever their number of tasks."""
    base = {name: grid(40, "ab", 0.3, seed=at, task=name) for at, name in enumerate("xyz")}
    tuned = {name: grid(40, "ab", 0.7, seed=at + 5, task=name) for at, name in enumerate("xyz")}
    write_run(tmp_path, base, {name: tuned[name] for name in "xy"}, fold="one")
    write_run(tmp_path, {}, {"z": tuned["z"]}, fold="two")
    results = conclude(
        tmp_path,
        folds=[
            FoldInput(name="one", clusters=("c",), unseen=("x", "y")),
            FoldInput(name="two", clusters=("d",), unseen=("z",)),
        ],
        tasks=[info("x"), info("y"), info("z", clusters=("d", "elsewhere"))],
    )
    each = {t["name"]: t["differences"]["tuned"] for t in results["tasks"]}
    gain, se = ({name: one[key] for name, one in each.items()} for key in ("value", "se"))
    clusters = {c["cluster"]: c for c in results["clusters"]}
    assert set(clusters) == {"c", "d"}
    assert clusters["c"]["raw"]["differences"]["tuned"]["value"] == pytest.approx((gain["x"] + gain["y"]) / 2)
    assert clusters["c"]["raw"]["exams"] == ["x", "y"]
    raw, normalized = (results["overall"][0][measure] for measure in ("raw", "normalized"))
    change = raw["differences"]["tuned"]
    assert change["value"] == pytest.approx((gain["x"] + gain["y"]) / 4 + gain["z"] / 2)
    assert change["se"] == pytest.approx(np.sqrt((se["x"] ** 2 + se["y"] ** 2) / 16 + se["z"] ** 2 / 4))
    assert normalized["scores"]["base"]["value"] == pytest.approx(2 * raw["scores"]["base"]["value"] - 1)
    assert normalized["differences"]["tuned"]["value"] == pytest.approx(2 * change["value"])
    verdict = results["verdicts"]["tuned"]
    assert (verdict["tasks"], verdict["clusters"], verdict["difference"]) == (3, 2, change)


def test_a_task_unseen_in_two_folds_is_one_task_and_no_second_observation(tmp_path):
    samples = grid(40, "a", 0.4, seed=0)
    write_run(tmp_path, {"t": samples}, {"t": grid(40, "a", 0.7, seed=1)}, fold="one")
    write_run(tmp_path, {}, {"t": grid(40, "a", 0.7, seed=1)}, fold="two")
    folds = [
        FoldInput(name="one", clusters=("c",), unseen=("t",)),
        FoldInput(name="two", clusters=("d",), unseen=("t",)),
    ]
    results = conclude(tmp_path, folds=folds, tasks=[info(clusters=("c", "d"))])
    assert results["verdicts"]["tuned"]["tasks"] == 1
    whole, task = results["overall"][0]["raw"], results["tasks"][0]
    assert whole["differences"]["tuned"]["se"] == pytest.approx(task["differences"]["tuned"]["se"])


def test_seen_tasks_are_reported_apart(tmp_path):
    base = {"t": grid(40, "a", 0.4, seed=0), "s": grid(40, "a", 0.2, seed=1, task="s")}
    write_run(tmp_path, base, {"t": base["t"], "s": grid(40, "a", 1.0, seed=2, task="s")})
    fold = FoldInput(name="f", clusters=("c",), unseen=("t",), seen=("s",))
    results = conclude(tmp_path, folds=[fold], tasks=[info(), info("s")])
    assert {t["name"]: bool(t["scores"]["tuned"]["seen"]) for t in results["tasks"]} == {"t": False, "s": True}
    assert not any(t["scores"]["base"]["seen"] for t in results["tasks"])
    assert [c["raw"]["exams"] for c in results["clusters"]] == [["t"]]
    assert value(results["verdicts"]["tuned"]) == 0.0


def test_the_first_number_of_shots_is_the_headline(tmp_path):
    base = [*grid(40, "a", 0.2, seed=0), *grid(40, "a", 0.5, seed=1, shots=2)]
    tuned = [*grid(40, "a", 0.9, seed=2), *grid(40, "a", 0.5, seed=1, shots=2)]
    write_run(tmp_path, {"t": base}, {"t": tuned})
    results = conclude(tmp_path, shots=(0, 2, 5))
    assert [(t["name"], t["shots"]) for t in results["tasks"]] == [("t", 0), ("t", 2)]
    assert "exemplar" not in results["verdicts"]["tuned"]["text"]
    few = conclude(tmp_path, shots=(2, 0))["verdicts"]["tuned"]
    assert (few["direction"], value(few)) == ("undecided", 0.0)
    assert "with 2 exemplars" in few["text"]


def test_options_may_differ_in_number_from_row_to_row(tmp_path):
    """t-zero's evaluation breaks on a batch whose rows have different numbers of options."""
    shown = [("no", "yes"), ("no", "yes", "perhaps"), ("no", "yes", "perhaps", "never")]
    samples = [choice_sample(row, right=row % 2 == 0, options=shown[row % 3]) for row in range(12)]
    write_run(tmp_path, {"t": samples}, {"t": samples})
    (task,) = conclude(tmp_path)["tasks"]
    assert task["scores"]["base"]["mean"]["value"] == 0.5
    assert task["chance"] == pytest.approx((1 / 2 + 1 / 3 + 1 / 4) / 3)


def test_all_normalizations_are_reported_and_one_is_the_headline(tmp_path):
    def long_one(row):
        return Sample(
            task="t", split="test", row=row, template="a", shots=0, inputs="", options=("no", "certainly"), answer=1,
            references=("certainly",), scores=(-3.0, -4.0), lengths=(1, 4),
        )  # fmt: skip

    samples = [long_one(row) for row in range(10)]
    write_run(tmp_path, {"t": samples}, {"t": samples})
    by_sum = conclude(tmp_path)["tasks"][0]["scores"]["base"]
    by_token = conclude(tmp_path, normalization="token")["tasks"][0]["scores"]["base"]
    assert by_sum["normalizations"] == {"sum": 0.0, "token": 1.0, "character": 1.0, "byte": 1.0}
    assert (by_sum["mean"]["value"], by_token["mean"]["value"]) == (0.0, 1.0)


def test_ties_are_counted(tmp_path):
    tied = [
        Sample(task="t", split="test", row=row, template="a", shots=0, inputs="", options=("x", "y"), answer=row % 2,
               references=("x",), scores=(-1.0, -1.0), lengths=(1, 1))
        for row in range(10)
    ]  # fmt: skip
    write_run(tmp_path, {"t": tied}, {"t": grid(10, "a", 0.5, seed=0)})
    (task,) = conclude(tmp_path)["tasks"]
    assert (task["scores"]["base"]["ties"], task["scores"]["tuned"]["ties"]) == (10, 0)
    assert task["scores"]["base"]["mean"]["value"] == 0.5


def generated(rows, right):
    return [
        Sample(
            task="t", split="test", row=row, template=template, shots=0, inputs="",
            references=(f"the answer number {row} is a long sentence",),
            prediction=f"the answer number {row if row < right else 'none'} is a long sentence",
        )
        for template in "ab" for row in range(rows)
    ]  # fmt: skip


def test_a_generation_task_with_a_corpus_metric(tmp_path):
    write_run(tmp_path, {"t": generated(30, 5)}, {"t": generated(30, 25)})
    task_info = info(kind="generation", metrics=("bleu", "exact_match", "rougeL"))
    results = conclude(tmp_path, tasks=[task_info])
    (task,) = results["tasks"]
    assert (task["chance"], task["differences"]["tuned"]["mcnemar_p"], task["metric"]) == (0.0, None, "bleu")
    base, tuned = task["scores"]["base"], task["scores"]["tuned"]
    assert base["metrics"]["exact_match"] == pytest.approx(5 / 30)
    assert 0 < base["mean"]["value"] < tuned["mean"]["value"] < 1
    assert task["differences"]["tuned"]["value"] == pytest.approx(tuned["mean"]["value"] - base["mean"]["value"])
    assert 0 < task["differences"]["tuned"]["se"] < 0.2
    assert base["normalizations"] == {}
    assert REPLICATES >= 1000
    assert results == conclude(tmp_path, tasks=[task_info])


def test_models_asked_different_prompts_are_not_compared(tmp_path):
    write_run(tmp_path, {"t": grid(20, "ab", 0.5, seed=0)}, {"t": grid(21, "ab", 0.5, seed=0)})
    with pytest.raises(EvaluationError, match="different prompts"):
        conclude(tmp_path)
    write_run(tmp_path, {"t": grid(20, "ab", 0.5, seed=0)}, {"t": grid(20, "ab", 0.5, seed=0)[:-1]})
    with pytest.raises(EvaluationError, match="different prompts"):
        conclude(tmp_path)


def test_prompts_dropped_for_both_models_are_left_out_of_both(tmp_path):
    samples = grid(20, "ab", 0.5, seed=0)[:-3]
    write_run(tmp_path, {"t": samples}, {"t": samples})
    (task,) = conclude(tmp_path)["tasks"]
    a, b = (np.mean([s.scores[1] > s.scores[0] for s in samples if s.template == t]) for t in "ab")
    assert [t["value"] for t in task["scores"]["base"]["templates"]] == pytest.approx([a, b])


def test_missing_samples_are_named(tmp_path):
    write_run(tmp_path, {"t": grid(5, "a", 0.5, seed=0)}, {})
    with pytest.raises(EvaluationError, match=r"folds/f/tuned/samples/t\.parquet"):
        conclude(tmp_path)


def test_shots_that_were_never_measured_are_named(one_task):
    with pytest.raises(EvaluationError, match=r"\[3\] shots"):
        conclude(one_task[0], shots=(3,))


def test_a_row_asked_twice_is_refused(tmp_path):
    samples = grid(5, "a", 0.5, seed=0)
    write_run(tmp_path, {"t": [*samples, samples[0]]}, {"t": samples})
    with pytest.raises(EvaluationError, match="t/a/row 0"):
        conclude(tmp_path)


def test_nothing_unseen_gives_no_numbers_rather_than_zeros(tmp_path):
    verdict = conclude(tmp_path, folds=[FoldInput(name="f", clusters=("c",), unseen=())])["verdicts"]["tuned"]
    assert (verdict["direction"], verdict["first"], verdict["difference"]) == ("undecided", None, None)


def test_a_small_but_sure_gain_is_not_printed_as_zero(tmp_path):
    rows = 2000
    base = [choice_sample(row, right=row >= 6) for row in range(rows)]
    write_run(tmp_path, {"t": base}, {"t": [choice_sample(row, right=True) for row in range(rows)]})
    verdict = conclude(tmp_path)["verdicts"]["tuned"]
    assert verdict["direction"] == "better"
    assert not re.search(r"[+-]0\.0+ to", verdict["text"])


def test_the_confidence_level_is_heeded(one_task):
    folder = one_task[0]
    narrow, wide = (conclude(folder, confidence=level)["verdicts"]["tuned"] for level in (0.8, 0.99))
    assert interval(narrow)[0] > interval(wide)[0]
    assert "80% interval" in narrow["text"]


def test_the_shipped_schema_is_that_of_the_results():
    shipped = Path(flantune.evaluation.__file__).with_name("results.schema.json")
    assert json.loads(shipped.read_text(encoding="utf-8")) == json_schema()


def test_results_fit_their_schema_and_nothing_else_does(one_task):
    results = conclude(one_task[0])
    again = json.loads(json.dumps(results, allow_nan=False))
    assert Results.model_validate(again).verdict.text == results["verdicts"]["tuned"]["text"]
    assert list(results)[:5] == ["schema", "kind", "name", "confidence", "seed"]
    with pytest.raises(ValueError, match="surprise"):
        Results.model_validate({**again, "surprise": 1})
    schema = json_schema()
    assert set(schema["required"]) == set(results)
    assert schema["properties"]["schema"]["const"] == 4


def test_scoring_again_gives_the_same_bytes(one_task):
    one, two = (json.dumps(conclude(one_task[0])) for _ in range(2))
    assert one == two


def test_dev_rows_never_enter_a_test_score(tmp_path):
    test = grid(20, "a", 0.5, seed=0)
    with_dev = [*test, *grid(20, "a", 1.0, seed=1, split="dev")]
    write_run(tmp_path / "with", {"t": with_dev}, {"t": with_dev})
    write_run(tmp_path / "without", {"t": test}, {"t": test})
    means = [conclude(tmp_path / side)["tasks"][0]["scores"]["base"]["mean"] for side in ("with", "without")]
    assert means[0] == means[1]


def test_odd_task_names_find_their_files(tmp_path):
    samples = grid(5, "a", 0.5, seed=0, task="my/odd: task")
    for folder in (tmp_path / "base", tmp_path / "folds" / "f" / "tuned"):
        write_samples(samples_path(folder, "my/odd: task"), samples)
    fold = FoldInput(name="f", clusters=("c",), unseen=("my/odd: task",))
    assert conclude(tmp_path, folds=[fold], tasks=[info("my/odd: task")])["tasks"][0]["scores"]["base"]["examples"] == 5


def question(row, group, *, right, gold=1, template="a"):
    """One candidate answer of a question, to be judged right or wrong."""
    said = gold if right else 1 - gold
    return Sample(
        task="t", split="test", row=row, template=template, shots=0, inputs="", options=("no", "yes"), answer=gold,
        references=(("no", "yes")[gold],), scores=tuple(0.0 if at == said else -1.0 for at in (0, 1)), lengths=(1, 1),
        group=group,
    )  # fmt: skip


def test_multirc_scores_questions_whole_and_clusters_by_them(tmp_path):
    rng = np.random.default_rng(0)
    groups = [f"{row // 4}/0" for row in range(80)]
    rights = {model: [bool(rng.random() < 0.8) for _ in range(80)] for model in ("base", "tuned")}
    base, tuned = (
        [question(row, groups[row], right=rights[model][row], gold=row % 2) for row in range(80)]
        for model in ("base", "tuned")
    )
    write_run(tmp_path, {"t": base}, {"t": tuned})
    (task,) = conclude(tmp_path, tasks=[info(metrics=("f1", "group_exact_match", "accuracy"))])["tasks"]
    whole = np.array(rights["tuned"]).reshape(20, 4).all(axis=1)
    assert task["scores"]["tuned"]["metrics"]["group_exact_match"] == pytest.approx(whole.mean())
    assert task["scores"]["tuned"]["metrics"]["accuracy"] == pytest.approx(np.mean(rights["tuned"]))
    hits = sum(right for row, right in enumerate(rights["tuned"]) if row % 2)
    said = hits + sum(not right for row, right in enumerate(rights["tuned"]) if not row % 2)
    assert task["scores"]["tuned"]["mean"]["value"] == pytest.approx(2 * hits / (said + 40))
    change = task["differences"]["tuned"]
    assert (change["examples"], task["groups"], change["mcnemar_p"]) == (80, 20, None)

    (accuracy,) = conclude(tmp_path, tasks=[info(metrics=("accuracy",))])["tasks"]
    units = (np.array(rights["tuned"], float) - np.array(rights["base"])).reshape(20, 4).mean(axis=1)
    assert accuracy["differences"]["tuned"]["se"] == pytest.approx(scipy.stats.sem(units))
    assert accuracy["differences"]["tuned"]["mcnemar_p"] is None
    before = np.array(rights["base"], float)[:, None]
    by_question = statistics.clustered_mean(
        before, span=(0.0, 1.0), confidence=0.95, groups=np.repeat(np.arange(20), 4)
    )
    expected = statistics.interval_of(by_question, confidence=0.95, span=(0.0, 1.0))
    template = accuracy["scores"]["base"]["templates"][0]
    assert (template["low"], template["high"]) == pytest.approx((expected.low, expected.high))

    (per_group,) = conclude(tmp_path, tasks=[info(metrics=("group_exact_match",))])["tasks"]
    before = np.array(rights["base"]).reshape(20, 4).all(axis=1)
    assert per_group["chance"] == pytest.approx(0.5**4)
    change = per_group["differences"]["tuned"]
    assert change["se"] == pytest.approx(scipy.stats.sem(whole.astype(float) - before))
    gained, lost = int((whole & ~before).sum()), int((before & ~whole).sum())
    assert change["mcnemar_p"] == pytest.approx(scipy.stats.binomtest(gained, gained + lost).pvalue)


def graded(row, said, *, template="a"):
    return Sample(
        task="t", split="test", row=row, template=template, shots=0, inputs="", options=tuple("012345"),
        answer=row % 6, references=(str(row % 6),), lengths=(1,) * 6,
        scores=tuple(0.0 if at == said else -1.0 for at in range(6)),
    )  # fmt: skip


def test_a_correlation_may_be_negative_and_its_difference_more_than_one(tmp_path):
    rng = np.random.default_rng(2)
    noise = rng.integers(-1, 2, 60)
    base = [graded(row, int(np.clip(5 - row % 6 + noise[row], 0, 5))) for row in range(60)]
    tuned = [graded(row, int(np.clip(row % 6 + noise[row], 0, 5))) for row in range(60)]
    write_run(tmp_path, {"t": base}, {"t": tuned})
    results = conclude(tmp_path, tasks=[info(metrics=("pearson", "spearman", "accuracy"))])
    (task,) = results["tasks"]
    truth = np.arange(60) % 6
    said = np.clip(5 - truth + noise, 0, 5)
    assert task["scores"]["base"]["mean"]["value"] == pytest.approx(scipy.stats.pearsonr(truth, said).statistic)
    spearman = scipy.stats.spearmanr(truth, said).statistic
    assert task["scores"]["base"]["metrics"]["spearman"] == pytest.approx(spearman)
    assert (task["chance"], task["differences"]["tuned"]["mcnemar_p"]) == (0.0, None)
    assert task["differences"]["tuned"]["value"] > 1.5
    assert results["overall"][0]["raw"]["scores"]["base"]["value"] < -0.5
    assert results["verdicts"]["tuned"]["direction"] == "better"


def test_every_difference_says_what_it_could_have_seen(one_task):
    folder, base, tuned = one_task
    results = conclude(folder)
    (task,) = results["tasks"]
    units = (tuned - base).mean(axis=1)
    se = scipy.stats.sem(units)
    limit = (scipy.stats.t.ppf(0.975, 49) + scipy.stats.t.ppf(0.8, 49)) * se
    change = task["differences"]["tuned"]
    assert change["detectable"] == pytest.approx(limit)
    assert change["p"] == pytest.approx(scipy.stats.ttest_1samp(units, 0.0).pvalue)
    raw, normalized = (results["overall"][0][measure]["differences"]["tuned"] for measure in ("raw", "normalized"))
    assert results["verdicts"]["tuned"]["difference"] == raw and raw["detectable"] == pytest.approx(limit)
    assert normalized["detectable"] == pytest.approx(2 * limit)
    assert change["bootstrap"]["low"] == pytest.approx(change["low"], abs=0.02)
    assert change["bootstrap"]["high"] == pytest.approx(change["high"], abs=0.02)


def test_single_accuracies_have_the_exact_interval(one_task):
    folder, base, _ = one_task
    template = conclude(folder)["tasks"][0]["scores"]["base"]["templates"][1]
    theirs = scipy.stats.binomtest(int(base[:, 1].sum()), 50).proportion_ci(0.95, method="exact")
    assert (template["low"], template["high"]) == pytest.approx((theirs.low, theirs.high))


def test_worst_template_range_and_agreement(one_task):
    folder, base, _ = one_task
    scores = conclude(folder)["tasks"][0]["scores"]["base"]
    means = base.mean(axis=0)
    assert scores["worst_template"] == "abc"[int(means.argmin())]
    assert (scores["worst"], scores["range"]) == pytest.approx((means.min(), np.ptp(means)))
    # Two options: templates agree on a row when all are right or all are wrong.
    assert scores["agreement"] == pytest.approx(np.mean((base.sum(axis=1) % 3) == 0))


def test_false_discovery_control_over_unseen_tasks(tmp_path):
    names = [f"t{at}" for at in range(8)]
    base = {name: grid(40, "a", 0.5, seed=at, task=name) for at, name in enumerate(names)}
    tuned = {name: grid(40, "a", 0.9 if at < 2 else 0.5, seed=at + 50, task=name) for at, name in enumerate(names)}
    write_run(tmp_path, base, tuned)
    fold = FoldInput(name="f", clusters=("c",), unseen=tuple(names[:7]), seen=tuple(names[7:]))
    tasks = conclude(tmp_path, folds=[fold], tasks=[info(name) for name in names])["tasks"]
    *unseen, seen = (task["differences"]["tuned"] for task in tasks)
    expected = scipy.stats.false_discovery_control([t["p"] for t in unseen])
    assert [t["q"] for t in unseen] == pytest.approx(expected)
    assert all(t["q"] >= t["p"] for t in unseen)
    assert seen["q"] == pytest.approx(seen["p"])


def test_both_rules_for_ties_are_reported_and_the_protocol_chooses(tmp_path):
    tied = [
        Sample(task="t", split="test", row=row, template="a", shots=0, inputs="", options=("x", "y", "z"),
               answer=row % 2, references=("x",), scores=(-1.0, -1.0, -9.0), lengths=(1, 1, 1))
        for row in range(9)
    ]  # fmt: skip
    write_run(tmp_path, {"t": tied}, {"t": tied})
    for ties, value in (("first", 5 / 9), ("expected", 0.5)):
        scores = conclude(tmp_path, ties=ties)["tasks"][0]["scores"]["base"]
        assert scores["mean"]["value"] == pytest.approx(value)
        assert scores["tie_rules"] == {"first": pytest.approx(5 / 9), "expected": pytest.approx(0.5)}


def test_clean_scores_leave_out_what_training_overlaps_with(tmp_path):
    base, tuned = grid(30, "ab", 0.4, seed=0), grid(30, "ab", 0.7, seed=1)
    write_run(tmp_path, {"t": base}, {"t": tuned})
    flagged = frozenset({1, 2, 3, 29, 1000})
    fold = FoldInput(name="f", clusters=("c",), unseen=("t",), flagged={"t": flagged})
    results = conclude(tmp_path, folds=[fold])
    (task,) = results["tasks"]
    keep = [row for row in range(30) if row not in flagged]
    units = (matrix(tuned) - matrix(base))[keep].mean(axis=1)
    clean = task["differences"]["tuned"]["clean"]
    assert (clean["examples"], clean["flagged"]) == (26, 4)
    assert clean["first"]["value"] == pytest.approx(matrix(base)[keep].mean())
    assert clean["difference"]["value"] == pytest.approx(units.mean())
    assert clean["difference"]["se"] == pytest.approx(scipy.stats.sem(units))
    assert task["scores"]["base"]["mean"]["value"] == pytest.approx(matrix(base).mean())
    against = clean["first"]["value"] - task["scores"]["base"]["mean"]["value"]
    for one in (*results["clusters"], *results["overall"]):
        mean = one["clean"]["tuned"]
        assert (mean["examples"], mean["flagged"]) == (26, 4)
        assert mean["difference"]["value"] == pytest.approx(clean["difference"]["value"])
        assert mean["first_against_all"]["value"] == pytest.approx(against)


@pytest.mark.parametrize(("flagged", "left"), [({0}, 8), ({1}, 8), ({0, 5, 8}, 0)])
def test_a_question_that_counts_once_is_clean_or_not_as_a_whole(tmp_path, flagged, left):
    """The score of a group stands in its first row: with that row alone left out, the others would have none."""
    rows = [question(row, f"{row // 4}/0", right=row != 5) for row in range(12)]
    write_run(tmp_path, {"t": rows}, {"t": rows})
    fold = FoldInput(name="f", clusters=("c",), unseen=("t",), flagged={"t": frozenset(flagged)})
    (task,) = conclude(tmp_path, folds=[fold], tasks=[info(metrics=("group_exact_match",))])["tasks"]
    clean = task["differences"]["tuned"]["clean"]
    assert (clean["examples"], clean["flagged"]) == (left, 12 - left)
    assert clean["first"] is None if left == 0 else clean["first"]["value"] == pytest.approx(0.5)


@pytest.mark.parametrize(("flagged", "clean"), [(None, None), ({}, (30, 0)), ({"t": frozenset(range(30))}, (0, 30))])
def test_nobody_looked_is_not_the_same_as_nothing_found(tmp_path, flagged, clean):
    samples = grid(30, "a", 0.5, seed=0)
    write_run(tmp_path, {"t": samples}, {"t": samples})
    fold = FoldInput(name="f", clusters=("c",), unseen=("t",), flagged=flagged)
    (task,) = conclude(tmp_path, folds=[fold])["tasks"]
    found = task["differences"]["tuned"]["clean"]
    if clean is None:
        assert found is None
    else:
        assert (found["examples"], found["flagged"]) == clean
        assert (found["first"] is None) == (clean[0] == 0)


def test_answers_can_be_cut_as_flan_cuts_them_without_a_new_run(tmp_path):
    samples = [
        Sample(task="t", split="test", row=row, template="a", shots=0, inputs="", references=("Oslo",),
               prediction="- Oslo Q: And Sweden's?" if row else "Rome")
        for row in range(10)
    ]  # fmt: skip
    write_run(tmp_path, {"t": samples}, {"t": samples})
    tasks = [info(kind="generation", metrics=("exact_match",))]
    scores = {
        name: conclude(tmp_path, tasks=tasks, answer_parsing=name)["tasks"][0]["scores"]["base"]["mean"]["value"]
        for name in ("none", "flan2021")
    }
    assert scores == {"none": 0.0, "flan2021": 0.9}


def test_how_scores_were_made_stands_beside_them(tmp_path):
    write_run(tmp_path, {"t": generated(10, 5)}, {"t": generated(10, 5)})
    tasks = [info(kind="generation", metrics=("bleu", "bleu_13a", "rougeL"))]
    results = conclude(tmp_path, tasks=tasks)
    signatures = results["tasks"][0]["signatures"]
    assert set(signatures) == {"bleu", "bleu_13a", "rougeL"} and signatures["rougeL"].startswith("tok:default|")
    assert signatures["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:intl|smooth:exp|version:")
    assert "tok:13a" in signatures["bleu_13a"]
    (protocol,) = results["protocols"].values()
    assert protocol["name"] == "flan2021"
    assert protocol["fingerprint"] == results["tasks"][0]["protocol"] and len(protocol["fingerprint"]) == 16
