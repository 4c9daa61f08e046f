"""What surrounds a query with its solved examples: a trigger if there are none, or random labels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from flantune.prompts.graded import reasons_first
from flantune.system.keyed_random import mix64

if TYPE_CHECKING:
    from flantune.prompts.styles import Style
    from flantune.types import Exemplar, Prompt


class _Labels(NamedTuple):
    """The labels before an input and before its answer."""

    question: str
    answer: str


_LABELS = (
    _Labels("", ""),
    _Labels("Question: ", "Answer:\n"),
    _Labels("Q: ", "A:\n"),
    _Labels("Question:\n", "Reply:\n"),
    _Labels("Given:\n", "Wanted:\n"),
    _Labels("Input: ", "Output:\n"),
    _Labels("In: ", "Out:\n"),
    _Labels("Problem: ", "Solution:\n"),
    _Labels("Problem:\n", "How it was solved:\n"),
    _Labels("Request: ", "Response:\n"),
    _Labels("Somebody asks: ", "One replies:\n"),
    _Labels("> ", ""),
)
_BEFORE_ANSWER = ("\n", "\n\n")
_BETWEEN = ("\n\n", "\n\n\n", "\n---\n", "\n\n***\n\n", "\n====\n", "\n\n##\n\n", "\n~~~\n", "\n\nNext one.\n\n")


def with_exemplars(prompt: Prompt, exemplars: tuple[Exemplar, ...], *, style: Style, key: int) -> Prompt:
    r"""The prompt after its solved examples, in the format of the style.

    Without any, a prompt whose target has reasoning before the answer ends with the style's trigger. A varied format, a
    pure function of ``key``, is the same for all examples of a prompt and its query; answers begin a new line, so that
    the text before a target is tokenized as before an exemplar's. Paper: Flan 2022, section 2.1; its code draws one
    separator per task at import, unseeded.

    Args:
        prompt: The prompt.
        exemplars: The exemplars.
        style: Format and trigger.
        key: Draws the format.

    >>> from flantune.types import Exemplar, Prompt
    >>> from flantune.prompts.styles import Style
    >>> asked = Prompt(task="t", split="test", row=0, template="t", inputs="1+1?", targets="1+1 is 2",
    ...                answer_marks=("is ", ""))
    >>> with_exemplars(asked, (), style=Style(trigger="Step by step."), key=0).inputs
    '1+1?\nStep by step.'
    """
    if not exemplars:
        if style.trigger and reasons_first(prompt.answer_marks):
            return replace(prompt, inputs=f"{prompt.inputs}\n{style.trigger}")
        return prompt
    if style.exemplars == "plain":
        return replace(prompt, exemplars=exemplars)
    labels = _LABELS[mix64(key, 0) % len(_LABELS)]
    to_answer = _BEFORE_ANSWER[mix64(key, 1) % len(_BEFORE_ANSWER)] + labels.answer
    between = _BETWEEN[mix64(key, 2) % len(_BETWEEN)]
    return replace(
        prompt,
        inputs=f"{labels.question}{prompt.inputs}{to_answer}",
        exemplars=tuple(
            replace(one, inputs=f"{labels.question}{one.inputs}{to_answer}", targets=f"{one.targets}{between}")
            for one in exemplars
        ),
        frame=(len(labels.question), len(to_answer)),
    )
