"""A linter for templates; it would have caught thirteen of FLAN's 610.

Three kinds of rules: those of ``lint_text`` read a single template; those of ``lint_wording`` check its English; those
here see the task and some of its examples. docs/templates.md explains each rule and what to do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flantune.errors import TemplateError, did_you_mean
from flantune.prompts.alike import plain
from flantune.prompts.compiled import gives_prompts, slots_of
from flantune.prompts.lint_text import Finding, ReadTemplate, about, read_template, text_findings
from flantune.prompts.lint_wording import LEAST_DIFFERENCE, difference, wording_findings
from flantune.prompts.render import render_words
from flantune.prompts.styles import RESERVED_SLOTS, forward_templates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from flantune.types import Example, Task, Template

MAX_INVERTED = 3
"""Paper: FLAN 2021, section 2.1: for each dataset, up to three templates that invert the task."""
MIN_EXAMPLES = 4
"""Rules that compare examples need at least this many, to avoid findings by chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The input of the rules: the task, its readable templates, and some of its examples."""

    task: Task
    readings: tuple[ReadTemplate, ...]
    examples: tuple[Example, ...]


def lint_task(task: Task, examples: Sequence[Example]) -> tuple[Finding, ...]:
    """All findings about a task's templates, in template order; findings about the whole task are last.

    An error produces prompts that are broken or teach nothing; a warning should be checked. Rules that need examples
    find nothing without any; twenty are enough.
    """
    read = [(template, _read(task, template)) for template in task.templates]
    case = Case(task=task, readings=tuple(one for _, one in read if one is not None), examples=tuple(examples))
    findings: list[Finding] = []
    for template, reading in read:
        findings += text_findings(task, template)
        if reading is not None:
            findings += [finding for rule in _TEMPLATE_RULES for finding in rule(case, reading)]
    findings += [finding for rule in _TASK_RULES for finding in rule(case)]
    return tuple(findings)


def _read(task: Task, template: Template) -> ReadTemplate | None:
    """A template with known slots; None for an unreadable one, or one whose text gives a whole prompt."""
    reading = read_template(task, template)
    return None if reading is None or gives_prompts(template) else reading


# Rules about one template and its examples. -------------------------------------------------------------


def _unknown_slots(case: Case, reading: ReadTemplate) -> Iterator[Finding]:
    if not case.examples:
        return
    known = RESERVED_SLOTS.union(*(example.fields for example in case.examples))
    everywhere = RESERVED_SLOTS.union(
        frozenset(case.examples[0].fields).intersection(*(e.fields for e in case.examples[1:]))
    )
    for slot in sorted(reading.slots - everywhere):
        if slot in known:
            row = next(example.row for example in case.examples if slot not in example.fields)
            yield reading.error(
                "unknown-slot",
                f"the slot {{{slot}}} has no field in some examples, such as row {row}",
                hint="let the adapter fill it in every example, or drop the rows that lack it",
            )
        else:
            hint = did_you_mean(slot, known) or f"the fields are {', '.join(sorted(known - RESERVED_SLOTS))}"
            yield reading.error(
                "unknown-slot", f"the slot {{{slot}}} names no field; nothing in a slot is evaluated", hint=hint
            )


def _no_input_slot(case: Case, reading: ReadTemplate) -> Iterator[Finding]:
    asking = set(reading.inputs.slots) - {"options"}
    if not reading.template.is_inverted:
        asking -= {"answer"}
    if "options" in reading.inputs.slots and len({example.options for example in case.examples}) > 1:
        return
    if not asking:
        yield reading.error(
            "no-input-slot",
            "the inputs do not depend on the example, so the target cannot be known from them",
            hint="put a field of the example into the inputs",
        )


def _options_unavailable(case: Case, reading: ReadTemplate) -> Iterator[Finding]:
    bare = next((example for example in case.examples if not example.options), None)
    if "options" in reading.slots and bare is not None:
        yield reading.error(
            "options-unavailable",
            f"the template has an {{options}} slot, but row {bare.row} has no options",
            hint="take {options} out, or give the examples options",
        )


def _options_in_words(case: Case, reading: ReadTemplate) -> Iterator[Finding]:
    """Options listed in the template's own words that differ, or are in another order, from the examples' options."""
    listed = tuple(re.findall(r"^- (\S.*?)[ \t]*$", reading.inputs.words, flags=re.MULTILINE))
    if len(listed) < 2:
        return
    for example in case.examples:
        if listed == example.options or not set(listed) & set(example.options):
            continue
        is_reordered = sorted(listed) == sorted(example.options)
        yield reading.error(
            "options-out-of-order" if is_reordered else "options-differ",
            f"the words list the options {list(listed)}, but row {example.row} has {list(example.options)}",
            hint="let {options} write the list",
        )
        return


def _options_mentioned(case: Case, reading: ReadTemplate) -> Iterator[Finding]:
    is_bare = case.task.kind == "classification" and "options" not in reading.slots and not reading.template.is_inverted
    if is_bare and re.search(r"\b(options?|choices) (below|above|given)\b|\bOPTIONS:", reading.inputs.words):
        yield reading.warning(
            "options-missing", "the words speak of options that are not shown", hint="add {options} to the inputs"
        )


def _answer_in_inputs(case: Case, reading: ReadTemplate) -> Iterator[Finding]:
    if reading.template.is_inverted:
        return
    if "answer" in reading.inputs.slots:
        yield reading.error(
            "answer-in-inputs",
            "the inputs show {answer}, which is what the model is asked for",
            hint="take {answer} out of the inputs, or mark the template is_inverted",
        )
        return
    solved = [example for example in case.examples if example.references]
    if len(solved) < MIN_EXAMPLES or len({example.references[0] for example in solved}) < 2:
        return
    for slot in dict.fromkeys(reading.inputs.slots):
        if slot not in RESERVED_SLOTS and all(_is_same(e.fields.get(slot, ""), e.references[0]) for e in solved):
            yield reading.error(
                "answer-in-inputs",
                f"the field {slot} is the answer itself in each of {len(solved)} examples",
                hint=f"take {{{slot}}} out of the inputs",
            )
            return
    if "options" not in reading.inputs.slots and all(_names_only_gold(case.task, reading, e) for e in solved):
        yield reading.error(
            "answer-in-inputs",
            f"in each of {len(solved)} examples the inputs contain the gold option and no other",
            hint="look for a field that gives the answer away",
        )


def _empty_targets(case: Case, reading: ReadTemplate) -> Iterator[Finding]:
    if not reading.template.targets.strip():
        yield reading.error("empty-targets", "the targets are empty", hint='write targets = "{answer}"')
        return
    for example in case.examples:
        words = _render(case.task, example, reading)
        if words is not None and not words.strip():
            yield reading.error(
                "empty-targets",
                f"the target of row {example.row} is empty",
                hint="drop such rows in the adapter, or give them an answer in words",
            )
            return


def _constant_targets(case: Case, reading: ReadTemplate) -> Iterator[Finding]:
    if reading.template.targets.strip() and not reading.targets.slots:
        yield reading.error(
            "constant-targets", "the targets do not depend on the example", hint="put {answer} or a field into them"
        )
        return
    targets = [words for example in case.examples if (words := _render(case.task, example, reading)) is not None]
    if len(targets) >= MIN_EXAMPLES and len(set(targets)) == 1 and targets[0].strip():
        yield reading.warning(
            "constant-targets",
            f"each of {len(targets)} examples has the same target, {targets[0][:60]!r}",
            hint="read more rows: a file sorted by label shows only one label at its top",
        )


def _wording(case: Case, reading: ReadTemplate) -> Iterator[Finding]:
    options = {example.options for example in case.examples}
    are_labels = len(case.examples) > 1 and len(options) == 1
    yield from wording_findings(reading, options.pop() if are_labels else ())


# Rules about all templates of a task. --------------------------------------------------------------------------------


def _duplicates(case: Case) -> Iterator[Finding]:
    names: set[str] = set()
    exact: dict[tuple[str, str], str] = {}
    near: dict[tuple[str, str], str] = {}
    for template in case.task.templates:
        if template.name in names:
            hint = "give each its own name"
            yield about(case.task, template, "duplicate-name", "another template has this name", hint=hint)
        names.add(template.name)
        words = (f"{template.encoding} {template.inputs}", template.targets)
        if twin := exact.get(words):
            message, hint = f"it says the same as {twin}", "remove one of the two"
            yield about(case.task, template, "duplicate-template", message, hint=hint)
        elif twin := near.get(_bare(words)):
            message = f"it differs from {twin} in case, punctuation or white space alone"
            hint = "say it in other words, or remove one of the two"
            yield about(case.task, template, "duplicate-template", message, hint=hint, severity="warning")
        exact.setdefault(words, template.name)
        near.setdefault(_bare(words), template.name)


def _near_copies(case: Case) -> Iterator[Finding]:
    for number, reading in enumerate(case.readings):
        for other in case.readings[:number]:
            texts = [(one.template.inputs, one.template.targets) for one in (reading, other)]
            if _bare(texts[0]) != _bare(texts[1]) and difference(reading, other) < LEAST_DIFFERENCE:
                message = f"it differs from {other.template.name} in under a tenth of its words"
                yield reading.warning(
                    "duplicate-template", message, hint="say it in other words, or remove one of the two"
                )
                break


def _unused_fields(case: Case) -> Iterator[Finding]:
    if len(case.readings) < len(case.task.templates):
        return
    used = frozenset[str]().union(*(reading.slots for reading in case.readings))
    for name in sorted({name for example in case.examples for name in example.fields} - used - RESERVED_SLOTS):
        yield _about_task(
            case.task,
            "unused-field",
            f"no template uses the field {name}",
            hint="use it, or take it out of the adapter",
        )


def _reserved_fields(case: Case) -> Iterator[Finding]:
    for name in sorted({name for example in case.examples for name in example.fields} & RESERVED_SLOTS):
        yield _about_task(
            case.task,
            "reserved-field",
            f"a field named {name} can never be shown: {{{name}}} means something else",
            hint="give the field another name",
        )


def _options_missing(case: Case) -> Iterator[Finding]:
    forward = [reading for reading in case.readings if not reading.template.is_inverted]
    if case.task.kind == "classification" and forward and not any("options" in reading.slots for reading in forward):
        yield _about_task(
            case.task,
            "options-missing",
            "no template of this classification task shows the options, so the model must guess how to word its answer",
            hint="add {options} to some templates (FLAN 2021, section 2.3)",
        )


def _inversion(case: Case) -> Iterator[Finding]:
    inverted = len(case.task.templates) - len(forward_templates(case.task))
    if not len(case.task.templates) - inverted:
        yield about(
            case.task,
            None,
            "no-forward-template",
            "no template asks the task itself, so it can never be scored",
            hint="add a template that is not inverted",
        )
    elif inverted > MAX_INVERTED and len(case.readings) == len(case.task.templates):
        yield _about_task(
            case.task,
            "too-many-inverted",
            f"{inverted} templates are inverted; the paper allows up to {MAX_INVERTED} of ten (FLAN 2021, section 2.1)",
            hint="turn some around, or leave it if you mean it",
        )


_TEMPLATE_RULES: tuple[Callable[[Case, ReadTemplate], Iterator[Finding]], ...] = (
    _unknown_slots,
    _no_input_slot,
    _options_unavailable,
    _options_in_words,
    _options_mentioned,
    _answer_in_inputs,
    _empty_targets,
    _constant_targets,
    _wording,
)
_TASK_RULES: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    _duplicates,
    _near_copies,
    _unused_fields,
    _reserved_fields,
    _options_missing,
    _inversion,
)


def _about_task(task: Task, rule: str, message: str, *, hint: str) -> Finding:
    return about(task, None, rule, message, hint=hint, severity="warning")


def _render(task: Task, example: Example, reading: ReadTemplate) -> str | None:
    """The rendered targets, or None if another rule already reports why there are none."""
    try:
        return render_words(task, example, reading.template).targets
    except TemplateError:
        return None


def _names_only_gold(task: Task, reading: ReadTemplate, example: Example) -> bool:
    if task.kind != "classification" or example.answer is None:
        return False
    try:
        inputs = render_words(task, example, reading.template).inputs
    except TemplateError:
        return False
    return all(_mentions(inputs, option) == (number == example.answer) for number, option in enumerate(example.options))


def _mentions(text: str, phrase: str) -> bool:
    return bool(phrase) and re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", text, flags=re.IGNORECASE) is not None


def _is_same(left: str, right: str) -> bool:
    return bool(left.strip()) and plain(left) == plain(right)


def _bare(words: tuple[str, str]) -> tuple[str, str]:
    """Only letters, digits and slots."""
    return (re.sub(r"[^\w{}]|_", "", words[0].casefold()), re.sub(r"[^\w{}]|_", "", words[1].casefold()))


def empty_field_findings(task: Task, examples: Sequence[Example]) -> Iterator[Finding]:
    """Findings about fields shown by forward templates that are empty in some of these examples.

    A prompt without its question looks right but teaches nothing.
    """
    shown = [slot for template in forward_templates(task) for slot in slots_of(template, "inputs")]
    for name in dict.fromkeys(shown):
        empty = [one for one in examples if name not in RESERVED_SLOTS and not one.fields.get(name, "-").strip()]
        if empty:
            yield Finding(
                task=task.name,
                template="",
                rule="empty-field",
                message=f"the field {name} is empty in {len(empty):,} of {len(examples):,} rows looked at, first in row"
                f" {empty[0].row} (counted from 0): their prompts show nothing there",
                hint=f"fix these rows, or leave them out; unless {name} may be empty",
                severity="warning",
            )
