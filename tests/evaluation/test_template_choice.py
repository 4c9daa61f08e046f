"""Templates are chosen by name, for training and for measuring apart, and by what they want written."""

from __future__ import annotations

import pytest

from flantune.errors import ConfigError
from flantune.evaluation.asking.task_questions import TaskQuestions, asked_templates
from flantune.mixture.mixture import Mixture
from flantune.settings.config import EvaluationSettings, MixtureSettings, PromptSettings
from flantune.tasks.naming import check_template_names
from flantune.types import Template

from .made import color_examples, generation_examples, make_task

REASONED = Template(name="reasons", inputs="{text} Why?", targets="{text}\nSo it is {answer}.")
DIRECT = Template(name="alone", inputs="{text} Which?")
FIRST = Template(name="first", inputs="{text} Which, and why?", targets="{answer}, because {text}")


def asked(prepared, **settings) -> list[str]:
    how = TaskQuestions(evaluation=EvaluationSettings(**settings), prompts=PromptSettings(), seed=0)
    return [template.name for template in asked_templates(prepared, how)]


def with_reasons(*templates: Template):
    return make_task({"test": generation_examples(2)}, kind="generation", templates=templates)


def test_measured_are_templates_of_the_names_given_before_the_first_so_many_are_taken() -> None:
    prepared = with_reasons(REASONED, DIRECT, FIRST)
    assert asked(prepared, template_names=["a*", "first"]) == ["alone", "first"]
    assert asked(prepared, template_names=["a*", "first"], max_templates=1) == ["alone"]


def test_a_task_without_such_a_template_keeps_its_own() -> None:
    prepared = with_reasons(DIRECT)
    assert asked(prepared, template_names=["reasons"]) == ["alone"]
    assert asked(prepared, templates="reasoned") == ["alone"]


def test_measured_is_what_wants_reasons_first_or_the_answer_at_once() -> None:
    prepared = with_reasons(REASONED, DIRECT, FIRST)
    assert asked(prepared, templates="reasoned") == ["reasons"]
    assert asked(prepared, templates="direct") == ["alone", "first"]


def test_trained_on_are_templates_of_the_names_given() -> None:
    prepared = make_task({"train": color_examples(12)})
    names = set()
    for chosen in (["tell"], ["tell", "inv*"], ["none of these"]):
        settings = PromptSettings(template_names=chosen)
        mixture = Mixture([prepared], seed=0, settings=MixtureSettings(), prompts=settings)
        names.add((tuple(chosen), frozenset(prompt.template for prompt in mixture.block(0, 60))))
    assert names == {
        (("tell",), frozenset({"tell"})),
        (("tell", "inv*"), frozenset({"tell", "invert"})),
        (("none of these",), frozenset({"ask", "tell", "invert"})),
    }


def test_a_name_that_no_template_has_is_an_error_with_the_nearest() -> None:
    tasks = [with_reasons(REASONED, DIRECT).task]
    check_template_names(tasks, ["alo*", "reasons"], where="evaluation.template_names")
    with pytest.raises(ConfigError, match='no template "reason"; did you mean "reasons"') as error:
        check_template_names(tasks, ["reason"], where="evaluation.template_names")
    assert error.value.where == "evaluation.template_names"
