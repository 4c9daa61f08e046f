"""``sub-mixtures``: what does each part of the mixture add? Paper: the Flan Collection, table 2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flantune.errors import ConfigError
from flantune.mixture.proportions import parts_of
from flantune.mixture.taxonomy import load_taxonomy
from flantune.settings.mixture_settings import PartSettings
from flantune.settings.sections import Section
from flantune.studies.sides import trained_and_unseen
from flantune.studies.splits import cluster_names
from flantune.studies.study import Arm, NamedStudy, Study
from flantune.studies.trees import alike, tree_settings
from flantune.system.files import slug

if TYPE_CHECKING:
    from flantune.settings.run_file import RunFile
    from flantune.types import Task

_ALL = "all parts alike"


class Options(Section):
    """The study takes no options."""


def make(file: RunFile, tasks: Sequence[Task], options: Options) -> Study:  # noqa: ARG001 - it takes none
    """All parts of the mixture with equal shares, and the same without each of them in turn.

    The parts are those of the run file's tree; without one, the collections its tasks come from; of one collection,
    the clusters that are trained on.

    Raises:
        ConfigError: There are fewer than two parts, or the run file already draws from some alone.
    """
    if file.config.mixture.only:
        raise ConfigError(
            "the run file draws from some parts alone", where="mixture.only", hint="--set mixture.only=[]"
        )
    division = _division(file, tasks)
    if len(division.parts) < 2 or not division.left_out:
        message = f"none of the mixture's {division.what} can be left out: there are too few"
        raise ConfigError(message, where="mixture.parts", hint="divide it: [mixture.parts.NAME] (docs/mixture.md)")
    same = tree_settings(alike(division.parts))
    arms = [Arm(name=_ALL, settings=same)]
    for name in division.left_out:
        others = [other for other in division.parts if other != name]
        arms.append(Arm(name=f"without {name}", settings={**same, "mixture.only": others}))
    has_tree = division.what == "parts"
    if has_tree:
        arms.append(Arm(name="all parts, as the run file says"))
    return Study(
        name="sub-mixtures",
        question="What does each part of the mixture add for unseen tasks?",
        axis=f"{division.what} of the mixture",
        arms=tuple(arms),
        baseline=_ALL,
        figure="forest",
        equal="steps and tokens per step; what is left out leaves its share to the other parts",
        notes=() if has_tree else (f"the run file's mixture has no parts: its tasks' {division.what} stand for them",),
    )


@dataclass(frozen=True, slots=True)
class _Division:
    """A mixture's parts, those of them that are left out in turn, and what they are."""

    parts: Mapping[str, PartSettings]
    left_out: tuple[str, ...]
    what: str


def _division(file: RunFile, tasks: Sequence[Task]) -> _Division:
    if tree := parts_of(file.config.mixture):
        return _Division(tree, tuple(tree), "parts")
    rules = load_taxonomy(file.config.holdout.taxonomy)
    trained, unseen = trained_and_unseen(file, tasks, rules)
    own = [task for task in tasks if task.name in trained]
    collections = {task.collection or "task_files": task.collection for task in own}
    if len(collections) > 1:
        found = {
            name: PartSettings(tasks=tuple(task.name for task in own if task.collection == collection))
            for name, collection in collections.items()
        }
        return _Division(found, tuple(found), "collections")
    found = {slug(cluster): PartSettings(clusters=(cluster,)) for cluster in cluster_names(own, rules)}
    measured = {slug(cluster) for cluster in cluster_names([t for t in tasks if t.name in unseen], rules)}
    return _Division(found, tuple(name for name in found if name not in measured), "clusters")


STUDY = NamedStudy(
    name="sub-mixtures",
    help="Every part of the mixture left out in turn (Flan Collection, table 2).",
    options=Options,
    make=make,
)
