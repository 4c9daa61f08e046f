from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from flantune.evaluation.metrics.bleu import bleu_statistics, corpus_bleu
from flantune.evaluation.statistics.means import (
    DIFFERENCE,
    SCORE,
    Mean,
    Share,
    above_chance,
    bootstrap_mean,
    bootstrap_p,
    clustered_mean,
    combine,
    detectable_difference,
    false_discovery_rates,
    mcnemar_p,
    measured_mean,
    percentile_interval,
    resample,
    resampled_mean,
    t_interval,
    t_test_p,
)


def interval(cells, span=SCORE, confidence=0.95):
    return t_interval(clustered_mean(cells, span=span, confidence=confidence), confidence=confidence, span=span)


def test_one_template_gives_the_textbook_t_interval():
    values = np.random.default_rng(0).random(30)
    ours = interval(values[:, None])
    low, high = scipy.stats.t.interval(0.95, 29, loc=values.mean(), scale=scipy.stats.sem(values))
    assert (ours.low, ours.high) == pytest.approx((low, high))


def test_a_missing_cell_leaves_the_rest_of_its_row():
    cells = np.array([[1.0, np.nan], [0.0, 1.0], [0.0, 0.0]])
    assert clustered_mean(cells, span=SCORE, confidence=0.95).value == pytest.approx((1.0 + 0.5 + 0.0) / 3)


def test_the_clustered_interval_covers_and_the_pooled_one_does_not():
    """Ten templates of one row rise and fall together: 95% intervals must still hold the truth 95% of the time."""
    rng = np.random.default_rng(7)
    rows, templates, datasets = 60, 10, 2000
    covered = pooled_covered = 0
    for _ in range(datasets):
        # A row's difficulty is uniform, so the true mean is 1/2.
        cells = (rng.random((rows, templates)) < rng.random((rows, 1))).astype(float)
        ours = interval(cells)
        covered += ours.low <= 0.5 <= ours.high
        pooled_covered += abs(cells.mean() - 0.5) <= 1.96 * cells.std(ddof=1) / math.sqrt(cells.size)
    assert 0.935 <= covered / datasets <= 0.965
    assert pooled_covered / datasets < 0.8


def test_pairing_narrows_the_interval_of_a_difference():
    rng = np.random.default_rng(1)
    hard = rng.random((200, 1))
    base = (rng.random((200, 4)) < hard).astype(float)
    tuned = np.where(rng.random((200, 4)) < 0.9, base, 1.0)
    paired = clustered_mean(tuned - base, span=DIFFERENCE, confidence=0.95)
    apart = [clustered_mean(cells, span=SCORE, confidence=0.95) for cells in (base, tuned)]
    assert paired.value == pytest.approx(apart[1].value - apart[0].value)
    assert paired.se < 0.5 * math.hypot(apart[0].se, apart[1].se)


def test_the_paired_difference_covers():
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(500):
        hard = rng.random((80, 1))
        base = (rng.random((80, 5)) < hard).astype(float)
        tuned = (rng.random((80, 5)) < np.sqrt(hard)).astype(float)
        ours = interval(tuned - base, DIFFERENCE)
        covered += ours.low <= 2 / 3 - 1 / 2 <= ours.high
    assert 0.93 <= covered / 500 <= 0.97


@pytest.mark.parametrize(("examples", "low"), [(1, 0.025), (2, 0.158), (200, 0.98172)])
def test_agreement_of_all_rows_is_no_certainty(examples, low):
    """Clopper and Pearson's bound, since a standard error of zero would call two right answers out of two a proof."""
    ours = interval(np.ones((examples, 3)))
    exact = scipy.stats.binomtest(examples, examples).proportion_ci(0.95, method="exact")
    assert ours.low == pytest.approx(low, abs=1e-3)
    assert ours.low == pytest.approx(exact.low)
    assert ours.high == 1.0


