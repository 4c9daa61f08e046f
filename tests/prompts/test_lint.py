from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from flantune.prompts.lint import lint_task
from flantune.types import Example, Task, Template

GOOD = Template(name="good", inputs="{premise}\nSo is it true that: {hypothesis}\n\n{options}")


def rules(task: Task, examples) -> list[tuple[str, str, str]]:
    return [(finding.template, finding.rule, finding.severity) for finding in lint_task(task, examples)]


def test_good_templates_have_no_findings(make_task: Callable[..., Task], examples) -> None:
    assert lint_task(make_task(), examples) == ()
    assert lint_task(make_task(), ()) == ()


BROKEN = {
    "a line break that lost its backslash": ("{premise}\nn{hypothesis} {options}", "broken-line-break"),
    "one glued to a colon": ("Claim:n{hypothesis} {premise} {options}", "broken-line-break"),
    "one between slots": ("{premise}n{hypothesis} {options}", "broken-line-break"),
    "two of them": ("Claim:nn{hypothesis} {premise} {options}", "broken-line-break"),
    "one that kept it as two characters": (r"{premise}\n{hypothesis} {options}", "broken-line-break"),
    "no input slot": ("Make up a claim.", "no-input-slot"),
    "options as the only slot": ("Choose one.\n{options}", "no-input-slot"),
    "a slot that touches a word": ("Text{premise} {hypothesis} {options}", "glued-field"),
    "a slot that touches a digit": ("{premise} {hypothesis}2 {options}", "glued-field"),
    "slots that touch": ("{premise}{hypothesis} {options}", "glued-field"),
    "a leading space": (" {premise} {hypothesis} {options}", "stray-space"),
    "a trailing line break": ("{premise} {hypothesis} {options}\n", "stray-space"),
    "an unknown slot": ("{premise} {hypotesis} {hypothesis} {options}", "unknown-slot"),
    "an attribute": ("{premise.__class__} {hypothesis} {premise} {options}", "unknown-slot"),
    "an index": ("{premise[0]} {hypothesis} {premise} {options}", "unknown-slot"),
    "an open brace": ("{premise} {hypothesis", "broken-braces"),
    "the answer": ("{premise} {hypothesis} Answer: {answer} {options}", "answer-in-inputs"),
    "options in another order": ("{premise} {hypothesis}\nOPTIONS:\n- no\n- yes", "options-out-of-order"),
    "other options": ("{premise} {hypothesis}\nOPTIONS:\n- yes\n- no\n- maybe", "options-differ"),
}


@pytest.mark.parametrize(("inputs", "rule"), BROKEN.values(), ids=BROKEN)
def test_trap_05_broken_templates_are_errors(make_task: Callable[..., Task], examples, inputs: str, rule: str) -> None:
    task = make_task(GOOD, Template(name="bad", inputs=inputs))
    assert [found for found in rules(task, examples) if found[2] == "error"] == [("bad", rule, "error")]


def test_trap_05_duplicates_are_told_with_their_twin(make_task: Callable[..., Task], examples) -> None:
    copy = replace(GOOD, name="copy")
    near = replace(GOOD, name="near", inputs="{premise}\nSo, is it TRUE that - {hypothesis}?\n{options}")
    other = replace(GOOD, name="other", inputs="{hypothesis}\nSo is it true that: {premise}\n\n{options}")
    findings = lint_task(make_task(GOOD, copy, near, other), examples)
    assert [(f.template, f.rule, f.severity) for f in findings] == [
        ("copy", "duplicate-template", "error"),
        ("near", "duplicate-template", "warning"),
    ]
    assert all("good" in finding.message for finding in findings)


def test_two_templates_of_one_name_are_an_error(make_task: Callable[..., Task], examples) -> None:
    task = make_task(GOOD, Template(name="good", inputs="{hypothesis} {premise} {options}"))
    assert rules(task, examples) == [("good", "duplicate-name", "error")]


@pytest.mark.parametrize("inputs", ["{premise}  {hypothesis}", "{premise} \n{hypothesis}", "{premise}\t{hypothesis}"])
def test_white_space_inside_is_a_warning(make_task: Callable[..., Task], examples, inputs: str) -> None:
    task = make_task(GOOD, Template(name="odd", inputs=inputs))
    assert ("odd", "stray-space", "warning") in rules(task, examples)


