"""A rendered template in pieces, so that the words of the template can be told from those of the example."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flantune.prompts.compiled import compile_text
from flantune.prompts.options import options_block
from flantune.prompts.render import render

if TYPE_CHECKING:
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


def render_spans(task: Task, example: Example, template: Template) -> SpannedPrompt:
    """The prompt of ``render`` in instruction style, in pieces.

    Raises:
        TemplateError: As ``render``.
    """
    render(task, example, template, split="train")  # finds every mistake, and says where it is
    values = {name: text for name, text in example.fields.items() if name not in ("options", "answer")}
    if example.references:
        values["answer"] = example.references[0]
    if example.options:
        values["options"] = options_block(example.options)
    return SpannedPrompt(inputs=_spans(template.inputs, values), targets=_spans(template.targets, values))


def _spans(text: str, values: dict[str, str]) -> tuple[Span, ...]:
    compiled = compile_text(text)
    spans = [Span(text=compiled.literals[0])]
    for slot, literal in zip(compiled.slots, compiled.literals[1:], strict=True):
        spans += [Span(text=values[slot], slot=slot), Span(text=literal)]
    return tuple(span for span in spans if span.text or span.slot)
