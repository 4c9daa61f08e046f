"""Two models on the same questions: paired differences of benchmarks, of their parts, and of the Flan 2022 average."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flantune.errors import EvaluationError
from flantune.evaluation.results import Bootstrap, Difference, SkillDifference
from flantune.evaluation.statistics.difference_estimates import difference_estimate
from flantune.evaluation.statistics.means import (
    DIFFERENCE,
    Mean,
    above_chance,
    bootstrap_mean,
    clustered_mean,
    combine,
    false_discovery_rates,
    mcnemar_p,
)
from flantune.evaluation.statistics.means import Part as Share
from flantune.evaluation.statistics.pairs import bootstrap_interval
from flantune.evaluation.statistics.skill_scores import with_skill_rates
from flantune.suites import results
from flantune.suites.flan2022 import SCORES as FLAN2022_SCORES
from flantune.suites.results import PartDifference
from flantune.suites.scores import PartScores, headline_of, weightings
from flantune.suites.skill import compare_parts

if TYPE_CHECKING:
    from flantune.suites.summary import ModelMeasurements

Floats = NDArray[np.float64]

_ANY = (-float("inf"), float("inf"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One benchmark, two models, the same questions.

    Attributes:
        difference: Second minus first in the headline's weighting.
        bootstrap: The same by redrawing the questions of every part; None when all redraws agree.
        mcnemar_p: Exact McNemar p-value over all questions; None for metrics that are not right-or-wrong.
        rows: Questions both were asked.
        parts: The difference of each part, when there are several.
        skill: Differences of discrimination and calibrated accuracy, weighted likewise; None where answers are written.
    """

    difference: Difference
    bootstrap: Bootstrap | None
    mcnemar_p: float | None
    rows: int
    parts: tuple[PartDifference, ...] = ()
    skill: SkillDifference | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """One part, answered by two models on the same questions."""

    first: PartScores
    second: PartScores
    metric: str

    def mean(self, *, confidence: float) -> Mean:
        """Second minus first, question by question."""
        metric = self.metric
        if metric in self.first.values:
            change = self.second.values[metric] - self.first.values[metric]
            return clustered_mean(change[:, None], span=DIFFERENCE, confidence=confidence)
        rows = len(self.first.rows)
        return bootstrap_mean(self.replicates(seed=0), examples=rows, span=self.span, confidence=confidence)

    @property
    def span(self) -> tuple[float, float]:
        """Lowest and highest difference possible."""
        low, high = self.first.span(self.metric)
        return low - high, high - low

    def replicates(self, *, seed: int) -> Floats:
        """The difference as it is, then on redrawn questions, which are the same for both models."""
        return self.second.resampled(self.metric, seed=seed) - self.first.resampled(self.metric, seed=seed)

    @property
    def is_binary(self) -> bool:
        """Whether each answer is right or wrong."""
        both = [one.values.get(self.metric) for one in (self.first, self.second)]
        return all(values is not None and bool(np.isin(values, (0.0, 1.0)).all()) for values in both)


def compare(
    first: Sequence[PartScores], second: Sequence[PartScores], *, metric: str, confidence: float, seed: int = 0
) -> Compared:
    """The paired difference of two models on the questions both answered, of the whole and of every part.

    Args:
        first: The model compared with, part by part.
        second: The other one.
        metric: By what.
        confidence: Level of the intervals.
        seed: Names the bootstrap draws.

    Raises:
        EvaluationError: They share no question of some part.
    """
    pairs = _pairs(first, second, metric)
    weights = weightings(first)[0].weights
    counted = {name: (weight, pairs[name].mean(confidence=confidence)) for name, weight in weights.items() if weight}
    shares = [Share(task=name, weight=weight, mean=mean) for name, (weight, mean) in counted.items()]
    redrawn = sum(weight * pairs[name].replicates(seed=seed)[1:] for name, (weight, _) in counted.items())
    skill, skills = compare_parts(
        {name: (pair.first, pair.second) for name, pair in pairs.items()}, weights, confidence=confidence
    )
    return Compared(
        difference=difference_estimate(combine(shares), confidence=confidence, span=next(iter(pairs.values())).span),
        bootstrap=bootstrap_interval(np.asarray(redrawn), confidence=confidence),
        mcnemar_p=_mcnemar(list(pairs.values())),
        rows=sum(len(pair.first.rows) for pair in pairs.values()),
        parts=_parts(pairs, skills, confidence=confidence) if len(pairs) > 1 else (),
        skill=skill,
    )


def compare_flan2022(
    first: Mapping[str, Sequence[PartScores]],
    second: Mapping[str, Sequence[PartScores]],
    *,
    confidence: float,
    seed: int = 0,
) -> Compared:
    """The paired difference of two models' Flan 2022 averages: of shares of the way from chance to perfect.

    Raises:
        EvaluationError: One of the six scores is missing, or a part has no question in common.
    """
    shares, redrawn, rows = [], np.zeros(0), 0
    for name in FLAN2022_SCORES:
        metric = headline_of(first[name][0].part)
        pairs = _pairs(first[name], second[name], metric)
        for part, weight in weightings(first[name])[0].weights.items():
            pair, share = pairs[part], weight / len(FLAN2022_SCORES)
            room, rows = 1.0 - (pair.first.part.chance or 0.0), rows + len(pair.first.rows)
            mean = above_chance(pair.mean(confidence=confidence), (pair.first.part.chance or 0.0), is_difference=True)
            shares.append(Share(task=pair.first.part.key, weight=share, mean=mean))
            change = pair.replicates(seed=seed)[1:] * share / room
            redrawn = redrawn + change if len(redrawn) else change
    return Compared(
        difference=difference_estimate(combine(shares), confidence=confidence, span=_ANY),
        bootstrap=bootstrap_interval(redrawn, confidence=confidence),
        mcnemar_p=None,
        rows=rows,
    )


