"""``balancing``: how much of each task? Papers: FLAN 2021, section 2.4; the Flan Collection, tables 1 and 2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from flantune.mixture.proportions import parts_of
from flantune.settings.sections import Section
from flantune.studies.study import Arm, NamedStudy, Study
from flantune.studies.trees import alike, tree_settings, without_own, without_shares

if TYPE_CHECKING:
    from flantune.settings.run_file import RunFile
    from flantune.types import Task

_OWN = "as the run file says"
_RATES = ("max_rate", "rates", "temperature")
_BY_ROWS: Mapping[str, object] = {
    "mixture.rates": "examples-proportional",
    "mixture.max_rate": 0,
    "mixture.temperature": 1.0,
}
_EQUAL: Mapping[str, object] = {"mixture.rates": "equal", "mixture.temperature": 1.0}


class Options(Section):
    """The study takes no options."""


def make(file: RunFile, tasks: Sequence[Task], options: Options) -> Study:  # noqa: ARG001 - it takes none
    """The run file's mixture and others of the same tasks: by rows, equal shares of tasks, equal shares of parts."""
    tree = parts_of(file.config.mixture)
    found: dict[str, dict[str, object]] = {_OWN: {}}
    if tree:
        plain = without_own(without_shares(tree), _RATES)
        found["every part alike"] = tree_settings(alike(tree))
        found["in proportion to rows"] = {**_BY_ROWS, **tree_settings(plain)}
        found["every task alike"] = {**_EQUAL, **tree_settings(plain)}
    else:
        found["in proportion to rows"] = dict(_BY_ROWS)
        if file.config.mixture.rates != "equal":
            found["every task alike"] = dict(_EQUAL)
    return Study(
        name="balancing",
        question="Does it matter for unseen tasks how much of each task is trained on?",
        axis="how much of each task",
        arms=tuple(Arm(name=name, settings=settings) for name, settings in found.items()),
        baseline=_OWN,
        figure="bars",
        equal="steps, tokens per step and tasks; caps on rows are the run file's",
    )


STUDY = NamedStudy(
    name="balancing",
    help="The run file's mixture beside one by rows, equal tasks and equal parts (Flan Collection, table 2).",
    options=Options,
    make=make,
)
