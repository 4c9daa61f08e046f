"""Settings of how examples become text."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from flantune.settings.conversations import TURN_FORMS, TurnForms
from flantune.settings.natural_instructions import InstructionSettings
from flantune.settings.sections import Section
from flantune.settings.setting_types import AnyPath, Names, Natural, Switch, Text


class PromptSettings(Section):
    """How examples become text."""

    style: Literal["instruction", "inputs_only", "dataset_name"] = "instruction"
    """The template with its instruction, only the inputs, or the inputs after the dataset's name. Paper: FLAN 2021,
    4.3."""
    show_options: Switch = True
    """List the answer options of classification tasks in the prompt."""
    options_layout: Literal["listed", "lettered", "varied"] = "listed"
    """"listed": "- yes", the answer is the option's text. "lettered": "(A) yes", the answer is the letter, "(A)".
    "varied": headings and marks are drawn; if the heading asks for the mark, the mark is the answer. Paper: Flan
    2022."""
    shuffle_options: Switch = False
    """Show the options in a seeded random order: a new one at each visit in training, one per row in evaluation."""
    include_inverted: Switch = True
    """Train on inverted templates too. They are never scored."""
    max_templates: Natural = 0
    """Use only this many templates of each task, the first ones; 0 means all."""
    template_names: Names = ()
    """Train only on templates with these names, `*` for any letters; a task that has none of them keeps all its own."""
    train_shots: Annotated[tuple[Natural, ...], Field(min_length=1)] = (0,)
    """Exemplars before a training prompt; one of these numbers is drawn for each prompt.
    A number given twice is drawn twice as often."""
    target_separator: Text = "\n"
    """Text between a query and its answer. "<eos>" stands for the end-of-sequence token."""
    chat: Switch = False
    """Put each prompt into the chat template of the model's tokenizer, as the user's turn; the target is the reply."""
    system: Text = ""
    """System message of the chat; empty: none."""
    chat_template: AnyPath | None = None
    """File with a Jinja chat template. None: that of the model's tokenizer."""
    chat_thinking: Switch | None = None
    """Tells the chat template whether the model thinks before a reply (`enable_thinking`). None: leaves it unset."""
    chat_exemplars: Literal["message", "turns"] = "message"
    """Exemplars of a chat prompt are part of the user's message ("message"), or earlier turns with replies
    ("turns")."""
    exemplar_separator: Text = "\n\n"
    """Text between one exemplar and the next."""
    exemplar_format: Literal["plain", "varied"] = "plain"
    """Format of exemplars in training: the separators above, or labels and separators drawn for each prompt.
    Evaluation uses the separators above. Paper: Flan 2022."""
    trigger: Text = ""
    """Text that ends prompts without exemplars whose target has reasoning, such as "Let's think step by step"."""
    instruction: InstructionSettings = InstructionSettings()
    """The text around a task's definition and its authors' examples."""
    turns: TurnForms = TURN_FORMS
    """Formats of a turn of a conversation. One is drawn for each training prompt; evaluation uses the first."""

    @model_validator(mode="after")
    def _says_nothing_in_vain(self) -> PromptSettings:
        if not self.chat:
            for name in ("system", "chat_template", "chat_thinking", "chat_exemplars"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(f"{name} has no effect without chat = true: set chat = true, or leave {name} out")
        if self.chat_exemplars == "turns" and self.exemplar_format == "varied":
            raise ValueError('exemplar_format = "varied" needs chat_exemplars = "message": turns have no labels')
        return self