def test_two_rows_that_both_improve_decide_nothing():
    assert interval(np.ones((2, 1)), DIFFERENCE).low < 0.0


def test_tasks_combine_like_independent_means():
    rng = np.random.default_rng(5)
    groups = [rng.random((rows, 1)) for rows in (20, 30, 50)]
    means = [clustered_mean(g, span=SCORE, confidence=0.95) for g in groups]
    ours = combine(Share(task=str(at), weight=1 / 3, mean=mean) for at, mean in enumerate(means))
    assert ours.value == pytest.approx(np.mean([g.mean() for g in groups]))
    assert ours.se == pytest.approx(math.sqrt(sum(scipy.stats.sem(g)[0] ** 2 for g in groups)) / 3)
    # Welch and Satterthwaite, as scipy has it for two groups.
    two = combine([Share(task="a", weight=1.0, mean=means[0]), Share(task="b", weight=-1.0, mean=means[1])])
    welch = scipy.stats.ttest_ind(groups[0].ravel(), groups[1].ravel(), equal_var=False)
    assert two.df == pytest.approx(welch.df)


def test_a_task_counted_twice_is_not_two_observations():
    mean = Mean(value=0.5, se=0.1, df=50)
    twice = combine([Share(task="a", weight=0.5, mean=mean), Share(task="a", weight=0.5, mean=mean)])
    assert (twice.value, twice.se, twice.df) == pytest.approx((0.5, 0.1, 50))


def test_the_interval_over_tasks_covers():
    rng = np.random.default_rng(11)
    rates = np.array([0.3, 0.5, 0.9])
    covered = 0
    for _ in range(500):
        means = [
            clustered_mean((rng.random((rows, 1)) < rate).astype(float), span=SCORE, confidence=0.95)
            for rows, rate in zip((40, 60, 80), rates, strict=True)
        ]
        ours = t_interval(
            combine(Share(task=str(at), weight=1 / 3, mean=m) for at, m in enumerate(means)),
            confidence=0.95,
            span=SCORE,
        )
        covered += ours.low <= rates.mean() <= ours.high
    assert 0.93 <= covered / 500 <= 0.97


def test_the_bootstrap_agrees_with_the_formula_on_a_mean():
    values = np.random.default_rng(2).random(100)
    scores = resample(lambda w: w @ values / w.sum(axis=1), examples=100, replicates=4000, seed=1)
    ours = bootstrap_mean(scores, examples=100, span=SCORE, confidence=0.95)
    assert ours.value == pytest.approx(values.mean())
    assert ours.se == pytest.approx(scipy.stats.sem(values), rel=0.05)


def test_the_bootstrap_is_seeded_and_blocks_do_not_change_it(monkeypatch):
    values = np.random.default_rng(2).random(50)

    def draw(seed):
        return resample(lambda w: w @ values / 50, examples=50, replicates=200, seed=seed)

    whole = draw(4)
    monkeypatch.setattr("flantune.evaluation.statistics.means._MOST_WEIGHTS", 50 * 7)
    assert draw(4) == pytest.approx(whole, abs=1e-12)
    assert (draw(5) != whole).any()


def test_the_bootstrap_of_bleu_is_that_of_resampled_corpora():
    """Sufficient statistics against the plain way: draw sentences, count again."""
    rng = np.random.default_rng(6)
    words = np.array(["the", "cat", "dog", "sat", "ran", "home", "away", "and"])
    references = [" ".join(rng.choice(words, 9)) for _ in range(40)]
    predictions = [" ".join(w if rng.random() < 0.7 else "x" for w in r.split()) for r in references]
    statistics = np.array([bleu_statistics(p, [r]) for p, r in zip(predictions, references, strict=True)])
    fast = resample(lambda w: corpus_bleu(statistics, w), examples=40, replicates=1000, seed=0)[1:]
    slow = []
    for _ in range(200):
        drawn = rng.integers(0, 40, 40)
        again = np.array([bleu_statistics(predictions[d], [references[d]]) for d in drawn])
        slow.append(corpus_bleu(again, np.ones((1, 40)))[0])
    assert fast.mean() == pytest.approx(np.mean(slow), abs=0.01)
    assert fast.std() == pytest.approx(np.std(slow), rel=0.2)


