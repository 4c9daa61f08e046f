"""Metrics that a task file's own functions make: of one answer, or of all of them together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flantune.errors import TaskError
from flantune.evaluation.metrics.by_name import Metric, Statistics, noted_by_grader
from flantune.evaluation.metrics.graders import MetricColumn
from flantune.harness.grading import HarnessGrader, HarnessOptionGrader, HarnessTextGrader
from flantune.harness.task_code import Function, TaskCode

if TYPE_CHECKING:
    from flantune.evaluation.metrics.extraction import Extracted
    from flantune.types import Row, Sample

Floats = NDArray[np.float64]

FUNCTION_REPLICATES = 100
"""Redraws of the questions for a score that a file's own function makes of all of them: each one runs it anew."""


def _mean(values: Floats) -> float:
    return float(values.mean())


def _median(values: Floats) -> float:
    """The harness's: of an even number the upper one of the two in the middle."""
    return float(np.sort(values)[len(values) // 2])


def _nan_mean(values: Floats) -> float:
    """Mean of numbers; 0 of none, since results hold numbers only (the harness says NaN)."""
    return float(np.nanmean(values)) if not np.isnan(values).all() else 0.0


def _perplexity(values: Floats) -> float:
    return math.exp(-float(values.mean()))


AGGREGATIONS: Mapping[str, Callable[[Floats], float]] = {
    "mean": _mean,
    "median": _median,
    "nanmean": _nan_mean,
    "perplexity": _perplexity,
}
"""The harness's own ways to make one number of many that are computed for what functions make."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeMetric:
    """A metric that Python of the task file has a hand in.

    Attributes:
        name: As the harness's results name it.
        function: Scores one answer; None: ``process_results`` does, or the harness's own metric.
        aggregation: How one number is made of all: a name of ``AGGREGATIONS``, or a function.
        options: What else the function is given.
    """

    name: str
    function: Function | None = None
    aggregation: str | Function = "mean"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class HarnessCodeGrader(HarnessGrader):
    """Answers as a file's own functions score them, beside the metrics that need none.

    Attributes:
        base: Grades what needs no function, and reads answers.
        names: Metrics in the order of the file, the headline first.
        made: Those that functions make, by name.
        code: Runs the functions.
        rows: Row → what it was before it became a question.
        targets: Row → its target, as the file makes it.
        results: ``process_results``; None: there is none.
        items: What the functions made of each answer graded so far; a grade's notes say which.
    """

    base: HarnessOptionGrader | HarnessTextGrader
    names: tuple[str, ...]
    made: Mapping[str, CodeMetric]
    code: TaskCode
    rows: Mapping[int, Row]
    targets: Mapping[int, Any]
    results: Function | None = None
    items: list[Any] = field(default_factory=list, repr=False)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics as the harness's results name them."""
        return tuple(f"{name},{chain}" for chain in self._chains for name in self.names)

    def column(self, metric: str) -> MetricColumn:
        """Whatever functions make is scored over all questions, since some questions may lack it."""
        made = self.made.get(metric.partition(",")[0])
        if made is None:
            return self.base.column(metric)
        return MetricColumn(
            metric=Metric(
                name=metric,
                note=noted_by_grader,
                score=partial(self._score, made),
                chance=lambda _: 0.0,
                span=self._span(),
                replicates=FUNCTION_REPLICATES if isinstance(made.aggregation, Function) else None,
            )
        )

    def found(self, sample: Sample) -> Extracted:
        """What was understood as the answer."""
        return self.base.found(sample)

    def notes(self, sample: Sample) -> dict[str, Statistics]:
        """What each metric keeps of an answer; for one that a function makes, its place in ``items``."""
        notes = self.base.notes(sample)
        for chain, answer in self._answers(sample).items():
            found = self._made(sample, answer)
            for name in self.made:
                notes[f"{name},{chain}"] = (float(len(self.items)),)
                self.items.append(found.get(name))
        return notes

    def read(self, sample: Sample) -> dict[str, str]:
        """What each filter takes for the answer."""
        return self.base.read(sample) if isinstance(self.base, HarnessTextGrader) else {"none": ""}

    def item(self, note: float) -> Any:
        """What a function made of an answer, by the note of its grade."""
        return self.items[int(note)]

    @property
    def _chains(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.base.filters) if isinstance(self.base, HarnessTextGrader) else ("none",)

    def _answers(self, sample: Sample) -> dict[str, Any]:
        """What the functions get to see of an answer, after each filter."""
        if isinstance(self.base, HarnessTextGrader):
            return self.base.read(sample)
        greedy = sample.greedy or (False,) * len(sample.options)
        return {"none": [[score, is_greedy] for score, is_greedy in zip(sample.scores, greedy, strict=True)]}

    def _made(self, sample: Sample, answer: Any) -> Mapping[str, Any]:
        row = self.rows[sample.row]
        if self.results is not None:
            given = answer if isinstance(answer, list) and not isinstance(self.base, HarnessTextGrader) else [answer]
            return self.code.results(self.results, row, given)
        found: dict[str, Any] = {}
        for name, metric in self.made.items():
            if metric.function is None:
                found[name] = self._own(name, sample, answer)
                continue
            made = self._of_function(metric, metric.function, sample, answer)
            if isinstance(made, dict) and name not in made:
                hint = f"let it make a number, or a mapping with {name}"
                raise TaskError(f"{name}: its function makes {', '.join(made) or 'nothing'} instead", hint=hint)
            found |= made if isinstance(made, dict) else {name: made}
        return found

    def _of_function(self, metric: CodeMetric, function: Function, sample: Sample, answer: Any) -> Any:
        """A metric's own function of one answer; one of several right answers is enough, as in the harness."""
        gold = self.targets[sample.row]
        if not isinstance(gold, list):
            return self.code.metric(function, str(gold), answer, metric.options)
        scores = [self.code.metric(function, one, answer, metric.options) for one in gold]
        return float(any(one.get(metric.name) if isinstance(one, dict) else one for one in scores))

    def _own(self, name: str, sample: Sample, answer: Any) -> Any:
        """What the harness itself would hand to the function that makes one number of all answers."""
        if isinstance(self.base, HarnessTextGrader):
            if name == "exact_match":
                return self.base.matches(answer, sample.references)
            return [str(self.targets[sample.row]), answer]
        return self.base.item(name, sample)

    # --- one number of all ------------------------------------------------------------------------------------------

    def _score(self, metric: CodeMetric, notes: Floats, weights: Floats) -> Floats:
        items = [self.items[int(note)] for note in notes[:, 0]]
        there = np.array([at for at, item in enumerate(items) if item is not None], dtype=np.intp)
        draws = [np.repeat(there, row[there].astype(np.intp)) for row in weights]
        if isinstance(metric.aggregation, Function):
            known = [draw.tolist() for draw in draws if len(draw)]
            found = iter(self.code.aggregate(metric.aggregation, items, known) if known else ())
            return np.array([next(found) if len(draw) else 0.0 for draw in draws])
        takes_nan = metric.aggregation == "nanmean"
        values = np.array(
            [math.nan if item is None else _number(item, metric.name, takes_nan=takes_nan) for item in items]
        )
        total = AGGREGATIONS[metric.aggregation]
        return np.array([total(values[draw]) if len(draw) else 0.0 for draw in draws])

    def _span(self) -> tuple[float, float]:
        """Lowest and highest score that is known to be possible: functions may score on any scale."""
        seen = [float(item) for item in self.items if isinstance(item, int | float) and not math.isnan(item)]
        return min(0.0, *seen, 0.0), max(1.0, *seen, 1.0)


def _number(item: Any, name: str, *, takes_nan: bool) -> float:
    """A score of one answer as a number.

    Raises:
        TaskError: The score is not a number.
    """
    if isinstance(item, int | float) and (math.isfinite(item) or (takes_nan and math.isnan(item))):
        return float(item)
    hint = "aggregation: nanmean leaves NaN out" if isinstance(item, float) and math.isnan(item) else ""
    raise TaskError(f"{name}: a function made {item!r:.80} of an answer, where its mean needs numbers", hint=hint)
