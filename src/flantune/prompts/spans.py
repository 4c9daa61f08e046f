"""A rendered template in pieces, so that the words of the template can be told from those of the example."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flantune.prompts.compiled import compile_text
from flantune.prompts.options import answer_texts, in_order, options_block, shown_order
from flantune.prompts.render import render
from flantune.prompts.styles import INSTRUCTION

if TYPE_CHECKING:
    from flantune.prompts.styles import Style
    from flantune.types import Example, Task, Template


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A piece of rendered text.

    Attributes:
        text: The piece.
        slot: The slot it fills; empty for the template's own words.
    """

    text: str
    slot: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpannedPrompt:
    """Inputs and targets in pieces; joined, they are what ``render`` gives."""

    inputs: tuple[Span, ...]
    targets: tuple[Span, ...]


def render_spans(
    task: Task, example: Example, template: Template, *, style: Style = INSTRUCTION, options_key: int = 0
) -> SpannedPrompt:
    """The prompt of ``render`` in pieces, with options as the style writes and orders them.

    Args:
        task: The task.
        example: What is asked.
        template: The words; a style's name other than ``instruction`` is not looked at.
        style: How options are shown.
        options_key: With the example's row, seeds the order of shuffled options.

    Raises:
        TemplateError: As ``render``.
    """
    render(task, example, template, split="train")  # finds every mistake, and says where it is
    example = in_order(example, shown_order(example, style, key=options_key))
    values = {name: text for name, text in example.fields.items() if name not in ("options", "answer")}
    texts = answer_texts(example, template, style)
    if example.answer is not None and texts is not example.options:
        values["answer"] = texts[example.answer]
    elif example.references:
        values["answer"] = example.references[0]
    if example.options:
        values["options"] = options_block(example.options, style.options)
    return SpannedPrompt(inputs=_spans(template.inputs, values), targets=_spans(template.targets, values))


def _spans(text: str, values: dict[str, str]) -> tuple[Span, ...]:
    compiled = compile_text(text)
    spans = [Span(text=compiled.literals[0])]
    for slot, literal in zip(compiled.slots, compiled.literals[1:], strict=True):
        spans += [Span(text=values[slot], slot=slot), Span(text=literal)]
    return tuple(span for span in spans if span.text or span.slot)