def test_indented_lines_and_literal_braces_are_fine(make_task: Callable[..., Task], examples) -> None:
    task = make_task(GOOD, Template(name="fine", inputs="{{note}}\n  {premise}\n    {hypothesis}\n\n{options}"))
    assert rules(task, examples) == []


def test_a_word_that_ends_in_n_before_a_space_is_fine(make_task: Callable[..., Task], examples) -> None:
    task = make_task(GOOD, Template(name="fine", inputs="Given {premise}, then {hypothesis}? (n) {options}"))
    assert rules(task, examples) == []


def test_unknown_slots_come_with_the_near_miss(make_task: Callable[..., Task], examples) -> None:
    (finding,) = lint_task(make_task(GOOD, Template(name="t", inputs="{premis} x {hypothesis} {options}")), examples)
    assert 'did you mean "premise"?' in finding.hint
    assert finding.where == "pairs/t"


def test_a_field_that_only_some_examples_have_is_no_slot(make_task: Callable[..., Task], examples) -> None:
    lacking = replace(examples[4], fields={"premise": "Only this."})
    (finding,) = lint_task(make_task(GOOD), (*examples[:4], lacking))
    assert (finding.rule, finding.severity) == ("unknown-slot", "error")
    assert "row 4" in finding.message


def test_unused_and_reserved_fields_are_warnings(make_task: Callable[..., Task], examples) -> None:
    more = [replace(e, fields={**e.fields, "source": "a", "options": "b"}) for e in examples]
    assert rules(make_task(GOOD), more) == [("", "unused-field", "warning"), ("", "reserved-field", "warning")]


def test_a_field_that_is_the_answer_is_found(make_task: Callable[..., Task], examples) -> None:
    telling = [replace(e, fields={**e.fields, "label": f" {e.references[0].upper()}"}) for e in examples]
    task = make_task(replace(GOOD, inputs=GOOD.inputs + "\n({label})"))
    assert rules(task, telling) == [("good", "answer-in-inputs", "error")]


def test_inputs_that_contain_the_gold_option_alone_are_found(make_task: Callable[..., Task], examples) -> None:
    telling = [replace(e, fields={"premise": f"{e.fields['premise']} ({e.references[0]}!)"}) for e in examples]
    bare = Template(name="bare", inputs="Judge this: {premise}")
    shown = Template(name="shown", inputs="Judge this one: {premise}\n{options}")
    assert rules(make_task(bare, shown), telling) == [("bare", "answer-in-inputs", "error")]
    assert rules(make_task(bare, shown), telling[:3]) == []  # three could be chance


def test_the_answer_may_stand_in_the_inputs_of_an_inverted_template(make_task: Callable[..., Task], examples) -> None:
    inverted = Template(name="i", inputs="Write a text: {answer}", targets="{premise}", is_inverted=True)
    assert rules(make_task(GOOD, inverted), examples) == []


def test_an_inverted_template_without_input_is_an_error(make_task: Callable[..., Task], examples) -> None:
    inverted = Template(name="i", inputs="Invent a text.", targets="{premise}", is_inverted=True)
    assert rules(make_task(GOOD, inverted), examples) == [("i", "no-input-slot", "error")]


def test_options_are_an_input_when_they_differ_between_examples(make_task: Callable[..., Task], examples) -> None:
    task = make_task(GOOD, Template(name="pick", inputs="Which is right?\n{options}"))
    varied = [replace(e, options=(*e.options, f"option {e.row}")) for e in examples]
    assert rules(task, varied) == []


@pytest.mark.parametrize(
    ("targets", "rule"), [("", "empty-targets"), (" \n", "empty-targets"), ("yes", "constant-targets")]
)
def test_targets_must_say_something_about_the_example(
    make_task: Callable[..., Task], examples, targets: str, rule: str
) -> None:
    assert ("bad", rule, "error") in rules(
        make_task(GOOD, Template(name="bad", inputs="Is {premise} so, {hypothesis}? {options}", targets=targets)),
        examples,
    )


