"""A template that asks for reasons first says which part of what is written is graded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flantune.evaluation.metrics.extraction import extract, rules_between
from flantune.evaluation.samples import read_samples
from flantune.settings.config import PromptSettings
from flantune.types import Example, Sample, Template

from .made import exams_of, make_model, make_task, noted, run, saying

REASONED = Template(name="reasons", inputs="{text} Why?", targets="{rationale}\nSo the animal is {answer}.")
ALONE = Template(name="alone", inputs="{text} Which animal?")
FIRST = Template(name="first", inputs="{text} Say which, then why.", targets="{answer}, because {rationale}")


def animals(count: int, *, start: int = 0) -> tuple[Example, ...]:
    return tuple(
        Example(row=row, fields={"text": f"It has {row} legs.", "rationale": f"I counted {row}.\n\nTwice."},
                references=("a cat",))
        for row in range(start, start + count)
    )  # fmt: skip


def prepared(*templates: Template):
    data = {"train": animals(6, start=50), "test": animals(3)}
    return make_task(data, kind="generation", metrics=("exact_match",), templates=templates)


@pytest.mark.parametrize(
    ("before", "after", "said", "answer"),
    [
        ("\nThe answer is ", ".", "2 * 3 = 6\nThe answer is 6.", "6"),
        ("\nThe answer is ", ".", "The answer is 5. No.\nThe answer is 3.5.", "3.5"),
        ("\nSo it is (", ")", "x\nSo it is (B)", "B"),
        ("\nTherefore: ", "", "It floats.\nTherefore: yes.\n", "yes"),
        ("\nTherefore: ", "", "It floats.\ntherefore:yes", "yes"),
        ("\nTherefore: ", "", "It floats. The answer is no.", "no"),
        ("\nTherefore: ", "", "It floats.\nno", "no"),
        ("\n", "", "It floats.\nIt is light.\nyes", "yes"),
        ("", ", because ", "a cat, because it purrs", "a cat"),
        ("", ", because ", "a cat", "a cat"),
        ("\n\nReasons above.\nAnswer: ", "", "x\nAnswer: 12 km.", "12 km"),
    ],
)
def test_the_answer_stands_between_the_templates_words(before: str, after: str, said: str, answer: str):
    assert extract(said, rules_between(before, after)).answer == answer


def test_reasons_are_written_stored_and_only_the_answer_is_graded(tmp_path):
    said = "I counted 3.\n\nTwice.\nSo the animal is a cat."
    own = prepared(REASONED)
    (done,) = run(make_model(), own, tmp_path, shots=(0, 2), engine=saying(said))
    samples = list(read_samples(done.path))
    assert {(one.shots, one.prediction, one.answer_marks) for one in samples} == {
        (0, said, ("\nSo the animal is ", ".")),
        (2, said, ("\nSo the animal is ", ".")),
    }
    (exam,) = exams_of(own)
    for one in samples:
        assert noted(exam.grader, one)["exact_match"] == 1.0
        grade = exam.grader.grade(replace(one, prediction="a cat, I counted.\nSo the animal is a dog."))
        assert (grade.answer, grade.notes[0]) == ("a dog", (0.0,))


def test_answers_alone_are_graded_whole():
    (exam,) = exams_of(prepared(ALONE))
    sample = Sample(task="t", split="test", row=0, template="alone", shots=0, inputs="", references=("a cat",))
    assert noted(exam.grader, replace(sample, prediction="a cat"))["exact_match"] == 1.0
    assert noted(exam.grader, replace(sample, prediction="So it is a cat."))["exact_match"] == 0.0


@pytest.mark.parametrize(("templates", "longest"), [((ALONE,), 8), ((ALONE, FIRST), 8), ((ALONE, REASONED), 256)])
def test_reasons_have_more_room(templates, longest):
    (exam,) = exams_of(prepared(*templates))
    assert exam.writing.max_new_tokens == longest
    assert [one.max_new_tokens for one in [exams_of(prepared(REASONED), max_reasoning_tokens=99)[0].writing]] == [99]


def test_separators_in_reasons_do_not_end_an_answer():
    (exam,) = exams_of(prepared(REASONED), shots=(2,))
    assert exam.writing.spared == 1
    assert exams_of(prepared(ALONE), shots=(2,))[0].writing.spared == 0


def test_a_trigger_is_asked_without_exemplars_alone():
    own = PromptSettings(trigger="Step by step.", exemplar_format="varied")
    (exam,) = exams_of(prepared(REASONED, ALONE), prompts=own, shots=(0, 2))
    for question in exam.questions:
        prompt = question.prompt
        wants = question.shots == 0 and prompt.template == "reasons"
        assert prompt.inputs.endswith("\nStep by step.") == wants
        assert prompt.frame is None  # measured in the layout's own format


def test_a_task_without_training_rows_is_asked_without_exemplars():
    own = make_task({"test": animals(3)}, kind="generation", metrics=("exact_match",), templates=(REASONED,))
    (exam,) = exams_of(own, shots=(0,))
    assert len(list(exam.questions)) == 3
