"""What counts as right: a ranked option, or a written answer and the rule that read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from flantune.evaluation.metrics.extraction import FIRST_LINE, Rules, extract, same_answer
from flantune.evaluation.metrics.rank_classification import (
    NORMALIZATIONS,
    Normalization,
    best_options,
    choose,
    option_scores,
)
from flantune.evaluation.metrics.rouge import instruction_rouge
from flantune.evaluation.metrics.texts import exact_match, instruction_exact_match, token_f1

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from flantune.settings.protocols import ScoringProtocol, Ties
    from flantune.types import Sample

Comparison = Literal["same", "squad", "natural_instructions"]


@dataclass(frozen=True, slots=True)
class Corpus:
    """A metric that is no mean over answers.

    Attributes:
        score: Notes [answers, k] and weights [replicates, answers] to scores [replicates].
        span: Lowest and highest possible score.
        replicates: How often the questions are redrawn for its interval; None: as often as for all others.
    """

    score: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
    span: tuple[float, float] = (0.0, 1.0)
    replicates: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """One answer, graded.

    Attributes:
        metrics: Score of each metric, in [0, 1].
        answer: What was understood as the answer; None when nothing was.
        rule: Which rule found it; empty when none did.
        is_tie: Two options scored the same.
        notes: What each metric that is no mean over answers keeps of this one.
    """

    metrics: Mapping[str, float]
    answer: str | None
    rule: str
    is_tie: bool = False
    notes: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


class Grader(Protocol):
    """How the answers of a part are graded."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics it gives, the headline first."""

    @property
    def corpora(self) -> Mapping[str, Corpus]:
        """Those of them that are no means over answers, and how their notes become a score."""

    @property
    def rules(self) -> Rules:
        """Where an answer may stand in a written text."""

    def grade(self, sample: Sample, protocol: ScoringProtocol) -> Grade:
        """The scores of one answered prompt."""


@dataclass(frozen=True, slots=True)
class OptionGrader:
    """Rank classification: the likeliest option, under the protocol's normalization and rule for ties."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Accuracy under the protocol's normalization, then under each that one pass gives."""
        return ("accuracy", *(f"accuracy_{name}" for name in NORMALIZATIONS))

    @property
    def corpora(self) -> Mapping[str, Corpus]:
        """None: all are means over answers."""
        return {}

    @property
    def rules(self) -> Rules:
        """None: nothing is written."""
        return ()

    def grade(self, sample: Sample, protocol: ScoringProtocol) -> Grade:
        """1 for the right option; with ties counted by expectation, its share of those that tie.

        Raises:
            EvaluationError: The sample has no baselines, and the protocol's normalization needs them.
        """
        choice = choose(option_scores(sample, protocol.normalization))
        metrics = {"accuracy": _credit(sample, protocol.normalization, protocol.ties)}
        metrics |= {f"accuracy_{name}": _credit(sample, name, protocol.ties) for name in NORMALIZATIONS}
        answer = sample.options[choice.index].strip()
        return Grade(metrics=metrics, answer=answer, rule="likeliest", is_tie=choice.is_tie)


def _credit(sample: Sample, normalization: Normalization, ties: Ties) -> float:
    best = best_options(option_scores(sample, normalization))
    if ties == "expected":
        return float(sample.answer in best) / len(best)
    return float(best[0] == sample.answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextGrader:
    """A written answer: found by rules, then compared with the references.

    Attributes:
        rules: Where the answer may stand, most trusted first.
        comparison: "same": the same but for case, punctuation and spaces. "squad": exact match and token F1 as
            SQuAD's script has them. "natural_instructions": stemmed ROUGE-L and exact match as that benchmark has them.
    """

    rules: Rules = (FIRST_LINE,)
    comparison: Comparison = "same"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics it gives, the headline first."""
        return tuple(_COMPARED[self.comparison]("", ("",)))

    @property
    def corpora(self) -> Mapping[str, Corpus]:
        """None: all are means over answers."""
        return {}

    def grade(self, sample: Sample, protocol: ScoringProtocol) -> Grade:  # noqa: ARG002 - nothing to choose
        """The scores of what was found; nothing found is wrong."""
        found = extract(sample.prediction, self.rules)
        return Grade(
            metrics=_COMPARED[self.comparison](found.answer or "", sample.references),
            answer=found.answer,
            rule=found.rule,
        )


def _same(answer: str, references: Sequence[str]) -> dict[str, float]:
    return {"accuracy": float(bool(answer) and any(same_answer(answer, reference) for reference in references))}


def _squad(answer: str, references: Sequence[str]) -> dict[str, float]:
    return {"exact_match": exact_match(answer, references), "f1": token_f1(answer, references)}


def _natural_instructions(answer: str, references: Sequence[str]) -> dict[str, float]:
    return {
        "rougeL": instruction_rouge(answer, references),
        "exact_match": instruction_exact_match(answer, references),
    }


_COMPARED = {"same": _same, "squad": _squad, "natural_instructions": _natural_instructions}
