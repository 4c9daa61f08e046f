"""How often 95% intervals hold the truth, and how often a difference is found where there is none, by simulation.

Rows differ in difficulty by a beta distribution; each is asked with several templates, right or wrong. The correlation
of two templates on one row goes from 0 (every answer a new draw) to 1 (all templates agree). Widths are relative to an
oracle: the normal interval of somebody who knows the true variance. Student's t stands beside, as it was done before.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flantune.evaluation.statistics.intervals import effective_answers, exact_ends, kish, t_quantile, variance_of_mean
from flantune.evaluation.statistics.means import (
    DIFFERENCE,
    SCORE,
    Mean,
    Share,
    clustered_mean,
    combine,
    interval_of,
    t_interval,
    t_test_p,
)

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
ROWS = (30, 50, 100, 200)
TEMPLATES = (1, 2, 4, 10)
CORRELATIONS = (0.0, 0.1, 0.3, 0.6, 0.9, 1.0)
GROUPS = ((5, 60), (14, 120), (30, 120), (50, 200))
GROUP_SIZES = ("equal", "unequal", "one large")
SHARED = (0.0, 0.5, 0.9)
"""Share of rows that are equally hard for both models; the others are drawn anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What is drawn from.

    Attributes:
        share: True share of right answers.
        sizes: Rows of each group.
        templates: How often each row is asked.
        correlation: Of two templates on one row of a group.
        in_group: Correlation of two rows of one group.
        kinds: Rows are of two kinds, always right and mostly wrong, instead of beta-distributed.
    """

    share: float
    sizes: tuple[int, ...]
    templates: int = 1
    correlation: float = 0.0
    in_group: float = 0.0
    kinds: bool = False

    @property
    def variance(self) -> float:
        """Of the mean."""
        rows = sum(self.sizes)
        pairs = sum(size * (size - 1) for size in self.sizes)
        single = self.correlation + (1.0 - self.correlation) / self.templates
        # Rows of a group share its part of the variance, and what is left is split as between rows alone.
        row = self.in_group + (1.0 - self.in_group) * single
        return self.share * (1.0 - self.share) * (rows * row + pairs * self.in_group) / rows**2


def measure(*, small: bool = False) -> dict[str, Any]:
    """Coverage and width of scores, of means over tasks and of differences; false positives of differences."""
    datasets = 200 if small else 4000
    found = {
        "scores": list(_cells(_row_worlds(), datasets)),
        "scores_of_two_kinds_of_rows": list(_cells(_kind_worlds(), datasets)),
        "scores_of_grouped_rows": list(_cells(_group_worlds(), datasets)),
        "means_over_tasks": list(_task_means(datasets // 4)),
        "differences": list(_differences(datasets)),
        "differences_of_grouped_rows": list(_group_differences(datasets)),
        "differences_over_tasks": list(_task_differences(datasets // 4)),
    }
    _print(found)
    condensed = {name: _condensed(cells) for name, cells in found.items()}
    return {"confidence": CONFIDENCE, "datasets": datasets, "summary": _summary(found), **condensed}


def draw(world: World, datasets: int, generator: np.random.Generator, hard: Floats | None = None) -> Floats:
    """Each row's mean over templates, shape [datasets, rows]; ``hard``: how hard each row is, if it is known."""
    chances = difficulties(world, datasets, generator) if hard is None else hard
    return generator.binomial(world.templates, chances) / world.templates


def difficulties(world: World, datasets: int, generator: np.random.Generator) -> Floats:
    """Each row's chance of a right answer, shape [datasets, rows]."""
    groups, rows = len(world.sizes), sum(world.sizes)
    if world.kinds:
        # Two rows in three are always right as far as the share allows.
        sure = max(0.0, min(2 / 3, 2.0 * world.share - 1.0))
        other = (world.share - sure) / (1.0 - sure)
        return np.where(generator.random((datasets, rows)) < sure, 1.0, other)
    levels = _beta(np.full((datasets, groups), world.share), world.in_group, generator)
    return _beta(np.repeat(levels, world.sizes, axis=1), world.correlation, generator)


