"""The outcome of a study from the folders of its runs, and the files it is written to."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from flantune.errors import FlantuneError
from flantune.evaluation.estimates import Estimate
from flantune.runs.files import read_results, read_training
from flantune.runs.folder import RunFolder
from flantune.settings.json_file import write_value
from flantune.studies.arm_runs import ArmRun, read_arm_run
from flantune.studies.benchmark_means import against, benchmark_means
from flantune.studies.cluster_changes import cluster_changes
from flantune.studies.conclude import conclude
from flantune.studies.folder import StudyFolder
from flantune.studies.one_task import counted_rows
from flantune.studies.outcome import ArmOutcome, ClusterChange, Cost, Lacking, StudyOutcome, Written
from flantune.studies.planned_runs import PlannedRun, is_done
from flantune.studies.seed_means import SeedMeans, TaskMeans, seed_means
from flantune.studies.study import Arm, Study
from flantune.system.files import write_text

_NOT_YET = "not run yet"


def gather(
    study: Study, runs: Sequence[PlannedRun], *, seeds: Sequence[int], written: Written, errors: Mapping[int, str]
) -> StudyOutcome:
    """The outcome of a study's finished runs.

    Args:
        study: The study.
        runs: All its runs.
        seeds: The seeds that were planned.
        written: The plan recorded before the first run.
        errors: Number of a run → what stopped it.

    Raises:
        FlantuneError: A file of a finished run is damaged.
    """
    done: dict[int, _Done] = {}
    lacking: list[Lacking] = []
    for run in runs:
        why = errors.get(run.number, "" if is_done(run) else _NOT_YET)
        if not why:
            try:
                done.setdefault(run.seed, _Done()).add(run, study)
            except FlantuneError as error:
                why = error.render()
        if why:
            lacking.append(Lacking(arm=run.arm.name, seed=run.seed, why=why.partition("\n")[0]))
    confidence = runs[0].file.config.evaluation.confidence
    tuned = [run for found in done.values() for run in found.runs if run.arm.reads == "tuned"]
    return conclude(
        study,
        {seed: found.means(study, confidence=confidence) for seed, found in sorted(done.items())},
        seeds=seeds,
        confidence=confidence,
        written=written,
        lacking=lacking,
        costs=_costs(tuned),
        labeled_rows=_labeled_rows(study, [run for found in done.values() for run in found.runs]),
        clusters={arm.name: _clusters(arm, study, tuned) for arm in study.arms},
    )


@dataclass(frozen=True, slots=True)
class _Done:
    """The finished runs with one seed whose arms are measured by tasks, and the benchmarks of the others."""

    runs: list[PlannedRun] = field(default_factory=list)
    by_tasks: list[ArmRun] = field(default_factory=list)
    by_benchmarks: dict[str, tuple[TaskMeans, ...]] = field(default_factory=dict)

    def add(self, run: PlannedRun, study: Study) -> None:
        """Adds a run.

        Raises:
            FlantuneError: It did not measure what is compared, or a file in its folder is damaged.
        """
        measure = run.arm.measure or study.measure
        if measure.of == "benchmarks":
            results = read_results(run.folder.root)
            self.by_benchmarks[run.arm.name] = benchmark_means(
                run.arm, run.seed, results, measure, is_alone=not study.baseline
            )
        else:
            self.by_tasks.append(read_arm_run(run.arm, run.seed, run.folder, measure))
        self.runs.append(run)

    def means(self, study: Study, *, confidence: float) -> SeedMeans:
        """Their numbers."""
        paired = {name: tuple(self._paired(study, name, own)) for name, own in self.by_benchmarks.items()}
        return seed_means(study, self.by_tasks, confidence=confidence, benchmarks=paired)

    def _paired(self, study: Study, name: str, own: Sequence[TaskMeans]) -> Iterable[TaskMeans]:
        partner = study.partner(study.arm(name))
        if partner is None or partner.name == name:
            return own
        return against(own, self.by_benchmarks.get(partner.name, ()))


def write_outcome(folder: StudyFolder, outcome: StudyOutcome) -> None:
    """Writes ``outcome.json`` and ``outcome.csv``.

    Raises:
        FlantuneError: The folder cannot be written or the disk is full.
    """
    write_value(folder.outcome, outcome)
    write_text(folder.table, outcome_csv(outcome))


def outcome_csv(outcome: StudyOutcome) -> str:
    """The outcome as a table: one line per arm, then one for each of its tasks; scores lie in [0, 1]."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(_COLUMNS)
    for arm in outcome.arms:
        table.writerow(_line(arm, "", "", arm.score, arm.base, arm.difference, arm.chance))
        for task in arm.tasks:
            table.writerow(_line(arm, task.name, task.cluster, task.score, task.base, task.difference, task.chance))
    return text.getvalue()


_COLUMNS = (
    "arm", "series", "label", "x", "reads", "labeled_rows", "seeds", "task", "cluster", "score", "low", "high",
    "base", "chance", "paired_with", "difference", "difference_low", "difference_high", "p", "q", "detectable",
)  # fmt: skip


def _line(
    arm: ArmOutcome, task: str, cluster: str, score: Estimate | None, base: Estimate | None,
    difference: Estimate | None, chance: float,
) -> list[object]:  # fmt: skip
    def of(estimate: Estimate | None, *names: str) -> Iterator[object]:
        for name in names:
            value = getattr(estimate, name, None)
            yield "" if value is None else value

    return [
        arm.name,
        arm.series,
        arm.label,
        "" if arm.x is None else arm.x,
        arm.reads,
        "" if arm.labeled_rows is None else arm.labeled_rows,
        len(arm.seeds),
        task,
        cluster,
        *of(score, "value", "low", "high"),
        *of(base, "value"),
        chance,
        arm.paired_with,
        *of(difference, "value", "low", "high", "p", "q", "detectable"),
    ]


def _clusters(arm: Arm, study: Study, tuned: Sequence[PlannedRun]) -> tuple[ClusterChange, ...]:
    """Changes in each cluster over the arm's runs; nothing if benchmarks or best templates are compared."""
    measure = arm.measure or study.measure
    if measure.of == "benchmarks" or arm.templates != "mean":
        return ()
    found = [read_results(run.folder.root) for run in tuned if run.arm.name == arm.name]
    return cluster_changes(found, shots=measure.shots)


def _costs(runs: Sequence[PlannedRun]) -> dict[str, Cost]:
    """Arm → the cost of its training, as a mean over seeds."""
    each: dict[str, list[Cost]] = {}
    for run in runs:
        each.setdefault(run.arm.name, []).append(_cost(run.folder))
    return {
        name: Cost(**{key: sum(getattr(one, key) for one in found) / len(found) for key in Cost.model_fields})
        for name, found in each.items()
    }


def _labeled_rows(study: Study, runs: Sequence[PlannedRun]) -> dict[str, int]:
    """Arm → labeled rows of a measured task that it used, if its runs have more information than the study."""
    found = {run.arm.name: counted_rows(run.arm, run.folder, study.measure.names) for run in runs}
    return {name: rows for name, rows in found.items() if rows is not None}


def _cost(folder: RunFolder) -> Cost:
    tuned = [read_training(fold) for fold in folder.folds() if fold.training.is_file()]
    return Cost(
        steps=sum(one.steps for one in tuned),
        tokens=sum(one.counts.input_tokens + one.counts.target_tokens for one in tuned),
        seconds=sum(one.seconds for one in tuned),
    )
