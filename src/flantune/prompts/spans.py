"""A rendered template as spans, which distinguish the words of the template from those of the example."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flantune.prompts.compiled import compile_side, gives_prompts, slots_of
from flantune.prompts.conversations import at_reply
from flantune.prompts.language import Span
from flantune.prompts.layout import Layout, inputs_text
from flantune.prompts.options import in_order, shown_order
from flantune.prompts.render import render, slot_values
from flantune.prompts.styles import INSTRUCTION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flantune.prompts.language import Side
    from flantune.prompts.styles import Style
    from flantune.types import Example, Prompt, Task, Template


@dataclass(frozen=True, slots=True, kw_only=True)
class SpannedPrompt:
    """Inputs and targets as spans; joined, they equal the texts of ``render``."""

    inputs: tuple[Span, ...]
    targets: tuple[Span, ...]


def render_spans(
    task: Task, example: Example, template: Template, *, style: Style = INSTRUCTION, options_key: int = 0
) -> SpannedPrompt:
    """The prompt of ``render`` as spans, with options in the style's form and order.

    Args:
        task: The task.
        example: The example.
        template: The template; a style other than ``instruction`` is ignored.
        style: How options are shown.
        options_key: Seeds varied layouts and, with the example's row, the order of shuffled options.

    Raises:
        TemplateError: As ``render``.
    """
    prompt = render(
        task, example, template, split="test", style=replace(style, name="instruction"), options_key=options_key
    )
    if gives_prompts(template):
        return SpannedPrompt(inputs=(Span(text=prompt.inputs),), targets=(Span(text=prompt.targets),))
    ordered = in_order(example, shown_order(example, style, key=options_key))
    shown = at_reply(ordered, template, style.turns, key=options_key)
    values = slot_values(shown, template, style, key=options_key)

    def spans(side: Side) -> tuple[Span, ...]:
        return tuple(one for one in compile_side(template, side).spans(values) if one.text or one.slot)

    inputs = spans("inputs") if prompt.frame is None else tuple(_framed(prompt, slots_of(template, "inputs")))
    return SpannedPrompt(inputs=inputs, targets=spans("targets"))


def _framed(prompt: Prompt, slots: tuple[str, ...]) -> Iterator[Span]:
    """A prompt with definition and exemplars: the text around the query, and the query."""
    first, last = prompt.frame or (0, 0)
    end = len(prompt.inputs) - last
    yield Span(text=inputs_text(replace(prompt, inputs=prompt.inputs[:first]), Layout()))
    yield Span(text=prompt.inputs[first:end], slot=slots[0] if slots else "")
    yield Span(text=prompt.inputs[end:])