@settings(max_examples=30)
@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 5))
def test_mcnemar_is_the_exact_binomial_test(gained, lost, same):
    base = np.array([0.0] * gained + [1.0] * lost + [1.0] * same + [0.0])[:, None]
    tuned = np.array([1.0] * gained + [0.0] * lost + [1.0] * same + [0.0])[:, None]
    expected = scipy.stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert mcnemar_p(base, tuned) == pytest.approx(expected)


def test_mcnemar_asks_each_row_once_by_the_majority_of_templates():
    base = np.array([[1.0, 0.0, 0.0]] * 10)
    tuned = np.array([[1.0, 1.0, 0.0]] * 6 + [[0.0, 0.0, 0.0]] * 4)
    # Six rows flip, all one way; the four that lose a template were wrong before.
    assert mcnemar_p(base, tuned) == pytest.approx(2 / 2**6)


def test_scores_above_chance():
    at = Mean(value=0.55, se=0.01, df=9)
    assert above_chance(at, 0.5).value == pytest.approx(0.10)
    assert above_chance(at, 0.5).se == pytest.approx(0.02)
    assert above_chance(Mean(value=0.25, se=0.0, df=9), 0.5).value == pytest.approx(-0.5)
    assert above_chance(Mean(value=0.1, se=0.0, df=9), 0.5, is_difference=True).value == pytest.approx(0.2)
    assert above_chance(Mean(value=1.0, se=0.0, df=9), 1.0).value == 0.0


def test_the_published_normalized_average_comes_out():
    """Flan 2022, table 3, 540B: six raw scores whose normalized average the paper gives as 58.5."""
    raw = {
        "mmlu": (73.2, 25),
        "mmlu_cot": (68.1, 25),
        "bbh": (58.8, 25.7),
        "bbh_cot": (65.6, 25.7),
        "tydiqa": (67.4, 0),
    }
    raw["mgsm"] = (61.3, 0)
    shares = [above_chance(Mean(value=v / 100, se=0.0, df=9), c / 100).value for v, c in raw.values()]
    assert 100 * np.mean(shares) == pytest.approx(58.5, abs=0.5)


def test_intervals_stay_among_possible_scores():
    ours = t_interval(
        measured_mean(0.99, se=0.05, examples=10, span=SCORE, confidence=0.95), confidence=0.95, span=SCORE
    )
    assert ours.high == 1.0


def test_rows_of_one_question_are_one_observation():
    """MultiRC: five candidate answers to a question rise and fall together."""
    rng = np.random.default_rng(8)
    covered = alone = 0
    groups = np.repeat(np.arange(60), 5)
    for _ in range(1000):
        cells = (rng.random((300, 1)) < np.repeat(rng.random(60), 5)[:, None]).astype(float)
        together = clustered_mean(cells, span=SCORE, confidence=0.95, groups=groups)
        ours = t_interval(together, confidence=0.95, span=SCORE)
        covered += ours.low <= 0.5 <= ours.high
        other = interval(cells)
        alone += other.low <= 0.5 <= other.high
    assert 0.93 <= covered / 1000 <= 0.97
    assert alone / 1000 < 0.85
    assert together.df == 59


def test_groups_of_one_change_nothing():
    cells = np.random.default_rng(0).random((40, 3))
    grouped = clustered_mean(cells, span=SCORE, confidence=0.95, groups=np.arange(40))
    plain = clustered_mean(cells, span=SCORE, confidence=0.95)
    assert (grouped.value, grouped.se, grouped.df) == pytest.approx((plain.value, plain.se, plain.df))


