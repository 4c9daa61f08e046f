"""Models on the same questions: every statistic of a difference, checked against one worked out another way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from flantune.contamination.training_record import Seen
from flantune.errors import EvaluationError
from flantune.evaluation.metrics.bleu import bleu_statistics, corpus_bleu
from flantune.evaluation.metrics.graders import option_grader, text_grader
from flantune.evaluation.statistics.averages import NOT_ENGLISH
from flantune.evaluation.statistics.seeds import over_seeds
from flantune.harness.filters import NO_FILTER
from flantune.harness.grading import HarnessOptionGrader, HarnessTextGrader
from flantune.packing.packs import Counts
from flantune.settings.protocols import PRESETS
from flantune.suites import catalog
from flantune.suites.flan2022 import SCORES

from .graded import graded, part, results_of

RNG = np.random.default_rng(0)


def coins(rate: float, count=40):
    return (RNG.random(count) < rate).astype(float)


def compare(first, second):
    """The benchmark of two models' answers, part by part."""
    (benchmark,) = results_of(first, [replace(one, model="other") for one in second]).benchmarks
    return benchmark


def test_one_parts_difference_is_the_paired_t_test_with_mcnemar_and_bootstrap():
    before, after = coins(0.4), coins(0.7)
    benchmark = compare([graded(part(), before)], [graded(part(), after)])
    found = benchmark.differences["other"]
    test = scipy.stats.ttest_rel(after, before)
    assert found.value == pytest.approx(after.mean() - before.mean())
    assert found.p == pytest.approx(test.pvalue)
    low, high = test.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))
    gained, lost = int(((after - before) == 1).sum()), int(((before - after) == 1).sum())
    assert found.mcnemar_p == pytest.approx(scipy.stats.binomtest(gained, gained + lost).pvalue)
    draws = RNG.integers(0, 40, size=(4000, 40))
    low, high = np.quantile((after - before)[draws].mean(axis=1), [0.025, 0.975])
    assert found.bootstrap is not None
    assert (found.bootstrap.low, found.bootstrap.high) == pytest.approx((low, high), abs=0.03)
    assert 0.0 < found.detectable < 1.0
    (alone,) = benchmark.parts
    assert alone.differences["other"].value == found.value == benchmark.averages[0].raw.differences["other"].value