def _pairs(first: Sequence[PartScores], second: Sequence[PartScores], metric: str) -> dict[str, _Pair]:
    others = {one.part.name: one for one in second}
    return {one.part.name: _paired(one, others.get(one.part.name), metric) for one in first}


def _paired(first: PartScores, second: PartScores | None, metric: str) -> _Pair:
    common = sorted(set(first.rows) & set(second.rows if second else ()))
    if second is None or not common:
        hint = "evaluate them with the same data, shots and limit"
        raise EvaluationError("the two models answered no question in common", where=first.part.key, hint=hint)
    places = [{row: at for at, row in enumerate(one.rows)} for one in (first, second)]
    before, after = (
        one.only([place[row] for row in common]) for one, place in zip((first, second), places, strict=True)
    )
    return _Pair(first=before, second=after, metric=metric)


def _mcnemar(pairs: Sequence[_Pair]) -> float | None:
    if not all(pair.is_binary for pair in pairs):
        return None
    before = np.concatenate([pair.first.values[pair.metric] for pair in pairs])
    after = np.concatenate([pair.second.values[pair.metric] for pair in pairs])
    return mcnemar_p(before[:, None], after[:, None])


def _parts(
    pairs: Mapping[str, _Pair], skills: Sequence[SkillDifference | None], *, confidence: float
) -> tuple[PartDifference, ...]:
    """Each part's difference; of those called changed at q ≤ 0.05 one in twenty is expected not to have."""
    found = [
        difference_estimate(pair.mean(confidence=confidence), confidence=confidence, span=pair.span)
        for pair in pairs.values()
    ]
    rates = false_discovery_rates([one.p for one in found])
    return tuple(
        PartDifference(
            name=name,
            difference=one,
            mcnemar_p=_mcnemar([pair]),
            q=rate,
            questions=len(pair.first.rows),
            skill=skill,
        )
        for (name, pair), one, rate, skill in zip(pairs.items(), found, rates, with_skill_rates(skills), strict=True)
    )


def comparisons(
    models: Sequence[ModelMeasurements], *, is_flan2022: bool, confidence: float, seed: int
) -> list[results.Comparison]:
    """Every later model against the first: each benchmark, and the Flan 2022 average where it was asked for.

    Args:
        models: What they were asked, graded.
        is_flan2022: Compare the normalized averages, too, if both models have one.
        confidence: Level of the intervals.
        seed: Names the bootstrap draws.

    Raises:
        EvaluationError: Two models were scored by different protocols, or answered no question in common.
    """
    found = []
    for other in models[1:]:
        for score in models[0].by_score:
            if models[0].protocols[score].fingerprint != other.protocols[score].fingerprint:
                raise EvaluationError("two protocols cannot be compared", where=score)
        graded = [
            {score: [one.scores for one in parts] for score, parts in m.by_score.items()} for m in (models[0], other)
        ]
        for score, first in graded[0].items():
            metric = headline_of(first[0].part)
            compared = compare(first, graded[1][score], metric=metric, confidence=confidence, seed=seed)
            found.append(_entry(score, models[0].name, other.name, first, compared))
        if is_flan2022 and all(name in each for name in FLAN2022_SCORES for each in graded):
            compared = compare_flan2022(*graded, confidence=confidence, seed=seed)
            parts = [part for name in FLAN2022_SCORES for part in graded[0][name]]
            found.append(_entry("flan2022", models[0].name, other.name, parts, compared))
    return found


def _entry(score: str, first: str, second: str, parts: Sequence[PartScores], compared: Compared) -> results.Comparison:
    return results.Comparison(
        score=score,
        first=first,
        second=second,
        shots=max(question.shots for part in parts for question in part.part.questions),
        difference=compared.difference,
        bootstrap=compared.bootstrap,
        mcnemar_p=compared.mcnemar_p,
        q=None,
        questions=compared.rows,
        questions_sha256=_questions_sha256(parts),
        parts=compared.parts,
        skill=compared.skill,
    )


def _questions_sha256(parts: Sequence[PartScores]) -> str:
    """Names the questions of parts by content."""
    digest = hashlib.sha256()
    for one in parts:
        asked = {prompt.row: prompt.inputs for prompt in one.part.prompts}
        digest.update(json.dumps([one.part.key, [asked[row] for row in one.rows]], ensure_ascii=True).encode("ascii"))
    return digest.hexdigest()


def with_false_discovery_rates(
    found: Sequence[results.Comparison], *, seen: Collection[tuple[str, str]]
) -> tuple[results.Comparison, ...]:
    """The comparisons with their rates among all that the same two models were compared on.

    Args:
        found: The comparisons.
        seen: (model, benchmark or task) of what was not new to a model: no evidence, so no part of the family.

    Paper: Benjamini and Hochberg 1995.
    """
    families: dict[str, list[int]] = {}
    for at, one in enumerate(found):
        if one.score != "flan2022" and not {(one.first, one.score), (one.second, one.score)} & set(seen):
            families.setdefault(one.second, []).append(at)
    rated = list(found)
    for members in families.values():
        rates = false_discovery_rates([found[at].difference.p for at in members])
        skills = with_skill_rates([found[at].skill for at in members])
        for at, rate, skill in zip(members, rates, skills, strict=True):
            rated[at] = found[at].model_copy(update={"q": rate, "skill": skill})
    return tuple(rated)
