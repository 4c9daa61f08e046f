"""Flan 2022's normalized average worked out another way: from numbers as papers print them.

Paper: Flan 2022, section 2.3 (normalized average, as BIG-bench has it).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from flantune.errors import EvaluationError, did_you_mean
from flantune.suites.flan2022 import BBH_CHANCE, SCORES, bbh_task

CHANCE: Mapping[str, float] = {"mmlu": 0.25, "bbh": 0.253, "tydiqa": 0.0, "mgsm": 0.0}
"""What guessing gets in a benchmark's mean.

All 57 subjects of MMLU have four options, so there the mean says all. The tasks of BBH differ, and a mean alone cannot
tell on which of them it was earned: its value here is the one that brings printed averages back best. Inverting
those gives between 24.0 % (strong models) and 26.0 % (weak ones); the mean of ``BBH_CHANCE`` is 25.5 %.
"""

_BELOW_CHANCE = math.fsum(chance / (1 - chance) for chance in BBH_CHANCE.values()) / len(BBH_CHANCE)


def normalized_average(scores: Mapping[str, float], *, tasks: Mapping[str, Mapping[str, float]] | None = None) -> float:
    """The mean of the six normalized scores of Flan 2022, as a share: 0 is guessing, 1 is perfect.

    Args:
        scores: Raw benchmark scores in [0, 1], under the names of ``SCORES``.
        tasks: For names of ``SCORES``, the score of each task in [0, 1]: BBH's files by name, MMLU's subjects or the
            languages under any name. Each task is then normalized by its own chance before the mean is taken, as the
            paper does, and the entry of ``scores`` is not needed. Without it a benchmark's mean is normalized as a
            whole: exact for all but BBH, where it differs by a few tenths of a point in the average.

    Returns:
        At most 1; negative for a model below chance.

    Raises:
        EvaluationError: A score is missing, unknown, or not a share.

    Paper: Flan 2022, section 2.3 and table 5.

    >>> row = dict(zip(SCORES, (0.735, 0.709, 0.579, 0.663, 0.678, 0.570)))
    >>> round(100 * normalized_average(row), 1)  # printed: 58.4
    58.2
    """
    given = tasks or {}
    _check_names({**scores, **given})
    return math.fsum(_normalized(name, scores, given) for name in SCORES) / len(SCORES)


def normalized(score: float, chance: float) -> float:
    """A score counted from chance (0) to perfect (1), not clipped.

    >>> round(normalized(0.55, 0.5), 6), round(normalized(0.4, 0.5), 6)
    (0.1, -0.2)
    """
    return (score - chance) / (1.0 - chance)


def bbh_macro(tasks: Mapping[str, float]) -> float:
    """The mean over BBH's 23 tasks of scores by file: the three sizes of one task count as one.

    Works on raw and on normalized scores. Files that are missing are left out of the mean.

    >>> round(bbh_macro({"snarks": 0.5, "tracking_shuffled_objects_three_objects": 0.2,
    ...                  "tracking_shuffled_objects_five_objects": 0.4}), 6)
    0.4
    """
    groups: dict[str, list[float]] = {}
    for name, score in tasks.items():
        groups.setdefault(bbh_task(name), []).append(score)
    return _mean([_mean(scores) for scores in groups.values()])


def _normalized(name: str, scores: Mapping[str, float], tasks: Mapping[str, Mapping[str, float]]) -> float:
    benchmark = name.split("_")[0]
    if name in tasks:
        each = {task: _share(score, f"{name}: {task}") for task, score in tasks[name].items()}
        if not each:
            raise EvaluationError("no task was measured", where=f"normalized average: {name}")
        if benchmark == "bbh":
            return bbh_macro({task: normalized(score, _bbh_chance(task)) for task, score in each.items()})
        return _mean([normalized(score, CHANCE[benchmark]) for score in each.values()])
    score = _share(scores[name], name)
    if benchmark == "bbh" and score < CHANCE["bbh"]:
        # Below chance a task loses the more the higher its chance is. Taking each task to stand at the same share of
        # its chance comes nearer to the printed averages (1.1 points at worst) than one flat line does (1.6).
        return (score / CHANCE["bbh"] - 1.0) * _BELOW_CHANCE
    return normalized(score, CHANCE[benchmark])


def _check_names(scores: Mapping[str, object]) -> None:
    where = "normalized average"
    for name in scores:
        if name not in SCORES:
            hint = did_you_mean(name, SCORES) or f"its scores are {', '.join(SCORES)}"
            raise EvaluationError(f'no score "{name}" in it', where=where, hint=hint)
    missing = [name for name in SCORES if name not in scores]
    if missing:
        hint = "an average of fewer scores could not be compared with any other"
        raise EvaluationError(f"not measured: {', '.join(missing)}", where=where, hint=hint)


def _share(score: float, name: str) -> float:
    if not 0.0 <= score <= 1.0:
        hint = "give shares, not percent: 0.585, not 58.5"
        raise EvaluationError(f"{score:g} is not between 0 and 1", where=f"normalized average: {name}", hint=hint)
    return score


def _bbh_chance(name: str) -> float:
    if name not in BBH_CHANCE:
        hint = did_you_mean(name, BBH_CHANCE) or "tasks are called as BBH's files are, without their ending"
        raise EvaluationError(f'BBH has no task "{name}"', where="normalized average: bbh", hint=hint)
    return BBH_CHANCE[name]


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)
