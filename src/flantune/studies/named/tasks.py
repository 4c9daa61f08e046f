"""``tasks``: how far does the number of training tasks go? Papers: Flan 2022, table 3; FLAN 2021, code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from flantune.errors import ConfigError
from flantune.mixture.taxonomy import load_taxonomy
from flantune.settings.sections import Section
from flantune.settings.setting_types import Once, Positive, Seed, Switch
from flantune.studies import splits
from flantune.studies.sides import one_split, split_settings
from flantune.studies.study import Arm, NamedStudy, Study

if TYPE_CHECKING:
    from flantune.mixture.taxonomy import Taxonomy
    from flantune.settings.run_file import RunFile
    from flantune.studies.splits import Split
    from flantune.types import Task

STAGES = (
    ("CoT", ("cot",)),
    ("Muffin", ("flan2021", "dialogue", "programs")),
    ("T0-SF", ("t0",)),
    ("NIV2", ("natural_instructions",)),
)
"""Collections in the order in which Flan 2022 adds them: 9, 89, 282 and 1,836 tasks. Paper: Flan 2022, table 3."""
_MOST_ARMS = 6


class Options(Section):
    """Options of the study."""

    counts: Annotated[tuple[Positive, ...], Once] = ()
    """Numbers of training tasks, drawn by seed; a larger arm holds the tasks of the smaller ones. Empty: whole
    collections are added in Flan 2022's order where the run file has several; else all tasks, a half, a quarter …"""
    super_glue: Switch = False
    """Hold SuperGLUE's tasks out, as FLAN 2021's code does, instead of what the run file holds out."""
    seed: Seed = 0
    """Decides which tasks come first."""


def make(file: RunFile, tasks: Sequence[Task], options: Options) -> Study:
    """An arm for each number of training tasks; all measure the same tasks.

    Raises:
        ConfigError: Nothing is held out, or there are fewer than two training tasks.
    """
    rules = load_taxonomy(file.config.holdout.taxonomy)
    whole, notes = one_split(file, tasks, rules, super_glue=options.super_glue)
    stages = () if options.counts else _stages(whole, tasks, rules)
    if len(stages) < 2:
        counts = options.counts or _halves(len(whole.train))
        made = splits.task_counts(whole, tasks, rules, counts=tuple(sorted(counts)), seed=options.seed)
        stages = tuple((f"{len(split.train)} tasks", split) for split in made.splits)
        notes = (*notes, *made.notes)
    if len(stages) < 2:
        hint = "add tasks, or hold out less"
        raise ConfigError(f"there are {len(whole.train)} training tasks: nothing to compare", hint=hint)
    arms = tuple(
        Arm(name=name, settings=split_settings(split, file, tasks), x=len(split.train)) for name, split in stages
    )
    return Study(
        name="tasks",
        question="Do more tasks in training help with tasks that the model never saw?",
        axis="training tasks",
        arms=arms,
        baseline=arms[0].name,
        figure="line",
        x_scale="log",
        equal="steps and tokens per step, so that rows are repeated more often where there are few tasks; the same"
        " tasks are measured throughout",
        notes=notes,
    )


def _stages(whole: Split, tasks: Sequence[Task], rules: Taxonomy) -> tuple[tuple[str, Split], ...]:
    """Collections added whole; tasks of none of them come last."""
    place = {name: number for number, (_, names) in enumerate(STAGES) for name in names}
    stage = {task.name: place.get(task.collection, len(STAGES)) for task in tasks}
    titles = [*(title for title, _ in STAGES), "all others"]
    found, taken = [], []
    for number in sorted({stage[name] for name in whole.train}):
        taken.append(titles[number])
        train = tuple(name for name in whole.train if stage[name] <= number)
        split = splits.trained_on(whole, train, tasks, rules, name=f"{len(train)}-tasks")
        found.append((" + ".join(taken), split))
    return tuple(found)


def _halves(count: int) -> tuple[int, ...]:
    """All, a half, a quarter, and so on.

    >>> _halves(1_836)
    (57, 114, 229, 459, 918, 1836)
    >>> _halves(9)
    (2, 4, 9)
    """
    found = [count]
    while found[-1] // 2 >= 2 and len(found) < _MOST_ARMS:
        found.append(found[-1] // 2)
    return tuple(reversed(found))


STUDY = NamedStudy(
    name="tasks",
    help="Training on more and more tasks, drawn or by whole collections (Flan 2022, table 3: 9 to 1,836).",
    options=Options,
    make=make,
)
