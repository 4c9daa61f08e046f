"""No question of a benchmark stands among its own exemplars."""

from __future__ import annotations

from flantune.evaluation.exams import Exam, asked
from flantune.evaluation.metrics.graders import text_grader
from flantune.settings.protocols import PRESETS
from flantune.suites.checked import without_own_questions
from flantune.types import Exemplar, Prompt

SHOWN = tuple(Exemplar(row=n, inputs=f"Q: Is item {n} heavy?\nA:", targets=" No.") for n in range(3))


def part(*questions: str) -> Exam:
    prompts = tuple(
        Prompt(task="t", split="test", row=at, template="d", inputs=text, targets="No", exemplars=SHOWN)
        for at, text in enumerate(questions)
    )
    return Exam(
        score="bbh_direct", name="heavy", questions=asked(prompts, shots=3), answering="text", grader=text_grader(),
        protocol=PRESETS["flan2022"], chance=0.0,
    )  # fmt: skip


def test_a_question_among_the_exemplars_is_asked_without_that_one():
    found = without_own_questions(part("Q: is item 1  heavy?\nA:", "Q: Is item 7 heavy?\nA:"))
    first, second = found.prompts
    assert [one.row for one in first.exemplars] == [0, 2] and second.exemplars == SHOWN
    assert found.notes == (
        "1 question stands among the exemplars; asked without showing the answer, with one exemplar fewer",
    )


def test_other_questions_are_left_as_they_are():
    given = part("Q: Is item 7 heavy?\nA:")
    assert without_own_questions(given) is given
