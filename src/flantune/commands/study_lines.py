"""A study before it runs, as lines for a terminal: its arms, what differs, what is there and what it takes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from flantune.commands.cost_lines import duration
from flantune.evaluation.points import counted
from flantune.settings.plain_words import shown
from flantune.settings.run_file import flatten

if TYPE_CHECKING:
    from flantune.commands.study import ExpandedStudy
    from flantune.commands.study_cost import ArmCost, StudyCost
    from flantune.settings.config import RunConfig
    from flantune.studies.estimate import Load
    from flantune.studies.study import Study


def study_lines(expanded: ExpandedStudy, cost: StudyCost) -> Iterator[str]:
    """The question, the arms, and what they take."""
    study = expanded.study
    yield f"{study.name}: {study.question}"
    yield f"{'compared':14} {study.measure}; {_paired(study)}"
    if study.equal:
        yield f"{'equal':14} {study.equal}"
    for note in study.notes:
        yield f"{'note':14} {note}"
    yield ""
    differing = differing_settings(study, expanded.file.config)
    for arm, one in zip(study.arms, cost.arms, strict=True):
        settings = ", ".join(f"{key} = {shown(value)}" for key, value in differing[arm.name].items())
        yield f"{arm.name}: {settings or 'the run file as it is'}"
        start = f"; starts from the tuned model of {arm.starts_from}" if arm.starts_from else ""
        yield f"    {_runs(one)}{start}"
    yield ""
    yield from _sum(expanded, cost)


def differing_settings(study: Study, config: RunConfig) -> dict[str, dict[str, object]]:
    """Arm → those of its settings that are not the same in all arms, nor those of the run file."""
    own = dict(flatten(config))
    keys = dict.fromkeys(key for arm in study.arms for key in arm.settings)
    alike = {
        key
        for key in keys
        if all(key in arm.settings for arm in study.arms)
        and len({repr(arm.settings[key]) for arm in study.arms}) == 1
        and len(study.arms) > 1
    }
    return {
        arm.name: {
            key: arm.settings[key]
            for key in keys
            if key in arm.settings and key not in alike and not _is_same(arm.settings[key], own.get(key, {}))
        }
        for arm in study.arms
    }


def _is_same(value: object, other: object) -> bool:
    return json.dumps(value, default=str) == json.dumps(other, default=str)


def _paired(study: Study) -> str:
    if not study.baseline:
        return "each arm with its own base model"
    is_arm = any(arm.name == study.baseline for arm in study.arms)
    return f"each arm with “{study.baseline}”" + ("" if is_arm else " of its series")


def _runs(cost: ArmCost) -> str:
    left = cost.runs - cost.there
    parts = [f"{counted(cost.runs, 'run')}: {cost.there} there, {left} to do"]
    if cost.shared:
        parts.append(f"{cost.shared} with a tuned model that another arm has")
    if left:
        parts.append(_load(cost.load))
    return ", ".join(parts)


def _load(load: Load) -> str:
    time = f", {duration(load.seconds)}" if load.seconds else ""
    return f"{load.tokens:,} tokens, {load.flops:.1e} operations{time}"


def _sum(expanded: ExpandedStudy, cost: StudyCost) -> Iterator[str]:
    left = len(expanded.missing)
    seeds = counted(len(expanded.seeds), "seed")
    yield f"{'runs':14} {counted(len(expanded.study.arms), 'arm')} with {seeds}: {len(expanded.runs)}, {left} to do"
    yield f"{'all of it':14} {_load(cost.total)}{f' on {cost.device}' if cost.device else ''}"
    if cost.fits is not None:
        yield f"{'memory':14} {'fits' if cost.fits else 'does NOT fit: some arm needs more than the device has'}"
    if cost.detectable is not None:
        found = cost.detectable
        yield (
            f"{'detectable':14} one run would detect a true difference of {100 * found.difference:.1f} points in the"
            f" mean over unseen clusters with 80% power ({counted(found.tasks, 'task')}, {found.rows:,} test rows)"
        )
    if len(expanded.seeds) == 1:
        yield f"{'seeds':14} one seed tells nothing of other seeds: --seeds 3"
    for note in cost.notes:
        yield f"{'note':14} {note}"


def study_json(expanded: ExpandedStudy, cost: StudyCost) -> Mapping[str, object]:
    """The same as plain values."""
    from flantune.settings.json_file import plain

    return {
        "study": plain(expanded.study),
        "folder": str(expanded.folder.root),
        "seeds": list(expanded.seeds),
        "runs": [
            {
                "arm": run.arm.name,
                "seed": run.seed,
                "folder": str(run.folder.root),
                "is_done": run.number not in expanded.missing,
                "tuned_by": None if run.tuned_by is None else str(expanded.runs[run.tuned_by].folder.root),
            }
            for run in expanded.runs
        ],
        "cost": plain(cost),
    }
