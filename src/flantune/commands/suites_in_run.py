"""Benchmarks measured in a run: read before anything is loaded, and kept separate from training data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from flantune.contamination.training_record import RowIndex, Seen, record_of
from flantune.errors import LeakError
from flantune.evaluation.run_samples import BASE, TUNED
from flantune.evaluation.seen import Candidate, candidates, check_candidates
from flantune.settings.protocols import PRESETS
from flantune.suites.catalog import Chosen, choose_exams
from flantune.suites.suite import MissingSuiteDataError, SuiteData

if TYPE_CHECKING:
    from flantune.evaluation.exams import Exam
    from flantune.mixture.holdout import FoldTasks
    from flantune.runs.folder import FoldFolder
    from flantune.settings.config import RunConfig
    from flantune.tasks.example_store import PreparedTask


def suite_exams(config: RunConfig) -> Chosen:
    """The exams of ``evaluation.suites``, each with its benchmark's scoring; none without suites.

    Raises:
        EvaluationError: There is no such benchmark.
        MissingSuiteDataError: Its data is missing, and ``data.missing`` is not "skip".
    """
    settings = config.evaluation
    if not settings.suites:
        return Chosen(exams=(), missing=())
    data = SuiteData(
        root=settings.suite_data or config.data.mirror,
        limit=settings.suite_limit,
        seed=config.seed,
        trigger=settings.trigger if settings.trigger is not None else config.prompts.trigger,
    )
    try:
        return choose_exams(
            settings.suites, data, skip_missing=config.data.missing == "skip", protocol=PRESETS.__getitem__
        )
    except MissingSuiteDataError as error:
        hint = 'name its folder: evaluation.suite_data = "DATA"; or continue without these parts: data.missing = "skip"'
        raise MissingSuiteDataError(error.message, where="evaluation.suites", hint=hint) from None


def check_unseen(
    config: RunConfig, prepared: Sequence[PreparedTask], folds: Sequence[FoldTasks], exams: Sequence[Exam]
) -> None:
    """Makes sure, before anything is trained, that no fold trains on what its model will be measured on.

    Raises:
        LeakError: One does, and ``evaluation.seen_tasks`` is not set.
    """
    if not exams:
        return
    from flantune.commands.plan import trained_tasks  # it needs PyTorch, which rescoring does not

    nothing = RowIndex(hashes=np.empty(0, dtype=np.uint64))
    taught = [
        Candidate(
            path=f"the fold without {', '.join(split.held_out) or 'nothing'}",
            name=TUNED,
            record=record_of(trained_tasks(config, prepared, split), held_out=split.held_out, base="", fingerprint=""),
            index=nothing,
        )
        for split in folds
    ]
    try:
        check_candidates([*_base(config), *taught], exams, allow_seen=config.evaluation.seen_tasks)
    except LeakError as error:
        named = ", ".join(f'"{name.removesuffix("_direct")}"' for name in config.evaluation.suites)
        hint = (
            f"keep it out of training: [holdout] benchmarks = [{named}]; or measure it all the same, labeled as seen: "
            "evaluation.seen_tasks = true"
        )
        raise LeakError(error.message, where=error.where, hint=hint) from None


def seen_in_run(
    config: RunConfig, folds: Sequence[FoldFolder], exams: Sequence[Exam]
) -> Mapping[str, Mapping[str, Seen]]:
    """Fold → exam → why it was not new to that fold's model, by the model's record; "" is the base model.

    Raises:
        flantune.errors.SourceError: A record cannot be read.
    """
    if not exams:
        return {}
    tuned = {fold.root.name: candidates([str(fold.model)])[0] for fold in folds}
    models = {"": next(iter(_base(config)), Candidate(path="", name=BASE, record=None, index=None)), **tuned}
    checked = check_candidates(list(models.values()), exams, allow_seen=True)
    return {fold: model.seen for fold, model in zip(models, checked, strict=True)}


def _base(config: RunConfig) -> list[Candidate]:
    return candidates([config.model.path]) if config.model.path else []
