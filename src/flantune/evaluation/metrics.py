"""Metrics by name: what is noted of each sample, and how notes become a score in [0, 1].

A *row metric* notes one number a sample and averages them. A *corpus metric* notes sufficient statistics and computes
its score from all of them together; with weights it can do so for thousands of bootstrap replicates without reading a
text again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flantune.errors import EvaluationError, did_you_mean
from flantune.evaluation.numbers import number_match
from flantune.evaluation.rank import Normalization, choose, option_scores
from flantune.evaluation.samples import ArrangedSample
from flantune.evaluation.texts import bleu_statistics, corpus_bleu, exact_match, rouge, token_f1
from flantune.types import Kind, Sample, Task

Floats = NDArray[np.float64]
Statistics = tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric.

    Attributes:
        name: As tasks call it.
        note: What is kept of a sample: one number (row metric) or sufficient statistics (corpus metric).
        score: Notes [n, k] and weights [replicates, n] to scores [replicates]; None for a row metric.
        is_binary: Every note is 0 or 1, so that McNemar's test applies.
    """

    name: str
    note: Callable[[Sample, Normalization], Statistics]
    score: Callable[[Floats, Floats], Floats] | None = None
    is_binary: bool = False


def find_metric(name: str, kind: Kind) -> Metric:
    """The metric a task asks for by name.

    Raises:
        EvaluationError: No metric of that name exists for tasks of this kind.

    >>> find_metric("rougeL", "generation").name
    'rougeL'
    """
    known = _METRICS[kind]
    wanted = _ALIASES.get((kind, name), name)
    if wanted in known:
        return known[wanted]
    hint = did_you_mean(name, known) or f"metrics for {kind} tasks: {', '.join(known)}"
    raise EvaluationError(f'no metric "{name}" for {kind} tasks', where="metrics", hint=hint)


def check_metrics(task: Task) -> None:
    """Finds a misspelled metric before hours of scoring rather than after.

    Raises:
        EvaluationError: A metric of the task does not exist.
    """
    try:
        for name in task.metrics:
            find_metric(name, task.kind)
    except EvaluationError as error:
        where = f"{task.origin or 'task'} {task.name}: metrics"
        raise EvaluationError(error.message, where=where, hint=error.hint) from None


def _accuracy(sample: Sample, normalization: Normalization) -> Statistics:
    return (float(choose(option_scores(sample, normalization)).index == sample.answer),)


def _decision(sample: Sample, normalization: Normalization) -> Statistics:
    chosen = choose(option_scores(sample, normalization)).index
    answer = -1 if sample.answer is None else sample.answer
    if isinstance(sample, ArrangedSample) and sample.order:
        # A class is an option of the example, not a place in the prompt.
        return (float(sample.order[answer] if answer >= 0 else -1), float(sample.order[chosen]))
    return (float(answer), float(chosen))


def _class_f1(decisions: Floats, weights: Floats) -> Floats:
    """F1 of option 1 when there are two options, as GLUE scores MRPC and QQP (options listed "no" first).

    With more options: the mean of each option's F1 (macro), over options that occur in the replicate.
    """
    classes = np.unique(decisions)
    if classes.max() <= 1:
        classes = np.array([1.0])
    is_gold, is_chosen = decisions[:, :1] == classes, decisions[:, 1:] == classes
    hits = weights @ (is_gold & is_chosen)
    total = weights @ (is_gold.astype(np.float64) + is_chosen)
    scores = np.divide(2.0 * hits, total, out=np.zeros_like(total), where=total > 0)
    return np.asarray(scores.sum(axis=1) / np.maximum((total > 0).sum(axis=1), 1))


def _text_metric(score: Callable[[str, tuple[str, ...]], float]) -> Callable[[Sample, Normalization], Statistics]:
    return lambda sample, _: (score(sample.prediction, sample.references),)


def _rouge_metric(name: str) -> Metric:
    return Metric(name=name, note=lambda sample, _: (rouge(sample.prediction, sample.references)[name],))


def _by_name(*metrics: Metric) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


_METRICS: dict[Kind, dict[str, Metric]] = {
    "classification": _by_name(
        Metric(name="accuracy", note=_accuracy, is_binary=True),
        Metric(name="f1", note=_decision, score=_class_f1),
    ),
    "generation": _by_name(
        Metric(name="exact_match", note=_text_metric(exact_match), is_binary=True),
        Metric(name="number_match", note=_text_metric(number_match), is_binary=True),
        Metric(name="token_f1", note=_text_metric(token_f1)),
        _rouge_metric("rouge1"),
        _rouge_metric("rouge2"),
        _rouge_metric("rougeL"),
        Metric(
            name="bleu",
            note=lambda sample, _: bleu_statistics(sample.prediction, sample.references),
            score=corpus_bleu,
        ),
    ),
}

# Names that mean another metric for tasks of this kind, so that one list of names serves both.
_ALIASES: dict[tuple[Kind, str], str] = {
    ("classification", "exact_match"): "accuracy",
    ("generation", "accuracy"): "exact_match",
    ("generation", "f1"): "token_f1",
}
