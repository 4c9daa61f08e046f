"""Which of a task's templates are used, and in which of the paper's styles."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from flantune.errors import TemplateError
from flantune.prompts.compiled import compile_side, gives_prompts, slots_of
from flantune.settings.conversations import TURN_FORMS
from flantune.settings.natural_instructions import InstructionSettings
from flantune.types import Template

if TYPE_CHECKING:
    from flantune.settings.config import PromptSettings
    from flantune.types import Task

StyleName = Literal["instruction", "inputs_only", "dataset_name"]
OptionsLayout = Literal["listed", "lettered", "varied"]
ExemplarFormat = Literal["plain", "varied"]
RESERVED_SLOTS = frozenset({"options", "answer"})
"""Slots that are not fields: the options block and the first reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How much of the instruction a prompt carries, for ablations. Paper: FLAN 2021, section 4.3.

    Attributes:
        name: ``instruction``: the template. ``inputs_only``: the fields' texts, one per line, without other words.
            ``dataset_name``: the same after ``[name of the task]``.
        show_options: List the answer options. Both values exist for every style: an ablation that removed the options
            together with the instruction would measure two things at once.
        options: ``listed``: a dash before each option, and its text is the answer (as in the paper). ``lettered``:
            "(A)", "(B)" … before them, and if they are shown, the letter with its brackets is the answer.
            ``varied``: openings and marks are drawn, and if the opening asks for the mark, the mark is the answer.
        shuffle_options: Show the options in an order drawn for each example, by the key of the rendering.
        words: The wording around a task's definition and examples, in templates with an ``encoding``.
        turns: Forms of a turn of a conversation; evaluation uses the first.
        exemplars: ``plain``: the layout's separators surround solved examples. ``varied``: drawn labels and
            separators do.
        trigger: Ends a prompt without solved examples whose target has reasoning before the answer; empty: none.
    """

    name: StyleName = "instruction"
    show_options: bool = True
    options: OptionsLayout = "listed"
    shuffle_options: bool = False
    words: InstructionSettings = field(default_factory=InstructionSettings)
    turns: tuple[str, ...] = TURN_FORMS
    exemplars: ExemplarFormat = "plain"
    trigger: str = ""

    @classmethod
    def from_settings(cls, settings: PromptSettings) -> Style:
        """The style of a run file."""
        return cls(
            name=settings.style,
            show_options=settings.show_options,
            options=settings.options_layout,
            shuffle_options=settings.shuffle_options,
            words=settings.instruction,
            turns=settings.turns,
            exemplars=settings.exemplar_format,
            trigger=settings.trigger,
        )

    @property
    def measured(self) -> Style:
        """The style of evaluation: exemplars in the layout's format, and the first form of turns."""
        return replace(self, exemplars="plain", turns=self.turns[:1])


INSTRUCTION = Style()
"""The default style: the template's own words, with options if it has an ``{options}`` slot."""


def forward_templates(task: Task) -> tuple[Template, ...]:
    """The templates that ask the task itself, the only ones that are ever scored."""
    return tuple(template for template in task.templates if not template.is_inverted)


def usable_templates(
    task: Task, *, style: Style = INSTRUCTION, include_inverted: bool = False, max_templates: int = 0
) -> tuple[Template, ...]:
    """The renderings of each example, in order: one per template, or a single one in styles without instructions.

    Args:
        task: The task.
        style: Styles other than ``instruction`` have one rendering, named after the style, and no inverted ones.
            If options are hidden, templates that refer to them are left out, unless all do.
        include_inverted: Keep the inverted templates (training); scoring leaves them out.
        max_templates: Use only the first of those kept, this many; 0 means all.
    """
    if style.name != "instruction":
        _check_has_fields(task, style)
        return (Template(name=style.name, inputs=""),)
    kept = task.templates if include_inverted else forward_templates(task)
    if not style.show_options:
        kept = tuple(template for template in kept if not speaks_of_options(template)) or kept
    return kept[:max_templates] if max_templates else kept


@lru_cache(maxsize=65_536)
def speaks_of_options(template: Template) -> bool:
    r"""Whether a template's own words refer to the options that it lists, so that they make no sense without them.

    Words that list the options themselves, without a slot, count too.

    >>> speaks_of_options(Template(name="t", inputs="{question}\n\nWhich of the choices is right?\n{options}"))
    True
    >>> speaks_of_options(Template(name="t", inputs="{question}\n{options}"))
    False
    """
    if template.shows_options:
        return True
    if template.is_inverted or "options" not in slots_of(template, "inputs"):
        return False
    return _SPEAKS.search(compile_side(template, "inputs").words) is not None


_SPEAKS = re.compile(r"\b(?:options?|choices?)\b|\bof the \w+ below\b", re.IGNORECASE)


def _check_has_fields(task: Task, style: Style) -> None:
    """Raises ``TemplateError`` if only a task's templates define inputs and answers of a row."""
    if any(map(gives_prompts, task.templates)):
        hint = "leave style out for tasks with templates of promptsource, or give them templates with {slots}"
        raise TemplateError(
            f'the style "{style.name}" asks without a template; here only templates tell question from answer',
            where=task.name,
            hint=hint,
        )


def shown_fields(task: Task, fields: tuple[str, ...]) -> tuple[str, ...]:
    """The fields that a style without instructions shows: those of any forward template, in field order.

    A field that only inverted templates use may reveal the answer (the fact behind a question, a rationale). Without
    forward templates, all fields.
    """
    asked = _asked_slots(task.templates)
    own = tuple(name for name in fields if name not in RESERVED_SLOTS)
    return tuple(name for name in own if name in asked) or own


@lru_cache(maxsize=65_536)
def _asked_slots(templates: tuple[Template, ...]) -> frozenset[str]:
    return frozenset(slot for one in templates if not one.is_inverted for slot in slots_of(one, "inputs"))
