"""Tasks in promptsource's templates are measured: all templates ask the same rows, and texts go without content."""

from __future__ import annotations

from dataclasses import replace

from flantune.evaluation.asking.task_questions import TaskQuestions, count_questions, questions
from flantune.evaluation.dev_scores import dev_questions
from flantune.evaluation.task_exams import task_exam
from flantune.prompts.promptsource import fields_of
from flantune.settings.config import EvaluationSettings, PackingSettings, PromptSettings
from flantune.tasks.example_store import PreparedTask
from flantune.types import Example, Task, Template
from tests.no_source import NoSource

CHOICES = "no ||| yes"


def template(name: str, text: str) -> Template:
    return Template(name=name, inputs=text, targets=text, language="promptsource", answer_choices=CHOICES)


ALL = template("all", "{{ claim }} Is it so? ||| {{ answer_choices[label] }}")
SHORT = template("short", "{% if claim | length < 12 %}{{ claim }} True? ||| {{ answer_choices[label] }}{% endif %}")
CLAIMS = (("Ice melts.", 1), ("Fish fly to the moon.", 0), ("Day ends.", 1), ("Iron swims.", 0))


def prepared() -> PreparedTask:
    task = Task(
        name="facts", clusters=("truth",), source_family="facts", kind="classification", source=NoSource(),
        adapter=None, splits={"test": "test", "dev": "dev"}, templates=(SHORT, ALL), metrics=("accuracy",),
    )  # fmt: skip
    store = [
        Example(
            row=at,
            fields=fields_of({"claim": claim, "label": label}),
            options=("no", "yes"),
            answer=label,
            references=(("no", "yes")[label],),
        )
        for at, (claim, label) in enumerate(CLAIMS)
    ]
    return PreparedTask(task=task, stores={"test": store, "dev": store}, reports={})


def test_all_templates_ask_the_same_rows():
    how = TaskQuestions(evaluation=EvaluationSettings(dev_examples=0), prompts=PromptSettings(), seed=0)
    asked = [question.prompt for question in questions(prepared(), how)]
    assert len(asked) == count_questions(prepared(), how) == 6
    assert {(prompt.template, prompt.row) for prompt in asked} == {(n, r) for n in ("all", "short") for r in (0, 2, 3)}
    assert {prompt.options[prompt.answer] for prompt in asked if prompt.row == 0} == {"yes"}


def test_rows_that_are_left_out_are_counted():
    how = TaskQuestions(evaluation=EvaluationSettings(dev_examples=0), prompts=PromptSettings(), seed=0)
    said = "1 of 4 test rows are left out: not every template asks them, and all ask the same rows"
    assert task_exam(prepared(), how, PackingSettings()).notes == (said,)
    one = replace(prepared(), task=replace(prepared().task, templates=(ALL,)))
    assert task_exam(one, how, PackingSettings()).notes == ()


def test_dev_questions_pass_over_rows_that_are_not_asked():
    asked = dev_questions([prepared()], prompts=PromptSettings(), seed=0, examples=4)
    assert [question.prompt.row for question in asked] == [0, 2, 3]


def test_a_question_without_content_keeps_its_label():
    how = TaskQuestions(evaluation=EvaluationSettings(), prompts=PromptSettings(), seed=0)
    exam = task_exam(prepared(), how, PackingSettings())
    (first, *_) = (question.prompt for question in questions(prepared(), how))
    assert exam.blank(first, "N/A").inputs == "N/A True?"
