"""Questions for a wanted precision: drawn alike, where they tell most, and the same mean as all of them give."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from flantune.evaluation.budget import (
    PILOT_ROWS,
    Draw,
    Matrix,
    Spread,
    draw_questions,
    matrix_of,
    pilot_of,
    spend,
)
from flantune.evaluation.exams import Exam, Question
from flantune.evaluation.metrics.graders import MetricGrader, columns_of
from flantune.evaluation.samples import unanswered
from flantune.evaluation.spreads import exam_weights, spread_of
from flantune.evaluation.statistics.grades import GradeTable, grade
from flantune.packing.packs import Counts
from flantune.prompts.layout import Layout
from flantune.settings.protocols import PRESETS
from flantune.types import Prompt

TEMPLATES = ("ask", "tell", "judge", "name")


def make_exam(rows: int = 30, *, name: str = "t", groups: tuple[str, ...] = ("c",), grouped: int = 0, **own) -> Exam:
    questions = tuple(
        Question(
            prompt=Prompt(
                task=name, split=split, row=row, template=template, inputs="?", targets="a", options=("a", "b"),
                answer=0, group=str(row % grouped) if grouped else "",
            ),
            shots=0,
        )
        for split in ("test", "dev")
        for template in TEMPLATES
        for row in range(rows)
    )  # fmt: skip
    grader = MetricGrader(columns=columns_of("classification", ("accuracy",), normalization="sum", ties="first"))
    return Exam(
        name=name, groups=groups, questions=questions, answering="options", grader=grader, protocol=PRESETS["flan2021"],
        **own,
    )  # fmt: skip


def answered(exam: Exam, right: np.ndarray) -> GradeTable:
    """The table of a model that is right in some cells, [rows, templates]."""
    samples = (
        replace(
            unanswered(question.prompt, Counts(prompts=1), shots=0, layout=Layout()),
            scores=(0.0, -1.0)
            if right[question.prompt.row, TEMPLATES.index(question.prompt.template)]
            else (-1.0, 0.0),
            lengths=(1, 1),
            greedy=(False, False),
        )
        for question in exam.questions
        if question.prompt.split == "test"
    )
    return grade(samples, exam.grader)[0, "test"]


def test_what_is_drawn_is_the_whole_matrix_in_expectation() -> None:
    """Rows of different difficulty, templates of different help, and both together."""
    exam = make_exam(30)
    matrix = matrix_of(exam)
    cells = np.random.default_rng(1).random((30, 4)) * np.linspace(0.2, 1, 30)[:, None]
    for draw in (Draw(rows=6, templates=1), Draw(rows=10, templates=3), Draw(rows=30, templates=2)):
        found = []
        for seed in range(600):
            questions = draw_questions(exam, matrix, draw, seed=seed).questions
            assert len(questions) == len(list(questions)) == draw.rows * draw.templates
            found.append(np.mean([cells[q.prompt.row, TEMPLATES.index(q.prompt.template)] for q in questions]))
        error = np.std(found) / len(found) ** 0.5
        assert abs(np.mean(found) - cells.mean()) < 3.5 * error, draw


def test_a_larger_draw_holds_a_smaller_one_and_all_of_it_is_the_exam() -> None:
    exam = make_exam(12)
    matrix = matrix_of(exam)

    def cells(rows: int, templates: int) -> set[tuple[int, str]]:
        drawn = draw_questions(exam, matrix, Draw(rows=rows, templates=templates), seed=3)
        return {(one.prompt.row, one.prompt.template) for one in drawn.questions}

    assert cells(3, 1) < cells(3, 2) < cells(8, 2) < cells(12, 4) == set(product(range(12), TEMPLATES))
    other = draw_questions(exam, matrix, Draw(rows=3, templates=1), seed=4)
    assert {(one.prompt.row, one.prompt.template) for one in other.questions} != cells(3, 1)
    whole = draw_questions(exam, matrix, Draw(rows=12, templates=4), seed=3)
    assert list(whole.questions) == [one for one in exam.questions if one.prompt.split == "test"]
    assert whole.stands_for == 12 and "48 of 48 questions" in whole.notes[0]


def test_rows_that_belong_together_are_drawn_together() -> None:
    exam = make_exam(12, grouped=4)
    matrix = matrix_of(exam)
    assert len(matrix.rows) == 4 and matrix.count == 12
    drawn = list(draw_questions(exam, matrix, Draw(rows=2, templates=1), seed=0).questions)
    assert len(drawn) == 6 and len({one.prompt.group for one in drawn}) == 2


def test_the_cheapest_draw_is_found_and_is_precise_enough() -> None:
    """Against every draw of two small exams."""
    spreads = [
        Spread(rows=40, templates=3, weight=0.7, between=0.2, within=0.1),
        Spread(rows=40, templates=3, weight=0.3, between=0.05, within=0.3),
    ]

    def cost(draws: tuple[Draw, ...]) -> int:
        return sum(draw.rows * draw.templates for draw in draws)

    def variance(draws: tuple[Draw, ...]) -> float:
        return sum(one.variance(draw) for one, draw in zip(spreads, draws, strict=True))

    every = [Draw(rows=rows, templates=templates) for rows in range(10, 41) for templates in (1, 2, 3)]
    for se in (0.09, 0.07, 0.06):
        found = tuple(spend(spreads, se=se))
        assert variance(found) <= se**2
        best = min(cost(draws) for draws in product(every, every) if variance(draws) <= se**2)
        assert cost(found) <= best + 40  # one step: a template more for each row
        assert all(draw.templates == 1 or draw.rows == one.rows for one, draw in zip(spreads, found, strict=True))


def test_what_cannot_be_reached_ends_with_everything() -> None:
    spread = Spread(rows=50, templates=4, weight=1.0, between=0.25, within=0.1)
    assert spend([spread], se=0.001) == [Draw(rows=50, templates=4)]
    assert spend([replace(spread, weight=0.0)], se=0.0) == [Draw(rows=10, templates=1)]


def test_a_pilot_tells_rows_and_templates_apart() -> None:
    generator, rows = np.random.default_rng(0), 4_000
    skill = generator.random(rows) < 0.5
    base = np.repeat(skill[:, None], 4, axis=1)
    tuned = base ^ (generator.random((rows, 4)) < 0.2)
    exam = make_exam(rows)
    matrix = matrix_of(exam)
    found = spread_of([answered(exam, base), answered(exam, tuned)], matrix, weight=0.5, confidence=0.95)
    # Each cell differs by itself with a chance of 0.2, upwards or downwards by the row.
    assert found.within == pytest.approx(0.2 * 0.8, rel=0.1)
    assert found.between == pytest.approx(0.2**2, rel=0.2)
    alone = spread_of([answered(exam, base)], matrix, weight=0.5, confidence=0.95)
    assert alone.between == pytest.approx(0.25, rel=0.05) and alone.within == 0.0
    assert (found.rows, found.templates, found.weight) == (rows, 4, 0.5)


def test_a_pilot_in_which_all_agree_proves_little() -> None:
    exam = make_exam(20)
    right = np.ones((20, 4), dtype=bool)
    found = spread_of([answered(exam, right)] * 2, matrix_of(exam), weight=1.0, confidence=0.95)
    assert found.between == pytest.approx(21 / 22**2)
    assert pilot_of(matrix_of(make_exam(500))) == Draw(rows=PILOT_ROWS, templates=2)
    assert pilot_of(Matrix(rows={}, count=0)) == Draw(rows=0, templates=0)


def test_exams_weigh_what_the_reported_mean_gives_them() -> None:
    exams = [
        make_exam(10, name="a", groups=("one",)),
        make_exam(10, name="b", groups=("one",)),
        make_exam(10, name="c", groups=("two",)),
        make_exam(30, name="law", score="mmlu"),
        make_exam(10, name="art", score="mmlu"),
    ]
    tasks, mmlu = exam_weights(exams, [matrix_of(exam) for exam in exams])
    assert tasks == {0: 0.25, 1: 0.25, 2: 0.5}
    assert mmlu == {3: 0.75, 4: 0.25}
