"""Skill apart from a preference for an answer on benchmarks: of parts, of their average, of two models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from flantune.evaluation.exams import Exam
from flantune.evaluation.metrics.graders import option_grader
from flantune.evaluation.statistics.grades import Graded, grade
from flantune.evaluation.statistics.skill import discrimination
from flantune.settings.protocols import PRESETS
from flantune.suites import mmlu
from flantune.types import Sample

from .graded import part, results_of

LETTERS = ("A", "B", "C", "D")
PROTOCOL = PRESETS["flan2022"]


def subject(name: str, rows: int) -> Exam:
    of = part(name, score="mmlu_direct", count=rows, chance=0.25, grader=option_grader(PROTOCOL))
    return replace(of, answering="options", averages=mmlu.SUITE.averages)


def graded(of: Exam, *, signal, liking, seed, rows=None, model="base") -> Graded:
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
    kept = [sample for sample in samples if rows is None or sample.row in rows]
    return Graded(exam=of, model=model, tables=grade(kept, of.grader, chance=of.chance))


def options(one: Graded):
    (table,) = one.tables.values()
    return table.options


def benchmark(*models):
    (found,) = results_of(*models).benchmarks
    return found


def test_a_benchmark_is_averaged_over_its_parts_and_names_those_that_collapsed():
    small = graded(subject("small", 60), signal=2.0, liking=9.0, seed=0)
    large = graded(subject("large", 160), signal=1.0, liking=0.0, seed=1)
    found = benchmark([small, large])
    each = [discrimination(options(one)).value for one in (small, large)]
    skills = [one.scores["base"].skill for one in found.parts]
    assert [one.discrimination.value for one in skills] == pytest.approx(each)
    # The headline is the mean of subjects, whatever their size.
    area = found.averages[0].discrimination.scores["base"]
    assert area.value == pytest.approx(np.mean(each)) and area.low < area.value < area.high
    assert (found.scores["base"].ranked, found.scores["base"].collapsed) == (2, ("small",))
    assert skills[0].answers.answer == "D"


def test_two_models_are_compared_question_by_question():
    parts = [subject("one", 80), subject("two", 120)]
    first = [graded(one, signal=0.2, liking=6.0, seed=at) for at, one in enumerate(parts)]
    second = [graded(one, signal=1.5, liking=-6.0, seed=at, model="other") for at, one in enumerate(parts)]
    found = benchmark(first, second)
    change = found.differences["other"].skill.discrimination
    skills = [one.differences["other"].skill for one in found.parts]
    assert change.value == pytest.approx(np.mean([one.discrimination.value for one in skills]))
    assert change.se == pytest.approx(np.hypot(*(one.discrimination.se for one in skills)) / 2)
    assert change.low > 0.0
    assert all(one.discrimination_q is not None for one in skills)
    # The same questions: what makes a row hard for both models cancels.
    assert change.se < np.sqrt(2.0) * found.averages[0].discrimination.scores["other"].se


def test_questions_only_one_model_answered_are_left_out():
    of, kept = subject("one", 80), range(10, 80)
    first = graded(of, signal=1.0, liking=0.0, seed=0)
    second = graded(of, signal=1.0, liking=0.0, seed=1, rows=kept, model="other")
    found = benchmark([first], [second]).differences["other"].skill
    want = discrimination(options(second)).value - discrimination(options(first).only(np.arange(80) >= 10)).value
    assert found.discrimination.value == pytest.approx(want)


def test_written_answers_have_no_such_numbers():
    of = part("one", count=3)
    sample = Sample(
        task="one", split="test", row=0, template="t", shots=0, inputs="", references=("4",), prediction="4"
    )
    one = Graded(exam=of, model="base", tables=grade([sample], of.grader, chance=0.0))
    assert options(one) is None
    found = benchmark([one], [replace(one, model="other")])
    assert found.averages[0].discrimination is None and found.scores["base"].ranked == 0
    assert found.differences["other"].skill is None
