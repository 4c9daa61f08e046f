"""Answers that are graded already, and the results they give: what a builder of results starts from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flantune.evaluation.exam_result import ModelScores
from flantune.evaluation.exams import Exam, asked
from flantune.evaluation.metrics.graders import text_grader
from flantune.evaluation.results import MeasuredModel, Missing, Results
from flantune.evaluation.scored import Sitting, score_sitting
from flantune.evaluation.statistics.averages import by_group
from flantune.evaluation.statistics.grades import Graded, GradeTable, grade
from flantune.evaluation.summarize import About, summarize
from flantune.settings.protocols import PRESETS
from flantune.types import Prompt

SHOTS = 8


def part(name="a", *, score="gsm8k_cot", count=40, chance=0.0, grader=None) -> Exam:
    prompts = tuple(
        Prompt(task=name, split="test", row=row, template="t", inputs=f"{name} {row}?", targets="")
        for row in range(count)
    )
    return Exam(
        score=score, name=name, questions=asked(prompts, shots=SHOTS), answering="text",
        grader=grader or text_grader(), protocol=PRESETS["flan2022"], chance=chance, averages=by_group("tasks"),
    )  # fmt: skip


def graded(exam: Exam, values, *, rows=None, model="base", **facts) -> Graded:
    """One model's answers to an exam: a value a row, or a row of notes of a metric that is no mean."""
    notes = np.asarray(values, dtype=float)
    notes = notes.reshape(len(notes), 1, -1)
    columns = exam.grader.columns
    table = GradeTable(
        rows=tuple(range(len(notes)) if rows is None else rows),
        templates=("t",),
        columns=columns,
        notes={column.key: notes for column in columns.all},
        groups=np.arange(len(notes)),
        answers=np.zeros((len(notes), 1), dtype=np.int64),
        chance=exam.chance or 0.0,
        ties=0,
        references=(1, 1),
    )
    return Graded(exam=exam, model=model, tables={(SHOTS, "test"): table}, **facts)


def results_of(*models: Sequence[Graded], seed=0, limit=0, averages=None, missing=()) -> Results:
    """What an evaluation of models finds that were graded in the same exams."""
    measured = tuple(
        MeasuredModel(
            name=name, fold="", path=name, fingerprint=name, trained_by_flantune=any(one.seen.reasons for one in each)
        )
        for each in models
        for name in [each[0].model]
    )
    about = About(
        kind="evaluation", models=measured, protocols=(PRESETS["flan2022"],), confidence=0.95, seed=seed, limit=limit,
        averages=averages or {}, missing=tuple(Missing(score=one, name="", needs="data") for one in missing),
    )  # fmt: skip
    return summarize([Sitting(graded=exam) for exam in zip(*models, strict=True)], about)


def scored(exam: Exam, samples) -> ModelScores:
    """What one model's samples score in an exam."""
    answers = Graded(exam=exam, model="base", tables=grade(samples, exam.grader, chance=exam.chance))
    (found,) = score_sitting(Sitting(graded=(answers,)), confidence=0.95, seed=0)
    return found.result.scores["base"]
