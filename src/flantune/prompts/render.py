"""Prompts from examples and templates."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from flantune.errors import NotAskedError, TemplateError, did_you_mean
from flantune.prompts.compiled import compile_side, compile_without_options, language_of
from flantune.prompts.conversations import at_reply, conversation_of
from flantune.prompts.graded import answer_marks
from flantune.prompts.instructions import with_instruction
from flantune.prompts.options import answer_texts, answers_by_mark, in_order, layout_for, shown_order
from flantune.prompts.styles import INSTRUCTION, RESERVED_SLOTS, Style, shown_fields
from flantune.system.keyed_random import mix64
from flantune.types import Prompt

if TYPE_CHECKING:
    from flantune.prompts.language import Asked, CompiledText
    from flantune.types import Example, SplitRole, Task, Template


class PromptTexts(NamedTuple):
    """The two texts of a prompt."""

    inputs: str
    targets: str


def render(
    task: Task,
    example: Example,
    template: Template,
    *,
    split: SplitRole,
    style: Style = INSTRUCTION,
    options_key: int = 0,
) -> Prompt:
    """The prompt for ``example`` with ``template``, without exemplars except those of its encoding.

    An inverted template is trained on but does not ask the task: its prompt has no options and no gold index, and its
    only reference is its own target. In styles without instructions the template's text is not used, and the prompt's
    ``template`` is the style's name. Options, answer and references are those that the prompt shows: in its order, and
    as marks if it asks for marks.

    Args:
        task: The task, for its name and messages.
        example: The example.
        template: The template.
        split: The split of ``example``.
        style: How much of the instruction is kept; see ``Style``.
        options_key: Seeds varied layouts of options and forms of turns and, with the example's row, the order of
            shuffled options, the target reply of a conversation, the reference to train on in templates with an
            ``encoding``, and the template's own random choices.

    Raises:
        NotAskedError: The template does not accept this example.
        TemplateError: A slot names no field of the example, a brace is unmatched, or ``{options}`` is used for an
            example without options.
    """
    if style.name == "instruction" and (asked := _asked(task, example, template, key=options_key)) is not None:
        return _whole_prompt(asked, task, example, template, split=split)
    order = shown_order(example, style, key=options_key)
    example = at_reply(in_order(example, order), template, style.turns, key=options_key)
    words = _words(task, example, template, style=style, key=options_key)
    if style.name == "instruction" and template.is_inverted:
        return Prompt(
            task=task.name,
            split=split,
            row=example.row,
            template=template.name,
            inputs=words.inputs,
            targets=words.targets,
            references=(words.targets,),
        )
    prompt = Prompt(
        task=task.name,
        split=split,
        row=example.row,
        template=template.name if style.name == "instruction" else style.name,
        inputs=words.inputs,
        targets=words.targets,
        options=answer_texts(example, template, style, key=options_key),
        answer=example.answer,
        references=_references(example, template, style, key=options_key),
        group=example.group,
        order=order,
        answer_marks=answer_marks(template) if style.name == "instruction" and not example.options else (),
        is_marked=answers_by_mark(example, template, style, key=options_key),
    )
    if style.name != "instruction":
        return prompt
    if example.turns:
        values = slot_values(example, template, style, key=options_key)
        return replace(prompt, conversation=conversation_of(example, template, values, style.turns, key=options_key))
    if not template.encoding:
        return prompt
    return with_instruction(prompt, task, template.encoding, words=style.words, key=options_key)


def render_words(
    task: Task, example: Example, template: Template, *, style: Style = INSTRUCTION, options_key: int = 0
) -> PromptTexts:
    """Only the texts of ``render``.

    Raises:
        TemplateError: As ``render``.
    """
    if style.name == "instruction" and (asked := _asked(task, example, template, key=options_key)) is not None:
        return PromptTexts(asked.inputs, asked.targets)
    ordered = in_order(example, shown_order(example, style, key=options_key))
    asking = at_reply(ordered, template, style.turns, key=options_key)
    return _words(task, asking, template, style=style, key=options_key)


def _asked(task: Task, example: Example, template: Template, *, key: int) -> Asked | None:
    """The result of a language that gives a whole prompt, with options as in the template; otherwise None."""
    where = f"{task.name}/{template.name}"
    try:
        asks = language_of(template).ask
        if asks is None:
            return None
        where += f"/row {example.row}"
        return asks(template, example.fields, mix64(key, example.row))
    except TemplateError as error:
        raise type(error)(error.message, where=where, hint=error.hint) from None


def _whole_prompt(asked: Asked, task: Task, example: Example, template: Template, *, split: SplitRole) -> Prompt:
    """The prompt of such a result: classification if the task is and the template gives choices.

    Raises:
        NotAskedError: The target is not among the options, or equals two of them.
    """
    is_choice = task.kind == "classification" and not template.is_inverted
    if is_choice and asked.options.count(asked.targets) != 1:
        where = f"{task.name}/{template.name}/row {example.row}"
        message = f'"{asked.targets}" is not one of the choices {list(asked.options)}'
        raise NotAskedError(message, where=where, hint="the row has a label without a choice, say -1 for none")
    return Prompt(
        task=task.name,
        split=split,
        row=example.row,
        template=template.name,
        inputs=asked.inputs,
        targets=asked.targets,
        options=asked.options if is_choice else (),
        answer=asked.options.index(asked.targets) if is_choice else None,
        references=(asked.targets,),
        group=example.group,
    )


def _words(task: Task, example: Example, template: Template, *, style: Style, key: int) -> PromptTexts:
    """The texts for an example with options in the order to show."""
    if style.name != "instruction":
        references = _references(example, template, style, key=key)
        inputs_text = _plain_inputs(task, example, template, style, key=key)
        return PromptTexts(inputs_text, references[0] if references else "")
    values = None
    try:
        inputs, targets = _compile_inputs(template, style), compile_side(template, "targets")
        values = slot_values(example, template, style, key=key)
        return PromptTexts(_fill(inputs, values), _fill(targets, values))
    except TemplateError as error:
        row = "" if values is None else f"/row {example.row}"
        raise TemplateError(error.message, where=f"{task.name}/{template.name}{row}", hint=error.hint) from None


def _compile_inputs(template: Template, style: Style) -> CompiledText:
    return compile_side(template, "inputs") if style.show_options else compile_without_options(template)


def _references(example: Example, template: Template, style: Style, *, key: int) -> tuple[str, ...]:
    """The acceptable answers in this prompt's form: marks of right options, if marks are the answers."""
    texts = answer_texts(example, template, style, key=key)
    if texts is example.options or example.answer is None:
        return example.references
    right = (text for text, option in zip(texts, example.options, strict=True) if option in example.references[1:])
    return tuple(dict.fromkeys((texts[example.answer], *right)))


