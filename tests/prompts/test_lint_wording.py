"""What the linter sees of a template's English, each rule with what it must find and what it must leave alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from flantune.prompts.lint import lint_task
from flantune.types import Example, Task, Template

YES_NO = ("yes", "no")
MAYBE = ("yes", "maybe", "no")
FEELING = ("negative", "positive")
SURE = ("definitely true", "possibly true", "false")

DIFFERENT = {
    "two other answers": ("{premise} {hypothesis}\nIs it true or false?", YES_NO),
    "one answer too few": ("{premise} {hypothesis}\nAnswer with yes or no.", MAYBE),
    "others in their place": ("{premise} {hypothesis}\nWas it a good or a bad experience?", FEELING),
    "a word to say that is none": ('{premise} {hypothesis}\nIf it is left open, say "unknown".', MAYBE),
    "a yes or no for a feeling": ("{premise}\nDid {hypothesis} please the writer?", FEELING),
    "the same, with more words behind": (
        "Did the film please its critic? Use one word.\n{premise}{hypothesis}",
        FEELING,
    ),
    "the same, first of two paragraphs": ("Is this going on, too? {hypothesis}\n\nCaption: {premise}", SURE),
    "neither of two": ("{premise}\n{hypothesis}\nIs the writer kind to the movie or hard on it?", FEELING),
    "others, and one in words of its own": (
        "{premise} {hypothesis}\nIs it right, wrong or beyond what the text says?",
        MAYBE,
    ),
    "an either-or for yes and no": ("{premise}\nMust {hypothesis} be so, or can it not be?", YES_NO),
}
FITTING = {
    "all of them": ("{premise} {hypothesis}\nIs it definitely true, possibly true or false?", SURE),
    "in another order, with articles": ("{premise} {hypothesis}\nIs it a positive or a negative one?", FEELING),
    "named behind the question": (
        "{premise} {hypothesis}\nIs this fun? Call fun positive and the rest negative.",
        FEELING,
    ),
    "two of three, and the third described": (
        "{premise} {hypothesis}\nIs it so? Say yes, no or the word for what is left open.",
        MAYBE,
    ),
    "one to say": ('{premise} {hypothesis}\nIs it so? If it is left open, say "maybe".', MAYBE),
    "an option without a word": ("{premise} {hypothesis}\nWhich is it?", ("", "no")),
    "one in a slot": ('{premise}\nWould someone who is asked answer "{hypothesis}"?', YES_NO),
    "a plain yes or no": ("{premise}\nIs it stated or implied that {hypothesis}?", YES_NO),
    "no question": ("{premise} {hypothesis}\nThe statement is:", SURE),
    "a question of another kind": ("{premise} {hypothesis}\nWhat is the verdict?", FEELING),
    "a question that is not the last": ("Is it fun? {premise} {hypothesis}\nWhich word fits?", FEELING),
}


@pytest.fixture
def found(make_task: Callable[..., Task], examples: tuple[Example, ...]) -> Callable[..., list[tuple[str, str, str]]]:
    def lint(*inputs: str, options: tuple[str, ...] = YES_NO, rows: int = 8, **template: object) -> list[tuple]:
        templates = [Template(name=f"t{n}", inputs=text, **template) for n, text in enumerate(inputs)]
        shown = [replace(e, options=options, answer=0, references=(options[0],)) for e in examples[:rows]]
        wording = ("answers-differ", "answered-question", "final-punctuation", "duplicate-template")
        findings = lint_task(make_task(*templates), shown)
        return [(one.template, one.rule, one.severity) for one in findings if one.rule in wording]

    return lint


@pytest.mark.parametrize(("inputs", "options"), DIFFERENT.values(), ids=DIFFERENT)
def test_a_question_with_other_answers_than_the_options_is_found(found, inputs: str, options: tuple[str, ...]) -> None:
    assert ("t0", "answers-differ", "warning") in found(f"{inputs}\n\n{{options}}", options=options)
    assert ("t0", "answers-differ", "warning") in found(inputs, options=options)  # where the options are not shown, too


@pytest.mark.parametrize(("inputs", "options"), FITTING.values(), ids=FITTING)
def test_a_question_whose_answers_are_the_options_is_fine(found, inputs: str, options: tuple[str, ...]) -> None:
    assert found(f"{inputs}\n\n{{options}}", options=options) == []


def test_options_of_a_row_are_no_labels(make_task: Callable[..., Task], examples: tuple[Example, ...]) -> None:
    task = make_task(Template(name="t", inputs="{premise} {hypothesis}\nIs it true or false?\n\n{options}"))
    varied = [replace(e, options=("yes", f"no {e.row}")) for e in examples]
    assert "answers-differ" not in [one.rule for one in lint_task(task, varied)]
    assert lint_task(task, examples[:1]) == ()  # of one row nobody knows


def test_an_inverted_template_may_ask_for_what_it_likes(found) -> None:
    inputs = "Is it true or false? {answer} {hypothesis}"
    assert found(inputs, targets="{premise}", is_inverted=True) == []


def test_the_message_names_both_sides(make_task: Callable[..., Task], examples: tuple[Example, ...]) -> None:
    task = make_task(Template(name="t", inputs="{premise} {hypothesis}\nIs it true or false?\n\n{options}"))
    (finding,) = lint_task(task, examples)
    assert finding.message == 'the words name the answers "true", "false", but the options are "yes", "no"'


@pytest.mark.parametrize(
    "inputs",
    [
        "{premise}\nWrite a line about {hypothesis}. Should it mean the same? {answer}",
        "Reword this. Should it mean the same? {answer}\n\n{premise} {hypothesis}",
        "{premise} {hypothesis}\nReword it. Is it to mean the same? No.",
    ],
)
def test_a_question_that_answers_itself_is_found(found, inputs: str) -> None:
    assert found(inputs, targets="{premise}", is_inverted=True) == [("t0", "answered-question", "warning")]


def test_a_question_before_a_text_is_fine(
    make_task: Callable[..., Task], examples: tuple[Example, ...], found: Callable[..., list]
) -> None:
    assert found('Someone who is asked "{premise}? {hypothesis}" says {answer}.', is_inverted=True) == []
    texts = [replace(e, options=(), answer=None, references=(f"Text {e.row}.",)) for e in examples]
    inverted = Template(
        name="t", inputs="What is this in French? {answer}", targets="{premise} {hypothesis}", is_inverted=True
    )
    forward = Template(name="f", inputs="{premise} {hypothesis}")
    assert lint_task(make_task(forward, inverted, kind="generation"), texts) == ()


@pytest.mark.parametrize(
    "inputs",
    [
        "{premise} {hypothesis}\nThe statement is\n\n{options}",
        "{premise} {hypothesis}\nIs that so",
        "Judge the second line by the first\n\n{premise}\n{hypothesis}\n{options}",
        "{premise} {hypothesis}\nΕίναι σωστό",
        "{premise} {hypothesis}\nНапишите слова",
        "{premise} {hypothesis}\nThe year is 1999",
    ],
)
def test_words_without_a_mark_at_the_end_are_found(found, inputs: str) -> None:
    assert found(inputs) == [("t0", "final-punctuation", "warning")]


@pytest.mark.parametrize(
    "inputs",
    [
        "{premise} {hypothesis}",
        "{premise} {hypothesis}\nRight (or not)\n\n{options}",
        '{premise} {hypothesis}\nIs that "so"?\n{options}',
        "A reading test\n\n{premise} {hypothesis}\n\nYour choice:\n{options}",
        "SCIENCE EXAM, THE HARD SECTION\n\n{premise} {hypothesis}",
        "{premise}\n---\n{hypothesis}\n---",
        "{premise} {hypothesis}\nEnglish |",
        "{premise} {hypothesis}\nเขียนประโยค",
        "{premise} {hypothesis}\nこれは正しいですか。",
    ],
)
def test_marks_labels_slots_and_scripts_without_marks_are_fine(found, inputs: str) -> None:
    assert found(inputs) == []


def test_two_templates_of_nearly_the_same_words_are_found(found) -> None:
    text = "Read the passage with care and then say whether the claim about it is right. {premise} {hypothesis}"
    assert found(text, text.replace("whether", "if")) == [("t1", "duplicate-template", "warning")]
    assert found(text, text.replace("passage", "text").replace("claim", "line").replace("right", "true")) == []


def test_templates_of_other_targets_are_no_copies(
    make_task: Callable[..., Task], examples: tuple[Example, ...]
) -> None:
    text = "Read the passage with care, and write what goes well with the claim about it: {premise}"
    one = Template(name="one", inputs=text, targets="{hypothesis}", is_inverted=True)
    other = replace(one, name="other", inputs=text.replace("goes", "fits"), targets="{hypothesis} ({answer})")
    forward = Template(name="f", inputs="{premise} {hypothesis}\n{options}")
    assert lint_task(make_task(forward, one, other), examples) == ()
    assert [
        one.template for one in lint_task(make_task(forward, one, replace(other, targets="{hypothesis}")), examples)
    ]
