"""Metrics by name: what is noted of each sample, and how notes become a score.

A *row metric* notes one number a sample and averages them. A *corpus metric* notes sufficient statistics and computes
its score from all of them together; with weights it can do so for thousands of bootstrap replicates without reading a
text again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flantune.errors import EvaluationError, did_you_mean
from flantune.evaluation.bleu import Tokenization, bleu_signature, bleu_statistics, corpus_bleu
from flantune.evaluation.decisions import class_f1, matthews, pearson, spearman
from flantune.evaluation.drop import drop_score
from flantune.evaluation.numbers import number_match, read_number
from flantune.evaluation.rank_classification import Normalization, best_options, choose, option_scores
from flantune.evaluation.rouge import cross_lingual_rouge, instruction_rouge, rouge
from flantune.evaluation.samples import ArrangedSample
from flantune.evaluation.texts import (
    edit_similarity,
    exact_match,
    instruction_exact_match,
    token_f1,
    trivia_exact_match,
    trivia_f1,
    verbatim_match,
    word_edit_similarity,
)
from flantune.evaluation.unicode import composed
from flantune.types import Kind, Sample, Task

if TYPE_CHECKING:
    from flantune.scoring_protocols import Ties

Floats = NDArray[np.float64]
Statistics = tuple[float, ...]
Note = Callable[[Sample, Normalization], Statistics]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric.

    Attributes:
        name: As tasks call it.
        note: What is kept of a sample: one number (row metric) or sufficient statistics (corpus metric).
        score: Notes [n, k] and weights [replicates, n] to scores [replicates]; None for a row metric.
        chance: What guessing is worth on one sample.
        expected: The note when tied options share the credit; None when ties always go to the first.
        span: Lowest and highest possible score.
        is_binary: Every note is 0 or 1 (ties aside), so that McNemar's test applies.
        is_per_group: A group of samples counts once, by the product of its notes: 1 when all of them are 1.
        is_verbatim: Texts are compared character for character, whatever their form of Unicode.
        signature: What says how the score was made, from the fewest and the most references; None: nothing to say.
    """

    name: str
    note: Note
    score: Callable[[Floats, Floats], Floats] | None = None
    chance: Callable[[Sample], float]
    expected: Note | None = None
    span: tuple[float, float] = (0.0, 1.0)
    is_binary: bool = False
    is_per_group: bool = False
    is_verbatim: bool = False
    signature: Callable[[tuple[int, int]], str] | None = None

    def noted(self, sample: Sample, normalization: Normalization, ties: Ties) -> Statistics:
        """What is kept of a sample under a rule for ties.

        What was written and what was wanted are compared in one form of Unicode, unless the metric is about the
        characters themselves: an accent may be a character of its own or a part of its letter.
        """
        note = self.expected if ties == "expected" and self.expected is not None else self.note
        return note(sample if self.is_verbatim else composed(sample), normalization)


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


def metric_names(kind: Kind) -> tuple[str, ...]:
    """Every name that ``find_metric`` knows for tasks of a kind, other names of the same metric included."""
    return (*_METRICS[kind], *(name for of, name in _ALIASES if of == kind))


# Rank classification. ------------------------------------------------------------------------------------------------


def decided_class(sample: Sample, normalization: Normalization) -> int:
    """The option chosen, counted in the example's own order of options, however the prompt showed them."""
    return _own_index(sample, choose(option_scores(sample, normalization)).index)


def _own_index(sample: Sample, shown: int) -> int:
    # A class is an option of the example, not a place in the prompt.
    return sample.order[shown] if isinstance(sample, ArrangedSample) and sample.order else shown


def _decision(sample: Sample, normalization: Normalization) -> Statistics:
    gold = -1 if sample.answer is None else _own_index(sample, sample.answer)
    return (float(gold), float(decided_class(sample, normalization)))


def _grades(sample: Sample, normalization: Normalization) -> Statistics:
    """The two options' numbers; their places where options are no numbers (letters, words in order)."""
    chosen = choose(option_scores(sample, normalization)).index
    numbers = [read_number(option) for option in sample.options]
    gold = -1 if sample.answer is None else sample.answer
    if None in numbers:
        return _decision(sample, normalization)
    return (float(numbers[gold] or 0), float(numbers[chosen] or 0))


def _is_gold(sample: Sample, option: int) -> float:
    return float(option == sample.answer)