def slot_values(example: Example, template: Template, style: Style, *, key: int) -> dict[str, str]:
    """Slot → text, for an example with options in the order to show.

    ``answer`` and ``options`` are reserved: a field of that name is never shown.

    Raises:
        TemplateError: The template cannot be read.
    """
    values = dict(example.fields)
    for name in RESERVED_SLOTS:
        values.pop(name, None)
    references = _references(example, template, style, key=key)
    if references:
        values["answer"] = references[0]
    if example.options:
        values["options"] = layout_for(style, template, key=key).block(example.options)
    return values


def _fill(text: CompiledText, values: dict[str, str]) -> str:
    try:
        return text.fill(values)
    except (KeyError, TypeError):
        raise _unfilled(text, values) from None


def _unfilled(text: CompiledText, values: dict[str, str]) -> TemplateError:
    """Names the first slot that cannot be filled."""
    for slot in text.slots:
        if slot == "options" and slot not in values:
            return TemplateError(
                "the template has an {options} slot, but the example has no options",
                hint="take {options} out of the template, or give the task's examples options",
            )
        if slot not in values:
            hint = did_you_mean(slot, values) or f"the slots of this example are {', '.join(sorted(values))}"
            if not slot.isidentifier():
                hint += "; a slot is a plain name, and literal braces are written {{ and }}"
            return TemplateError(f"the slot {{{slot}}} names no field of the example", hint=hint)
    slot = next(slot for slot in text.slots if not isinstance(values[slot], str))
    return TemplateError(
        f"the field {slot} is {type(values[slot]).__name__}, not text",
        hint="let the task's adapter turn every field into a string",
    )


def _plain_inputs(task: Task, example: Example, template: Template, style: Style, *, key: int) -> str:
    lines = [example.fields[name] for name in shown_fields(task, tuple(example.fields))]
    if style.show_options and example.options:
        lines.append(layout_for(style, template, key=key).block(example.options))
    text = "\n".join(lines)
    return f"[{task.name}] {text}" if style.name == "dataset_name" else text
