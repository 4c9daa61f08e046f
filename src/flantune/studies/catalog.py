"""All named studies, and how one is made from a run file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flantune.errors import ConfigError, did_you_mean
from flantune.settings.run_file import RunFile
from flantune.settings.sections import Problems, check_section
from flantune.studies.named import (
    balancing,
    clusters,
    cot,
    instances_per_task,
    instruction_elements,
    instructions,
    inversion,
    leave_one_cluster_out,
    paradigms,
    prompt_tuning,
    scale,
    shot_share,
    shots,
    sub_mixtures,
    tasks,
    tasks_per_cluster,
    templates,
    warm_start,
)
from flantune.studies.study import NamedStudy, Study, checked

if TYPE_CHECKING:
    from flantune.types import Task

STUDIES: Mapping[str, NamedStudy] = {
    one.name: one
    for one in (
        leave_one_cluster_out.STUDY,
        clusters.STUDY,
        tasks_per_cluster.STUDY,
        templates.STUDY,
        tasks.STUDY,
        scale.STUDY,
        instructions.STUDY,
        shots.STUDY,
        shot_share.STUDY,
        cot.STUDY,
        inversion.STUDY,
        balancing.STUDY,
        sub_mixtures.STUDY,
        instruction_elements.STUDY,
        instances_per_task.STUDY,
        paradigms.STUDY,
        warm_start.STUDY,
        prompt_tuning.STUDY,
    )
}  # fmt: skip
"""The studies by name, one line each."""


def named_study(name: str) -> NamedStudy:
    """The study with this name.

    Raises:
        ConfigError: There is none.
    """
    if name not in STUDIES:
        near = did_you_mean(name, STUDIES)
        hint = near or f"available: {', '.join(STUDIES)}; a study of your own is a TOML file (docs/studies.md)"
        raise ConfigError(f'no study "{name}"', hint=hint)
    return STUDIES[name]


def make_study(
    named: NamedStudy, file: RunFile, tasks: Sequence[Task], *, options: Mapping[str, Any] | None = None
) -> Study:
    """Makes a named study of a run file.

    Args:
        named: The named study.
        file: The run file; what it holds out is ignored if the study divides the tasks itself.
        tasks: The tasks that it names.
        options: The study's own options by name; missing ones are as in the paper.

    Raises:
        ConfigError: An option is unknown or wrong, or the tasks do not allow the study.
    """
    problems = Problems()
    chosen = check_section(named.options, options or {}, "", problems=problems)
    if chosen is None:
        raise problems.error(ConfigError, where=f"study {named.name}", hint=_known(named))
    return checked(named.make(file, tasks, chosen), where=f"study {named.name}")


def _known(named: NamedStudy) -> str:
    options = ", ".join(named.options.model_fields)
    return f"its options are: {options}" if options else "it takes no options"
