"""Scores on clean rows beside those on all: paired, of exams, benchmarks and clusters."""

from __future__ import annotations

import numpy as np
import pytest

from flantune.contamination.training_record import Seen
from flantune.evaluation.statistics.clean_means import clean_pairs
from flantune.evaluation.statistics.means import t_interval
from flantune.evaluation.statistics.pairs import pair_of
from flantune.report.benchmark_tables import parts_table, scores_table
from flantune.report.score_tables import difference_table

from .graded import SHOTS, graded, part, results_of

GENERATOR = np.random.Generator(np.random.Philox(3))
BEFORE, AFTER = (GENERATOR.random((2, 40)) < [[0.5], [0.7]]).astype(float)
FLAGGED = frozenset({0, 3, 4, 9, 20})
KEPT = np.array([row not in FLAGGED for row in range(40)])


@pytest.fixture(scope="module")
def results():
    one, other = part("a"), part("b", count=20)
    seen = Seen(reasons=("it was taught this",), rows=FLAGGED)
    looked = Seen(rows=frozenset())
    return results_of(
        [graded(one, BEFORE), graded(other, BEFORE[:20])],
        [graded(one, AFTER, model="other", seen=seen), graded(other, AFTER[:20], model="other", seen=looked)],
    )


def test_of_an_exam_each_models_change_and_that_of_their_difference(results):
    (benchmark,) = results.benchmarks
    one, two = benchmark.parts
    clean = one.differences["other"].clean
    assert clean.first_against_all.value == pytest.approx(BEFORE[KEPT].mean() - BEFORE.mean())
    assert clean.second_against_all.value == pytest.approx(AFTER[KEPT].mean() - AFTER.mean())
    change = AFTER - BEFORE
    assert clean.difference_against_all.value == pytest.approx(change[KEPT].mean() - change.mean())
    alone = one.scores["other"]
    assert alone.clean_against_all.value == pytest.approx(alone.clean.value - alone.mean.value)
    # Nothing was left out of the other part: it is the same on clean rows, and there is nothing to say.
    assert two.differences["other"].clean.first_against_all is None
    assert one.scores["base"].clean_against_all is None


def test_it_is_paired_and_so_far_narrower_than_the_scores_themselves(results):
    clean = results.benchmarks[0].parts[0].differences["other"].clean
    assert clean.second_against_all.se < 0.5 * clean.second.se


def test_of_a_benchmark_it_is_the_difference_of_its_two_averages(results):
    (benchmark,) = results.benchmarks
    clean, raw = benchmark.differences["other"].clean, benchmark.averages[0].raw
    assert clean.first_against_all.value == pytest.approx(clean.first.value - raw.scores["base"].value)
    assert clean.difference_against_all.value == pytest.approx(clean.difference.value - raw.differences["other"].value)
    scores = benchmark.scores["other"]
    assert scores.clean_against_all.value == pytest.approx(scores.clean.value - raw.scores["other"].value)


def test_intervals_hold_what_they_promise():
    """Rows seen in training are answered better; what leaving them out takes away is known."""
    generator, exam = np.random.Generator(np.random.Philox(5)), part("a", count=200)
    flagged, held, rounds = frozenset(range(60)), 0, 600
    chances = np.where(np.arange(200) < 60, 0.8, 0.5)
    truth = 0.5 - chances.mean()
    for _ in range(rounds):
        answers = (generator.random((2, 200)) < chances).astype(float)
        first, second = (graded(exam, one).tables[SHOTS, "test"] for one in answers)
        pair = pair_of(first, second, where="here")
        column = exam.grader.columns.headline
        seen = {"base": None, "other": flagged}
        found = clean_pairs({"other": pair}, "base", seen, column, seed=0, confidence=0.95)["other"]
        interval = t_interval(found.changes.scores["other"], confidence=0.95, span=(-1.0, 1.0))
        held += interval.low <= truth <= interval.high
    assert 0.93 <= held / rounds <= 0.975


def test_the_tables_have_it(results):
    (benchmark,) = results.benchmarks
    for table in (scores_table(results, []), parts_table(benchmark)):
        assert [column.heading for column in table.columns if column.heading.startswith("Clean")] == [
            "Clean", "Clean − all",
        ]  # fmt: skip
    headings = [column.heading for column in difference_table(results, []).columns]
    assert headings[-3:] == ["Difference, clean", "Interval, clean", "Clean − all"]


def test_without_a_look_no_table_says_a_word_of_it():
    exam = part("a")
    quiet = results_of([graded(exam, BEFORE)], [graded(exam, AFTER, model="other")])
    tables = (scores_table(quiet, []), parts_table(quiet.benchmarks[0]), difference_table(quiet, []))
    assert not [column for table in tables for column in table.columns if "lean" in column.heading]
