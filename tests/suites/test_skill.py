"""Skill apart from a preference for an answer on benchmarks: of parts, of their average, of two models."""

from __future__ import annotations

import numpy as np
import pytest

from flantune.contamination.training_record import Seen
from flantune.evaluation.exams import Exam, asked
from flantune.evaluation.metrics.graders import option_grader, text_grader
from flantune.evaluation.statistics.skill import discrimination
from flantune.report.evaluation_skill import skill_rows, skill_table
from flantune.settings.protocols import PRESETS
from flantune.suites import mmlu
from flantune.suites.differences import compare
from flantune.suites.results import Comparison, EvaluationResults
from flantune.suites.scores import grade_part
from flantune.suites.skill import average_skill
from flantune.suites.summary import Measurement, ModelMeasurements, score_results
from flantune.types import Counts, Prompt, Sample

LETTERS = ("A", "B", "C", "D")
PROTOCOL = PRESETS["flan2022"]


def part(name, rows, *, grader=None, answering="options") -> Exam:
    prompts = tuple(
        Prompt(task=name, split="test", row=row, template="t", inputs=f"{name} {row}?", targets="")
        for row in range(rows)
    )
    return Exam(
        score="mmlu_direct", name=name, questions=asked(prompts, shots=5), answering=answering, protocol=PROTOCOL,
        grader=grader or option_grader(PROTOCOL), chance=0.25, averages=mmlu.SUITE.averages,
    )  # fmt: skip


def graded(of, *, signal, liking, seed):
    random = np.random.default_rng(seed)
    samples = []
    for row in range(len(of.questions)):
        gold = row % 4
        scores = random.normal(0.0, 1.0, 4)
        scores[gold] += signal
        scores[3] += liking
        samples.append(
            Sample(
                task=of.name, split="test", row=row, template="t", shots=5, inputs="x", options=LETTERS, answer=gold,
                references=(LETTERS[gold],), scores=tuple(scores), lengths=(1,) * 4,
            )
        )  # fmt: skip
    return grade_part(of, samples)


def result(parts):
    measurements = [Measurement(scores=one, counts=Counts(), seen=Seen()) for one in parts]
    model = ModelMeasurements(name="m", by_score={"mmlu_direct": measurements}, protocols={"mmlu_direct": PROTOCOL})
    return score_results(model, missing=(), limit=0, confidence=0.95)[0]


def test_a_benchmark_is_averaged_over_its_parts_and_names_those_that_collapsed():
    small = graded(part("small", 60), signal=2.0, liking=9.0, seed=0)
    large = graded(part("large", 160), signal=1.0, liking=0.0, seed=1)
    found = result([small, large])
    each = [discrimination(one.options).value for one in (small, large)]
    assert [one.skill.discrimination.value for one in found.parts] == pytest.approx(each)
    # The headline is the mean of subjects, whatever their size.
    assert found.skill.discrimination.value == pytest.approx(np.mean(each))
    assert found.skill.collapsed == ("small",)
    assert found.parts[0].skill.answers.answer == "D"
    assert found.skill.discrimination.low < found.skill.discrimination.value < found.skill.discrimination.high


def test_two_models_are_compared_question_by_question():
    parts = [part("one", 80), part("two", 120)]
    first = [graded(one, signal=0.2, liking=6.0, seed=at) for at, one in enumerate(parts)]
    second = [graded(one, signal=1.5, liking=-6.0, seed=at) for at, one in enumerate(parts)]
    found = compare(first, second, metric="accuracy", confidence=0.95)
    change = found.skill.discrimination
    each = [one.skill.discrimination for one in found.parts]
    assert change.value == pytest.approx(np.mean([one.value for one in each]))
    assert change.se == pytest.approx(np.hypot(*(one.se for one in each)) / 2)
    assert change.low > 0.0
    assert all(one.skill.discrimination_q is not None for one in found.parts)
    # The same questions: what makes a row hard for both models cancels.
    apart = average_skill(second, {"one": 0.5, "two": 0.5}, confidence=0.95).discrimination
    assert change.se < np.sqrt(2.0) * apart.se


def test_questions_only_one_model_answered_are_left_out():
    of = part("one", 80)
    first, second = (graded(of, signal=1.0, liking=0.0, seed=seed) for seed in (0, 1))
    found = compare([first], [second.only(range(10, 80))], metric="accuracy", confidence=0.95)
    want = discrimination(second.options.only(np.arange(80) >= 10)).value
    want -= discrimination(first.options.only(np.arange(80) >= 10)).value
    assert found.skill.discrimination.value == pytest.approx(want)


def test_page_and_terminal_show_a_line_a_model():
    parts = [part("one", 80), part("two", 60)]
    both = [[graded(one, signal=1.0, liking=liking, seed=0) for one in parts] for liking in (9.0, 0.0)]
    scores = tuple(result(one).model_copy(update={"model": name}) for name, one in zip("ab", both, strict=True))
    compared = compare(*both, metric="accuracy", confidence=0.95)
    comparison = Comparison.model_construct(score="mmlu_direct", second="b", shots=5, skill=compared.skill)
    results = EvaluationResults.model_construct(scores=scores, tasks=(), comparisons=(comparison,))
    first, second = skill_rows(results)
    assert (first.name, first.model, first.difference, first.collapsed) == ("mmlu_direct", "a", None, "2 of 2 parts")
    assert (second.model, second.difference, second.collapsed) == ("b", compared.skill, "")
    shown = [[cell.text for cell in row] for row in skill_table(results).rows]
    assert shown[0][2] == f"{100 * scores[0].skill.discrimination.value:.1f}"
    assert shown[0][3:6] == ["", "", ""]
    assert shown[1][3].lstrip("+−") == f"{abs(100 * compared.skill.discrimination.value):.1f}"


def test_models_of_one_benchmark_stand_together():
    one = result([graded(part("one", 40), signal=1.0, liking=0.0, seed=0)])
    order = (("mmlu", "a"), ("stones", "a"), ("mmlu", "b"), ("stones", "b"))
    scores = tuple(one.model_copy(update={"score": name, "model": model}) for name, model in order)
    rows = skill_rows(EvaluationResults.model_construct(scores=scores, tasks=(), comparisons=()))
    assert [(row.name, row.model) for row in rows] == [order[at] for at in (0, 2, 1, 3)]


def test_written_answers_have_no_such_numbers():
    of = part("one", 3, grader=text_grader(), answering="text")
    sample = Sample(
        task="one", split="test", row=0, template="t", shots=0, inputs="", references=("4",), prediction="4"
    )
    scores = grade_part(of, [sample])
    assert scores.options is None
    assert average_skill([scores], {"one": 1.0}, confidence=0.95) is None
    assert compare([scores], [scores], metric="accuracy", confidence=0.95).skill is None