def test_an_empty_target_of_one_row_is_found(make_task: Callable[..., Task], examples) -> None:
    empty = replace(examples[2], references=(" ",))
    (finding,) = lint_task(make_task(GOOD), (*examples[:2], empty, *examples[3:]))
    assert (finding.rule, finding.severity) == ("empty-targets", "error")
    assert "row 2" in finding.message


def test_the_same_target_in_all_examples_is_a_warning(make_task: Callable[..., Task], examples) -> None:
    assert rules(make_task(GOOD), examples[::2]) == [("good", "constant-targets", "warning")]


def test_a_classification_task_that_never_shows_options(make_task: Callable[..., Task], examples) -> None:
    bare = Template(name="bare", inputs="{premise} So {hypothesis}?")
    assert rules(make_task(bare), examples) == [("", "options-missing", "warning")]
    generation = [replace(e, options=(), answer=None) for e in examples]
    assert rules(make_task(bare, kind="generation"), generation) == []


def test_words_that_speak_of_options_which_are_not_shown(make_task: Callable[..., Task], examples) -> None:
    task = make_task(GOOD, Template(name="t", inputs="{premise} So {hypothesis}? Pick one of the options below."))
    assert rules(task, examples) == [("t", "options-missing", "warning")]


def test_options_that_a_generation_task_does_not_have(make_task: Callable[..., Task]) -> None:
    examples = [Example(row=n, fields={"text": f"t{n}"}, references=(f"r{n}",)) for n in range(5)]
    task = make_task(Template(name="t", inputs="{text}\n{options}"), kind="generation")
    assert rules(task, examples) == [("t", "options-unavailable", "error")]


def test_a_list_in_the_words_that_is_no_list_of_options_is_fine(make_task: Callable[..., Task], examples) -> None:
    task = make_task(
        GOOD, Template(name="t", inputs="- Read this: {premise}\n- Then judge\n- {hypothesis}\n\n{options}")
    )
    assert rules(task, examples) == []


def test_more_inverted_templates_than_the_paper_allows(make_task: Callable[..., Task], examples) -> None:
    inverted = [
        Template(name=f"i{n}", inputs=f"Way {n}: {{answer}}", targets="{premise} {hypothesis}", is_inverted=True)
        for n in range(4)
    ]
    (finding,) = lint_task(make_task(GOOD, *inverted), examples)
    assert (finding.rule, finding.severity) == ("too-many-inverted", "warning")
    assert "FLAN 2021" in finding.message
    assert lint_task(make_task(GOOD, *inverted[:3]), examples) == ()
    assert rules(make_task(*inverted[:2]), examples) == [("", "no-forward-template", "error")]


def test_every_rule_is_explained_in_the_guide() -> None:
    import re

    root = Path(__file__).parents[2]
    files = [*(root / "src/flantune/prompts").glob("*.py"), root / "src/flantune/evaluation/metrics/readable.py"]
    source = "".join(file.read_text() for file in [*files, root / "src/flantune/commands/task_check.py"])
    named = set(re.findall(r'"([a-z]+(?:-[a-z]+)+)"', source))
    guide = (root / "docs/templates.md").read_text()
    assert len(named) >= 28
    assert [rule for rule in sorted(named) if f"`{rule}`" not in guide] == []


@pytest.mark.parametrize(
    ("kind", "targets", "rule"),
    [
        ("generation", "{answer}", ""),
        ("generation", "{why}\nThe answer is {answer}.", ""),
        ("generation", "{why}\n{answer}", ""),
        ("generation", "{answer}, since {why}", ""),
        ("generation", "{why} {answer}", "answer-not-marked"),
        ("generation", "{why}", "answer-not-asked"),
        ("classification", "{why}\nThe answer is {answer}.", "answer-not-alone"),
    ],
)
def test_what_is_graded_can_be_told(make_task: Callable[..., Task], kind: str, targets: str, rule: str) -> None:
    template = Template(name="t", inputs="{question}\n{options}" if kind == "classification" else "{question}",
                        targets=targets)  # fmt: skip
    found = [one.rule for one in lint_task(make_task(template, kind=kind), ()) if one.template]
    assert found == ([rule] if rule else [])
    turned = replace(template, is_inverted=True)
    assert not [one for one in lint_task(make_task(turned, kind=kind), ()) if one.rule.startswith("answer-not")]