def _is_reference(sample: Sample, option: int) -> float:
    return exact_match(sample.options[option], sample.references)


def _option_f1(sample: Sample, option: int) -> float:
    return token_f1(sample.options[option], sample.references)


def _option_metric(name: str, credit: Callable[[Sample, int], float], *, is_per_group: bool = False) -> Metric:
    """A row metric that gives the chosen option a credit of its own."""

    def first(sample: Sample, normalization: Normalization) -> Statistics:
        return (credit(sample, choose(option_scores(sample, normalization)).index),)

    def expected(sample: Sample, normalization: Normalization) -> Statistics:
        best = best_options(option_scores(sample, normalization))
        return (sum(credit(sample, option) for option in best) / len(best),)

    def chance(sample: Sample) -> float:
        return sum(credit(sample, option) for option in range(len(sample.options))) / len(sample.options)

    return Metric(
        name=name,
        note=first,
        expected=expected,
        chance=chance,
        is_binary=credit is not _option_f1,
        is_per_group=is_per_group,
    )


def _one_of_all(sample: Sample) -> float:
    return 1.0 / len(sample.options)


def _nothing(sample: Sample) -> float:  # noqa: ARG001 - a guess is worth nothing, whatever the sample
    return 0.0


def _correlation(name: str, note: Note, score: Callable[[Floats, Floats], Floats]) -> Metric:
    return Metric(name=name, note=note, score=score, chance=_nothing, span=(-1.0, 1.0))


# Generation. ---------------------------------------------------------------------------------------------------------


def _text_metric(name: str, score: Callable[[str, Sequence[str]], float], *, is_binary: bool = False) -> Metric:
    return Metric(
        name=name,
        note=lambda sample, _: (score(sample.prediction, sample.references),),
        chance=_nothing,
        is_binary=is_binary,
    )


def _rouge_metric(name: str) -> Metric:
    return _text_metric(name, lambda prediction, references: rouge(prediction, references)[name])


def _bleu_metric(name: str, tokenization: Tokenization) -> Metric:
    return Metric(
        name=name,
        note=lambda sample, _: bleu_statistics(sample.prediction, sample.references, tokenization),
        score=corpus_bleu,
        chance=_nothing,
        signature=lambda references: bleu_signature(tokenization, references),
    )


def _by_name(*metrics: Metric) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


_METRICS: dict[Kind, dict[str, Metric]] = {
    "classification": _by_name(
        _option_metric("accuracy", _is_gold),
        Metric(name="f1", note=_decision, score=class_f1, chance=_one_of_all),
        _correlation("mcc", _decision, matthews),
        _correlation("pearson", _grades, pearson),
        _correlation("spearman", _grades, spearman),
        _option_metric("exact_match", _is_reference),
        _option_metric("token_f1", _option_f1),
        _option_metric("group_exact_match", _is_gold, is_per_group=True),
    ),
    "generation": _by_name(
        _text_metric("exact_match", exact_match, is_binary=True),
        _text_metric("token_f1", token_f1),
        _text_metric("trivia_exact_match", trivia_exact_match, is_binary=True),
        _text_metric("trivia_f1", trivia_f1),
        _text_metric("drop_exact_match", lambda said, wanted: drop_score(said, wanted).exact_match, is_binary=True),
        _text_metric("drop_f1", lambda said, wanted: drop_score(said, wanted).f1),
        _text_metric("number_match", number_match, is_binary=True),
        _text_metric("instruction_exact_match", instruction_exact_match, is_binary=True),
        _text_metric("instruction_rougeL", instruction_rouge),
        _text_metric("instruction_rougeL_xlingual", cross_lingual_rouge),
        _rouge_metric("rouge1"),
        _rouge_metric("rouge2"),
        _rouge_metric("rougeL"),
        _rouge_metric("rougeLsum"),
        _bleu_metric("bleu", "intl"),
        _bleu_metric("bleu_13a", "13a"),
        _text_metric("edit_similarity", edit_similarity),
        _text_metric("word_edit_similarity", word_edit_similarity),
        replace(_text_metric("verbatim_match", verbatim_match, is_binary=True), is_verbatim=True),
    ),
}

# Names that mean another metric for tasks of this kind, so that one list of names serves both.
_ALIASES: dict[tuple[Kind, str], str] = {
    ("generation", "accuracy"): "exact_match",
    ("generation", "f1"): "token_f1",
}
