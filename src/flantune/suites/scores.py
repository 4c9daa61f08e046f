"""From answers to scores: parts, their benchmark's means in every way they are reported, and the Flan 2022 average."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flantune.evaluation.run_results import Estimate
from flantune.evaluation.statistics.means import (
    SCORE,
    Mean,
    Share,
    above_chance,
    bootstrap_mean,
    clustered_mean,
    combine,
    resample,
    resampled_mean,
)
from flantune.evaluation.statistics.pairs import REPLICATES, estimate
from flantune.suites.flan2022 import SCORES as FLAN2022_SCORES
from flantune.suites.flan2022 import bbh_task, normalized_average
from flantune.suites.skill import ranked_answers
from flantune.suites.suite import Part
from flantune.system.keyed_random import stream_key

if TYPE_CHECKING:
    from flantune.evaluation.metrics.graders import Corpus, Grade
    from flantune.evaluation.statistics.skill import RankedOptions
    from flantune.settings.protocols import ScoringProtocol
    from flantune.types import Sample

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_ANY = (-float("inf"), float("inf"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PartScores:
    """One part, answered by one model and graded.

    Attributes:
        part: What was asked.
        rows: Row of each graded answer, in order.
        values: Metric → score of each answer, shape [rows]; not those that are no means over answers.
        notes: Metric that is none (BLEU, a class's F1) → what its score is made from, shape [rows, k].
        unparsed: Share of answers in which no answer was found.
        ties: Answers for which two options scored the same.
        rules: Rule → how many answers it read.
        confidence: The voted answers' mean share of the answers drawn; None without a vote.
        options: The scores of the options, label by label; None where answers were written.
    """

    part: Part
    rows: tuple[int, ...]
    values: Mapping[str, Floats]
    unparsed: float
    ties: int
    rules: Mapping[str, int]
    confidence: float | None = None
    notes: Mapping[str, Floats] = field(default_factory=dict)
    options: RankedOptions | None = None

    def point(self, metric: str) -> float:
        """The part's score."""
        if metric in self.values:
            return float(self.values[metric].mean())
        return float(self._corpus(metric).score(self.notes[metric], np.ones((1, len(self.rows))))[0])

    def span(self, metric: str) -> tuple[float, float]:
        """Lowest and highest score possible."""
        return SCORE if metric in self.values else self._corpus(metric).span

    def mean(self, metric: str, *, confidence: float) -> Mean:
        """The part's score with its standard error."""
        if metric in self.values:
            return clustered_mean(self.values[metric][:, None], span=SCORE, confidence=confidence)
        span = self.span(metric)
        return bootstrap_mean(self.resampled(metric), examples=len(self.rows), span=span, confidence=confidence)

    def resampled(self, metric: str, *, seed: int = 0) -> Floats:
        """The score as it is, then on bootstrap replicates of the questions, which are the same for all models."""
        key = stream_key(seed, "bootstrap", self.part.key)
        if metric in self.values:
            return resampled_mean(self.values[metric][:, None], replicates=REPLICATES, seed=key)
        corpus, notes = self._corpus(metric), self.notes[metric]
        return resample(
            lambda weights: corpus.score(notes, weights),
            examples=len(notes),
            replicates=corpus.replicates or REPLICATES,
            seed=key,
        )

    def only(self, keep: Sequence[int] | Bools) -> PartScores:
        """The same of some of the answers, by place."""
        at = np.flatnonzero(keep) if isinstance(keep, np.ndarray) else np.array(keep, dtype=np.intp)
        return replace(
            self,
            rows=tuple(self.rows[place] for place in at),
            values={metric: values[at] for metric, values in self.values.items()},
            notes={metric: notes[at] for metric, notes in self.notes.items()},
            options=None if self.options is None else self.options.only(at),
        )

    def _corpus(self, metric: str) -> Corpus:
        return self.part.grader.corpora[metric]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighting:
    """One way to average a benchmark's parts.

    Attributes:
        name: What it is called.
        weights: Part → weight; they sum to one.
        is_headline: The way the papers report.
    """

    name: str
    weights: Mapping[str, float]
    is_headline: bool = False


def grade_part(part: Part, samples: Sequence[Sample], protocol: ScoringProtocol) -> PartScores:
    """Grades a part's answers."""
    grades: list[Grade] = [part.grader.grade(sample, protocol) for sample in samples]
    rules: dict[str, int] = {}
    for grade in grades:
        rules[grade.rule or "none"] = rules.get(grade.rule or "none", 0) + 1
    votes = [sample.confidence for sample in samples if sample.confidence is not None]
    return PartScores(
        part=part,
        rows=tuple(sample.row for sample in samples),
        values={
            metric: np.array([grade.metrics[metric] for grade in grades], dtype=np.float64)
            for metric in part.grader.metrics
            if metric not in part.grader.corpora
        },
        notes={
            metric: np.array([grade.notes[metric] for grade in grades], dtype=np.float64)
            for metric in part.grader.corpora
        },
        unparsed=sum(grade.answer is None for grade in grades) / max(len(grades), 1),
        ties=sum(grade.is_tie for grade in grades),
        rules=rules,
        confidence=sum(votes) / len(votes) if votes else None,
        options=ranked_answers(part, samples, protocol),
    )


def weightings(scores: Sequence[PartScores]) -> tuple[Weighting, ...]:
    """The ways to average the parts of one benchmark, the headline first.

    Papers differ: MMLU's own script pools all questions, Flan 2022 takes the mean of 57 subjects; BBH is averaged over
    23 tasks, 27 files or 6,511 questions. A number without its weighting cannot be compared.
    """
    suite = scores[0].part.suite
    names = [one.part.name for one in scores]
    rows = {one.part.name: len(one.rows) for one in scores}
    every = Weighting(name=f"mean of {len(names)} {_NOUNS.get(suite, 'tasks')}", weights=_even(names))
    micro = Weighting(name="all questions", weights={name: rows[name] / sum(rows.values()) for name in names})
    if suite == "bbh":
        found = [_bbh_tasks(names), every, micro]
    elif suite in {"tydiqa", "mgsm"}:
        others = [one.part.name for one in scores if "not English" in one.part.groups]
        found = (
            [Weighting(name=f"mean of {len(others)} languages, not English", weights=_even(others))] if others else []
        )
        found += [every] if len(others) < len(names) else []
        found.append(micro)
    elif suite == "harness":
        found = [micro, every] if len(names) > 1 else [micro]
    else:
        found = [every, *_groups(scores), micro] if len(names) > 1 else [micro]
    first, *rest = found
    return (Weighting(name=first.name, weights=first.weights, is_headline=True), *rest)


_NOUNS = {"mmlu": "subjects", "bbh": "files", "tydiqa": "languages", "mgsm": "languages"}


def _even(names: Sequence[str]) -> dict[str, float]:
    return dict.fromkeys(names, 1.0 / len(names))


def _bbh_tasks(names: Sequence[str]) -> Weighting:
    tasks = {name: bbh_task(name) for name in names}
    files = {task: sum(other == task for other in tasks.values()) for task in tasks.values()}
    weights = {name: 1.0 / (len(files) * files[task]) for name, task in tasks.items()}
    return Weighting(name=f"mean of {len(files)} tasks", weights=weights)


def _groups(scores: Sequence[PartScores]) -> list[Weighting]:
    groups: dict[str, list[str]] = {}
    for one in scores:
        for group in one.part.groups:
            groups.setdefault(group, []).append(one.part.name)
    return [Weighting(name=group, weights=_even(names)) for group, names in sorted(groups.items())]


@dataclass(frozen=True, slots=True, kw_only=True)
class Averaged:
    """A benchmark averaged in one way.

    Attributes:
        raw: The mean.
        normalized: The mean of the parts' shares of the way from chance to perfect.
        chance: What guessing scores.
    """

    raw: Estimate
    normalized: Estimate
    chance: float


def average(scores: Sequence[PartScores], weighting: Weighting, *, metric: str, confidence: float) -> Averaged:
    """A benchmark's mean in one way of weighting, with its interval; parts are held fixed."""
    chosen = [(weighting.weights[one.part.name], one) for one in scores if one.part.name in weighting.weights]
    means = [(weight, one, one.mean(metric, confidence=confidence)) for weight, one in chosen]
    raw = combine(Share(task=one.part.key, weight=weight, mean=mean) for weight, one, mean in means)
    above = combine(
        Share(task=one.part.key, weight=weight, mean=above_chance(mean, one.part.chance)) for weight, one, mean in means
    )
    return Averaged(
        raw=estimate(raw, confidence=confidence, span=scores[0].span(metric)),
        normalized=estimate(above, confidence=confidence, span=(_ANY[0], 1.0)),
        chance=sum(weight * one.part.chance for weight, one in chosen),
    )


def flan2022_average(by_score: Mapping[str, Sequence[PartScores]], *, confidence: float) -> Estimate:
    """The normalized average of six scores with its interval.

    Paper: Flan 2022, section 2.3.

    Raises:
        EvaluationError: One of the six was not measured.
    """
    headlines = {name: weightings(by_score[name])[0] for name in FLAN2022_SCORES if by_score.get(name)}
    tasks = {
        name: {
            one.part.name: one.point(one.part.headline) for one in by_score[name] if one.part.name in headline.weights
        }
        for name, headline in headlines.items()
    }
    value = normalized_average({}, tasks=tasks)
    shares = [
        Share(
            task=one.part.key,
            weight=headline.weights[one.part.name] / len(FLAN2022_SCORES),
            mean=above_chance(one.mean(one.part.headline, confidence=confidence), one.part.chance),
        )
        for name, headline in headlines.items()
        for one in by_score[name]
        if one.part.name in headline.weights
    ]
    mean = combine(shares)
    return estimate(replace(mean, value=value), confidence=confidence, span=(_ANY[0], 1.0))


def by_score(scores: Iterable[PartScores]) -> dict[str, list[PartScores]]:
    """The parts of each benchmark and way of asking."""
    found: dict[str, list[PartScores]] = {}
    for one in scores:
        found.setdefault(one.part.score, []).append(one)
    return found
