from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from flantune.errors import TemplateError
from flantune.prompts.options import LISTED
from flantune.prompts.render import render
from flantune.prompts.styles import Style, forward_templates, usable_templates
from flantune.types import Example, Task, Template


def test_an_instruction_prompt_shows_fields_and_options(make_task: Callable[..., Task], examples) -> None:
    task = make_task()
    prompt = render(task, examples[1], task.templates[0], split="test")
    assert prompt.inputs == (
        "A baker opened her shop at four.\nSo is it true that: The shop never opened.\n\nOPTIONS:\n- yes\n- no"
    )
    assert (prompt.targets, prompt.options, prompt.answer, prompt.references) == ("no", ("yes", "no"), 1, ("no",))
    assert (prompt.task, prompt.split, prompt.row, prompt.template) == ("pairs", "test", 1, "so")


def test_an_inverted_prompt_is_never_scored_as_the_task(make_task: Callable[..., Task], examples) -> None:
    task = make_task()
    prompt = render(task, examples[0], task.templates[2], split="train")
    assert prompt.inputs == "Text: The river froze over night.\nWrite a sentence for which the answer is yes."
    assert prompt.targets == "It was cold."
    assert (prompt.answer, prompt.options, prompt.references) == (None, (), ("It was cold.",))


def test_options_block_is_the_layout_of_flan() -> None:
    assert LISTED.block(("a", "b c")) == "OPTIONS:\n- a\n- b c"


FIELDS = "The river froze over night.\nIt was cold."
OPTIONS = "OPTIONS:\n- yes\n- no"


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        (Style(), f"The river froze over night.\nSo is it true that: It was cold.\n\n{OPTIONS}"),
        (Style(show_options=False), "The river froze over night.\nSo is it true that: It was cold."),
        (Style(name="inputs_only"), f"{FIELDS}\n{OPTIONS}"),
        (Style(name="inputs_only", show_options=False), FIELDS),
        (Style(name="dataset_name"), f"[pairs] {FIELDS}\n{OPTIONS}"),
        (Style(name="dataset_name", show_options=False), f"[pairs] {FIELDS}"),
    ],
)
def test_every_style_exists_with_and_without_options(
    make_task: Callable[..., Task], examples, style: Style, expected: str
) -> None:
    task = make_task()
    prompt = render(task, examples[0], task.templates[0], split="test", style=style)
    assert prompt.inputs == expected
    assert prompt.targets == "yes"
    assert prompt.answer == 0
    assert prompt.options == ("yes", "no")  # hidden or not, they are what rank classification scores
    assert prompt.template == ("so" if style.name == "instruction" else style.name)


def test_styles_without_instructions_hide_fields_that_only_inverted_templates_use(
    make_task: Callable[..., Task], examples
) -> None:
    example = replace(examples[0], fields={**examples[0].fields, "reason": "because the answer is yes"})
    inverted = Template(name="why", inputs="{premise} Why?", targets="{reason}", is_inverted=True)
    task = make_task(Template(name="t", inputs="{premise} {hypothesis}"), inverted)
    assert "because" not in render(task, example, inverted, split="train", style=Style(name="inputs_only")).inputs


def test_styles_without_instructions_have_one_rendering_and_no_inverted_one(make_task: Callable[..., Task]) -> None:
    task = make_task()
    assert [t.name for t in usable_templates(task, include_inverted=True)] == ["so", "claim", "write"]
    assert [t.name for t in usable_templates(task, include_inverted=True, max_templates=2)] == ["so", "claim"]
    assert usable_templates(task) == forward_templates(task)
    for name in ("inputs_only", "dataset_name"):
        (only,) = usable_templates(task, style=Style(name=name), include_inverted=True, max_templates=5)
        assert (only.name, only.is_inverted) == (name, False)


def test_a_missing_slot_names_the_place_and_the_near_miss(make_task: Callable[..., Task], examples) -> None:
    task = make_task(Template(name="typo", inputs="{premis} {hypothesis}"))
    with pytest.raises(TemplateError) as caught:
        render(task, examples[3], task.templates[0], split="train")
    assert caught.value.where == "pairs/typo/row 3"
    assert "{premis}" in caught.value.message
    assert 'did you mean "premise"?' in caught.value.hint


def test_a_broken_brace_names_the_template(make_task: Callable[..., Task], examples) -> None:
    task = make_task(Template(name="open", inputs="{premise"))
    with pytest.raises(TemplateError) as caught:
        render(task, examples[0], task.templates[0], split="train")
    assert caught.value.where == "pairs/open"


def test_options_of_an_example_without_any_are_an_error(make_task: Callable[..., Task]) -> None:
    task = make_task(Template(name="t", inputs="{text} {options}"), kind="generation")
    example = Example(row=5, fields={"text": "x"}, references=("y",))
    with pytest.raises(TemplateError, match="no options"):
        render(task, example, task.templates[0], split="train")


def test_a_field_that_is_no_text_is_an_error_without_traceback(make_task: Callable[..., Task], examples) -> None:
    task = make_task(Template(name="t", inputs="{premise}"))
    with pytest.raises(TemplateError, match="premise is int, not text"):
        render(task, replace(examples[0], fields={"premise": 3}), task.templates[0], split="train")


@pytest.mark.parametrize(
    "slot", ["premise.__class__", "premise!r", "premise[0]", "premise:>9", "", "0", "__import__('os')"]
)
def test_trap_13_nothing_in_a_template_is_evaluated(make_task: Callable[..., Task], examples, slot: str) -> None:
    for template in (
        Template(name="bad", inputs="{premise} {" + slot + "}"),
        Template(name="bad", inputs="{premise}", targets="{" + slot + "}"),
    ):
        task = make_task(template)
        with pytest.raises(TemplateError) as caught:
            render(task, examples[0], template, split="train")
        assert "{" + slot + "}" in caught.value.message
        assert "names no field" in caught.value.message


def test_trap_13_field_text_is_never_a_template(make_task: Callable[..., Task], examples) -> None:
    task = make_task()
    hostile = replace(examples[0], fields={"premise": "{hypothesis.__class__}{options}", "hypothesis": "{answer}{"})
    prompt = render(task, hostile, task.templates[1], split="train")
    assert '"{answer}{"' in prompt.inputs
    assert "{hypothesis.__class__}{options}" in prompt.inputs
