"""Settings of tasks that come with a definition and solved examples by their authors."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from flantune.settings.sections import Section
from flantune.settings.setting_types import AnyPath, Names, Natural, Switch, Text

TK_INSTRUCT = (
    "definition_pos2",
    "definition",
    "pos2",
    "definition_pos2_neg2",
    "definition_pos2_explanation",
)
"""Tk-Instruct's five encodings; each prompt uses one, and evaluation uses the first."""


class NaturalInstructionsSettings(Section):
    """A folder of Natural-Instructions in its authors' layout, and which of its files become tasks."""

    folder: AnyPath
    """The folder, which holds `tasks/*.json` and `splits/`."""
    track: Literal["default", "xlingual", "none"] = "default"
    """The track whose lists in `splits/` say what is trained on ("train_tasks") and measured ("test_tasks"); what they
    exclude is left out. "none": all tasks; their first instances are measured and the others trained on."""
    train: Literal["track", "all"] = "track"
    """"all": also train on the track's test tasks, on their instances beyond `test_instances`, to get a model for use;
    they are then measured as tasks that were trained on. What the track excludes stays out."""
    test_instances: Natural = 100
    """A task is measured on its first instances, this many, as by its authors."""
    mmlu: Switch = True
    """Keep the 57 training tasks that consist of MMLU's questions, as the published lists do; false leaves them out,
    for a model that will be measured on MMLU."""
    encodings: Annotated[Names, Field(min_length=1)] = TK_INSTRUCT
    """How an instance is asked: one is drawn for each prompt, and the first is used when only one template is measured.
    Parts joined by "_", in this order: "name", "definition", "pos2" (right examples), "neg2" (wrong ones),
    "explanation". Paper: Tk-Instruct."""


def _with_text(value: str) -> str:
    if value.count("{text}") != 1:
        raise ValueError("should contain {text} once, where the text goes")
    return value


_Line = Annotated[Text, AfterValidator(_with_text)]


class InstructionSettings(Section):
    """The words of prompts made from a definition and examples. A line without punctuation at its end gets a period."""

    name: _Line = "{text}: "
    """The task's name, where it is shown."""
    definition: _Line = "What to do: {text}"
    """The definition, followed by an empty line."""
    positive: Text = "Example {number}, done right:"
    """Line above a positive example; `{number}` counts from 1."""
    negative: Text = "Example {number}, done wrong:"
    """Line above a negative example; `{number}` counts from 1."""
    query: Text = "Now do this one:"
    """Line above the instance that is asked."""
    input: _Line = "Given:\n{text}"
    """The input of an example and of the instance."""
    output: _Line = "Answer:\n{text}"
    """The output of an example."""
    explanation: _Line = "Reason: {text}"
    """Why an example's output is right or wrong."""
    cue: Text = "Answer:\n"
    """The end of the prompt; the answer follows at once."""
