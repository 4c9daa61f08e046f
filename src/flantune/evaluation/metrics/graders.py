"""What counts as right: the notes of every answer, a ranked option or a generated text with the rule that read it.

A *column* is one note of all answers to an exam: a metric under a normalization and a rule for ties. A grader has
several, the headline first; the metrics of tasks, benchmarks and harness files all have this form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol

from flantune.evaluation.metrics.by_name import Metric, Statistics, find_metric
from flantune.evaluation.metrics.extraction import FIRST_LINE, Rules, extract, rules_between, same_answer
from flantune.evaluation.metrics.normalizers import cut_like_flan
from flantune.evaluation.metrics.rank_classification import NORMALIZATIONS, Normalization, choose, option_scores
from flantune.types import Kind, Sample

if TYPE_CHECKING:
    from flantune.settings.protocols import ScoringProtocol, Ties

Comparison = Literal["same", "squad", "natural_instructions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricColumn:
    """One note of every sample: a metric under a normalization and a rule for ties."""

    metric: Metric
    normalization: Normalization = "sum"
    ties: Ties = "first"

    @property
    def key(self) -> tuple[str, Normalization, Ties]:
        """Its unique name among the columns of a grader."""
        return self.metric.name, self.normalization, self.ties


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """All notes of an exam's samples.

    Attributes:
        headline: The first metric under the protocol's normalization and rule for ties.
        others: The other metrics.
        variants: The headline metric under each normalization; empty for generation.
        tie_rules: The headline metric under each rule for ties, if it has both.
    """

    headline: MetricColumn
    others: tuple[MetricColumn, ...] = ()
    variants: tuple[MetricColumn, ...] = ()
    tie_rules: tuple[MetricColumn, ...] = ()

    @property
    def all(self) -> tuple[MetricColumn, ...]:
        """Every column once."""
        every = (self.headline, *self.others, *self.variants, *self.tie_rules)
        return tuple({column.key: column for column in every}.values())

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics, the headline first."""
        return tuple(column.metric for column in (self.headline, *self.others))


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """The grade of one answer.

    Attributes:
        notes: Its note in each column, in the order of ``Columns.all``.
        answer: The extracted answer; None if nothing was found.
        rule: The rule that found it; empty if none did.
        is_tie: Whether two options scored the same.
    """

    notes: tuple[Statistics, ...]
    answer: str | None
    rule: str
    is_tie: bool = False


class Grader(Protocol):
    """How the answers to an exam are graded."""

    @property
    def columns(self) -> Columns:
        """The notes of an answer."""

    @property
    def rules(self) -> Rules:
        """Where an answer may be in a generated text."""

    def grade(self, sample: Sample) -> Grade:
        """The grade of one answered prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricGrader:
    """Metrics of the likeliest option, or of the answer found in a generated text.

    Attributes:
        columns: The metrics.
        rules: Where the answer may be in a generated text, most trusted first; none: between the template's words
            around it (``Sample.answer_marks``), or else the whole text.
        parse: Cuts a generated text before it is scored.
    """

    columns: Columns
    rules: Rules = ()
    parse: Callable[[str], str] = str

    def grade(self, sample: Sample) -> Grade:
        """All metrics of one answer; a missing answer is wrong.

        Raises:
            EvaluationError: The sample has no baselines, but the normalization needs them.
        """
        answer: str | None
        is_tie = False
        if sample.scores:
            choice = choose(option_scores(sample, self.columns.headline.normalization))
            answer, rule, is_tie = sample.options[choice.index].strip(), "likeliest", choice.is_tie
        elif self.rules or sample.answer_marks:
            found = extract(sample.prediction, self.rules or rules_between(*sample.answer_marks))
            answer, rule = found.answer, found.rule
        else:
            answer, rule = self.parse(sample.prediction), "as written"
        read = sample if sample.scores else replace(sample, prediction=answer or "")
        notes = tuple(column.metric.noted(read, column.normalization, column.ties) for column in self.columns.all)
        return Grade(notes=notes, answer=answer, rule=rule, is_tie=is_tie)


def columns_of(kind: Kind, metrics: Sequence[str], *, normalization: Normalization, ties: Ties = "first") -> Columns:
    """The columns for a task with these metrics.

    Raises:
        EvaluationError: A metric does not exist.
    """
    found = [MetricColumn(metric=find_metric(name, kind), normalization=normalization, ties=ties) for name in metrics]
    headline = found[0]
    variants = tuple(dict.fromkeys((*NORMALIZATIONS, normalization))) if kind == "classification" else ()
    rules: tuple[Ties, ...] = ("first", "expected") if headline.metric.expected is not None else ()
    return Columns(
        headline=headline,
        others=tuple(found[1:]),
        variants=tuple(replace(headline, normalization=name) for name in variants),
        tie_rules=tuple(replace(headline, ties=rule) for rule in rules),
    )


_PARSERS: Mapping[str, Callable[[str], str]] = {"none": str, "flan2021": cut_like_flan}


def parser_of(answer_parsing: str) -> Callable[[str], str]:
    """The function that cuts a generated answer before it is scored; an unknown name changes nothing.

    >>> parser_of("flan2021")("Oslo Q: Where?"), parser_of("none")("Oslo Q: Where?")
    ('Oslo', 'Oslo Q: Where?')
    """
    return _PARSERS.get(answer_parsing, str)


def option_grader(protocol: ScoringProtocol) -> MetricGrader:
    """Rank classification: accuracy of the likeliest option, under the protocol's normalization and rule for ties."""
    own = {"normalization": protocol.normalization, "ties": protocol.ties}
    return MetricGrader(columns=columns_of("classification", ("accuracy",), **own))  # type: ignore[arg-type]


def text_grader(rules: Rules = (FIRST_LINE,), comparison: Comparison = "same") -> MetricGrader:
    """A generated answer: found by rules, then compared with the unchanged references.

    Args:
        rules: Where the answer may be, most trusted first.
        comparison: "same": equal except for case, punctuation and spaces. "squad": exact match and token F1 as in
            SQuAD's script. "natural_instructions": stemmed ROUGE-L and exact match as in that benchmark.
    """
    headline, *others = (MetricColumn(metric=metric) for metric in _COMPARED[comparison])
    return MetricGrader(columns=Columns(headline=headline, others=tuple(others)), rules=rules)


def _same(answer: str, references: Sequence[str]) -> float:
    return float(bool(answer) and any(same_answer(answer, reference) for reference in references))


def _verbatim(name: str, own: str) -> Metric:
    """A text metric under the name used by a benchmark's authors."""
    return replace(find_metric(own, "generation"), name=name, is_verbatim=True)


_SAME = Metric(
    name="accuracy",
    note=lambda sample, _: (_same(sample.prediction, sample.references),),
    chance=lambda _: 0.0,
    is_binary=True,
    is_verbatim=True,
)
_COMPARED: Mapping[Comparison, tuple[Metric, ...]] = {
    "same": (_SAME,),
    "squad": (_verbatim("exact_match", "exact_match"), _verbatim("f1", "token_f1")),
    "natural_instructions": (
        _verbatim("rougeL", "instruction_rougeL"),
        _verbatim("exact_match", "instruction_exact_match"),
    ),
}
