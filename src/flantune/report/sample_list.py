"""Single prompts of a run, chosen by outcome, for finding a model's mistakes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from flantune.errors import EvaluationError, did_you_mean
from flantune.report.samples import (
    Asked,
    Key,
    is_right,
    key_of,
    measured_samples,
    outcome_of,
    read_chosen,
)

if TYPE_CHECKING:
    from flantune.types import Sample

Outcome = Literal["fixed", "broken", "right", "wrong"]
"""How tuning changed an answer: wrong → right, right → wrong, right in both models, wrong in both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownAnswer:
    """One model's answer.

    Attributes:
        text: The option it ranked first, or its generated text.
        read_as: The graded part, if not the whole text; None if no answer was found in it.
        is_right: Right by the headline metric.
    """

    model: str
    text: str
    read_as: str | None
    is_right: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSample:
    """One prompt and every model's answer.

    Attributes:
        fold: The tuned model's fold.
        row: Number of the row in its source split.
        shots: Number of exemplars before it.
        right: Accepted answers; the first is the one used in training.
    """

    task: str
    fold: str
    row: int
    template: str
    shots: int
    outcome: Outcome
    inputs: str
    right: tuple[str, ...]
    answers: tuple[ShownAnswer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleList:
    """Some prompts, and the total for each outcome."""

    samples: tuple[ShownSample, ...]
    totals: dict[Outcome, int]


def list_samples(
    asked: Sequence[Asked],
    *,
    task: str = "",
    template: str = "",
    shots: int | None = None,
    outcomes: Sequence[Outcome] = (),
    count: int = 5,
) -> SampleList:
    """Some prompts of a run's tasks, in an order fixed by a hash: the same ones every time.

    Args:
        asked: The prompts of each task.
        task: Only this task.
        template: Only this template.
        shots: Only this number of exemplars.
        outcomes: Only these outcomes; empty: all.
        count: Largest number to show.

    Raises:
        EvaluationError: No such task or template was measured.
    """
    chosen = [one for one in asked if task in ("", one.name)]
    if not chosen:
        names = list(dict.fromkeys(one.name for one in asked))
        hint = did_you_mean(task, names) or f"measured are: {', '.join(names) or 'none yet'}"
        raise EvaluationError(f'no samples of a task "{task}"', where="--task", hint=hint)
    found: list[tuple[int, int, Key, Outcome]] = []
    templates: set[str] = set()
    for number, one in enumerate(chosen):
        for key, outcome in _outcomes(one).items():
            templates.add(key[1])
            if template in ("", key[1]) and shots in (None, key[2]):
                found.append((zlib.crc32(f"{one.name} {key}".encode()), number, key, outcome))
    if template and template not in templates:
        hint = did_you_mean(template, templates) or f"available: {', '.join(sorted(templates))}"
        raise EvaluationError(f'no samples of a template "{template}"', where="--template", hint=hint)
    wanted = sorted(one for one in found if not outcomes or one[3] in outcomes)[:count]
    return SampleList(
        samples=tuple(_shown(chosen, wanted)),
        totals={name: sum(one[3] == name for one in found) for name in get_args(Outcome)},
    )


def _outcomes(asked: Asked) -> dict[Key, Outcome]:
    right = [
        {key_of(one): is_right(one, asked.grader) for one in measured_samples(path)} for path in asked.paths.values()
    ]
    keys = [key for key in right[0] if all(key in own for own in right)] if right else []
    return {key: outcome_of([own[key] for own in right]) for key in keys}  # type: ignore[misc]


def _shown(asked: Sequence[Asked], wanted: Sequence[tuple[int, int, Key, Outcome]]) -> Iterator[ShownSample]:
    """The chosen prompts, in their order; only these are kept in memory."""
    of_task: dict[int, list[dict[Key, Sample]]] = {}
    for number in {one[1] for one in wanted}:
        keys = {key for _, place, key, _ in wanted if place == number}
        of_task[number] = [read_chosen(path, keys) for path in asked[number].paths.values()]
    for _, number, key, outcome in wanted:
        one, samples = asked[number], [own[key] for own in of_task[number]]
        first = samples[0]
        yield ShownSample(
            task=one.name,
            fold=one.fold,
            row=first.row,
            template=first.template,
            shots=first.shots,
            outcome=outcome,
            inputs=first.inputs,
            right=(first.options[first.answer],) if first.answer is not None and first.options else first.references,
            answers=tuple(_answer(one, model, sample) for model, sample in zip(one.paths, samples, strict=True)),
        )


def _answer(asked: Asked, model: str, sample: Sample) -> ShownAnswer:
    grade = asked.grader.grade(sample)
    said = grade.answer if sample.scores else sample.prediction
    read_as = said if sample.scores or grade.answer == sample.prediction else grade.answer
    return ShownAnswer(model=model, text=said or "", read_as=read_as, is_right=is_right(sample, asked.grader))
