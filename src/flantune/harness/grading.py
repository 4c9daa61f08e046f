"""The harness's own metrics, reproduced exactly."""

from __future__ import annotations

import re
import string
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from flantune.evaluation.metrics.bleu import bleu_statistics, corpus_bleu
from flantune.evaluation.metrics.by_name import Metric, Statistics, noted_by_grader
from flantune.evaluation.metrics.chrf import chrf_statistics, corpus_chrf
from flantune.evaluation.metrics.decisions import class_f1, matthews
from flantune.evaluation.metrics.extraction import Extracted
from flantune.evaluation.metrics.graders import Columns, Grade, MetricColumn
from flantune.harness.filters import Filter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flantune.evaluation.metrics.extraction import Rules
    from flantune.evaluation.metrics.rank_classification import Normalization
    from flantune.types import Row, Sample

Score = Callable[["NDArray[np.float64]", "NDArray[np.float64]"], "NDArray[np.float64]"]

OPTION_METRICS = ("acc", "acc_norm", "acc_bytes", "exact_match", "f1", "mcc")
"""Metrics of multiple choice: accuracy by the summed log-likelihood, per character or per byte; whether greedy decoding
yields the right choice; F1 of choice 1 and Matthews' correlation, over all questions."""
TEXT_METRICS = ("exact_match", "bleu", "chrf")
PERCENT = ("bleu", "chrf")
"""Metrics that the harness reports on a scale of 0 to 100."""
_OF_ALL: Mapping[str, Score] = {"f1": class_f1, "mcc": matthews, "bleu": corpus_bleu, "chrf": corpus_chrf}
_SPANS = {"mcc": (-1.0, 1.0)}
_NORMALIZATIONS: Mapping[str, Normalization] = {"acc_norm": "character", "acc_bytes": "byte"}

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_DIGITS = str.maketrans("", "", string.digits)


@dataclass(frozen=True, slots=True, kw_only=True)
class HarnessGrader(ABC):
    """Grades answers as the harness does, by the metrics that a file names.

    Attributes:
        headline: Name of the headline metric in the results; empty: the first metric.
    """

    headline: str = ""

    @property
    @abstractmethod
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics in the harness's results, in the order of the file."""

    @abstractmethod
    def column(self, metric: str) -> MetricColumn:
        """How a metric's notes become its score."""

    @abstractmethod
    def notes(self, sample: Sample) -> dict[str, Statistics]:
        """Each metric's notes on an answer."""

    @abstractmethod
    def found(self, sample: Sample) -> Extracted:
        """The extracted answer."""

    @property
    def columns(self) -> Columns:
        """The columns of all metrics, the headline first."""
        headline, *others = map(self.column, self._in_order)
        return Columns(headline=headline, others=tuple(others))

    @property
    def rules(self) -> Rules:
        """No rules: the harness has filters instead."""
        return ()

    def grade(self, sample: Sample) -> Grade:
        """All metrics of one answer."""
        notes, found = self.notes(sample), self.found(sample)
        return Grade(notes=tuple(notes[name] for name in self._in_order), answer=found.answer, rule=found.rule)

    @property
    def _in_order(self) -> tuple[str, ...]:
        first = self.headline or self.metrics[0]
        return (first, *(name for name in self.metrics if name != first))


def harness_column(metric: str) -> MetricColumn:
    """The column of one of the harness's own metrics."""
    name = metric.partition(",")[0]
    found = Metric(
        name=metric,
        note=noted_by_grader,
        score=_OF_ALL.get(name),
        chance=lambda _: 0.0,
        span=_SPANS.get(name, (0.0, 1.0)),
        is_binary=name not in _OF_ALL,
    )
    return MetricColumn(metric=found, normalization=_NORMALIZATIONS.get(name, "sum"))


