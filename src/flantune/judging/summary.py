"""Win rates of pairs of models, with intervals, tests and agreement of raters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import numpy as np

from flantune.errors import EvaluationError
from flantune.evaluation.statistics.means import (
    SCORE,
    Interval,
    clustered_mean,
    detectable_difference,
    false_discovery_rates,
    interval_of,
    percentile_interval,
    resample,
)
from flantune.judging.comparisons import Comparison
from flantune.judging.ratings import Rating, raters
from flantune.report.numbers import limit, p_value, points, span

if TYPE_CHECKING:
    from rich.table import Table

REPLICATES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PairResult:
    """The comparison of two models.

    The unit is the prompt: several raters of one prompt count as their mean.

    Attributes:
        model: The model with the higher win rate; with equal rates, the first by name.
        against: The other model.
        prompts: Number of prompts with a judgment.
        wins: Ratings for ``model``.
        losses: Ratings for the other model.
        ties: Ratings for neither, including equal answers.
        same: Prompts with the same answer by both; each counts as a tie.
        skipped: Skipped comparisons; they do not count.
        win_rate: Of ``model``: mean over prompts, with ties as half a win.
        interval: Clopper–Pearson interval of the win rate, for an effective number of prompts.
        bootstrap: Bootstrap interval of the win rate, over prompts.
        p_value: Exact sign test over prompts that are not ties.
        verdict: Of ``model``; "better" only if the interval excludes one half and the sign test is significant. Without
            ties the two always agree (four wins of four are not enough at 95%).
        detectable: Smallest true distance of the win rate from one half that would be detected with 80% power.
        q: False discovery rate of the sign test among all pairs (Benjamini–Hochberg).
    """

    model: str
    against: str
    prompts: int
    wins: int
    losses: int
    ties: int
    same: int
    skipped: int
    win_rate: float
    interval: Interval
    bootstrap: Interval
    p_value: float
    verdict: Literal["better", "undecided"]
    detectable: float = 0.5
    q: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The outcome of all ratings.

    Attributes:
        pairs: One entry per pair of models with judgments, in order of their names.
        rated: Rated comparisons, not counting equal answers.
        total: Comparisons to rate.
        raters: Names of the raters.
        agreement: Share of pairs of ratings of one comparison that agree; None if no comparison has several ratings.
        left_share: Share of ratings for the left side, among those for one side; far from one half, raters preferred a
            side.
        confidence: Level of the intervals.
    """

    pairs: tuple[PairResult, ...]
    rated: int
    total: int
    raters: tuple[str, ...]
    agreement: float | None
    left_share: float | None
    confidence: float


def summarize(
    pairs: Sequence[Comparison], ratings: Sequence[Rating], *, confidence: float = 0.95, seed: int = 0
) -> Summary:
    """Win rates from comparisons and their ratings; ratings of other comparisons are ignored.

    Raises:
        EvaluationError: There are no ratings of these comparisons yet.
    """
    known = {pair.key: pair for pair in pairs}
    used = [rating for rating in ratings if rating.comparison in known]
    if not used and not any(pair.is_same for pair in pairs):
        hint = "rate some pairs first: flantune judge FILE"
        raise EvaluationError("no rating belongs to these answers", where="ratings", hint=hint)
    models = sorted({answer.model for pair in pairs for answer in (pair.left, pair.right)})
    results = [
        _pair_result(model, against, pairs, used, confidence=confidence, seed=seed)
        for model, against in combinations(models, 2)
    ]
    decided = [rating.choice == "left" for rating in used if rating.choice in ("left", "right")]
    open_pairs = [pair for pair in pairs if not pair.is_same]
    found = [result for result in results if result is not None]
    rates = false_discovery_rates([result.p_value for result in found])
    return Summary(
        pairs=tuple(replace(result, q=rate) for result, rate in zip(found, rates, strict=True)),
        rated=len({rating.comparison for rating in used if not known[rating.comparison].is_same}),
        total=len(open_pairs),
        raters=raters(used),
        agreement=_agreement(used),
        left_share=sum(decided) / len(decided) if decided else None,
        confidence=confidence,
    )


