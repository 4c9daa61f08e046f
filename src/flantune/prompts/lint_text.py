"""What can be told wrong with a template from its text alone: braces, glued slots, stray white space."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from flantune.errors import TemplateError
from flantune.prompts.compiled import CompiledText, compile_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flantune.types import Task, Template

_EMPTY = CompiledText(literals=("",), slots=())
_LOST_BACKSLASH = re.compile(r"(?<!\w)n{1,2}$")
"""What is left of a line break or two in front of a slot when the backslash is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that looks wrong with a task's templates.

    Attributes:
        task: Name of the task.
        template: Name of the template; empty when it is about the whole task.
        rule: Short name of the rule, explained in docs/templates.md.
        message: What is wrong.
        hint: What to do about it.
        severity: An error makes broken or useless prompts; a warning is worth a look.
    """

    task: str
    template: str
    rule: str
    message: str
    hint: str = ""
    severity: Literal["error", "warning"] = "error"

    @property
    def where(self) -> str:
        """``task/template``, or the task alone."""
        return f"{self.task}/{self.template}" if self.template else self.task


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A template as the linter reads it.

    Attributes:
        template: The template.
        inputs: Its inputs, compiled; empty when a brace is broken.
        targets: Its targets, compiled; empty when a brace is broken.
        problems: What compiling had to say.
    """

    task: str
    template: Template
    inputs: CompiledText
    targets: CompiledText
    problems: tuple[TemplateError, ...]

    @property
    def is_whole(self) -> bool:
        """Both texts could be read."""
        return not self.problems

    @property
    def slots(self) -> frozenset[str]:
        """All slots of both texts."""
        return frozenset(self.inputs.slots + self.targets.slots)

    def error(self, rule: str, message: str, *, hint: str) -> Finding:
        """An error about this template."""
        return Finding(task=self.task, template=self.template.name, rule=rule, message=message, hint=hint)

    def warning(self, rule: str, message: str, *, hint: str) -> Finding:
        """A warning about this template."""
        return Finding(
            task=self.task, template=self.template.name, rule=rule, message=message, hint=hint, severity="warning"
        )


def read_template(task: Task, template: Template) -> Reading:
    """Compile a template's texts, keeping what goes wrong instead of raising it."""
    problems: list[TemplateError] = []
    texts = []
    for text in (template.inputs, template.targets):
        try:
            texts.append(compile_text(text))
        except TemplateError as error:
            problems.append(error)
            texts.append(_EMPTY)
    return Reading(task=task.name, template=template, inputs=texts[0], targets=texts[1], problems=tuple(problems))


def text_findings(reading: Reading) -> Iterator[Finding]:
    """Findings that need neither the task nor its examples."""
    for problem in reading.problems:
        yield reading.error("broken-braces", problem.message, hint=problem.hint)
    for side, text, compiled in (
        ("inputs", reading.template.inputs, reading.inputs),
        ("targets", reading.template.targets, reading.targets),
    ):
        yield from _broken_line_breaks(reading, side, text, compiled)
        yield from _glued_fields(reading, side, compiled)
        yield from _stray_spaces(reading, side, text)


def _broken_line_breaks(reading: Reading, side: str, text: str, compiled: CompiledText) -> Iterator[Finding]:
    r"""A line break that lost its backslash ("\nn{slot}"), or kept it as one of two characters."""
    if match := re.search(r"\\[nrt]", text):
        yield reading.error(
            "broken-line-break",
            f"the {side} contain the two characters {match[0]} instead of a line break or tab",
            hint="in TOML, write it between double quotes, or as a real line break between triple quotes",
        )
        return
    for slot, before in zip(compiled.slots, compiled.literals, strict=False):
        if match := _LOST_BACKSLASH.search(before):
            yield reading.error(
                "broken-line-break",
                f'the {side} have a stray "{match[0]}" in front of the slot {{{slot}}}',
                hint="write the line break again",
            )


def _glued_fields(reading: Reading, side: str, compiled: CompiledText) -> Iterator[Finding]:
    last = len(compiled.slots) - 1
    for number, slot in enumerate(compiled.slots):
        before, after = compiled.literals[number], compiled.literals[number + 1]
        is_told = _LOST_BACKSLASH.search(before) or (number < last and _LOST_BACKSLASH.fullmatch(after))
        if not is_told and (re.search(r"\w\Z", before) or re.match(r"\w", after)):
            yield reading.error(
                "glued-field",
                f"in the {side} the slot {{{slot}}} touches a letter or digit",
                hint="put a space or a line break between them",
            )
        if not after and number < last:
            yield reading.error(
                "glued-field",
                f"in the {side} the slots {{{slot}}} and {{{compiled.slots[number + 1]}}} touch",
                hint="put a space or a line break between them, or make them one field in the adapter",
            )


def _stray_spaces(reading: Reading, side: str, text: str) -> Iterator[Finding]:
    if text.strip() and text != text.strip():
        yield reading.error(
            "stray-space", f"the {side} begin or end with white space", hint="the layout sets what stands between parts"
        )
    inner = text.strip()
    if re.search(r"[ \t]+\n", inner):
        yield reading.warning("stray-space", f"a line of the {side} ends with white space", hint="remove it")
    if "\t" in inner:
        yield reading.warning("stray-space", f"the {side} contain a tab", hint="use a space or a line break")
    if re.search(r"(?<=\S) {2,}(?=\S)", inner):
        yield reading.warning("stray-space", f"the {side} contain two spaces in a row", hint="leave one")
