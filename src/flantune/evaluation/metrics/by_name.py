"""Metrics by name: what is noted of each sample, and how notes become a score.

A *row metric* notes one number per sample and averages them. A *corpus metric* notes sufficient statistics and computes
its score from all of them together; with weights it can do so for thousands of bootstrap replicates without rereading
texts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flantune.errors import EvaluationError, did_you_mean
from flantune.evaluation.metrics.bleu import (
    TOKENIZATIONS,
    Tokenization,
    bleu_signature,
    bleu_statistics,
    bleu_words,
    check_tokenization,
    corpus_bleu,
)
from flantune.evaluation.metrics.decisions import class_f1, matthews, pearson, spearman
from flantune.evaluation.metrics.drop import drop_score
from flantune.evaluation.metrics.number_match import number_match, read_number
from flantune.evaluation.metrics.rank_classification import Normalization, best_options, choose, option_scores
from flantune.evaluation.metrics.rouge import (
    ROUGE_TOKENIZATIONS,
    RougeTokenization,
    check_cross_lingual,
    cross_lingual_rouge,
    instruction_rouge,
    rouge,
    rouge_signature,
    rouge_words,
)
from flantune.evaluation.metrics.texts import (
    character_exact_match,
    character_f1,
    edit_similarity,
    exact_match,
    instruction_exact_match,
    token_f1,
    trivia_exact_match,
    trivia_f1,
    verbatim_match,
    word_edit_similarity,
)
from flantune.evaluation.metrics.unicode import composed
from flantune.types import Kind, Sample

if TYPE_CHECKING:
    from flantune.settings.protocols import Ties

Floats = NDArray[np.float64]
Statistics = tuple[float, ...]
Note = Callable[[Sample, Normalization], Statistics]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a metric reads of a text, so that data in another script is detected before scoring.

    Attributes:
        words: The words that it counts; None if it reads every character.
        needs_spaces: Whether it splits words at white space, so that a clause of Chinese or Thai is one word.
        has_ascii_marks: Whether it removes only ASCII punctuation.
        instead: Script → the metric or setting that helps; "" for all others.
    """

    words: Callable[[str], Sequence[str]] | None = None
    needs_spaces: bool = False
    has_ascii_marks: bool = False
    instead: Mapping[str, str] = field(default_factory=dict, compare=False)

    def helps(self, script: str) -> str:
        """The alternative for a script."""
        return self.instead.get(script, self.instead.get("", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric.

    Attributes:
        name: As named in tasks.
        note: What is stored of a sample: one number (row metric) or sufficient statistics (corpus metric).
        score: Notes [n, k] and weights [replicates, n] to scores [replicates]; None for a row metric.
        chance: The score of guessing on one sample.
        expected: The note if tied options share the credit; None if ties always go to the first.
        span: Lowest and highest possible score.
        is_binary: Every note is 0 or 1 (ties aside), so that McNemar's test applies.
        is_per_group: Whether a group of samples counts once, by the product of its notes.
        is_verbatim: Whether texts are compared character for character, without Unicode normalization.
        signature: A signature of how the score was made, from the fewest and the most references; None: no signature.
        reading: What it reads of a text.
        check: Raises an error if this machine lacks what the metric needs; None: it needs nothing.
        replicates: Number of bootstrap replicates for a corpus metric's interval; None: the usual number.
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
    reading: Reading = Reading()
    check: Callable[[], None] | None = None
    replicates: int | None = None

    def noted(self, sample: Sample, normalization: Normalization, ties: Ties) -> Statistics:
        """The note of a sample under a rule for ties.

        Answers and references are compared in one Unicode form, unless the metric is about the characters themselves:
        an accent may be a separate character or part of its letter.
        """
        note = self.expected if ties == "expected" and self.expected is not None else self.note
        return note(sample if self.is_verbatim else composed(sample), normalization)


def noted_by_grader(sample: Sample, normalization: Normalization) -> Statistics:
    """A placeholder for the note of a metric whose grader needs more than the sample.

    Raises:
        TypeError: Always, since such a metric is noted by its grader.
    """
    raise TypeError(f"{sample.task}: noted by its grader alone, whatever is ranked by {normalization}")


def find_metric(name: str, kind: Kind) -> Metric:
    """The metric with a name.

    Raises:
        EvaluationError: No metric of that name exists for tasks of this kind.

    >>> find_metric("rougeL", "generation").name
    'rougeL'
    """
    known = _METRICS[kind]
    wanted = _ALIASES.get((kind, name), name)
    if wanted in known:
        return known[wanted]
    hint = did_you_mean(name, metric_names(kind)) or f"metrics for {kind} tasks: {', '.join(known)}"
    raise EvaluationError(f'no metric "{name}" for {kind} tasks', where="metrics", hint=hint)


def metric_names(kind: Kind) -> tuple[str, ...]:
    """Every name that ``find_metric`` knows for tasks of a kind, including aliases."""
    return (*_METRICS[kind], *(name for of, name in _ALIASES if of == kind))


# Rank classification. ------------------------------------------------------------------------------------------------


def decided_class(sample: Sample, normalization: Normalization) -> int:
    """The index of the chosen option in the example's own order, regardless of the order shown."""
    return _own_index(sample, choose(option_scores(sample, normalization)).index)


def _own_index(sample: Sample, shown: int) -> int:
    # A class is an option of the example, not a place in the prompt.
    return sample.order[shown] if sample.order else shown


def _decision(sample: Sample, normalization: Normalization) -> Statistics:
    gold = -1 if sample.answer is None else _own_index(sample, sample.answer)
    return (float(gold), float(decided_class(sample, normalization)))


def _decision_of(sample: Sample, normalization: Normalization) -> Statistics:
    """A decision and the number of options, which determines the formula of F1."""
    return (*_decision(sample, normalization), float(len(sample.options)))


# Larger grades make correlations of floats meaningless, and may overflow.
_MAX_GRADE = 10**15


def _grades(sample: Sample, normalization: Normalization) -> Statistics:
    """The two options' numbers, their places, and whether all options are numbers."""
    chosen = choose(option_scores(sample, normalization)).index
    numbers = [read_number(option) for option in sample.options]
    places = _decision(sample, normalization)
    is_numeric = all(number is not None and -_MAX_GRADE < number < _MAX_GRADE for number in numbers)
    if not is_numeric or sample.answer is None:
        return (*places, *places, 0.0)
    return (float(numbers[sample.answer] or 0), float(numbers[chosen] or 0), *places, 1.0)


def _graded(score: Callable[[Floats, Floats], Floats]) -> Callable[[Floats, Floats], Floats]:
    """A correlation of the options' numbers, or of their places if any row has an option that is not a number."""

    def correlate(grades: Floats, weights: Floats) -> Floats:
        pairs = grades[:, :2] if (grades[:, 4] > 0.0).all() else grades[:, 2:4]
        return score(pairs, weights)

    return correlate


def _is_gold(sample: Sample, option: int) -> float:
    return float(option == sample.answer)


def _is_reference(sample: Sample, option: int) -> float:
    return exact_match(sample.options[option], sample.references)


def _option_f1(sample: Sample, option: int) -> float:
    return token_f1(sample.options[option], sample.references)


def _option_metric(name: str, credit: Callable[[Sample, int], float], *, is_per_group: bool = False) -> Metric:
    """A row metric that assigns a credit to the chosen option."""

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


_WHOLE = Reading(has_ascii_marks=True, instead={"": "character_exact_match"})
_BAG = Reading(words=str.split, needs_spaces=True, instead={"": "character_f1"})


def _text_metric(
    name: str,
    score: Callable[[str, Sequence[str]], float],
    *,
    is_binary: bool = False,
    reading: Reading = Reading(),
    signature: Callable[[], str] | None = None,
    check: Callable[[], None] | None = None,
) -> Metric:
    return Metric(
        name=name,
        note=lambda sample, _: (score(sample.prediction, sample.references),),
        chance=_nothing,
        is_binary=is_binary,
        reading=reading,
        signature=None if signature is None else lambda _: signature(),
        check=check,
    )


def _rouge_metrics(tokenization: RougeTokenization) -> tuple[Metric, ...]:
    """The four types, each named ``type:tokenization`` except for the default."""
    setting = "" if tokenization == "default" else f":{tokenization}"
    return tuple(
        _text_metric(
            f"{kind}{setting}",
            lambda said, wanted, kind=kind: rouge(said, wanted, tokenization)[kind],  # type: ignore[misc]
            reading=Reading(words=partial(rouge_words, tokenization=tokenization), instead={"": f"{kind}:words"}),
            signature=partial(rouge_signature, tokenization),
        )
        for kind in ("rouge1", "rouge2", "rougeL", "rougeLsum")
    )


# Names from before tokenizers could be named.
_BLEU_NAMES: Mapping[Tokenization, str] = {"intl": "bleu", "13a": "bleu_13a"}
_BLEU_INSTEAD = {
    "": "bleu:char (or bleu:flores200)",
    "CJK": "bleu:zh",
    **dict.fromkeys(("HIRAGANA", "KATAKANA"), "bleu:ja-mecab or bleu:char"),
}


def _bleu_metric(tokenization: Tokenization) -> Metric:
    return Metric(
        name=_BLEU_NAMES.get(tokenization, f"bleu:{tokenization}"),
        note=lambda sample, _: bleu_statistics(sample.prediction, sample.references, tokenization),
        score=corpus_bleu,
        chance=_nothing,
        signature=lambda references: bleu_signature(tokenization, references),
        reading=Reading(
            words=partial(bleu_words, tokenization=tokenization),
            needs_spaces=tokenization in _BLEU_NAMES,
            instead=_BLEU_INSTEAD,
        ),
        check=partial(check_tokenization, tokenization),
    )


def _by_name(*metrics: Metric) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


_METRICS: dict[Kind, dict[str, Metric]] = {
    "classification": _by_name(
        _option_metric("accuracy", _is_gold),
        Metric(name="f1", note=_decision_of, score=class_f1, chance=_one_of_all),
        _correlation("mcc", _decision, matthews),
        _correlation("pearson", _grades, _graded(pearson)),
        _correlation("spearman", _grades, _graded(spearman)),
        _option_metric("exact_match", _is_reference),
        _option_metric("token_f1", _option_f1),
        _option_metric("group_exact_match", _is_gold, is_per_group=True),
    ),
    "generation": _by_name(
        _text_metric("exact_match", exact_match, is_binary=True, reading=_WHOLE),
        _text_metric("token_f1", token_f1, reading=_BAG),
        _text_metric("trivia_exact_match", trivia_exact_match, is_binary=True, reading=_WHOLE),
        _text_metric("trivia_f1", trivia_f1, reading=_BAG),
        _text_metric(
            "drop_exact_match",
            lambda said, wanted: drop_score(said, wanted).exact_match,
            is_binary=True,
            reading=_WHOLE,
        ),
        _text_metric("drop_f1", lambda said, wanted: drop_score(said, wanted).f1, reading=_BAG),
        _text_metric("number_match", number_match, is_binary=True),
        _text_metric("instruction_exact_match", instruction_exact_match, is_binary=True, reading=_WHOLE),
        _text_metric(
            "instruction_rougeL",
            instruction_rouge,
            signature=partial(rouge_signature, "default", is_stemmed=True),
            reading=Reading(words=rouge_words, instead={"": "rougeL:words or instruction_rougeL_xlingual"}),
        ),
        _text_metric("instruction_rougeL_xlingual", cross_lingual_rouge, check=check_cross_lingual),
        *(metric for tokenization in ROUGE_TOKENIZATIONS for metric in _rouge_metrics(tokenization)),
        *map(_bleu_metric, TOKENIZATIONS),
        _text_metric("character_exact_match", character_exact_match, is_binary=True),
        _text_metric("character_f1", character_f1),
        _text_metric("edit_similarity", edit_similarity),
        _text_metric(
            "word_edit_similarity",
            word_edit_similarity,
            reading=Reading(words=str.split, needs_spaces=True, instead={"": "edit_similarity"}),
        ),
        replace(_text_metric("verbatim_match", verbatim_match, is_binary=True), is_verbatim=True),
    ),
}

# Names with another meaning for tasks of this kind, so that one list of names works for both.
_ALIASES: dict[tuple[Kind, str], str] = {
    ("generation", "accuracy"): "exact_match",
    ("generation", "f1"): "token_f1",
    ("generation", "bleu:intl"): "bleu",
    ("generation", "bleu:13a"): "bleu_13a",
    **{("generation", f"{kind}:default"): kind for kind in ("rouge1", "rouge2", "rougeL", "rougeLsum")},
}
