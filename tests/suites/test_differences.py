"""Two models on the same questions: every statistic of a difference, checked against one worked out another way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from flantune.contamination.training_record import Seen
from flantune.errors import EvaluationError
from flantune.evaluation.exams import Exam, asked
from flantune.evaluation.metrics.bleu import bleu_statistics, corpus_bleu
from flantune.evaluation.metrics.graders import option_grader, text_grader
from flantune.evaluation.statistics.averages import NOT_ENGLISH, by_group
from flantune.evaluation.statistics.seeds import over_seeds
from flantune.harness.filters import NO_FILTER
from flantune.harness.grading import HarnessOptionGrader, HarnessTextGrader
from flantune.settings.protocols import PRESETS
from flantune.suites import catalog
from flantune.suites.differences import compare, compare_flan2022, comparisons, with_false_discovery_rates
from flantune.suites.flan2022 import SCORES
from flantune.suites.scores import PartScores
from flantune.suites.summary import Measurement, ModelMeasurements, score_results
from flantune.types import Counts, Prompt

RNG = np.random.default_rng(0)


def part(name="a", *, suite="gsm8k", count=40, chance=0.0, grader=None) -> Exam:
    prompts = tuple(
        Prompt(task=name, split="test", row=row, template="t", inputs=f"{name} {row}?", targets="")
        for row in range(count)
    )
    return Exam(
        score=f"{suite}_cot", name=name, questions=asked(prompts, shots=8), answering="text",
        grader=grader or text_grader(), protocol=PRESETS["flan2022"], chance=chance, averages=by_group("tasks"),
    )  # fmt: skip


def graded(of: Exam, values) -> PartScores:
    values = np.asarray(values, dtype=float)
    rows = tuple(range(len(values)))
    return PartScores(part=of, rows=rows, values={"accuracy": values}, unparsed=0.0, ties=0, rules={})


def coins(rate: float, count=40):
    return (RNG.random(count) < rate).astype(float)


def test_one_parts_difference_is_the_paired_t_test_with_mcnemar_and_bootstrap():
    before, after = coins(0.4), coins(0.7)
    found = compare([graded(part(), before)], [graded(part(), after)], metric="accuracy", confidence=0.95)
    test = scipy.stats.ttest_rel(after, before)
    assert found.difference.value == pytest.approx(after.mean() - before.mean())
    assert found.difference.p == pytest.approx(test.pvalue)
    low, high = test.confidence_interval(0.95)
    assert (found.difference.low, found.difference.high) == pytest.approx((low, high))
    gained, lost = int(((after - before) == 1).sum()), int(((before - after) == 1).sum())
    assert found.mcnemar_p == pytest.approx(scipy.stats.binomtest(gained, gained + lost).pvalue)
    draws = RNG.integers(0, 40, size=(4000, 40))
    low, high = np.quantile((after - before)[draws].mean(axis=1), [0.025, 0.975])
    assert found.bootstrap is not None
    assert (found.bootstrap.low, found.bootstrap.high) == pytest.approx((low, high), abs=0.03)
    assert 0.0 < found.difference.detectable < 1.0 and found.parts == ()


def test_what_the_test_could_see_shrinks_with_the_root_of_the_questions():
    def detectable(count: int) -> float:
        first, second = ([0.0, 1.0] * (count // 2), [1.0, 1.0, 0.0, 0.0] * (count // 4))
        pair = ([graded(part(count=count), values)] for values in (first, second))
        return compare(*pair, metric="accuracy", confidence=0.95).difference.detectable

    few, many = detectable(100), detectable(400)
    assert few / many == pytest.approx(2.0, rel=0.03)


def test_every_part_has_its_difference_and_rates_are_adjusted_for_looking_at_all():
    names = [f"p{n}" for n in range(6)]
    first = [graded(part(name), coins(0.5)) for name in names]
    second = [graded(one.part, coins(0.5)) for one in first[:-1]] + [graded(first[-1].part, np.ones(40))]
    found = compare(first, second, metric="accuracy", confidence=0.95)
    assert [one.name for one in found.parts] == names
    expected = scipy.stats.false_discovery_control([one.difference.p for one in found.parts])
    assert [one.q for one in found.parts] == pytest.approx(expected)
    assert found.parts[-1].q < 0.01 < max(one.q for one in found.parts)
    mean = np.mean([one.difference.value for one in found.parts])
    assert found.difference.value == pytest.approx(mean)


def test_a_metric_that_is_no_mean_is_compared_on_the_same_redrawn_questions():
    grader = HarnessTextGrader(filters=(NO_FILTER,), names=("bleu",))
    of = part(count=12, grader=grader)
    wanted = ["the", "red", "apple", "lies", "on", "the", "old", "table", "near", "the", "window"]
    said = [" ".join(wanted[: 4 + n % 6]) for n in range(12)]
    worse = [" ".join(wanted[: 3 + n % 3]) for n in range(12)]

    def noted(texts) -> PartScores:
        notes = np.array([bleu_statistics(text, [" ".join(wanted)], "13a") for text in texts])
        return PartScores(
            part=of, rows=tuple(range(12)), values={}, unparsed=0.0, ties=0, rules={}, notes={"bleu,none": notes}
        )

    found = compare([noted(worse)], [noted(said)], metric="bleu,none", confidence=0.95)
    ones = np.ones((1, 12))
    scores = [corpus_bleu(noted(texts).notes["bleu,none"], ones)[0] for texts in (worse, said)]
    assert found.difference.value == pytest.approx(scores[1] - scores[0])
    assert found.mcnemar_p is None and found.bootstrap is not None and found.bootstrap.low > 0
    same = compare([noted(said)], [noted(said)], metric="bleu,none", confidence=0.95)
    assert same.difference.value == 0.0 and same.bootstrap is None


def test_a_correlations_difference_may_be_more_than_one():
    grader = HarnessOptionGrader(names=("mcc",), golds={})
    of = part(grader=grader)
    truth = np.arange(40) % 2

    def noted(said) -> PartScores:
        notes = np.stack([truth, said], axis=1).astype(float)
        return PartScores(
            part=of, rows=tuple(range(40)), values={}, unparsed=0.0, ties=0, rules={}, notes={"mcc,none": notes}
        )

    worse, better = np.where(np.arange(40) < 4, truth, 1 - truth), np.where(np.arange(40) < 4, 1 - truth, truth)
    found = compare([noted(worse)], [noted(better)], metric="mcc,none", confidence=0.95).difference
    assert found.value == pytest.approx(1.6) and found.low < found.value < found.high


def test_models_without_a_question_in_common_are_not_compared():
    other = replace(graded(part(), coins(0.5)), rows=tuple(range(100, 140)))
    with pytest.raises(EvaluationError, match="no question in common"):
        compare([graded(part(), coins(0.5))], [other], metric="accuracy", confidence=0.95)


SUITES = {
    "mmlu_direct": 0.25,
    "mmlu_cot": 0.25,
    "bbh_direct": 0.5,
    "bbh_cot": 0.5,
    "tydiqa_direct": 0.0,
    "mgsm_cot": 0.0,
}


def six(rate: float) -> dict[str, list[PartScores]]:
    found = {}
    for name in SCORES:
        suite = name.partition("_")[0]
        averages = {one.name: one.averages for one in catalog.SUITES}[suite]
        of = replace(part("navigate", chance=SUITES[name]), score=name, averages=averages, groups=(NOT_ENGLISH,))
        found[name] = [graded(of, coins(rate))]
    return found


def test_the_flan_2022_averages_are_compared_above_chance():
    first, second = six(0.4), six(0.8)
    found = compare_flan2022(first, second, confidence=0.95)
    each = [
        (second[name][0].point("accuracy") - first[name][0].point("accuracy")) / (1 - SUITES[name]) for name in SCORES
    ]
    assert found.difference.value == pytest.approx(np.mean(each)) and found.rows == 240
    assert found.difference.low > 0 and found.bootstrap is not None and found.bootstrap.low > 0


def measured(name: str, by_score) -> ModelMeasurements:
    return ModelMeasurements(
        name=name,
        by_score={
            score: [Measurement(scores=one, counts=Counts(), seen=Seen()) for one in parts]
            for score, parts in by_score.items()
        },
        protocols=dict.fromkeys(by_score, PRESETS["flan2022"]),
    )


def test_rates_cover_what_was_new_to_both_models_and_not_the_average_of_it():
    models = [measured("base", six(0.4)), measured("tuned", six(0.5))]
    found = comparisons(models, is_flan2022=True, confidence=0.95, seed=0)
    assert [one.score for one in found] == [*SCORES, "flan2022"]
    rated = with_false_discovery_rates(found, seen={("tuned", "mmlu_cot")})
    by_name = {one.score: one for one in rated}
    assert by_name["flan2022"].q is None and by_name["mmlu_cot"].q is None
    new = [one for one in rated if one.q is not None]
    assert [one.q for one in new] == pytest.approx(
        scipy.stats.false_discovery_control([one.difference.p for one in new])
    )
    assert len({one.questions_sha256 for one in rated}) == 7


def test_a_benchmark_of_which_a_question_could_not_be_asked_is_not_complete():
    model = measured("base", {"gsm8k_cot": [graded(part(), coins(0.5))]})
    (one,) = model.by_score["gsm8k_cot"]
    lossy = replace(model, by_score={"gsm8k_cot": [replace(one, counts=Counts(prompts_dropped=1))]})
    for measured_model, is_complete in ((model, True), (lossy, False)):
        (found,) = score_results(measured_model, missing=(), limit=0, confidence=0.95)
        assert found.is_complete is is_complete


def evaluation(*models: str, seed=0, rate=0.6, first="base") -> dict:
    """What ``results.json`` of ``flantune evaluate`` holds, as far as seeds are concerned."""
    measurements = [measured(first, BASE), *(measured(name, six(rate)) for name in models)]
    found = comparisons(measurements, is_flan2022=True, confidence=0.95, seed=0)
    return {
        "kind": "evaluation", "schema": 1, "seed": seed, "confidence": 0.95, "limit": 0, "protocols": {},
        "models": [{"name": name, "fingerprint": name} for name in (first, *models)],
        "comparisons": [one.model_dump(mode="json") for one in found],
    }  # fmt: skip


BASE = six(0.4)


@pytest.mark.parametrize("is_one", [True, False])
def test_models_tuned_with_several_seeds_are_put_together(is_one):
    names = ("seed-0", "seed-1", "seed-2")
    each = [evaluation(*names)] if is_one else [evaluation(name) for name in names]
    summary = over_seeds(each)
    assert summary.seeds == names
    assert [one.level for one in summary.effects] == ["overall"] + ["task"] * 6
    overall = summary.effects[0]
    values = [
        one["difference"]["value"] for found in each for one in found["comparisons"] if one["score"] == "flan2022"
    ]
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
        over_seeds([evaluation("seed-0"), {**evaluation("seed-1"), "limit": 5}])
    with pytest.raises(EvaluationError, match="runs and evaluations"):
        over_seeds([evaluation("seed-0"), {"schema": 2}])


def test_graders_of_means_have_no_metric_over_all_answers():
    for grader in (option_grader(PRESETS["flan2022"]), text_grader()):
        assert all(metric.score is None for metric in grader.columns.metrics)
