"""A reference that a metric's normalizer would leave nothing of: silence is wrong, and saying it is right."""

from __future__ import annotations

import pytest

from flantune.evaluation.metrics.by_name import find_metric
from flantune.evaluation.metrics.drop import drop_score
from flantune.evaluation.metrics.graders import MetricGrader, columns_of, text_grader
from flantune.evaluation.metrics.texts import (
    exact_match,
    instruction_exact_match,
    token_f1,
    trivia_exact_match,
    trivia_f1,
    verbatim_match,
)
from flantune.evaluation.statistics.grades import grade
from flantune.types import Sample

from .made import noted

SCORES = {
    "exact_match": exact_match,
    "token_f1": token_f1,
    "trivia_exact_match": trivia_exact_match,
    "trivia_f1": trivia_f1,
    "instruction_exact_match": instruction_exact_match,
    "drop_exact_match": lambda said, wanted: drop_score(said, wanted).exact_match,
    "drop_f1": lambda said, wanted: drop_score(said, wanted).f1,
    "verbatim_match": verbatim_match,
}
VANISHING = [
    "A", "an", "The", "a an the", "+", "-", "?!", "...", "…", "___", "``", "‘’", "(A)", "🙂", "، ؟", "= =", "An, The",
]  # fmt: skip
SILENT = ["", " ", "\n", "."]


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("gold", VANISHING)
def test_the_reference_itself_is_right_and_silence_is_wrong(name, gold):
    score = SCORES[name]
    assert score(gold, [gold]) == 1.0
    assert score(f" {gold}\n", [gold]) == 1.0
    for silence in SILENT:
        assert score(silence, [gold]) == 0.0, silence


@pytest.mark.parametrize("name", [name for name in SCORES if name != "verbatim_match"])
def test_case_does_not_count_and_another_such_text_is_wrong(name):
    score = SCORES[name]
    assert score("THE", ["the"]) == score("a", ["A"]) == 1.0
    assert score("-", ["+"]) == score("the", ["A"]) == score("?", ["!"]) == 0.0
    # A mark behind a letter is still no part of it.
    assert score("A.", ["A"]) == score("(a)", ["A"]) == 1.0


@pytest.mark.parametrize("name", SCORES)
def test_of_several_references_each_has_its_own_way(name):
    score = SCORES[name]
    assert score("+", ["plus", "+"]) == score("plus", ["plus", "+"]) == 1.0
    assert score("", ["plus", "+"]) == score("-", ["plus", "+"]) == 0.0


@pytest.mark.parametrize(
    ("said", "wanted", "exact", "f1"),
    [
        ("A, B", ["A, B", "A", "B"], 1.0, 1.0),
        ("B", ["A, B", "A", "B"], 1.0, 1.0),
        ("", ["A, B", "A", "B"], 0.0, 0.0),
        ("+, -", ["-, +", "-", "+"], 1.0, 1.0),
        (", ", ["-, +", "-", "+"], 0.0, 0.0),
    ],
)
def test_spans_of_drop_do_not_vanish_either(said, wanted, exact, f1):
    assert (drop_score(said, wanted).exact_match, drop_score(said, wanted).f1) == (exact, f1)


def test_an_empty_reference_is_met_by_saying_nothing_as_ever():
    assert exact_match("", [""]) == exact_match("the", [" "]) == trivia_exact_match(".", [""]) == 1.0


def chosen(option: int, options: tuple[str, ...]) -> Sample:
    scores = tuple(0.0 if at == option else -1.0 for at in range(len(options)))
    return Sample(
        task="t", split="test", row=0, template="a", shots=0, inputs="", options=options, answer=0,
        references=options[:1], scores=scores, lengths=(1,) * len(options),
    )  # fmt: skip


@pytest.mark.parametrize("options", [("A", "The", "an"), ("+", "-", "*"), ("A", "?")])
@pytest.mark.parametrize("name", ["exact_match", "token_f1"])
def test_options_that_normalizing_would_make_equal_stay_apart(name, options):
    metric = find_metric(name, "classification")
    given = [metric.note(chosen(at, options), "sum")[0] for at in range(len(options))]
    assert given == [1.0, *[0.0] * (len(options) - 1)]
    assert metric.chance(chosen(0, options)) == pytest.approx(1 / len(options))


def test_templates_that_answer_a_and_nothing_do_not_agree():
    def said(template: str, prediction: str) -> Sample:
        return Sample(
            task="t", split="test", row=0, template=template, shots=0, inputs="", references=("A",),
            prediction=prediction,
        )  # fmt: skip

    samples = [said("t1", "A"), said("t2", ""), said("t3", "The"), said("t4", "a."), said("t5", "+"), said("t6", "?")]
    columns = columns_of("generation", ("exact_match",), normalization="sum")
    (table,) = grade(samples, MetricGrader(columns=columns)).values()
    assert [answer == table.answers[0, 0] for answer in table.answers[0]] == [True, False, False, True, False, False]
    assert len(set(table.answers[0].tolist())) == 5
    assert table.cells(columns.headline)[0, :, 0].tolist() == [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("comparison", ["same", "squad", "natural_instructions"])
@pytest.mark.parametrize("gold", ["A", "+", "the"])
def test_a_suite_gives_nothing_for_an_answer_that_is_not_there(comparison, gold):
    sample = Sample(
        task="t", split="test", row=0, template="a", shots=0, inputs="", references=(gold,), prediction="\n"
    )
    assert set(noted(text_grader(comparison=comparison), sample).values()) == {0.0}