@dataclass(frozen=True, slots=True, kw_only=True)
class HarnessOptionGrader(HarnessGrader):
    """Grades multiple choice as the harness does: the first option with the highest score, without tolerance.

    Attributes:
        names: Metrics, the headline first.
        golds: Row number → indices of the right choices.
    """

    names: tuple[str, ...]
    golds: Mapping[int, tuple[int, ...]]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics as the harness's results name them."""
        return tuple(f"{name},none" for name in self.names)

    def column(self, metric: str) -> MetricColumn:
        """One of the harness's own."""
        return harness_column(metric)

    def found(self, sample: Sample) -> Extracted:
        """The chosen option."""
        return Extracted(answer=sample.options[self._values(sample)[0]["acc"]], rule="likeliest")

    def notes(self, sample: Sample) -> dict[str, Statistics]:
        """Each metric's notes on a question."""
        return {f"{name},none": self._note(name, sample) for name in self.names}

    def _note(self, name: str, sample: Sample) -> Statistics:
        golds = self.golds[sample.row]
        chosen, values = self._values(sample)
        if name in values:
            return (values[name],)
        return (float(golds[0]) if golds else -1.0, float(chosen["acc"]), float(len(sample.options)))

    def item(self, name: str, sample: Sample) -> float | list[int]:
        """The harness's value for a question: a score, or the indices of the right and the chosen option."""
        golds = self.golds[sample.row]
        chosen, values = self._values(sample)
        return values[name] if name in values else [golds[0] if golds else -100, chosen["acc"]]

    def _values(self, sample: Sample) -> tuple[dict[str, int], dict[str, float]]:
        """The choice under each normalization, and the scores of one question."""
        golds = self.golds[sample.row]
        sizes = {
            "acc": [1] * len(sample.options),
            "acc_norm": [max(len(option), 1) for option in sample.options],
            "acc_bytes": [max(len(option.encode("utf-8")), 1) for option in sample.options],
        }
        chosen = {name: _first_best(sample.scores, each) for name, each in sizes.items()}
        values = {name: float(at in golds) for name, at in chosen.items()}
        values["exact_match"] = float(any(sample.greedy[gold] for gold in golds)) if sample.greedy else 0.0
        return chosen, values


def _first_best(scores: Sequence[float], sizes: Sequence[int]) -> int:
    each = [score / size for score, size in zip(scores, sizes, strict=True)]
    return each.index(max(each))


@dataclass(frozen=True, slots=True, kw_only=True)
class HarnessTextGrader(HarnessGrader):
    """Grades generated answers as the harness does: every metric after every filter.

    Attributes:
        filters: The filters, the headline's first.
        names: Metrics, the headline first.
        options: Settings of exact match: ignore_case, ignore_punctuation, ignore_numbers, regexes_to_ignore.
        choices: Row number → the row's choices, for filters that look for one of them.
        rows: Row number → the row's columns, for filters that are functions.
    """

    filters: tuple[Filter, ...]
    names: tuple[str, ...] = ("exact_match",)
    options: Mapping[str, Any] = field(default_factory=dict)
    choices: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    rows: Mapping[int, Row] = field(default_factory=dict)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics as the harness's results name them."""
        return tuple(f"{name},{one.name}" for one in self.filters for name in self.names)

    def column(self, metric: str) -> MetricColumn:
        """One of the harness's own."""
        return harness_column(metric)

    def found(self, sample: Sample) -> Extracted:
        """The answer after the first filter."""
        name, text = self.filters[0].name, self.read(sample)[self.filters[0].name]
        is_found = text not in {"", "[invalid]"}
        return Extracted(answer=text if is_found else None, rule=name if is_found else "")

    def notes(self, sample: Sample) -> dict[str, Statistics]:
        """Notes of each metric after each filter."""
        found, wanted = self.read(sample), sample.references or ("",)
        return {
            f"{name},{one.name}": _NOTES[name](found[one.name], wanted)
            if name in _NOTES
            else (self.matches(found[one.name], sample.references),)
            for one in self.filters
            for name in self.names
        }

    def read(self, sample: Sample) -> dict[str, str]:
        """The answer after each filter."""
        choices, row = self.choices.get(sample.row, ()), self.rows.get(sample.row, {})
        return {one.name: one.apply(sample.prediction, choices, row) for one in self.filters}

    def silence_notes(self, references: Sequence[Sequence[str]]) -> Iterator[str]:
        """A note if a file's settings reduce right answers to nothing, so that an empty answer counts as right.

        The score is the harness's; this only makes the problem visible.

        Args:
            references: The right answers of each question.
        """
        wanted = [[one for one in each if one] for each in references]
        silent = [at for at, each in enumerate(wanted) if any(not self._plain(one) for one in each)]
        if silent and "exact_match" in self.names:
            shown = next(one for one in wanted[silent[0]] if not self._plain(one))
            yield (
                f"with this file's settings of exact_match {len(silent)} of {len(references)} right answers are empty, "
                f"so an empty answer counts as right; question {silent[0]}: {shown!r:.60}"
            )

    def matches(self, answer: str, references: Sequence[str]) -> float:
        """1 if an answer equals one of the right ones under the file's settings of exact match, else 0."""
        return float(any(self._plain(answer) == self._plain(reference) for reference in references))

    def _plain(self, text: str) -> str:
        for pattern in self.options.get("regexes_to_ignore") or ():
            text = re.sub(str(pattern), "", text)
        text = text.lower() if self.options.get("ignore_case") else text
        text = text.translate(_PUNCTUATION) if self.options.get("ignore_punctuation") else text
        return text.translate(_DIGITS) if self.options.get("ignore_numbers") else text


_NOTES = {"bleu": lambda text, wanted: bleu_statistics(text, wanted, "13a"), "chrf": chrf_statistics}
