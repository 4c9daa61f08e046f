"""What a study still takes: what several runs share is counted once, and what is there is not counted."""

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
    """What one arm takes.

    Attributes:
        arm: Its name.
        runs: Its runs, one a seed.
        there: Those that are finished.
        shared: Those of the others that take the tuned models of another arm.
        load: What the others take.
    """

    arm: str
    runs: int
    there: int
    shared: int
    load: Load


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyCost:
    """What a study takes.

    Attributes:
        arms: Arm by arm.
        device: What the times are of; empty: none was named.
        speed: Of that device.
        fits: Whether the memory of the device is enough for every arm; None where that is not known.
        detectable: The smallest difference from its base model that one run could show: of the arm that shows least.
        notes: What else is to be known.
    """

    arms: tuple[ArmCost, ...]
    device: str = ""
    speed: Speed | None = None
    fits: bool | None = None
    detectable: Detectable | None = None
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> Load:
        """All of it."""
        return total(arm.load for arm in self.arms)


def study_cost(expanded: ExpandedStudy, *, device: str = "", reporter: Reporter | None = None) -> StudyCost:
    """What the missing runs of a study take; nothing is trained, and no weight is read.

    Args:
        expanded: The study.
        device: "here" tries this machine; else devices by name, such as "h100:8"; empty: no time.
        reporter: Told what is looked at.

    Raises:
        FlantuneError: What a run itself would stop at.
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
    """The run file, with a model that is there: one that starts from another arm is as large as that one's."""
    config = run.file.config
    model, at = config.model, run
    while at.starts_from is not None:
        at = runs[at.starts_from]
        model = at.file.config.model
    steps = config.training.model_copy(update={"steps": max(config.training.steps, 1)})
    return replace(run.file, config=config.model_copy(update={"model": model, "training": steps}))


def _load(run: PlannedRun, cost: RunCost, asked: set[object]) -> Load:
    """What one run adds to what was counted before it."""
    config = run.file.config
    parts = ("model", "evaluation", "prompts", "packing", "holdout", "data")
    base = (run.seed, fingerprint([getattr(config, part).model_dump(mode="json") for part in parts]))
    load = Load() if base in asked else cost.base
    asked.add(base)
    if config.training.steps == 0:  # the model is not changed: its answers are those of the base model
        return load
    return total((load, cost.tuned, *(() if run.tuned_by is not None else (cost.training,))))
