from __future__ import annotations

from flantune.evaluation.metrics.extraction import MGSM_COT, Extracted, extract
from flantune.evaluation.metrics.voting import vote


def test_samples_that_word_a_number_differently_vote_together():
    said = ["The answer is 1,200.", "it makes $1200", "so １２００", "The answer is 1,300.", "no idea"]
    result = vote([extract(text, MGSM_COT) for text in said])
    assert (result.answer, result.confidence) == ("1200", 0.6)


def test_ties_go_to_the_answer_that_came_first():
    found = [Extracted(answer=answer, rule="r") for answer in ("b", "a", "a", "b")]
    assert [vote(found).answer, vote(found[::-1]).answer, vote(found[1:]).answer] == ["b", "b", "a"]


def test_no_answers_no_winner():
    nothing = vote([Extracted(answer=None, rule="")] * 3)
    assert (nothing.answer, nothing.confidence) == (None, 0.0)
    assert vote([]).confidence == 0.0