def test_what_the_test_could_see_shrinks_with_the_root_of_the_questions():
    def detectable(count: int) -> float:
        first, second = ([0.0, 1.0] * (count // 2), [1.0, 1.0, 0.0, 0.0] * (count // 4))
        pair = ([graded(part(count=count), values)] for values in (first, second))
        return compare(*pair).differences["other"].detectable

    few, many = detectable(100), detectable(400)
    assert few / many == pytest.approx(2.0, rel=0.03)


def test_every_part_has_its_difference_and_rates_are_adjusted_for_looking_at_all():
    names = [f"p{n}" for n in range(6)]
    first = [graded(part(name), coins(0.5)) for name in names]
    second = [graded(one.exam, coins(0.5)) for one in first[:-1]] + [graded(first[-1].exam, np.ones(40))]
    found = compare(first, second)
    assert [one.name for one in found.parts] == names
    each = [one.differences["other"] for one in found.parts]
    assert [one.q for one in each] == pytest.approx(scipy.stats.false_discovery_control([one.p for one in each]))
    assert each[-1].q < 0.01 < max(one.q for one in each)
    assert found.differences["other"].value == pytest.approx(np.mean([one.value for one in each]))


def test_a_metric_that_is_no_mean_is_compared_on_the_same_redrawn_questions():
    of = part(count=12, grader=HarnessTextGrader(filters=(NO_FILTER,), names=("bleu",)))
    wanted = ["the", "red", "apple", "lies", "on", "the", "old", "table", "near", "the", "window"]
    said = [" ".join(wanted[: 4 + n % 6]) for n in range(12)]
    worse = [" ".join(wanted[: 3 + n % 3]) for n in range(12)]

    def noted(texts):
        return np.array([bleu_statistics(text, [" ".join(wanted)], "13a") for text in texts])

    found = compare([graded(of, noted(worse))], [graded(of, noted(said))]).differences["other"]
    scores = [corpus_bleu(noted(texts), np.ones((1, 12)))[0] for texts in (worse, said)]
    assert found.value == pytest.approx(scores[1] - scores[0])
    assert found.mcnemar_p is None and found.bootstrap is not None and found.bootstrap.low > 0
    same = compare([graded(of, noted(said))], [graded(of, noted(said))]).differences["other"]
    assert same.value == 0.0 and same.bootstrap is None


def test_a_correlations_difference_may_be_more_than_one():
    of = part(grader=HarnessOptionGrader(names=("mcc",), golds={}))
    truth = np.arange(40) % 2
    worse, better = np.where(np.arange(40) < 4, truth, 1 - truth), np.where(np.arange(40) < 4, 1 - truth, truth)
    notes = [np.stack([truth, said, np.full(40, 2)], axis=1) for said in (worse, better)]
    found = compare(*([graded(of, each)] for each in notes)).differences["other"]
    assert found.value == pytest.approx(1.6) and found.low < found.value < found.high


def test_only_questions_that_both_answered_are_compared():
    names = ("a", "b")
    first = [graded(part(name), coins(0.5)) for name in names]
    second = [graded(part("a"), coins(0.5)[3:], rows=range(3, 40)), graded(part("b"), coins(0.5))]
    found = compare(first, second)
    assert found.differences["other"].examples == 77
    assert [one.scores["other"].examples for one in found.parts] == [37, 40]
    assert found.scores["base"].examples == 80, "what a model is alone does not hang on what others could not answer"


def test_models_without_a_question_in_common_are_not_compared():
    with pytest.raises(EvaluationError, match="no question in common"):
        compare([graded(part(), coins(0.5))], [graded(part(), coins(0.5), rows=range(100, 140))])


SUITES = {
    "mmlu_direct": 0.25,
    "mmlu_cot": 0.25,
    "bbh_direct": 0.5,
    "bbh_cot": 0.5,
    "tydiqa_direct": 0.0,
    "mgsm_cot": 0.0,
}


def six(rate: float, model="base"):
    """One model's answers to one part of each of the six scores of Flan 2022."""
    averages = {one.name: one.averages for one in catalog.SUITES}
    exams = [
        replace(part("navigate", score=name, chance=chance), averages=averages[name.partition("_")[0]],
                groups=(NOT_ENGLISH,))
        for name, chance in SUITES.items()
    ]  # fmt: skip
    return [graded(exam, coins(rate), model=model) for exam in exams]


def point(one) -> float:
    (table,) = one.tables.values()
    return float(table.cells(table.columns.headline).mean())


FLAN2022 = {"flan2022": SCORES}


def test_the_flan_2022_averages_are_compared_above_chance():
    first, second = six(0.4), six(0.8, "tuned")
    (average,) = results_of(first, second, averages=FLAN2022).normalized_averages
    found = average.differences["tuned"]
    each = [
        (point(two) - point(one)) / (1 - chance)
        for one, two, chance in zip(first, second, SUITES.values(), strict=True)
    ]
    assert found.value == pytest.approx(np.mean(each)) and found.examples == 240
    assert found.low > 0 and found.bootstrap is not None and found.bootstrap.low > 0
    assert average.scores["tuned"].value - average.scores["base"].value == pytest.approx(found.value)


def test_without_one_of_the_six_there_is_no_average_and_it_says_which_is_lacking():
    (average,) = results_of(six(0.4)[:-1], averages=FLAN2022).normalized_averages
    assert average.scores == {"base": None} and average.reasons == {"base": "not measured: mgsm_cot"}
    (average,) = results_of(six(0.4), averages=FLAN2022, missing=("bbh_cot",)).normalized_averages
    assert average.scores["base"] is not None and average.reasons == {"base": "not on all questions of bbh_cot"}


def test_rates_cover_what_was_new_to_both_models_and_not_the_average_of_it():
    tuned = [
        replace(one, seen=Seen(reasons=("trained on it",))) if one.exam.score == "mmlu_cot" else one
        for one in six(0.5, "tuned")
    ]
    results = results_of(six(0.4), tuned, averages=FLAN2022)
    rated = {one.name: one.differences["tuned"] for one in (*results.benchmarks, *results.normalized_averages)}
    assert list(rated) == [*SCORES, "flan2022"]
    assert rated["flan2022"].q is None and rated["mmlu_cot"].q is None
    new = [one for one in rated.values() if one.q is not None]
    assert [one.q for one in new] == pytest.approx(scipy.stats.false_discovery_control([one.p for one in new]))
    assert len({one.rows_sha256 for one in rated.values()}) == 7
    assert not results.is_reportable


def test_a_benchmark_of_which_a_question_could_not_be_asked_is_not_complete():
    for counts, is_complete in ((Counts(), True), (Counts(prompts_dropped=1), False)):
        (found,) = results_of([graded(part(), coins(0.5), counts=counts)]).benchmarks
        assert found.scores["base"].is_complete is is_complete


def test_clean_scores_leave_out_what_either_model_has_seen():
    before, after = coins(0.4), coins(0.7)
    seen = Seen(reasons=("2 of 40 questions",), rows=frozenset({1, 7}))
    first = [graded(part("a"), before), graded(part("b"), after)]
    second = [graded(part("a"), after, seen=seen), graded(part("b"), before)]
    benchmark = compare(first, second)
    keep = np.array([row not in seen.rows for row in range(40)])
    (one, other) = benchmark.parts
    assert (one.scores["other"].seen_examples, one.scores["other"].clean.value) == (
        2,
        pytest.approx(after[keep].mean()),
    )
    assert one.scores["base"].clean is None and other.scores["other"].clean is None
    assert benchmark.scores["other"].clean.value == pytest.approx((after[keep].mean() + before.mean()) / 2)
    clean = one.differences["other"].clean
    assert (clean.examples, clean.flagged, clean.first.value) == (38, 2, pytest.approx(before[keep].mean()))
    assert clean.difference.value == pytest.approx((after - before)[keep].mean())
    assert other.differences["other"].clean is None and benchmark.differences["other"].clean is None


def evaluation(*models: str, seed=0, rate=0.6, first="base"):
    """An evaluation of models tuned with several seeds."""
    base = [replace(one, model=first) for one in BASE]
    return results_of(base, *(six(rate, name) for name in models), seed=seed, averages=FLAN2022)


BASE = six(0.4)


@pytest.mark.parametrize("is_one", [True, False])
def test_models_tuned_with_several_seeds_are_put_together(is_one):
    names = ("seed-0", "seed-1", "seed-2")
    each = [evaluation(*names)] if is_one else [evaluation(name) for name in names]
    summary = over_seeds(each)
    assert summary.seeds == names
    assert [one.level for one in summary.effects] == ["overall"] + ["task"] * 6
    overall = summary.effects[0]
    values = [one.value for found in each for one in found.normalized_averages[0].differences.values()]
    assert overall.each == pytest.approx(values) and overall.value == pytest.approx(np.mean(values))
    assert overall.shares_rows and overall.low > 0 and overall.se > np.std(values, ddof=1) / np.sqrt(3)


def test_seeds_that_do_not_belong_together_are_refused():
    with pytest.raises(EvaluationError, match="no spread"):
        over_seeds([evaluation("seed-0")])
    with pytest.raises(EvaluationError, match="same weights"):
        over_seeds([evaluation("seed-0"), evaluation("seed-0")])
    with pytest.raises(EvaluationError, match="compared with different ones"):
        over_seeds([evaluation("seed-0"), evaluation("seed-1", first="other")])
    with pytest.raises(EvaluationError, match="limit differs"):
        over_seeds([evaluation("seed-0"), evaluation("seed-1").model_copy(update={"limit": 5})])
    with pytest.raises(EvaluationError, match="runs and evaluations"):
        over_seeds([evaluation("seed-0"), evaluation("seed-1").model_copy(update={"kind": "run"})])


def test_graders_of_means_have_no_metric_over_all_answers():
    for grader in (option_grader(PRESETS["flan2022"]), text_grader()):
        assert all(metric.score is None for metric in grader.columns.metrics)
