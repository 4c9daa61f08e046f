"""The runs of a study: one for each arm and seed, each an ordinary run; equal tuning is done once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flantune.errors import ConfigError, FlantuneError
from flantune.mixture.holdout import folds_of
from flantune.runs.files import REPEAT
from flantune.runs.folder import RunFolder, read_kept_settings
from flantune.runs.identity import training_identity
from flantune.settings.run_file import RunFile, with_settings
from flantune.settings.sections import Problems
from flantune.studies.folder import StudyFolder
from flantune.studies.study import Arm, Study, arm_file

_OWN = ("name", "seed", "data.cache", "evaluation.store")
"""Settings that a study sets itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """One run.

    Attributes:
        number: Its place in the study.
        arm: Its arm.
        seed: Its seed.
        file: Its run file.
        folder: Its folder.
        identity: A fingerprint of all settings that determine the tuned weights, except the weights that an arm starts
            from.
        tuned_by: The earlier run with the same tuning, whose models it uses; None: it tunes its own.
        starts_from: The run whose tuned model it starts from.
    """

    number: int
    arm: Arm
    seed: int
    file: RunFile
    folder: RunFolder
    identity: str
    tuned_by: int | None = None
    starts_from: int | None = None

    @property
    def label(self) -> str:
        """Its name in messages."""
        return f"{self.arm.name}, seed {self.seed}"

    @property
    def progress(self) -> Path:
        """Its latest line of progress while another process makes it: beside its folder, not one of its files."""
        return self.folder.root.with_name(f".{self.folder.root.name}.progress")

    @property
    def after(self) -> tuple[int, ...]:
        """The runs that must be finished before it."""
        return tuple(one for one in (self.tuned_by, self.starts_from) if one is not None)


def plan_runs(study: Study, file: RunFile, *, folder: StudyFolder, seeds: Sequence[int]) -> tuple[PlannedRun, ...]:
    """The runs of a study, arm by arm, with every seed.

    Raises:
        ConfigError: Some arm's settings are wrong; those of all arms are listed.
    """
    _check_own(study)
    problems = Problems()
    runs: list[PlannedRun] = []
    hints: dict[str, None] = {}
    for arm in study.arms:
        try:
            for seed in seeds:
                runs.append(_planned(study, arm, seed, file=file, folder=folder, number=len(runs)))
        except ConfigError as error:
            problems.add(error.where, error.message)
            hints.setdefault(error.hint)
    if problems.lines:
        hint = "\nhint: ".join(("fix the arms' settings", *filter(None, hints)))  # once for several arms
        raise problems.error(ConfigError, where=f"study {study.name}", hint=hint)
    first: dict[tuple[int, str], int] = {}
    places = {(run.arm.name, run.seed): run.number for run in runs}
    for at, run in enumerate(runs):
        leader = first.setdefault((run.seed, run.identity), at)
        runs[at] = replace(
            run,
            tuned_by=None if leader == at else leader,
            starts_from=places.get((run.arm.starts_from, run.seed)),
        )
    return tuple(runs)


def _planned(study: Study, arm: Arm, seed: int, *, file: RunFile, folder: StudyFolder, number: int) -> PlannedRun:
    made, config = arm_file(file, arm, seed=seed), file.config
    changes: dict[str, object] = {"name": f"{config.name or study.name}: {arm.name}, seed {seed}"}
    if config.data.cache is None:
        changes["data.cache"] = str(folder.rows.absolute())
    if config.evaluation.store is None:
        changes["evaluation.store"] = str(folder.store.absolute())
    if arm.reads == "base" and "training.steps" not in arm.settings:
        changes["training.steps"] = 0  # its tuned model is not used
    if arm.starts_from:
        changes |= _starting_model(study, arm, seed, file=file, folder=folder)
    made = with_settings(made, changes, origin=f"study {study.name}")
    return PlannedRun(
        number=number,
        arm=arm,
        seed=seed,
        file=made,
        folder=folder.run(arm, seed),
        identity=training_identity(made.config),
    )


def _starting_model(study: Study, arm: Arm, seed: int, *, file: RunFile, folder: StudyFolder) -> dict[str, object]:
    """The settings with which an arm starts from another arm's tuned model."""
    start = study.arm(arm.starts_from)
    folds = folds_of(arm_file(file, start, seed=seed).config.holdout)
    if len(folds) != 1:
        hint = "an arm that others start from has one fold, so that it has one tuned model"
        raise ConfigError(f'"{start.name}" has {len(folds)} folds', where=f"arm {arm.name}", hint=hint)
    model = folder.run(start, seed).fold(folds[0].held_out).model
    return {"model.path": str(model.absolute()), "model.scratch": None, "model.revision": None}


def _check_own(study: Study) -> None:
    """Makes sure that no arm sets what the study itself sets.

    Raises:
        ConfigError: One does.
    """
    problems = Problems()
    for arm in study.arms:
        for key in _OWN:
            if key in arm.settings:
                problems.add(f"arm {arm.name}", f"sets {key}, which the study sets itself")
    if problems.lines:
        raise problems.error(ConfigError, where=f"study {study.name}", hint="seeds are given with --seeds")


def is_done(run: PlannedRun) -> bool:
    """Whether the run is finished with its current settings.

    Raises:
        FlantuneError: A file of its folder is damaged.
    """
    folder = run.folder
    if not (folder.manifest.is_file() and folder.results.is_file() and folder.kept_settings.is_file()):
        return False
    # Settings are written when a run starts, the manifest when it ends.
    if folder.manifest.stat().st_mtime_ns < folder.kept_settings.stat().st_mtime_ns:
        return False
    kept = read_kept_settings(folder, mends=REPEAT)
    return kept.values == run.file.config.model_dump(mode="json")


def waves(runs: Sequence[PlannedRun], todo: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """The numbers of the runs to do, in groups of independent runs.

    Within a group all arms are run with one seed before the next, so that an unfinished study has compared all of them.
    """
    left = set(todo)
    while left:
        free = (number for number in left if not left & set(runs[number].after))
        ready = tuple(sorted(free, key=lambda number: (runs[number].seed, number)))
        if not ready:
            raise FlantuneError("arms start from each other in a circle")
        yield ready
        left -= set(ready)
