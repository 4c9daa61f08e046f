"""What a study would take: its runs' costs added up, with what runs share counted once."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from flantune.commands.estimate import estimate_run
from flantune.studies.estimate import Load, RunCost, Speed, total
from flantune.system.progress import Reporter, Silent

if TYPE_CHECKING:
    from flantune.runs.folder import RunFolder
    from flantune.settings.config import RunConfig
    from flantune.settings.run_file import RunFile
    from flantune.studies.study import Arm


class StudyRun(Protocol):
    """One run of a study, as far as its cost goes (``studies.planned_runs.PlannedRun``)."""

    @property
    def number(self) -> int:
        """Its place in the study."""

    @property
    def arm(self) -> Arm:
        """Its arm."""

    @property
    def seed(self) -> int:
        """Its seed."""

    @property
    def file(self) -> RunFile:
        """Its run file."""

    @property
    def folder(self) -> RunFolder:
        """Its folder."""

    @property
    def tuned_by(self) -> int | None:
        """The run whose tuned models it takes."""

    @property
    def starts_from(self) -> int | None:
        """The run whose tuned model it starts from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmCost:
    """What an arm takes.

    Attributes:
        arm: Its name.
        runs: Its runs.
        missing: Those that are not there yet.
        cost: One run of it, were it alone.
        training: Tuning for the runs that are missing; nothing where another arm's models are taken.
        measuring: Measuring for them; the base model is asked once for all arms that ask it the same.
    """

    arm: str
    runs: int
    missing: int
    cost: RunCost
    training: Load
    measuring: Load


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyCost:
    """What a study takes.

    Attributes:
        arms: Each arm, in the study's order.
        speed: Of the device; None where none was named, or it could not be tried.
        device: Its name; empty where none was named.
    """

    arms: tuple[ArmCost, ...]
    speed: Speed | None
    device: str

    @property
    def training(self) -> Load:
        """Tuning that is still to be done."""
        return total(arm.training for arm in self.arms)

    @property
    def measuring(self) -> Load:
        """Measuring that is still to be done."""
        return total(arm.measuring for arm in self.arms)

    @property
    def total(self) -> Load:
        """All that is still to be done."""
        return self.training + self.measuring


def estimate_study(
    runs: Sequence[StudyRun], missing: Collection[int], *, device: str = "", reporter: Reporter | None = None
) -> StudyCost:
    """What the missing runs of a study take; nothing is trained.

    One run of each arm is looked at; its other seeds take the same. Runs that are tuned alike are tuned once, and what
    arms ask the base model alike is asked once a seed. A device is tried once for arms whose models are alike.

    Args:
        runs: All runs of the study, arm by arm.
        missing: The numbers of those that are not there yet.
        device: As for ``estimate.estimate_run``.
        reporter: Told which arm is looked at.

    Raises:
        FlantuneError: What an arm's run would stop at.
    """
    told, arms = reporter or Silent(), dict.fromkeys(run.arm.name for run in runs)
    speeds: dict[str, Speed] = {}
    asked: set[str] = set()
    found: list[ArmCost] = []
    for number, name in enumerate(arms):
        own = [run for run in runs if run.arm.name == name]
        told.step(number, len(arms), f"estimate {name}, {number + 1:,} of {len(arms):,}")
        file = _with_a_model(own[0], runs)
        alike = _speed_key(file.config)
        cache = own[0].folder.rows
        cost = estimate_run(file, cache=cache, device=device, speed=speeds.get(alike), reporter=told)
        if cost.speed is not None:
            speeds[alike] = cost.speed
        found.append(_arm_cost(own, missing, cost, asked))
    return StudyCost(
        arms=tuple(found),
        speed=next(iter(speeds.values()), None),
        device=next((arm.cost.device for arm in found if arm.cost.device), ""),
    )


def _arm_cost(own: Sequence[StudyRun], missing: Collection[int], cost: RunCost, asked: set[str]) -> ArmCost:
    left = [run for run in own if run.number in missing]
    training, measuring = Load(), Load()
    for run in left:
        if run.tuned_by is None:
            training += cost.training
        if run.arm.reads == "tuned":
            measuring += cost.tuned
        questions = _questions_key(run.file.config)
        if questions not in asked:
            measuring += cost.base
            asked.add(questions)
    return ArmCost(
        arm=own[0].arm.name, runs=len(own), missing=len(left), cost=cost, training=training, measuring=measuring
    )


def _with_a_model(run: StudyRun, runs: Sequence[StudyRun]) -> RunFile:
    """The run's file; one that starts from a model still to be tuned has that one's own start in its place."""
    if run.starts_from is None:
        return run.file
    start = _with_a_model(next(one for one in runs if one.number == run.starts_from), runs)
    return replace(run.file, config=run.file.config.model_copy(update={"model": start.config.model}))


def _speed_key(config: RunConfig) -> str:
    """Runs of one key are as fast a token."""
    names = ("optimizer", "compile", "activation_checkpointing", "micro_batch_tokens", "freeze", "dropout")
    training = {name: value for name, value in _values(config.training).items() if name in names}
    asking = {"batch_tokens": config.evaluation.batch_tokens, "backend": config.evaluation.backend}
    return json.dumps([_values(config.model), _values(config.packing), training, asking], sort_keys=True)


def _questions_key(config: RunConfig) -> str:
    """Runs of one key ask the base model the same."""
    sections = (config.model, config.data, config.holdout, config.prompts, config.packing, config.evaluation)
    return json.dumps([config.seed, *map(_values, sections)], sort_keys=True)


def _values(section: Any) -> dict[str, Any]:
    found: dict[str, Any] = section.model_dump(mode="json")
    return found
