"""Outcomes of studies made by hand: a line, bars, a forest, a crossed grid, and one that is not finished."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from flantune.studies.outcome import (
    ArmOutcome,
    Cost,
    Lacking,
    SeedDifference,
    SeedScore,
    StudyOutcome,
    StudyVerdict,
    TaskOutcome,
    Trend,
    Written,
)

TASKS = ("film_reviews", "shop_reviews", "verse_entailment", "claim_pairs", "everyday_causes")
SEEDS = (0, 1, 2)


def score(value: float, chance: random.Random, *, half: float = 0.04, seeds: int = 3) -> SeedScore:
    each = tuple(value + chance.gauss(0, half / 3) for _ in range(seeds))
    mean = sum(each) / len(each)
    return SeedScore(value=mean, low=mean - half, high=mean + half, se=half / 2, each=each)


def difference(value: float, chance: random.Random, *, half: float = 0.05, seeds: int = 3) -> SeedDifference:
    each = tuple(value + chance.gauss(0, half / 3) for _ in range(seeds))
    mean = sum(each) / len(each)
    p = min(1.0, 0.05 * (half / abs(mean)) ** 2) if mean else 1.0
    return SeedDifference(
        value=mean, low=mean - half, high=mean + half, se=half / 2, each=each, p=p, detectable=1.4 * half,
        row_se=half / 3, shares_rows=True, q=p,
    )  # fmt: skip


def arm(name: str, value: float, chance: random.Random, *, base: float = 0.42, **changes: Any) -> ArmOutcome:
    tasks = tuple(
        TaskOutcome(
            name=task, cluster="sentiment" if "reviews" in task else "inference",
            score=score(value + chance.gauss(0, 0.08), chance, half=0.07),
            base=score(base + chance.gauss(0, 0.05), chance, half=0.07),
            difference=difference(value - base + chance.gauss(0, 0.05), chance, half=0.09),
            chance=0.5 if at < 2 else 0.33, rows=60 + at, templates=3, template_std=abs(chance.gauss(0.03, 0.01)),
        )
        for at, task in enumerate(TASKS)
    )  # fmt: skip
    values: dict[str, Any] = {
        "name": name, "label": "", "series": "", "x": None, "reads": "tuned", "templates": "mean", "labeled_rows": None,
        "seeds": SEEDS, "score": score(value, chance), "base": score(base, chance, half=0.03), "chance": 0.4,
        "paired_with": "", "difference": difference(value - base, chance), "compared": 5, "tasks": tasks,
        "cost": Cost(steps=200, tokens=400_000 * (1 + 3 * chance.random()), seconds=90),
    }  # fmt: skip
    return ArmOutcome(**values | changes)


def outcome(figure: str, arms: Sequence[ArmOutcome], **changes: Any) -> StudyOutcome:
    values: dict[str, Any] = {
        "name": "made", "question": "Does it make a difference?", "axis": "what differs", "baseline": "",
        "measure": "unseen tasks, mean over clusters", "metric": "accuracy", "figure": figure, "x_scale": "linear",
        "equal": "Every arm trains for 200 steps.", "notes": (), "seeds": SEEDS, "confidence": 0.95,
        "arms": tuple(arms), "overall": None, "trends": (), "lacking": (),
        "verdict": StudyVerdict(text="The first is better (+9.1 points, 95% interval -1.0 to +3.0): better.",
                                direction="better", notes=()),
        "written": Written(sha256="5a" * 32, when="2026-11-30 07:00", changed=()),
    }  # fmt: skip
    return StudyOutcome(**values | changes)


def line_outcome() -> StudyOutcome:
    chance = random.Random(1)
    arms = [arm(f"{k} clusters", 0.44 + 0.02 * k, chance, base=0.42, x=float(k)) for k in range(1, 8)]
    arms = [one.model_copy(update={"base": arms[0].base}) for one in arms]
    slope = difference(0.02, chance, half=0.012)
    trend = Trend(series="", slope=slope, arms=tuple(one.name for one in arms))
    return outcome("line", arms, name="clusters", axis="number of clusters trained on", trends=(trend,))


def scale_outcome() -> StudyOutcome:
    """Two lines on a logarithmic axis, one of them of base models."""
    chance, arms = random.Random(2), []
    for at, size in enumerate((422e6, 2e9, 8e9, 68e9, 137e9)):
        base = 0.4 + 0.04 * at
        for series, reads, value in (("tuned", "tuned", base - 0.06 + 0.04 * at), ("base model", "base", base)):
            more = {"difference": None, "cost": None} if reads == "base" else {}
            arms.append(arm(f"{series} {at}", value, chance, base=base, x=size, series=series, reads=reads, **more))
    return outcome("line", arms, name="scale", axis="parameters of the model", x_scale="log")


def bars_outcome() -> StudyOutcome:
    chance = random.Random(3)
    ways = (
        ("zero-shot", "prompting", 0.42, 0), ("few-shot (4)", "prompting", 0.46, 4),
        ("best of templates", "prompting", 0.48, 50), ("instruction tuning", "instruction tuning", 0.55, 0),
        ("tuned on it, 32 rows", "pretrain–finetune", 0.52, 32), ("tuned on it", "pretrain–finetune", 0.71, None),
    )  # fmt: skip
    arms = [
        arm(
            name, value, chance, series=series, labeled_rows=rows,
            paired_with="" if name == "instruction tuning" else "instruction tuning",
            difference=None if name == "instruction tuning" else difference(value - 0.55, chance),
            reads="base" if name == "zero-shot" else "tuned",
            cost=None if series == "prompting" else Cost(steps=9, tokens=9e5, seconds=9),
        )
        for name, series, value, rows in ways
    ]  # fmt: skip
    return outcome("bars", arms, name="paradigms", axis="way to use a model", baseline="instruction tuning")


def forest_outcome() -> StudyOutcome:
    chance = random.Random(4)
    names = ("sentiment", "natural language inference", "closed-book qa", "coreference", "reading comprehension")
    arms = [arm(name, 0.42 + 0.05 * (2 - at), chance) for at, name in enumerate(names)]
    return outcome("forest", arms, name="leave-one-cluster-out", overall=difference(0.02, chance, half=0.03))


def grid_outcome() -> StudyOutcome:
    chance, arms = random.Random(5), []
    for row, trained in enumerate(("no instruction", "dataset name", "instruction")):
        for column, asked in enumerate(("asked by name", "asked by instruction")):
            is_first = row == column == 0
            arms.append(
                arm(
                    f"{trained}, {asked}", 0.4 + 0.05 * row + 0.02 * column, chance, series=trained, label=asked,
                    paired_with="" if is_first else "no instruction, asked by name",
                    difference=None if is_first else difference(0.05 * row + 0.02 * column, chance),
                )
            )  # fmt: skip
    return outcome("grid", arms, name="instructions", axis="how the model is asked", baseline=arms[0].name)


def unfinished_outcome() -> StudyOutcome:
    chance = random.Random(6)
    nothing = {"score": None, "base": None, "difference": None, "tasks": (), "cost": None, "seeds": (), "compared": 0}
    begun = arm("not begun", 0.5, chance).model_copy(update=nothing)
    arms = [arm("done", 0.5, chance, seeds=(0,)), begun]
    lacking = (Lacking(arm="not begun", seed=0, why="not run yet"),)
    return outcome("bars", arms, lacking=lacking)


EVERY = (line_outcome, scale_outcome, bars_outcome, forest_outcome, grid_outcome, unfinished_outcome)
