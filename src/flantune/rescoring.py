"""Numbers from a run folder's samples; no model and no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flantune.config import RunConfig
from flantune.contamination.clean import read_clean
from flantune.errors import EvaluationError, FlantuneError
from flantune.evaluation.rank_classification import BASELINES
from flantune.evaluation.summary import FoldInput, TaskInfo, summarize
from flantune.files import read_json, write_json
from flantune.mixture.holdout import folds_of
from flantune.report.page import write_report
from flantune.run_folder import RunFolder
from flantune.types import Run

if TYPE_CHECKING:
    from flantune.config import EvaluationSettings


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
    return RunConfig.model_validate(read_json(folder / "config.json")["values"])


def summarize_run(folder: RunFolder, config: RunConfig, *, settings: EvaluationSettings) -> dict[str, Any]:
    """Scores all samples and writes ``results.json``."""
    described = read_json(folder.data)["tasks"]
    tasks = [
        TaskInfo(name=t["name"], clusters=tuple(t["clusters"]), kind=t["kind"], metrics=tuple(t["metrics"]))
        for t in described
    ]
    results = summarize(
        folder.root,
        folds=fold_inputs(folder, config),
        tasks=tasks,
        settings=settings,
        name=config.name,
        seed=config.seed,
    )
    write_json(folder.results, results)
    return results


def fold_inputs(folder: RunFolder, config: RunConfig) -> list[FoldInput]:
    """What each fold held out, trained on and left unseen, as its own files say."""
    inputs = []
    flagged = _flagged(folder.contamination)
    for held in folds_of(config.holdout):
        fold = folder.fold(held.held_out)
        if not fold.mixture.exists():
            raise FlantuneError("this fold is not finished", where=str(fold.root), hint="repeat `flantune run`")
        mixture = read_json(fold.mixture)
        seen = tuple(mixture["train"]) if config.evaluation.seen_tasks else ()
        inputs.append(
            FoldInput(
                name=fold.root.name,
                clusters=tuple(mixture.get("clusters") or mixture["held_out"]),
                unseen=tuple(mixture["unseen"]),
                seen=tuple(name for name in seen if name in mixture["measured_seen"]),
                flagged=flagged.get(frozenset(held.held_out)),
            )
        )
    return inputs


def _flagged(path: Path) -> dict[frozenset[str], Mapping[str, frozenset[int]]]:
    """Held-out set → task → test rows that overlap with training; empty when nobody looked."""
    if not path.exists():
        return {}
    return {frozenset(fold.held_out): fold.test for fold in read_clean(path)}