def _beta(means: Floats, correlation: float, generator: np.random.Generator) -> Floats:
    if correlation <= 0.0:
        return means
    if correlation >= 1.0:
        return (generator.random(means.shape) < means).astype(np.float64)
    size = 1.0 / correlation - 1.0
    # A group that is all right or all wrong leaves its rows no choice.
    middle = np.clip(means, 1e-9, 1.0 - 1e-9)
    return generator.beta(middle * size, (1.0 - middle) * size)


def score_intervals(rows: Floats, sizes: Sequence[int]) -> Floats:
    """``clustered_mean`` and ``interval_of`` for many datasets at once: lower and upper ends, shape [2, datasets]."""
    sums, counts = _by_group(rows, sizes)
    answers = effective_answers(sums, counts, confidence=CONFIDENCE)
    return exact_ends(rows.mean(axis=1), answers=answers, confidence=CONFIDENCE)


def difference_p(change: Floats, sizes: Sequence[int]) -> tuple[Floats, Floats]:
    """``t_test_p`` of many datasets' differences at once, and how far their intervals reach."""
    from scipy.special import stdtr

    sums, counts = _by_group(change, sizes)
    df = max(kish(counts) - 1.0, 0.5)
    se = np.sqrt(variance_of_mean(sums, counts))
    value = change.mean(axis=1)
    all_agree = se <= 1e-12
    dissent = 1.0 - ((1.0 - CONFIDENCE) / 2.0) ** (1.0 / kish(counts))
    se = np.where(all_agree, dissent * (1.0 + np.abs(value)) / t_quantile(CONFIDENCE, df), se)
    return 2.0 * stdtr(df, -np.abs(value) / se), t_quantile(CONFIDENCE, df) * se


def _by_group(rows: Floats, sizes: Sequence[int]) -> tuple[Floats, Floats]:
    starts = np.cumsum([0, *sizes[:-1]])
    return np.add.reduceat(rows, starts, axis=1), np.array(sizes, dtype=np.float64)


def _student(rows: Floats, sizes: Sequence[int]) -> Floats:
    """What was done before: the t-interval of a clustered mean."""
    sums, counts = _by_group(rows, sizes)
    value, units = rows.mean(axis=1), len(sizes)
    spread = ((sums - value[:, None] * counts) ** 2).sum(axis=1) * units / (units - 1)
    half = t_quantile(CONFIDENCE, units - 1) * np.sqrt(spread) / counts.sum()
    half = np.where(half > 1e-12, half, 1.0 - ((1.0 - CONFIDENCE) / 2.0) ** (1.0 / units))
    return np.stack([np.maximum(value - half, 0.0), np.minimum(value + half, 1.0)])


def _cells(worlds: Iterator[World], datasets: int) -> Iterator[dict[str, Any]]:
    for world in worlds:
        rows = draw(world, datasets, generator_of(world))
        oracle = 2.0 * t_quantile(CONFIDENCE, 1e9) * world.variance**0.5
        cell: dict[str, Any] = _named(world)
        for name, method in (("", score_intervals), ("student_", _student)):
            ends = method(rows, world.sizes)
            cell[f"{name}coverage"] = round(covered(ends, world.share), 4)
            cell[f"{name}width"] = round(float((ends[1] - ends[0]).mean()) / oracle, 3)
        yield cell


def covered(ends: Floats, truth: float) -> float:
    """Share of intervals that hold the truth."""
    return float(((ends[0] <= truth + 1e-12) & (truth - 1e-12 <= ends[1])).mean())


def generator_of(*names: object) -> np.random.Generator:
    """Random numbers of their own for each world, the same on every machine."""
    return np.random.default_rng(zlib.crc32(repr(names).encode()))


def _named(world: World) -> dict[str, Any]:
    named: dict[str, Any] = {"p": world.share, "rows": sum(world.sizes), "templates": world.templates}
    named["correlation"] = world.correlation
    if len(world.sizes) < sum(world.sizes):
        named |= {"groups": len(world.sizes), "largest": max(world.sizes), "in_group": world.in_group}
    return named


def _row_worlds() -> Iterator[World]:
    for share, rows, templates in product(SHARES, ROWS, TEMPLATES):
        for correlation in CORRELATIONS if templates > 1 else (0.0,):
            yield World(share=share, sizes=(1,) * rows, templates=templates, correlation=correlation)


