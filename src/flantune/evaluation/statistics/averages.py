"""The ways to average the exams of one score: numbers with unknown weights cannot be compared.

Papers differ: MMLU's own script pools all questions, Flan 2022 takes the mean of 57 subjects; BBH is averaged over 23
tasks, 27 files or 6,511 questions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """What determines an exam's weight.

    Attributes:
        name: Name of the exam.
        groups: The groups that it is averaged within.
        questions: Number of answered questions.
    """

    name: str
    groups: tuple[str, ...]
    questions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighting:
    """One way to average.

    Attributes:
        name: Its name.
        weights: Exam → weight; they sum to one.
    """

    name: str
    weights: Mapping[str, float]


Averages = Callable[[Sequence[Weighed]], tuple[Weighting, ...]]
"""The ways of averaging a benchmark, the papers' first."""


def even(exams: Iterable[Weighed], name: str) -> Weighting:
    """All exams have equal weight."""
    names = [exam.name for exam in exams]
    return Weighting(name=name, weights=dict.fromkeys(names, 1.0 / len(names)))


def all_questions(exams: Sequence[Weighed]) -> Weighting:
    """All questions have equal weight."""
    total = sum(exam.questions for exam in exams)
    return Weighting(name="all questions", weights={exam.name: exam.questions / total for exam in exams})


def every(exams: Sequence[Weighed], noun: str) -> Weighting:
    """All exams have equal weight, regardless of size."""
    return even(exams, f"mean of {len(exams)} {noun}")


def pooled(exams: Sequence[Weighed]) -> tuple[Weighting, ...]:
    """All questions first, as lm-evaluation-harness averages a group.

    >>> [way.name for way in pooled([Weighed(name="a", groups=(), questions=3)])]
    ['all questions']
    """
    return (all_questions(exams), every(exams, "tasks")) if len(exams) > 1 else (all_questions(exams),)


def by_group(noun: str) -> Averages:
    """The mean of all exams first, then that of each group of them, then all questions."""

    def averages(exams: Sequence[Weighed]) -> tuple[Weighting, ...]:
        if len(exams) == 1:
            return (all_questions(exams),)
        groups = sorted({group for exam in exams for group in exam.groups})
        means = (even([exam for exam in exams if group in exam.groups], group) for group in groups)
        return (every(exams, noun), *means, all_questions(exams))

    return averages


NOT_ENGLISH = "not English"
"""The group of the languages that papers average."""


def not_english(exams: Sequence[Weighed]) -> tuple[Weighting, ...]:
    """The mean of the languages that are not English first, as Flan 2022 takes it."""
    others = [exam for exam in exams if NOT_ENGLISH in exam.groups]
    headline = [even(others, f"mean of {len(others)} languages, not English")] if others else []
    whole = [every(exams, "languages")] if len(others) < len(exams) else []
    return (*headline, *whole, all_questions(exams))