def test_groups_are_redrawn_whole():
    values = np.repeat([0.0, 1.0, 2.0], [2, 3, 4])[:, None]
    groups = np.repeat([0, 1, 2], [2, 3, 4])
    redrawn = resampled_mean(values, replicates=500, seed=1, groups=groups)
    assert redrawn[0] == pytest.approx(values.mean())
    possible = {
        round(float(np.dot([0, 3, 8], w) / np.dot([2, 3, 4], w)), 9)
        for w in itertools.product(range(4), repeat=3)
        if sum(w) == 3
    }
    assert {round(float(value), 9) for value in redrawn[1:]} <= possible


@settings(max_examples=50)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30))
def test_false_discovery_rates_are_scipys(p_values):
    assert false_discovery_rates(p_values) == pytest.approx(scipy.stats.false_discovery_control(p_values, method="bh"))


def test_false_discoveries_stay_within_the_rate():
    """Forty tasks of which ten changed: of those called changed, at most one in twenty did not, on average."""
    rng = np.random.default_rng(4)
    wrong = []
    for _ in range(400):
        z = rng.normal(size=40) + np.where(np.arange(40) < 10, 4.0, 0.0)
        called = np.array(false_discovery_rates(list(2 * scipy.stats.norm.sf(abs(z))))) <= 0.05
        wrong.append(called[10:].sum() / max(called.sum(), 1))
    assert np.mean(wrong) < 0.055


def test_the_p_value_is_the_t_tests_and_in_step_with_the_interval():
    values = np.random.default_rng(3).normal(0.05, 0.3, 50)
    mean = clustered_mean(values[:, None], span=DIFFERENCE, confidence=0.95)
    theirs = scipy.stats.ttest_1samp(values, 0.0)
    assert t_test_p(mean) == pytest.approx(theirs.pvalue)
    edge = scipy.stats.t.ppf(1 - t_test_p(mean) / 2, 49) * mean.se
    assert abs(mean.value) == pytest.approx(edge)
    assert t_test_p(Mean(value=0.0, se=0.0, df=9)) == 1.0


@pytest.mark.parametrize("rows", [20, 200])
def test_the_detectable_difference_is_found_four_times_in_five(rows):
    rng = np.random.default_rng(5)
    mean = Mean(value=0.0, se=1.0 / math.sqrt(rows), df=rows - 1)
    shift = detectable_difference(mean, confidence=0.95)
    # Exact power of the t-test at that shift, then by trying it.
    edge = scipy.stats.t.ppf(0.975, rows - 1)
    assert scipy.stats.nct.sf(edge, rows - 1, shift * math.sqrt(rows)) == pytest.approx(0.8, abs=0.01)
    samples = rng.normal(shift, 1.0, (4000, rows))
    found = scipy.stats.ttest_1samp(samples, 0.0, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.025)


def test_the_bootstrap_p_value_is_near_the_t_tests():
    values = np.random.default_rng(12).normal(0.08, 0.3, 80)[:, None]
    replicates = resampled_mean(values, replicates=4000, seed=2)[1:]
    ours = percentile_interval(replicates, confidence=0.95)
    theirs = interval(values, DIFFERENCE)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.01)
    assert bootstrap_p(replicates) == pytest.approx(scipy.stats.ttest_1samp(values.ravel(), 0).pvalue, abs=0.02)
    assert bootstrap_p(np.ones(999)) == pytest.approx(2 / 1000)
    assert bootstrap_p(np.zeros(999)) == 1.0


def test_rows_that_their_templates_split_evenly_say_nothing():
    """With two templates such rows are neither right nor wrong; counted as wrong they would make a winner of nobody."""
    split, settled = np.array([[1.0, 0.0]] * 20), np.array([[1.0, 1.0], [0.0, 0.0]] * 10)
    assert mcnemar_p(split, settled) == mcnemar_p(settled, split) == 1.0
    assert mcnemar_p(np.zeros((8, 2)), np.ones((8, 2))) == pytest.approx(2 / 2**8)