def _kind_worlds() -> Iterator[World]:
    for share, rows, templates in product(SHARES, ROWS, TEMPLATES):
        yield World(share=share, sizes=(1,) * rows, templates=templates, correlation=0.0, kinds=True)


def _group_worlds(shares: Sequence[float] = SHARES) -> Iterator[World]:
    for share, (groups, rows), kind in product(shares, GROUPS, GROUP_SIZES):
        for in_group, correlation in ((0.0, 0.3), (0.1, 0.3), (0.4, 0.3), (0.9, 0.6)):
            sizes = group_sizes(groups, rows, kind)
            yield World(share=share, sizes=sizes, templates=3, correlation=correlation, in_group=in_group)


def group_sizes(groups: int, rows: int, kind: str) -> tuple[int, ...]:
    """So many rows in so many groups: equal, falling off, or one large group among small ones."""
    weights = {
        "equal": np.ones(groups),
        "unequal": 1.0 / np.arange(1, groups + 1) ** 0.7,
        "one large": np.r_[6.0, np.ones(groups - 1)],
    }[kind]
    return tuple(max(1, round(float(size))) for size in weights / weights.sum() * rows)


TASKS = {
    "two alike": ((0.9, 60), (0.9, 60)),
    "two unlike": ((0.5, 200), (0.98, 30)),
    "six": ((0.3, 60), (0.5, 60), (0.7, 60), (0.8, 30), (0.95, 30), (0.98, 60)),
    "twenty, near the top": ((0.98, 30),) * 20,
    "twenty-one, all over": tuple((round(0.3 + 0.034 * at, 3), 30 + 8 * at) for at in range(21)),
}


def _task_means(datasets: int) -> Iterator[dict[str, Any]]:
    for (name, tasks), templates, correlation in product(TASKS.items(), (1, 4, 10), (0.1, 0.6)):
        worlds = [
            World(share=share, sizes=(1,) * rows, templates=templates, correlation=correlation) for share, rows in tasks
        ]
        generator = generator_of("tasks", name, templates, correlation)
        drawn = [draw(world, datasets, generator) for world in worlds]
        truth = float(np.mean([world.share for world in worlds]))
        found = [interval_of(mean, confidence=CONFIDENCE, span=SCORE) for mean in _means(drawn, SCORE)]
        ends = np.array([[one.low for one in found], [one.high for one in found]])
        oracle = 2.0 * t_quantile(CONFIDENCE, 1e9) * sum(world.variance for world in worlds) ** 0.5 / len(worlds)
        yield {
            "tasks": name,
            "templates": templates,
            "correlation": correlation,
            "coverage": round(covered(ends, truth), 4),
            "width": round(float((ends[1] - ends[0]).mean()) / oracle, 3),
        }


def _means(drawn: Sequence[Floats], span: tuple[float, float]) -> Iterator[Mean]:
    """The mean over tasks of each dataset, by the functions that a run uses."""
    for at in range(len(drawn[0])):
        means = [clustered_mean(rows[at][:, None], span=span, confidence=CONFIDENCE) for rows in drawn]
        yield combine(Share(task=str(task), weight=1.0 / len(means), mean=mean) for task, mean in enumerate(means))


def two_models(world: World, datasets: int, generator: np.random.Generator, *, shared: float) -> Floats:
    """The paired difference of two equally good models, shape [datasets, rows]."""
    first, other = (difficulties(world, datasets, generator) for _ in range(2))
    second = np.where(generator.random(first.shape) < shared, first, other)
    answers = [draw(world, datasets, generator, hard) for hard in (first, second)]
    return answers[1] - answers[0]


def _differences(datasets: int) -> Iterator[dict[str, Any]]:
    for share, rows, templates in product(SHARES, ROWS, TEMPLATES):
        for correlation, shared in product((0.1, 0.3, 0.6, 0.9), SHARED):
            world = World(share=share, sizes=(1,) * rows, templates=templates, correlation=correlation)
            yield _false_positives(world, shared, datasets)


def _group_differences(datasets: int) -> Iterator[dict[str, Any]]:
    for world in _group_worlds((0.5, 0.8, 0.95)):
        yield _false_positives(world, 0.5, datasets)


