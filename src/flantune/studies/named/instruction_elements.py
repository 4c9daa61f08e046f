"""``instruction-elements``: what of an instruction helps? Paper: Wang et al. 2022 (Tk-Instruct)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from flantune.errors import ConfigError
from flantune.mixture.taxonomy import load_taxonomy
from flantune.prompts.instructions import read_encoding
from flantune.settings.natural_instructions import TK_INSTRUCT
from flantune.settings.sections import Section
from flantune.settings.setting_types import Names
from flantune.studies.sides import trained_and_unseen
from flantune.studies.study import Arm, NamedStudy, Study

if TYPE_CHECKING:
    from flantune.settings.run_file import RunFile
    from flantune.types import Task

_ALL = "all of them, one drawn a prompt"
_PLAIN = ("definition", "pos2", "definition_pos2", "definition_pos2_neg2", "definition_pos2_explanation")


class Options(Section):
    """Options of the study."""

    train: Annotated[Names, Field(min_length=1)] = _PLAIN
    """What comes before an instance in training, in the words of `data.natural_instructions.encodings`."""
    measure: Annotated[Names, Field(min_length=1)] = _PLAIN
    """What comes before it when measuring; each way is crossed with each of training."""


def make(file: RunFile, tasks: Sequence[Task], options: Options) -> Study:
    """An arm for each pair of training and measuring encodings, and one model trained on all of them.

    Raises:
        ConfigError: The run file trains on no tasks of Natural-Instructions, or measures none.
        TemplateError: An encoding is invalid.
    """
    if file.config.data.natural_instructions is None:
        hint = '[data.natural_instructions] folder = "…" (docs/natural-instructions.md)'
        raise ConfigError("needs tasks with a definition and examples", where="data.natural_instructions", hint=hint)
    rules = load_taxonomy(file.config.holdout.taxonomy)
    for side, found in zip(("trained on", "unseen"), trained_and_unseen(file, tasks, rules), strict=True):
        if not any(task.name in found and task.collection == "natural_instructions" for task in tasks):
            hint = "hold out some of their categories, not all: [holdout] folds (docs/natural-instructions.md)"
            raise ConfigError(f"no task of Natural-Instructions is {side}", where="holdout.folds", hint=hint)
    every = tuple(dict.fromkeys((*options.measure, *options.train)))
    for name in every:
        read_encoding(name)
    trained: dict[str, list[str]] = {said(name): [name] for name in options.train}
    if len(options.train) > 1:
        trained[_ALL] = list(options.train)
    return Study(
        name="instruction-elements",
        question="What of an instruction helps with unseen tasks: its definition, right and wrong examples, reasons?",
        axis="what comes before an instance",
        arms=tuple(
            Arm(
                name=f"trained: {label}; measured: {said(measure)}",
                settings={
                    "data.natural_instructions.encodings": list(every),
                    "prompts.template_names": names,
                    "evaluation.template_names": [measure],
                },
                series=f"measured: {said(measure)}",
                label=f"trained: {label}",
            )
            for measure in options.measure
            for label, names in trained.items()
        ),
        baseline=f"trained: {said(options.train[0])}",
        figure="grid",
        equal="steps, tokens per step, tasks and instances; longer instructions leave fewer prompts in a step",
        notes=(f"Tk-Instruct itself draws one of five encodings per prompt: {'; '.join(map(said, TK_INSTRUCT))}",),
    )


def said(encoding: str) -> str:
    """An encoding in words.

    >>> said("definition_pos2_neg2_explanation")
    'definition, 2 right, 2 wrong, explained'
    """
    found = read_encoding(encoding)
    words = [
        "name" if found.names else "",
        "definition" if found.defines else "",
        f"{found.positives} right" if found.positives else "",
        f"{found.negatives} wrong" if found.negatives else "",
        "explained" if found.explains else "",
    ]
    return ", ".join(word for word in words if word)


STUDY = NamedStudy(
    name="instruction-elements",
    help="Definition, right and wrong examples, reasons; trained and measured crossed (Tk-Instruct).",
    options=Options,
    make=make,
)
