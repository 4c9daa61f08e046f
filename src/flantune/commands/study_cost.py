"""The remaining cost of a study: shared work counts once, and finished work does not count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from flantune.commands.estimate import estimate_run
from flantune.commands.study import ExpandedStudy
from flantune.settings.run_file import RunFile, fingerprint
from flantune.studies.estimate import Detectable, Load, RunCost, Speed, total
from flantune.studies.planned_runs import PlannedRun
from flantune.system.progress import Reporter, Silent


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmCost:
    """The cost of one arm.

    Attributes:
        arm: Its name.
        runs: Its runs, one per seed.
        there: Number of finished runs.
        shared: Number of the others that use another arm's tuned models.
        load: The cost of the others.
    """

    arm: str
    runs: int
    there: int
    shared: int
    load: Load


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyCost:
    """The cost of a study.

    Attributes:
        arms: Arm by arm.
        device: The device of the times; empty: none.
        speed: Speed of the device.
        fits: Whether the memory of the device is sufficient for every arm; None if unknown.
        detectable: The smallest difference from its base model that one run could detect, for the least sensitive arm.
        notes: Further notes.
    """

    arms: tuple[ArmCost, ...]
    device: str = ""
    speed: Speed | None = None
    fits: bool | None = None
    detectable: Detectable | None = None
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> Load:
        """The sum."""
        return total(arm.load for arm in self.arms)


def study_cost(expanded: ExpandedStudy, *, device: str = "", reporter: Reporter | None = None) -> StudyCost:
    """The cost of a study's missing runs; nothing is trained, and no weights are read.

    Args:
        expanded: The study.
        device: "here" measures this machine; otherwise named devices, such as "h100:8"; empty: no time.
        reporter: Gets the progress.

    Raises:
        FlantuneError: Anything that would stop a run itself.
    """
    told = reporter or Silent()
    speeds: dict[str, Speed | None] = {}
    asked: set[object] = set()
    arms: list[ArmCost] = []
    costs: list[RunCost] = []
    for arm in expanded.study.arms:
        runs = [run for run in expanded.runs if run.arm.name == arm.name]
        missing = [run for run in runs if run.number in expanded.missing]
        load = Load()
        if missing:
            told.stage(f"estimate the arm {arm.name}")
            model = fingerprint(_estimated(runs[0], expanded.runs).config.model.model_dump(mode="json"))
            cost = _cost(runs[0], expanded, device=device, speed=speeds.get(model), reporter=told)
            speeds.setdefault(model, cost.speed)
            costs.append(cost)
            load = total(_load(run, cost, asked) for run in missing)
        shared = sum(run.tuned_by is not None and run.file.config.training.steps > 0 for run in missing)
        arms.append(ArmCost(arm=arm.name, runs=len(runs), there=len(runs) - len(missing), shared=shared, load=load))
    fits = [cost.fits for cost in costs if cost.fits is not None]
    shown = [cost.detectable for cost in costs if cost.detectable is not None]
    return StudyCost(
        arms=tuple(arms),
        device=next((cost.device for cost in costs if cost.device), ""),
        speed=next((cost.speed for cost in costs if cost.speed is not None), None),
        fits=all(fits) if fits else None,
        detectable=max(shown, key=lambda one: one.difference, default=None),
        notes=tuple(dict.fromkeys(note for cost in costs for note in cost.notes)),
    )


def _cost(run: PlannedRun, expanded: ExpandedStudy, *, device: str, speed: Speed | None, reporter: Reporter) -> RunCost:
    file = _estimated(run, expanded.runs)
    return estimate_run(
        file, cache=file.config.data.cache or expanded.folder.rows, device=device, speed=speed, reporter=reporter
    )


def _estimated(run: PlannedRun, runs: Sequence[PlannedRun]) -> RunFile:
    """The run file with an existing model: one that starts from another arm has the size of that arm's model."""
    config = run.file.config
    model, at = config.model, run
    while at.starts_from is not None:
        at = runs[at.starts_from]
        model = at.file.config.model
    steps = config.training.model_copy(update={"steps": max(config.training.steps, 1)})
    return replace(run.file, config=config.model_copy(update={"model": model, "training": steps}))


def _load(run: PlannedRun, cost: RunCost, asked: set[object]) -> Load:
    """What one run adds to the cost counted so far."""
    config = run.file.config
    parts = ("model", "evaluation", "prompts", "packing", "holdout", "data")
    base = (run.seed, fingerprint([getattr(config, part).model_dump(mode="json") for part in parts]))
    load = Load() if base in asked else cost.base
    asked.add(base)
    if config.training.steps == 0:  # the model is unchanged: its answers are those of the base model
        return load
    return total((load, cost.tuned, *(() if run.tuned_by is not None else (cost.training,))))
