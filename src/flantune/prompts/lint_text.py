"""Problems of a template that its text shows: braces, glued slots, stray white space."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flantune.errors import TemplateError
from flantune.prompts.compiled import compile_side, language_of
from flantune.prompts.graded import answer_marks
from flantune.prompts.language import SIDES, CompiledText, Severity

if TYPE_CHECKING:
    from flantune.types import Task, Template


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One problem of a task's templates.

    Attributes:
        task: Name of the task.
        template: Name of the template; empty if it is about the whole task.
        rule: Short name of the rule, explained in docs/templates.md.
        message: What is wrong.
        hint: What to do about it.
        severity: An error produces broken or useless prompts; a warning should be checked.
    """

    task: str
    template: str
    rule: str
    message: str
    hint: str = ""
    severity: Severity = "error"

    @property
    def where(self) -> str:
        """``task/template``, or only the task."""
        return f"{self.task}/{self.template}" if self.template else self.task


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadTemplate:
    """A template with its compiled texts.

    Attributes:
        inputs: Its inputs, compiled.
        targets: Its targets, compiled.
    """

    task: Task
    template: Template
    inputs: CompiledText
    targets: CompiledText

    @property
    def slots(self) -> frozenset[str]:
        """All slots of both texts."""
        return frozenset((*self.inputs.slots, *self.targets.slots))

    def error(self, rule: str, message: str, *, hint: str) -> Finding:
        """An error about this template."""
        return about(self.task, self.template, rule, message, hint=hint)

    def warning(self, rule: str, message: str, *, hint: str) -> Finding:
        """A warning about this template."""
        return about(self.task, self.template, rule, message, hint=hint, severity="warning")


def about(
    task: Task, template: Template | None, rule: str, message: str, *, hint: str, severity: Severity = "error"
) -> Finding:
    """A finding about a template, or about the whole task."""
    name = template.name if template is not None else ""
    return Finding(task=task.name, template=name, rule=rule, message=message, hint=hint, severity=severity)


def read_template(task: Task, template: Template) -> ReadTemplate | None:
    """A template with its compiled texts; None if one cannot be read, which ``text_findings`` reports."""
    try:
        inputs, targets = (compile_side(template, side) for side in SIDES)
    except TemplateError:
        return None
    return ReadTemplate(task=task, template=template, inputs=inputs, targets=targets)


def text_findings(task: Task, template: Template) -> Iterator[Finding]:
    """Findings that need neither the task nor its examples, by the template's language."""
    try:
        language = language_of(template)
    except TemplateError as error:
        yield about(task, template, "unknown-language", error.message, hint=error.hint)
        return
    for side in SIDES:
        try:
            compile_side(template, side)
        except TemplateError as error:
            yield about(task, template, "broken-braces", error.message, hint=error.hint)
        for flaw in language.flaws(getattr(template, side), side):
            yield about(task, template, flaw.rule, flaw.message, hint=flaw.hint, severity=flaw.severity)
    yield from _graded_part(task, template)


def _graded_part(task: Task, template: Template) -> Iterator[Finding]:
    """The graded part is not recognizable, or differs from what is trained on."""
    reading = read_template(task, template)
    if reading is None or template.is_inverted or language_of(template).ask is not None or not reading.targets.slots:
        return
    marks = answer_marks(template)
    if "answer" not in reading.targets.slots:
        hint = "put {answer} where the answer is, or mark the template inverted"
        yield reading.warning("answer-not-asked", "the targets do not contain the answer that is graded", hint=hint)
    elif marks and task.kind == "classification":
        message = "the options are ranked alone, without what the targets have around {answer}"
        hint = 'write targets = "{answer}"; for reasons before an answer use kind = "generation"'
        yield reading.warning("answer-not-alone", message, hint=hint)
    elif marks and not any(map(str.strip, marks)) and "\n" not in marks[0]:
        message = "nothing in the targets shows where the answer is"
        hint = "put words or a line break before {answer}"
        yield reading.warning("answer-not-marked", message, hint=hint)
