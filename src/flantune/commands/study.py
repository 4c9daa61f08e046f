"""``flantune study``: a run file in several variants, run with several seeds and compared."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flantune.commands.plan import check_held_out, prepare_tasks, split_fold
from flantune.commands.study_runs import RunReceipt, missing_runs, run_all, with_done_leaders
from flantune.commands.suites_in_run import check_unseen, suite_exams
from flantune.errors import ConfigError, FlantuneError
from flantune.mixture.holdout import folds_of
from flantune.report.figure_files import Look, write_figures
from flantune.report.study_page import write_study_page
from flantune.report.study_plates import study_plates
from flantune.settings.run_file import RunFile, fingerprint
from flantune.settings.sections import Problems
from flantune.studies.catalog import STUDIES, make_study, named_study
from flantune.studies.folder import StudyFolder
from flantune.studies.gather import gather, write_outcome
from flantune.studies.measured import check_measured
from flantune.studies.plan import make_plan, write_down
from flantune.studies.planned_runs import PlannedRun, plan_runs
from flantune.studies.study import Study, checked
from flantune.studies.study_file import read_study
from flantune.system.engines import Engine, LocalEngine
from flantune.system.locking import locked
from flantune.system.progress import Reporter, Silent
from flantune.tasks.describe import task_fingerprint
from flantune.tasks.load import load_tasks

if TYPE_CHECKING:
    from flantune.evaluation.exams import Exam
    from flantune.settings.config import RunConfig
    from flantune.studies.outcome import StudyOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpandedStudy:
    """A study with its runs.

    Attributes:
        study: The study.
        file: The run file.
        folder: Where everything goes.
        seeds: The seeds.
        runs: Every run, arm by arm.
        missing: The numbers of those that are not finished.
    """

    study: Study
    file: RunFile
    folder: StudyFolder
    seeds: tuple[int, ...]
    runs: tuple[PlannedRun, ...]
    missing: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RanStudy:
    """What ``run_study`` did.

    Attributes:
        expanded: The study.
        receipts: What happened to every run that was not there yet.
        outcome: What the runs come to.
    """

    expanded: ExpandedStudy
    receipts: tuple[RunReceipt, ...]
    outcome: StudyOutcome


def expand_study(
    name: str | Path, file: RunFile, *, out: str | Path, seeds: int = 1, options: Mapping[str, Any] | None = None
) -> ExpandedStudy:
    """A study's arms and runs; only reads task definitions, and writes nothing.

    Args:
        name: A named study, or a TOML file with your own.
        file: The run file.
        out: Folder of the study.
        seeds: Number of seeds, counting from the run file's.
        options: A named study's own options.

    Raises:
        ConfigError: There is no such study, or it has mistakes; all are listed.
    """
    folder = StudyFolder(Path(out))
    numbers = tuple(range(file.config.seed, file.config.seed + seeds))
    study = _study(str(name), file, options or {})
    runs = plan_runs(study, file, folder=folder, seeds=numbers)
    return ExpandedStudy(study=study, file=file, folder=folder, seeds=numbers, runs=runs, missing=missing_runs(runs))


def _study(name: str, file: RunFile, options: Mapping[str, Any]) -> Study:
    if name in STUDIES:
        return make_study(named_study(name), file, load_tasks(file.config.data, root=file.root), options=options)
    if not name.endswith(".toml"):
        named_study(name)  # says what is near
    if options:
        hint = "write what you want into the file"
        raise ConfigError("a study of your own has no options", where="--option", hint=hint)
    return checked(read_study(Path(name)), where=name)


def run_study(
    expanded: ExpandedStudy,
    *,
    engine: Engine | None = None,
    workers: int = 1,
    so_far: bool = False,
    reporter: Reporter | None = None,
) -> RanStudy:
    """Records the study's plan, and makes every missing run.

    The same call resumes an interrupted one: finished runs are kept, and an unfinished one continues from its last
    checkpoint.

    Args:
        expanded: The study.
        engine: What makes the runs; None: this process, one after another.
        workers: How many at a time.
        so_far: Make no runs: draw conclusions from the existing ones, even while another process makes more.
        reporter: Told what happens.

    Raises:
        FlantuneError: An arm cannot be run (found before any run), or the folder belongs to another study. A single
            run's failure is in its receipt.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        hint = "run `flantune study` alone; under torchrun, run an arm's own file: arms/NAME/seed-N/config.toml"
        raise ConfigError("a study divides runs among processes itself", where="torchrun", hint=hint)
    told = reporter or Silent()
    with nullcontext() if so_far else locked(expanded.folder.root):
        told.stage("read the tasks of every arm")
        data = _prepare_arms(expanded, told)
        plan = make_plan(expanded.study, expanded.file, expanded.runs, seeds=expanded.seeds, data=data)
        written = write_down(expanded.folder, plan)
        for change in written.changed:
            told.note(f"differs from the recorded plan: {change}")
        runs = with_done_leaders(expanded.runs, expanded.missing)
        todo = () if so_far else expanded.missing
        receipts = run_all(runs, todo, engine=engine or LocalEngine(workers=1), workers=workers, reporter=told)
        told.stage("put the runs together")
        outcome = gather(
            expanded.study,
            runs,
            seeds=expanded.seeds,
            written=written,
            errors={one.number: one.error for one in receipts if one.error},
        )
        write_outcome(expanded.folder, outcome)
        write_study_page(expanded.folder.root)
        write_figures(study_plates(outcome), expanded.folder.figures, Look(formats=("svg",)))
    return RanStudy(expanded=expanded, receipts=receipts, outcome=outcome)


def _prepare_arms(expanded: ExpandedStudy, reporter: Reporter) -> dict[str, str]:
    """Reads every arm's tasks, once each, and divides them: what is wrong with any arm is said before one is run.

    Returns:
        Arm → a fingerprint of its tasks' definitions and rows.
    """
    found: dict[str, str] = {}
    problems = Problems()
    asked: dict[str, tuple[Exam, ...]] = {}
    first_seed = [run for run in expanded.runs if run.seed == expanded.seeds[0]]
    for run in first_seed:
        config = run.file.config
        try:
            check_held_out(config)
            prepared, _ = prepare_tasks(
                config,
                root=run.file.root,
                cache=config.data.cache or run.folder.rows,
                on_task=reporter.step,
                note=reporter.note,
            )
            tasks = [one.task for one in prepared]
            folds = [split_fold(config, tasks, fold) for fold in folds_of(config.holdout)]
            exams = _exams(config, asked)
            check_unseen(config, prepared, folds, exams)
            check_measured(run.arm.measure or expanded.study.measure, config, folds, exams)
            found[run.arm.name] = fingerprint([task_fingerprint(one) for one in prepared])
        except FlantuneError as error:
            problems.add(f"arm {run.arm.name}", error.render())
    if problems.lines:
        raise problems.error(ConfigError, where=f"study {expanded.study.name}", hint="fix the arms, or leave them out")
    return found


def _exams(config: RunConfig, last: dict[str, tuple[Exam, ...]]) -> tuple[Exam, ...]:
    """The parts of an arm's benchmarks; read again only where they are not those of the arm before."""
    key = fingerprint([getattr(config, part).model_dump(mode="json") for part in ("evaluation", "data", "prompts")])
    if key not in last:
        last.clear()
        last[key] = tuple(suite_exams(config).exams)
    return last[key]
