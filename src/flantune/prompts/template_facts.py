"""What a template asks for and shows: facts that follow from its text."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from flantune.prompts.compiled import gives_prompts, slots_of

if TYPE_CHECKING:
    from flantune.types import Task, Template


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateFacts:
    """Facts about a template.

    Attributes:
        is_inverted: Whether it inverts the task; such templates are trained on, never scored.
        shows_options: Whether the prompt lists the answer options; None: the task has none.
        original_task: The task that it was made for and, unless inverted, asks.
        asks_for: What its target consists of: ``answer``, or the fields that an inverted template asks for.
    """

    is_inverted: bool
    shows_options: bool | None
    original_task: str
    asks_for: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The facts as JSON values."""
        return {**asdict(self), "asks_for": list(self.asks_for)}

    def words(self) -> str:
        """The facts for a line of text.

        >>> TemplateFacts(is_inverted=True, shows_options=False, original_task="rte", asks_for=("premise",)).words()
        'inverted: asks for premise instead of the answer of rte'
        >>> TemplateFacts(is_inverted=False, shows_options=True, original_task="rte", asks_for=("answer",)).words()
        'asks rte, with options'
        """
        if self.is_inverted:
            shown = " and ".join(self.asks_for) or "a fixed text"
            return f"inverted: asks for {shown} instead of the answer of {self.original_task}"
        shown = {True: ", with options", False: ", without options", None: ""}[self.shows_options]
        return f"asks {self.original_task}{shown}"


def template_facts(task: Task, template: Template) -> TemplateFacts:
    """What a template of a task asks for and shows; nothing if its text cannot be read.

    If one text gives a whole prompt, it is unknown which of its words are options.
    """
    can_be_told = task.kind == "classification" and not gives_prompts(template)
    return TemplateFacts(
        is_inverted=template.is_inverted,
        shows_options="options" in slots_of(template, "inputs") if can_be_told else None,
        original_task=task.name,
        asks_for=slots_of(template, "targets"),
    )


def options_shown(task: Task) -> int:
    """How many of a task's forward templates list the options."""
    facts = [template_facts(task, template) for template in task.templates]
    return sum(bool(one.shows_options) and not one.is_inverted for one in facts)