def _false_positives(world: World, shared: float, datasets: int) -> dict[str, Any]:
    change = two_models(world, datasets, generator_of("two models", world, shared), shared=shared)
    p, half = difference_p(change, world.sizes)
    is_out = np.abs(change.mean(axis=1)) > half
    if (is_out != (p < 1.0 - CONFIDENCE)).any():
        raise AssertionError(f"interval and p-value disagree: {world}")
    return {
        **_named(world),
        "shared": shared,
        "false_positives": round(float(is_out.mean()), 4),
        "rows_that_differ": round(float((change != 0.0).sum(axis=1).mean()), 1),
    }


def _task_differences(datasets: int) -> Iterator[dict[str, Any]]:
    for (name, tasks), templates, shared in product(TASKS.items(), (1, 4), (0.0, 0.9)):
        worlds = [World(share=share, sizes=(1,) * rows, templates=templates, correlation=0.4) for share, rows in tasks]
        generator = generator_of("differences over tasks", name, templates, shared)
        changes = [two_models(world, datasets, generator, shared=shared) for world in worlds]
        wrong = 0
        for mean in _means(changes, DIFFERENCE):
            ends = t_interval(mean, confidence=CONFIDENCE, span=DIFFERENCE)
            wrong += not ends.low <= 0.0 <= ends.high
            if (not ends.low <= 0.0 <= ends.high) != (t_test_p(mean) < 1.0 - CONFIDENCE):
                raise AssertionError(f"interval and p-value disagree: {name}")
        yield {
            "tasks": name,
            "templates": templates,
            "shared": shared,
            "false_positives": round(wrong / datasets, 4),
        }


def _condensed(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The extremes over correlations and shared rows, for each share, number of rows, groups and templates."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for cell in cells:
        key = tuple(
            (name, cell[name]) for name in ("tasks", "p", "rows", "groups", "largest", "templates") if name in cell
        )
        groups.setdefault(key, []).append(cell)
    picked = (
        ("coverage", "lowest", min),
        ("student_coverage", "lowest", min),
        ("width", "greatest", max),
        ("false_positives", "lowest", min),
        ("false_positives", "highest", max),
    )
    return [
        dict(key)
        | {f"{word}_{name}": pick(cell[name] for cell in members) for name, word, pick in picked if name in members[0]}
        for key, members in groups.items()
    ]


def _summary(found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for name, cells in found.items():
        for column, pick in (("coverage", min), ("student_coverage", min), ("false_positives", max)):
            values = [(cell[column], at) for at, cell in enumerate(cells) if column in cell]
            if values:
                said[f"{name}: {pick.__name__} {column}"] = pick(values)[0]
        for column in ("width", "false_positives"):
            widths = [cell[column] for cell in cells if column in cell]
            if widths:
                said[f"{name}: mean {column}"] = round(float(np.mean(widths)), 4)
        widths = [cell["width"] for cell in cells if "width" in cell]
        if widths:
            said[f"{name}: max width"] = max(widths)
    return said


def _print(found: dict[str, list[dict[str, Any]]]) -> None:
    _table("lowest coverage, % (Student's t in brackets)", found["scores"], lambda cells: (
        f"{100 * min(c['coverage'] for c in cells):.1f} ({100 * min(c['student_coverage'] for c in cells):.1f})"
    ))  # fmt: skip
    _table("mean width, oracle = 1", found["scores"], lambda cells: f"{np.mean([c['width'] for c in cells]):.2f}")
    _table("false positives of differences, lowest to highest, %", found["differences"], lambda cells: (
        f"{100 * min(c['false_positives'] for c in cells):.1f}–{100 * max(c['false_positives'] for c in cells):.1f}"
    ))  # fmt: skip


def _table(title: str, cells: list[dict[str, Any]], said: Callable[[list[dict[str, Any]]], str]) -> None:
    print(title)
    print("    p", *(f"{f'{rows} rows':>13}" for rows in ROWS))
    for share in SHARES:
        columns = [[cell for cell in cells if (cell["p"], cell["rows"]) == (share, rows)] for rows in ROWS]
        print(f" {share:4}", *(f"{said(column):>13}" for column in columns))
