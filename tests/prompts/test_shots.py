"""What stands around a query: drawn formats of exemplars, and the trigger of a prompt without any."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flantune.prompts.graded import answer_marks, reasons_first
from flantune.prompts.layout import Layout, inputs_text
from flantune.prompts.shots import with_exemplars
from flantune.prompts.styles import Style
from flantune.settings.config import PromptSettings
from flantune.settings.run_file import validated
from flantune.types import Exemplar, Prompt, Template

ASKED = Prompt(task="t", split="train", row=0, template="t", inputs="What is 2+2?", targets="4")
SHOWN = (Exemplar(row=1, inputs="What is 1+1?", targets="2"), Exemplar(row=2, inputs="What is 3+3?", targets="6"))
VARIED = Style(exemplars="varied")


@given(key=st.integers(0, 2**64 - 1))
def test_fault_05_a_format_is_a_function_of_its_key_and_one_for_the_whole_prompt(key: int) -> None:
    prompt = with_exemplars(ASKED, SHOWN, style=VARIED, key=key)
    assert prompt == with_exemplars(ASKED, SHOWN, style=VARIED, key=key)
    first, last = prompt.frame or (0, 0)
    before, after = prompt.inputs[:first], prompt.inputs[len(prompt.inputs) - last :]
    assert f"{before}{ASKED.inputs}{after}" == prompt.inputs and after.endswith("\n")
    for one, plain in zip(prompt.exemplars, SHOWN, strict=True):
        assert one.inputs == f"{before}{plain.inputs}{after}"
        assert (one.targets.startswith(plain.targets) and one.targets.endswith("\n\n")) or one.targets.endswith("\n")
    text = inputs_text(prompt, Layout())
    assert text.count(before) >= 3 and text.endswith(prompt.inputs)


def test_many_formats_are_drawn() -> None:
    texts = {inputs_text(with_exemplars(ASKED, SHOWN, style=VARIED, key=key), Layout()) for key in range(2_000)}
    assert len(texts) == 12 * 2 * 8


def test_plain_exemplars_leave_the_prompt_as_it_is() -> None:
    prompt = with_exemplars(ASKED, SHOWN, style=Style(), key=3)
    assert (prompt.inputs, prompt.exemplars, prompt.frame) == (ASKED.inputs, SHOWN, None)
    assert with_exemplars(ASKED, (), style=VARIED, key=3) == ASKED


@pytest.mark.parametrize(
    ("targets", "marks"),
    [
        ("{answer}", ()),
        ("{rationale}\nThe answer is {answer}.", ("\nThe answer is ", ".")),
        ("{answer}, since {rationale}", ("", ", since ")),
        ("{rationale}\n{answer}", ("\n", "")),
        ("It is {answer}. {rationale} So: {answer}", (" So: ", "")),
        ("{rationale}", ()),
        ("a {brace", ()),
    ],
)
def test_what_stands_around_the_last_answer_tells_it(targets: str, marks: tuple[str, ...]) -> None:
    assert answer_marks(Template(name="t", inputs="{question}", targets=targets)) == marks


def test_a_trigger_ends_prompts_that_reason_and_have_no_exemplars() -> None:
    style = Style(trigger="Think first.")
    reasoned = Prompt(task="t", split="train", row=0, template="t", inputs="Why?", targets="so\nA: 1",
                      answer_marks=("\nA: ", ""))  # fmt: skip
    assert reasons_first(reasoned.answer_marks)
    assert with_exemplars(reasoned, (), style=style, key=0).inputs == "Why?\nThink first."
    assert with_exemplars(reasoned, SHOWN, style=style, key=0).inputs == "Why?"
    assert with_exemplars(ASKED, (), style=style, key=0) == ASKED
    assert with_exemplars(reasoned, (), style=Style(), key=0) == reasoned


def test_settings_reach_the_style_and_are_checked() -> None:
    settings = PromptSettings(exemplar_format="varied", trigger="Think.", options_layout="varied")
    assert Style.from_settings(settings) == Style(exemplars="varied", trigger="Think.", options="varied")
    with pytest.raises(Exception, match="turns have no labels"):
        validated({"prompts": {"chat": True, "chat_exemplars": "turns", "exemplar_format": "varied"}}, where="here")
