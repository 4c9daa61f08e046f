"""Metrics computed by a task file's own Python functions: per answer, or over all answers."""

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
"""Bootstrap replicates of a score that a file's own function computes over all questions: each calls it once."""


def _mean(values: Floats) -> float:
    return float(values.mean())


def _median(values: Floats) -> float:
    """The median as in the harness: of an even number of values, the upper of the two in the middle."""
    return float(np.sort(values)[len(values) // 2])


def _nan_mean(values: Floats) -> float:
    """The mean without NaN values; 0 if there are no others, where the harness gives NaN."""
    return float(np.nanmean(values)) if not np.isnan(values).all() else 0.0


def _perplexity(values: Floats) -> float:
    return math.exp(-float(values.mean()))


AGGREGATIONS: Mapping[str, Callable[[Floats], float]] = {
    "mean": _mean,
    "median": _median,
    "nanmean": _nan_mean,
    "perplexity": _perplexity,
}
"""The harness's aggregations that are supported for values computed by functions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeMetric:
    """A metric that involves a Python function of the task file.

    Attributes:
        name: Its name in the harness's results.
        function: Scores one answer; None: ``process_results`` or the harness's own metric does.
        aggregation: Combines the values of all answers: a key of ``AGGREGATIONS``, or a function.
        options: Further arguments of the function.
    """

    name: str
    function: Function | None = None
    aggregation: str | Function = "mean"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class HarnessCodeGrader(HarnessGrader):
    """Grades answers by a file's own functions, and by metrics that need none.

    Attributes:
        base: Computes metrics without functions, and extracts answers.
        names: Metrics in the order of the file, the headline first.
        made: Metrics computed by functions, by name.
        code: Runs the functions.
        rows: Row number → the row before it became a question.
        targets: Row number → its target, from the file.
        results: ``process_results``; None: there is none.
        items: Values that functions returned for the answers graded so far; notes of grades are indices into it.
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
        """Names of the metrics in the harness's results."""
        return tuple(f"{name},{chain}" for chain in self._chains for name in self.names)

    def column(self, metric: str) -> MetricColumn:
        """A metric's column. Those of functions are scored over all questions, since some may have no value."""
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
        """The extracted answer."""
        return self.base.found(sample)

    def notes(self, sample: Sample) -> dict[str, Statistics]:
        """Each metric's notes on an answer; for a metric by a function, the index of its value in ``items``."""
        notes = self.base.notes(sample)
        for chain, answer in self._answers(sample).items():
            found = self._made(sample, answer)
            for name in self.made:
                notes[f"{name},{chain}"] = (float(len(self.items)),)
                self.items.append(found.get(name))
        return notes

    def read(self, sample: Sample) -> dict[str, str]:
        """The answer according to each filter."""
        return self.base.read(sample) if isinstance(self.base, HarnessTextGrader) else {"none": ""}

    def item(self, note: float) -> Any:
        """The value that a function returned for an answer, by the note in its grade."""
        return self.items[int(note)]

    @property
    def _chains(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.base.filters) if isinstance(self.base, HarnessTextGrader) else ("none",)

    def _answers(self, sample: Sample) -> dict[str, Any]:
        """The functions' input: the answer after each filter, or the options' scores."""
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
                hint = f"let it return a number, or a mapping with {name}"
                raise TaskError(f"{name}: its function returns {', '.join(made) or 'nothing'} instead", hint=hint)
            found |= made if isinstance(made, dict) else {name: made}
        return found

    def _of_function(self, metric: CodeMetric, function: Function, sample: Sample, answer: Any) -> Any:
        """A metric's function on one answer. Matching one of several right answers is enough, as in the harness."""
        gold = self.targets[sample.row]
        if not isinstance(gold, list):
            return self.code.metric(function, str(gold), answer, metric.options)
        scores = [self.code.metric(function, one, answer, metric.options) for one in gold]
        return float(any(one.get(metric.name) if isinstance(one, dict) else one for one in scores))

    def _own(self, name: str, sample: Sample, answer: Any) -> Any:
        """The value that the harness would pass to the function that combines all answers."""
        if isinstance(self.base, HarnessTextGrader):
            if name == "exact_match":
                return self.base.matches(answer, sample.references)
            return [str(self.targets[sample.row]), answer]
        return self.base.item(name, sample)

    # --- scores over all answers ------------------------------------------------------------------------------------

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
        """Lowest and highest possible score, as far as known: functions may use any scale."""
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
    raise TaskError(f"{name}: a function returned {item!r:.80} for an answer, but the mean needs numbers", hint=hint)