def _pair_result(
    model: str, against: str, pairs: Sequence[Comparison], ratings: Sequence[Rating], *, confidence: float, seed: int
) -> PairResult | None:
    mine = {pair.key: pair for pair in pairs if {pair.left.model, pair.right.model} == {model, against}}
    said: dict[str, list[float]] = defaultdict(list)
    same = [key for key, pair in mine.items() if pair.is_same]
    said.update({key: [0.5] for key in same})
    skipped = 0
    for rating in ratings:
        if rating.comparison not in mine or mine[rating.comparison].is_same:
            continue
        if rating.choice == "skip":
            skipped += 1
        else:
            said[rating.comparison].append(score_for(model, rating))
    if not said:
        return None
    units = np.array([np.mean(scores) for scores in said.values()])
    every = [score for scores in said.values() for score in scores]
    # Rounding may put the rates of both models below one half: equal models keep their order.
    if units.mean() < 0.5 - 1e-9:
        return _pair_result(against, model, pairs, ratings, confidence=confidence, seed=seed)
    rate, p_value = float(units.mean()), sign_test(units)
    mean = clustered_mean(units[:, None], span=SCORE, confidence=confidence)
    interval = interval_of(mean, confidence=confidence, span=SCORE)
    is_decided = p_value <= 1.0 - confidence and not interval.low <= 0.5 <= interval.high
    return PairResult(
        model=model,
        against=against,
        prompts=len(units),
        wins=every.count(1.0),
        losses=every.count(0.0),
        ties=every.count(0.5),
        same=len(same),
        skipped=skipped,
        win_rate=rate,
        interval=interval,
        bootstrap=_bootstrap(units, confidence=confidence, seed=seed),
        p_value=p_value,
        verdict="better" if is_decided else "undecided",
        detectable=_detectable(units, confidence=confidence),
    )


def _detectable(units: np.ndarray, *, confidence: float) -> float:
    """The smallest true distance from one half that as many prompts with the same spread would detect."""
    mean = clustered_mean(units[:, None] - 0.5, span=(-0.5, 0.5), confidence=confidence)
    return min(detectable_difference(mean, confidence=confidence), 0.5)


def score_for(model: str, rating: Rating) -> float:
    """A rating as a model's score: 1 for a win, 0 for a loss, 0.5 for a tie.

    >>> rating = Rating(comparison="c", prompt="1", left="a", right="b", choice="right")
    >>> score_for("a", rating), score_for("b", rating)
    (0.0, 1.0)
    """
    if rating.choice == "tie":
        return 0.5
    return float((rating.left if rating.choice == "left" else rating.right) == model)


def sign_test(units: np.ndarray) -> float:
    """P-value of the two-sided exact sign test of prompts above one half against those below.

    >>> sign_test(np.array([1.0, 1.0, 1.0, 0.5])), sign_test(np.array([0.5]))
    (0.25, 1.0)
    """
    from scipy.special import bdtr

    above, below = int((units > 0.5).sum()), int((units < 0.5).sum())
    if above + below == 0:
        return 1.0
    return min(1.0, 2.0 * float(bdtr(min(above, below), above + below, 0.5)))


def _bootstrap(units: np.ndarray, *, confidence: float, seed: int) -> Interval:
    def score(weights: np.ndarray) -> np.ndarray:
        return np.asarray(weights @ units / weights.sum(axis=1))

    replicates = resample(score, examples=len(units), replicates=REPLICATES, seed=seed)
    return percentile_interval(replicates, confidence=confidence)


def _agreement(ratings: Sequence[Rating]) -> float | None:
    """Over comparisons with several ratings: the share of pairs of ratings that agree; None if there are none."""
    said: dict[str, list[str]] = defaultdict(list)
    for rating in ratings:
        if rating.choice != "skip":
            # By model, since raters may have seen the sides swapped.
            said[rating.comparison].append("tie" if rating.choice == "tie" else getattr(rating, rating.choice))
    agreed = [one == other for verdicts in said.values() for one, other in combinations(verdicts, 2)]
    return sum(agreed) / len(agreed) if agreed else None


def summary_table(summary: Summary) -> Table:
    """Win rates of every pair of models as a table for ``rich``."""
    from rich.table import Table
    from rich.text import Text

    level = f"{100 * summary.confidence:g}%"
    table = Table(
        title=f"{summary.rated} of {summary.total} pairs rated", title_justify="left", box=None, pad_edge=False,
        padding=(0, 1, 0, 0), header_style="dim",
    )  # fmt: skip
    for heading in ("model", "against"):
        table.add_column(heading, overflow="fold")
    for heading in ("won", "tied", "lost", "win rate", f"{level}", f"bootstrap {level}", "p", "q", "detectable"):
        table.add_column(heading, justify="right", no_wrap=True)
    for pair in summary.pairs:
        cells = (
            pair.model, pair.against, str(pair.wins), str(pair.ties), str(pair.losses), points(pair.win_rate),
            span(pair.interval.low, pair.interval.high), span(pair.bootstrap.low, pair.bootstrap.high),
            p_value(pair.p_value), p_value(pair.q), limit(pair.detectable),
        )  # fmt: skip
        # As text: rich would read square brackets in a name as styles.
        table.add_row(*map(Text, cells))
    return table
