"""Recomputes scores from a run folder's samples, without a model or torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flantune.commands.suites_in_run import seen_in_run, suite_exams
from flantune.errors import EvaluationError
from flantune.evaluation.metrics.rank_classification import BASELINES
from flantune.evaluation.run_samples import SuitesInput, score_samples
from flantune.mixture.taxonomy import load_taxonomy
from flantune.report.page import write_report
from flantune.runs.files import read_config
from flantune.runs.fold_inputs import fold_inputs, task_infos, with_one_name
from flantune.runs.folder import RunFolder
from flantune.runs.run import Run
from flantune.settings.config import RunConfig
from flantune.settings.json_file import write_value

if TYPE_CHECKING:
    from flantune.evaluation.results import Results
    from flantune.settings.config import EvaluationSettings


def rescore_run(folder: Path, *, normalization: str | None = None, confidence: float | None = None) -> Run:
    """Recomputes every number of a run from its samples, and rewrites results and report.

    Args:
        folder: A run folder whose samples are complete.
        normalization: A different headline normalization: "sum", "token", "character" or "byte", or that of the run
            file.
        confidence: A different level of the intervals.

    Raises:
        FlantuneError: Something the scores need is missing.
    """
    if not RunFolder(folder).kept_settings.exists() and (folder / "results.json").exists():
        hint = "repeat `flantune evaluate` with the same --out: what was answered is not asked again"
        raise EvaluationError("holds an evaluation, not a run", where=str(folder), hint=hint)
    config = read_config(RunFolder(folder))
    changes = {"normalization": normalization, "confidence": confidence}
    wanted = {key: value for key, value in changes.items() if value is not None}
    if normalization in BASELINES and normalization != config.evaluation.normalization:
        hint = "measure again in another folder, with it in the run file"
        raise EvaluationError(f'samples hold no baselines for "{normalization}"', where=str(folder), hint=hint)
    settings = type(config.evaluation).model_validate({**config.evaluation.model_dump(), **wanted})
    results = summarize_run(RunFolder(folder), config, settings=settings)
    write_report(folder)
    return Run(folder=folder, results=results)


def summarize_run(folder: RunFolder, config: RunConfig, *, settings: EvaluationSettings) -> Results:
    """Scores all samples and writes ``results.json``."""
    folds, tasks = with_one_name(
        fold_inputs(folder, config), task_infos(folder.data), taxonomy=load_taxonomy(config.holdout.taxonomy)
    )
    suites = suite_exams(config)
    results = score_samples(
        folder.root,
        folds=folds,
        tasks=tasks,
        settings=settings,
        name=config.name,
        seed=config.seed,
        base="base/model" if config.model.scratch else config.model.path,
        suites=SuitesInput(
            exams=suites.exams,
            missing=suites.missing,
            seen=seen_in_run(config, [folder.fold_named(fold.name) for fold in folds], suites.exams),
        ),
    )
    write_value(folder.results, results)
    return results
