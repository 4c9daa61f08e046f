"""Numbers from a run folder's samples; no model and no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from flantune.contamination.clean import read_clean
from flantune.errors import EvaluationError, FlantuneError
from flantune.evaluation.metrics.rank_classification import BASELINES
from flantune.evaluation.samples import origin_path, read_origin, samples_path
from flantune.evaluation.summary import FoldInput, TaskInfo, summarize
from flantune.mixture.holdout import folds_of
from flantune.report.page import write_report
from flantune.runs.folder import RunFolder
from flantune.runs.run import Run
from flantune.settings.config import RunConfig
from flantune.settings.run_file import validated
from flantune.system.files import read_object, write_json
from flantune.tasks.taskfile_sections import METRICS
from flantune.types import Kind

if TYPE_CHECKING:
    from flantune.settings.config import EvaluationSettings


_REPEAT = "give the run's command again: it writes this file anew"
_REPEAT_MEASURING = "give the run's command again: it asks again what was lost, and nothing else"


def rescore_run(folder: Path, *, normalization: str | None = None, confidence: float | None = None) -> Run:
    """Computes every number of a run again from its samples, and rewrites results and report.

    Args:
        folder: A run folder whose samples are complete.
        normalization: Another headline normalization: "sum", "token", "character" or "byte", or that of the run file.
        confidence: Another level of the intervals.

    Raises:
        FlantuneError: Something the scores need is missing.
    """
    if not (folder / "config.json").exists() and (folder / "results.json").exists():
        hint = "repeat `flantune evaluate` with the same --out: what was answered is not asked again"
        raise EvaluationError("holds an evaluation, not a run", where=str(folder), hint=hint)
    config = read_config(folder)
    changes = {"normalization": normalization, "confidence": confidence}
    wanted = {key: value for key, value in changes.items() if value is not None}
    if normalization in BASELINES and normalization != config.evaluation.normalization:
        hint = "measure again in another folder, with it in the run file"
        raise EvaluationError(f'samples hold no baselines for "{normalization}"', where=str(folder), hint=hint)
    settings = type(config.evaluation).model_validate({**config.evaluation.model_dump(), **wanted})
    results = summarize_run(RunFolder(folder), config, settings=settings)
    write_report(folder)
    return Run(folder=folder, results=results)


def read_config(folder: Path) -> RunConfig:
    """The resolved config that a run folder was made with."""
    path = folder / "config.json"
    return validated(read_object(path, mends=_REPEAT, values=dict)["values"], where=str(path), hint=_REPEAT)


def summarize_run(folder: RunFolder, config: RunConfig, *, settings: EvaluationSettings) -> dict[str, Any]:
    """Scores all samples and writes ``results.json``."""
    tasks = _task_infos(folder.data)
    inputs = fold_inputs(folder, config)
    _check_samples(folder, inputs)
    results = summarize(
        folder.root,
        folds=inputs,
        tasks=tasks,
        settings=settings,
        name=config.name,
        seed=config.seed,
    )
    write_json(folder.results, results)
    return results


def _task_infos(path: Path) -> list[TaskInfo]:
    """The tasks of a run, as its ``data.json`` has them."""
    try:
        return [
            TaskInfo(
                name=str(one["name"]),
                clusters=tuple(map(str, one["clusters"])),
                kind=_known(one["kind"], get_args(Kind)),
                metrics=tuple(_known(metric, METRICS) for metric in one["metrics"]),
            )
            for one in read_object(path, mends=_REPEAT, tasks=list)["tasks"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise EvaluationError(f"is not what a run writes: {error!r}", where=str(path), hint=_REPEAT) from None


def _known(value: Any, known: Sequence[str]) -> Any:
    if value not in known:
        raise ValueError(value)
    return value


def fold_inputs(folder: RunFolder, config: RunConfig) -> list[FoldInput]:
    """What each fold held out, trained on and left unseen, as its own files say."""
    inputs = []
    flagged = _flagged(folder.contamination)
    for held in folds_of(config.holdout):
        fold = folder.fold(held.held_out)
        if not fold.mixture.exists():
            raise FlantuneError("this fold is not finished", where=str(fold.root), hint="repeat `flantune run`")
        mixture = fold.read_mixture()
        seen = _names(mixture["train"], fold.mixture) if config.evaluation.seen_tasks else ()
        inputs.append(
            FoldInput(
                name=fold.root.name,
                clusters=_names(mixture.get("clusters") or mixture["held_out"], fold.mixture),
                unseen=_names(mixture["unseen"], fold.mixture),
                seen=tuple(name for name in seen if name in mixture["measured_seen"]),
                flagged=flagged.get(frozenset(held.held_out)),
            )
        )
    return inputs


def _names(value: object, path: Path) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise EvaluationError("holds something else where names belong", where=str(path), hint=_REPEAT)
    return tuple(value)


def _check_samples(folder: RunFolder, inputs: Sequence[FoldInput]) -> None:
    """Makes sure that no file of samples changed since it was written: a number in it could be any."""
    for fold in inputs:
        for name in (*fold.unseen, *fold.seen):
            for home in (folder.base, folder.root / "folds" / fold.name / "tuned"):
                path = samples_path(home, name)
                if path.is_file() and origin_path(path).exists() and read_origin(path) is None:
                    raise EvaluationError(
                        "the samples are not what was written there", where=str(path), hint=_REPEAT_MEASURING
                    )


def _flagged(path: Path) -> dict[frozenset[str], Mapping[str, frozenset[int]]]:
    """Held-out set → task → test rows that overlap with training; empty when nobody looked."""
    if not path.exists():
        return {}
    return {frozenset(fold.held_out): fold.test for fold in read_clean(path)}
