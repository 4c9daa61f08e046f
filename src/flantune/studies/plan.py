"""The plan that is recorded before the first run of a study, and later deviations from it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flantune.errors import ConfigError
from flantune.runs.identity import flat
from flantune.settings.json_file import plain, read_value, write_value
from flantune.settings.plain_words import first_names, shown
from flantune.settings.run_file import RunFile, validated
from flantune.studies.folder import StudyFolder
from flantune.studies.outcome import Written
from flantune.studies.planned_runs import PlannedRun
from flantune.studies.study import Study
from flantune.system.files import file_sha256, read_text, write_text
from flantune.system.manifest import versions

STOPPING = (
    "Every arm is run with every seed to its last step, then the study ends; no run is stopped, added or left out by"
    " looking at scores."
)
"""When a study ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedArm:
    """An arm as recorded.

    Attributes:
        name: Its name.
        settings: Dotted setting → its value, replacing the run file's.
        reads: The model of its runs that it represents.
        templates: How a task's score is made from those of its templates.
        starts_from: The arm that it starts from.
        identities: Fingerprints of all settings that determine the tuned weights, one per seed.
    """

    name: str
    settings: Mapping[str, Any]
    reads: str
    templates: str
    starts_from: str
    identities: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``plan.json``: what was recorded before the first run.

    Attributes:
        study: The study's name.
        question: Its question.
        comparison: What is compared with what, by which average.
        stopping: When it ends.
        equal: What is held equal between the arms.
        seeds: The seeds.
        arms: The arms.
        run_file: Every setting of the run file, section by section.
        data: A fingerprint of every task's definition and rows, arm by arm.
        versions: Package → version.
        when: When it was recorded, in UTC.
    """

    study: str
    question: str
    comparison: Mapping[str, Any]
    stopping: str
    equal: str
    seeds: tuple[int, ...]
    arms: tuple[PlannedArm, ...]
    run_file: Mapping[str, Any]
    data: Mapping[str, str]
    versions: Mapping[str, str]
    when: str


def make_plan(
    study: Study, file: RunFile, runs: Sequence[PlannedRun], *, seeds: Sequence[int], data: Mapping[str, str]
) -> Plan:
    """The plan to be recorded.

    Args:
        study: The study.
        file: Its run file.
        runs: Its runs.
        seeds: The seeds.
        data: Arm → a fingerprint of its tasks' definitions and rows.
    """
    arms = (
        PlannedArm(
            name=arm.name,
            settings=dict(arm.settings),
            reads=arm.reads,
            templates=arm.templates,
            starts_from=arm.starts_from,
            identities=tuple(run.identity for run in runs if run.arm.name == arm.name),
        )
        for arm in study.arms
    )
    return Plan(
        study=study.name,
        question=study.question,
        comparison={"baseline": study.baseline or "each arm's own base model", **plain(study.measure)},
        stopping=STOPPING,
        equal=study.equal,
        seeds=tuple(seeds),
        arms=tuple(arms),
        run_file=file.config.model_dump(mode="json"),
        data=dict(data),
        versions=versions(),
        when=time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()),
    )


def write_down(folder: StudyFolder, plan: Plan) -> Written:
    """Records the plan before the first run; later starts are compared with it.

    Raises:
        ConfigError: The folder has another study.
    """
    if folder.plan.exists() and any(folder.runs()):
        return held_against(folder, plan)
    write_value(folder.plan, plan)
    digest = file_sha256(folder.plan)
    write_text(folder.plan_sha256, f"{digest}  {folder.plan.name}\n")
    return Written(sha256=digest, when=plan.when, changed=())


def held_against(folder: StudyFolder, now: Plan) -> Written:
    """The recorded plan, and deviations from it.

    Raises:
        ConfigError: The folder has another study, or its plan is damaged.
    """
    then = read_value(folder.plan, Plan, mends="restore a copy, or choose another --out", error=ConfigError)
    if then.study != now.study:
        where = str(folder.root)
        raise ConfigError(f'this folder holds the study "{then.study}"', where=where, hint="choose another --out")
    digest = file_sha256(folder.plan)
    return Written(sha256=digest, when=then.when, changed=(*_edited(folder, digest), *_changes(then, now)))


def _edited(folder: StudyFolder, digest: str) -> Iterator[str]:
    """Whether the plan differs from the stored digest."""
    kept = _digest_of(folder.plan_sha256)
    if kept != digest:
        yield f"{folder.plan.name} was edited: its SHA-256 is not the one in {folder.plan_sha256.name}"


def _digest_of(path: Path) -> str:
    return read_text(path, error=ConfigError).partition(" ")[0] if path.is_file() else ""


def _changes(then: Plan, now: Plan) -> Iterator[str]:
    was, new = {arm.name: arm for arm in then.arms}, {arm.name: arm for arm in now.arms}
    if added := [name for name in new if name not in was]:
        yield f"arms that were added: {first_names(added, most=6)}"
    if gone := [name for name in was if name not in new]:
        yield f"arms that were left out: {first_names(gone, most=6)}"
    if then.seeds != now.seeds:
        yield f"seeds: {_listed(then.seeds)} were planned, {_listed(now.seeds)} were run"
    old, fresh = plain(then)["comparison"], plain(now)["comparison"]
    for key in sorted({*old, *fresh}):
        if old.get(key) != fresh.get(key):
            yield f"comparison: {key} was {shown(old.get(key))}, is {shown(fresh.get(key))}"
    yield from _setting_changes("the run file", _completed(then.run_file), now.run_file)
    for name in (name for name in new if name in was):
        yield from _arm_changes(was[name], new[name], files=(then.run_file, now.run_file))
        if then.data.get(name) != now.data.get(name):
            yield f'arm "{name}": its tasks or rows differ'


def _completed(run_file: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings, completed by the defaults of those added in later versions, which change nothing."""
    try:
        return validated(run_file, where="").model_dump(mode="json")
    except ConfigError:
        return run_file


def _arm_changes(
    was: PlannedArm, now: PlannedArm, *, files: tuple[Mapping[str, Any], Mapping[str, Any]]
) -> Iterator[str]:
    where = f'arm "{now.name}"'
    old, new = flat(was.settings), flat(plain(now)["settings"])
    # An arm that repeats a setting of the run file is not a different arm.
    old, new = (
        {**{key: flat(file).get(key) for key in {*old, *new}}, **own}
        for file, own in zip(files, (old, new), strict=True)
    )
    yield from _setting_changes(where, old, new)
    for key in ("reads", "templates", "starts_from"):
        if getattr(was, key) != getattr(now, key):
            yield f"{where}: {key} was {shown(getattr(was, key))}, is {shown(getattr(now, key))}"


def _setting_changes(where: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    old, new = flat(was), flat(now)
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            yield f"{where}: {key} was {shown(old.get(key))}, is {shown(new.get(key))}"


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))
