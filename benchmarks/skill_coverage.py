"""Do the intervals of discrimination and calibrated accuracy keep their level? ``python -m benchmarks skill_coverage``.

Worlds are drawn in which the truth is known: rows of two or three labels, whose scores are normal, shared in part by a
row's templates, by the rows of a group and by the two models; with a preference for a label on top. In each world the
95% intervals of both numbers should hold the truth 95 times in 100, and two models that are equally good should differ
at p < 0.05 five times in 100.

What must hold: coverage of 93% or more everywhere, false positives of 6% or fewer. Where an area is near 1 and rows are
few its values are discrete, and tests find less than their 5%. Of so many worlds some lie beyond by luck of the draw:
those near or past a limit are drawn again, four times as often and from another seed.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from flantune.evaluation.statistics.means import t_test_p
from flantune.evaluation.statistics.skill import (
    EstimateByRow,
    RankedOptions,
    calibrated_accuracy,
    discrimination,
    logit_interval,
)

CONFIDENCE = 0.95
NAMES = ("discrimination", "calibrated_accuracy")
PREFERENCE = 0.7
"""How much every model prefers the last label, in standard deviations of the scores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One kind of task.

    Attributes:
        area: True discrimination, of each label against the others.
        rows: Rows measured.
        templates: Templates each is asked with.
        share: Share of the commonest right label; the others share the rest.
        labels: Labels there are.
        group: Rows of a group, which share half of what rows differ in.
        heaviest: Share of all rows that one group has besides; models then differ by group, too.
    """

    area: float
    rows: int
    templates: int
    share: float
    labels: int = 2
    group: int = 1
    heaviest: float = 0.0


def worlds() -> Iterator[World]:
    """The grid, and a few worlds with groups, three labels, or one group that has most rows."""
    for area in (0.5, 0.75, 0.95):
        for share in (0.5, 0.65, 0.8):
            for rows in (30, 60, 200):
                for templates in (1, 4, 10):
                    yield World(area=area, rows=rows, templates=templates, share=share)
    for area in (0.5, 0.75, 0.9):
        yield World(area=area, rows=120, templates=4, share=0.5, group=3)
        yield World(area=area, rows=90, templates=4, share=0.5, labels=3)
    for area in (0.5, 0.75, 0.9):
        yield World(area=area, rows=120, templates=4, share=0.5, group=4, heaviest=0.4)


def draw(world: World, random: np.random.Generator, *, models: int = 1, rows: int | None = None) -> list[RankedOptions]:
    """The option scores of so many models, equally good, on the same rows."""
    rows = rows or world.rows
    shares = [world.share, *[(1.0 - world.share) / (world.labels - 1)] * (world.labels - 1)]
    gold = random.choice(world.labels, size=rows, p=shares).astype(np.int64)
    groups = np.maximum(np.arange(rows) - round(world.heaviest * rows), 0) // world.group
    shape = (rows, 1, world.labels)
    common_shape = (int(groups.max()) + 1, 1, world.labels)
    common = random.standard_normal(common_shape)[groups]
    # The log-odds of two labels are the difference of two scores: its variance is 2, and that of two rows' 4.
    signal = float(ndtri(world.area)) * (gold[:, None] == np.arange(world.labels))[:, None, :]
    shared = random.standard_normal(shape) if world.group == 1 else _mixed(common, random.standard_normal(shape))
    found = []
    for _ in range(models):
        apart = random.standard_normal(shape)
        if world.heaviest:  # models differ by group, too
            apart = _mixed(random.standard_normal(common_shape)[groups], apart)
        own = _mixed(shared, apart)
        noise = _mixed(own, random.standard_normal((rows, world.templates, world.labels)))
        scores = signal + noise
        scores[..., -1] += PREFERENCE
        names = tuple(map(str, range(world.labels)))
        found.append(RankedOptions(scores=scores, gold=gold, names=names, by_place=False, groups=groups))
    return found


def _mixed(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two parts of a unit variance, half each."""
    return np.asarray((one + other) / math.sqrt(2.0))


def simulate(world: World, *, repeats: int, seed: int) -> dict[str, Any]:
    """Coverage of both numbers and false positives of their differences in one world."""
    random = np.random.default_rng(seed)
    truth = _truth(world)
    hits = dict.fromkeys(truth, 0)
    false = dict.fromkeys(truth, 0)
    drawn = 0
    while drawn < repeats:
        one, other = draw(world, random, models=2)
        if len(np.unique(one.gold)) < world.labels:
            continue
        drawn += 1
        for name, (first, second) in _measured(one, other).items():
            interval = logit_interval(first.mean(confidence=CONFIDENCE), confidence=CONFIDENCE)
            hits[name] += interval.low <= truth[name] <= interval.high
            false[name] += t_test_p(first.change(second, confidence=CONFIDENCE)) < 1.0 - CONFIDENCE
    return {
        **asdict(world),
        **{f"coverage_{name}": round(count / repeats, 4) for name, count in hits.items()},
        **{f"false_positives_{name}": round(count / repeats, 4) for name, count in false.items()},
    }


def _measured(one: RankedOptions, other: RankedOptions) -> dict[str, tuple[EstimateByRow, EstimateByRow]]:
    both = {"discrimination": discrimination, "calibrated_accuracy": calibrated_accuracy}
    found = {name: (measure(one), measure(other)) for name, measure in both.items()}
    return {name: (a, b) for name, (a, b) in found.items() if a is not None and b is not None}


def _truth(world: World) -> dict[str, float]:
    """Both numbers on very many rows of one template; a group of rows changes neither."""
    many = World(area=world.area, rows=400_000, templates=1, share=world.share, labels=world.labels)
    (options,) = draw(many, np.random.default_rng(1))
    found = {"discrimination": discrimination(options), "calibrated_accuracy": calibrated_accuracy(options)}
    return {name: measured.value for name, measured in found.items() if measured is not None}


def measure(*, small: bool = False) -> dict[str, Any]:
    """Every world, with the worst of each number."""
    repeats = 40 if small else 1_000
    chosen = list(worlds())[::17] if small else list(worlds())
    found = []
    for number, world in enumerate(chosen):
        found.append(simulate(world, repeats=repeats, seed=number))
        print(f"{number + 1} of {len(chosen)}: {found[-1]}", file=sys.stderr, flush=True)
    doubtful = [number for number, one in enumerate(found) if is_doubtful(one)]
    again = [simulate(chosen[number], repeats=4 * repeats, seed=1_000 + number) for number in doubtful]
    return {"repeats": repeats, **worst(found), "worlds": found, "drawn_again": again, **worst(again, suffix="_again")}


def is_doubtful(found: dict[str, Any]) -> bool:
    """Whether a world came out near or past a limit."""
    return any(found[f"coverage_{name}"] < 0.935 or found[f"false_positives_{name}"] > 0.06 for name in NAMES)


def worst(found: list[dict[str, Any]], *, suffix: str = "") -> dict[str, Any]:
    """The lowest coverage and the most false positives of each number; nothing of no world."""
    if not found:
        return {}
    return {
        f"lowest_coverage{suffix}": {name: min(one[f"coverage_{name}"] for one in found) for name in NAMES},
        f"most_false_positives{suffix}": {name: max(one[f"false_positives_{name}"] for one in found) for name in NAMES},
    }
