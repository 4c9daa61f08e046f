"""``flantune evaluate --budget``: only as many questions as needed to detect a difference of so many points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from flantune.evaluation.budget import Draw, draw_questions, matrix_of, pilot_of, spend
from flantune.evaluation.spreads import exam_weights, spread_of
from flantune.evaluation.statistics.means import Mean, detectable_difference

if TYPE_CHECKING:
    from flantune.commands.evaluation_exams import ChosenExams
    from flantune.evaluation.exams import Exam
    from flantune.evaluation.statistics.grades import Graded

AskPilot = Callable[["ChosenExams"], Sequence[Sequence["Graded"]]]
"""Asks every model a few of the questions; returns each model's answers, exam by exam."""


def within_budget(
    questions: ChosenExams,
    ask_pilot: AskPilot,
    *,
    points: float,
    confidence: float,
    seed: int,
    note: Callable[[str], None] = lambda _: None,
) -> ChosenExams:
    """The questions needed for a given precision, drawn at random.

    A few questions of each exam are asked first. They show how much rows and templates differ in what is compared: the
    models, or the score of a single one. Then each reported mean (a benchmark's, or over the tasks' clusters) gets the
    cheapest draw with which a true difference of that many points is detected with 80% power.

    Args:
        questions: All possible questions.
        ask_pilot: Asks the models.
        points: The difference to detect, in points.
        confidence: Level of the intervals.
        seed: Seed of the draw.
        note: Called with what is asked, and with means for which even all questions are not precise enough.
    """
    exams = questions.exams
    matrices = [matrix_of(exam) for exam in exams]
    pilots = [pilot_of(matrix) for matrix in matrices]
    few = _drawn(exams, [draw_questions(*each, seed=seed) for each in zip(exams, matrices, pilots, strict=True)])
    answers = ask_pilot(replace(questions, exams=few))
    se = points / 100 / detectable_difference(Mean(value=0.0, se=1.0, df=1e9), confidence=confidence)
    draws: dict[int, Draw] = {}
    for weights in exam_weights(exams, matrices):
        spreads = [
            spread_of(
                [next(table for (_, split), table in one[at].tables.items() if split == "test") for one in answers],
                matrices[at],
                weight=weight,
                confidence=confidence,
            )
            for at, weight in weights.items()
        ]
        found = spend(spreads, se=se)
        draws |= dict(zip(weights, found, strict=True))
        reached = sum(one.variance(draw) for one, draw in zip(spreads, found, strict=True)) ** 0.5 / se * points
        if reached > points * 1.001:
            named = exams[next(iter(weights))].score or "the tasks"
            note(f"{named}: even all questions would find no difference under {reached:.1f} points")
    whole = [replace(draws[at], rows=max(draws[at].rows, pilots[at].rows)) for at in range(len(exams))]
    chosen = [draw_questions(*each, seed=seed) for each in zip(exams, matrices, whole, strict=True)]
    asked, all_of_them = sum(len(exam.questions) for exam in chosen), sum(matrix.questions for matrix in matrices)
    note(f"{asked:,} of {all_of_them:,} questions are asked, to find differences of {points:g} points")
    return replace(questions, exams=_drawn(exams, chosen))


def _drawn(exams: Sequence[Exam], drawn: Sequence[Exam]) -> tuple[Exam, ...]:
    """The drawn exams; one without questions is unchanged, and is refused when it is asked."""
    return tuple(draw if len(draw.questions) else exam for exam, draw in zip(exams, drawn, strict=True))
