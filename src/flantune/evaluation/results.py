"""The format of ``results.json``, for a run and for an evaluation of any number of models; the schema is made from it.

Tasks, benchmarks with their parts, and means over them have each model's scores by the model's name, and each later
model's paired differences from the first, which is the base model of a run. Scores are in [0, 1], except for
correlations, which are in [-1, 1], normalized scores, which may be negative, and results of a task file's own
functions, which have their own scale. ``docs/evaluation.md`` says what each number means.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, model_validator

from flantune.evaluation.estimates import (
    CleanScores,
    Difference,
    Direction,
    Distance,
    Estimate,
    Fraction,
    Frozen,
    Natural,
    PairedDifference,
)
from flantune.evaluation.exam_result import ExamResult
from flantune.evaluation.group_gaps import Gap
from flantune.evaluation.metrics.rank_classification import Normalization

SCHEMA: Literal[4] = 4
"""Version of the format."""

_NORMALIZATIONS = get_args(Normalization)

Measure = Literal["raw", "normalized", "discrimination", "calibrated_accuracy"]


class Contrast(Frozen):
    """One mean over tasks or parts, for every model."""

    exams: tuple[str, ...]
    """The exams in the mean: those for which the measure is defined for every model."""
    scores: dict[str, Estimate]
    """Model → the mean."""
    differences: dict[str, Difference]
    """Later model → the mean of the paired differences from the first."""


class Means(Frozen):
    """A mean over tasks or parts, in each measure."""

    chance: Fraction
    """The same mean of the scores of guessing."""
    raw: Contrast
    """Of raw scores."""
    normalized: Contrast
    """Of scores as shares of the way from chance to perfect; below chance is negative."""
    discrimination: Contrast | None
    """Of discrimination; null if none has it."""
    calibrated_accuracy: Contrast | None
    """Of accuracy after batch calibration; null if nothing was ranked. Paper: Zhou et al. 2023."""

    def of(self, measure: Measure) -> Contrast | None:
        """The mean of one measure."""
        found: Contrast | None = getattr(self, measure)
        return found


class ClusterResult(Means):
    """The plain mean of the unseen tasks of one cluster; in a run, of one that a fold held out."""

    cluster: str
    """Name of the cluster."""
    fold: str
    """The fold that held it out; empty in an evaluation."""
    shots: Natural
    """Exemplars before each query."""
    clean: dict[str, CleanScores] = Field(default_factory=dict)
    """Later model → the same mean without examples that a model was trained on; empty if not checked."""


class OverallResult(Means):
    """The plain mean over clusters; for a measure of skill, over those that have it."""

    shots: Natural
    """Exemplars before each query."""
    clean: dict[str, CleanScores] = Field(default_factory=dict)
    """As in a cluster."""


class Average(Means):
    """A benchmark's parts, averaged in one way."""

    name: str
    """The parts, and how they are weighted."""
    examples: Natural
    """Examples of these parts."""


class BenchmarkScores(Frozen):
    """One model's results on a benchmark, besides its averages."""

    examples: Natural
    """Examples answered."""
    unparsed: Fraction
    """Share of answers in which no answer was found."""
    vote_confidence: Fraction | None
    """The voted answers' mean share of the sampled answers; null without a vote."""
    is_complete: bool
    """Whether all parts were measured, on all their examples."""
    seen: tuple[str, ...]
    """Why this data was not new to the model; empty if there is no indication."""
    clean: Estimate | None
    """The headline without the examples that were seen; null if none was."""
    clean_against_all: Difference | None = None
    """That minus the headline on all examples, paired; null in the same case."""
    other_metrics: dict[str, Estimate]
    """The other metrics, averaged like the headline."""
    ranked: Natural
    """Number of parts with ranked options."""
    collapsed: tuple[str, ...]
    """The parts on which the model gave one answer to over 90% of the examples."""


class BenchmarkResult(Frozen):
    """One benchmark, asked in one way; also a task file of lm-evaluation-harness."""

    name: str
    """Benchmark and way of asking, such as mmlu_direct."""
    metric: str
    """The headline metric."""
    protocol: str
    """Fingerprint of the scoring protocol."""
    shots: Natural
    """Exemplars before each query."""
    answers_each: Natural
    """Answers sampled for each question; the most common one is graded (self-consistency)."""
    temperature: Distance
    """Sampling temperature; 0 is greedy."""
    averages: Annotated[tuple[Average, ...], Field(min_length=1)]
    """Every way of averaging; the first, the headline, is that of the papers."""
    scores: dict[str, BenchmarkScores]
    """Model → its results besides the averages."""
    differences: dict[str, PairedDifference]
    """Later model → its difference from the first, averaged like the headline."""
    parts: tuple[ExamResult, ...]
    """Its subjects, tasks or languages."""
    gaps: tuple[Gap, ...] = ()
    """The gaps between groups that all parts have, averaged over parts like the headline."""
    fold: str = ""
    """The fold of a run whose model is compared; empty in an evaluation."""

    @property
    def label(self) -> str:
        """Its name, with the fold if there is one."""
        return f"{self.name} ({self.fold})" if self.fold else self.name

    @property
    def is_seen(self) -> bool:
        """Whether some model was trained on it."""
        return any(one.seen for one in self.scores.values())


class NormalizedAverage(Frozen):
    """An average over benchmarks, with each part rescaled from chance to perfect, such as that of Flan 2022."""

    name: str
    """Its name."""
    benchmarks: tuple[str, ...]
    """The benchmarks that are averaged."""
    scores: dict[str, Estimate | None]
    """Model → the average; null if one of the benchmarks was not measured."""
    reasons: dict[str, str]
    """Model → why there is none, or why it is not comparable; empty if it is."""
    differences: dict[str, PairedDifference]
    """Later model → its difference from the first, if both have an average."""


# --- the whole ------------------------------------------------------------------------------------------------------


class Verdict(Frozen):
    """The one-sentence conclusion of the comparison with the first model on unseen tasks, with its numbers."""

    text: str
    """The sentence."""
    direction: Direction
    """"better" or "worse" only if the whole interval is on that side of zero."""
    first: float | None
    """Overall raw score of the first model at the first number of shots; null if nothing unseen was measured."""
    second: float | None
    """The same for the later model."""
    difference: Difference | None
    """The later minus the first."""
    chance: Fraction | None
    """The score of guessing."""
    tasks: Natural
    """Number of measured tasks that were never trained on."""
    clusters: Natural
    """Number of their clusters."""
    notes: tuple[str, ...]
    """Sentences that a reader of the score must know: which clusters clearly changed, where a preference for an answer
    changed or hid the score, and which model collapsed."""


class MeasuredModel(Frozen):
    """A model that was asked. A run has one tuned model per fold, all with the same name."""

    name: str
    """Its name in this file: in a run "base" and "tuned"."""
    fold: str
    """The fold of a run that it was tuned for; empty for all others."""
    path: str
    """Its folder or hub id; for a model made by a run, its folder within the run's."""
    fingerprint: str
    """Identifies its weights, arithmetic and tokenizer by content; empty if a run's samples do not say."""
    trained_by_flantune: bool
    """Whether it has a record of its training data, so that seen data is recognized."""


class Missing(Frozen):
    """Something that was not measured because its data is missing."""

    score: str
    """Benchmark and way of asking, or task."""
    name: str
    """The part; empty: all of them."""
    needs: str
    """What data is needed, and where."""


class TrustedCode(Frozen):
    """Python code of a task file that was run because of ``--trust-task-code``."""

    score: str
    """The part whose prompts or scores it affected."""
    files: dict[str, str]
    """Each file and the SHA-256 of its content."""


class Results(Frozen):
    """All scores of a run, or of one ``flantune evaluate``."""

    schema_version: Literal[4] = Field(alias="schema")
    """Version of this format."""
    kind: Literal["run", "evaluation"]
    """What was measured: a model before and after tuning, fold by fold, or any models."""
    name: str
    """Title of the run; empty for an evaluation."""
    confidence: Fraction
    """Level of all intervals."""
    seed: int
    """Seed of exemplars, rows and sampled answers."""
    limit: Natural
    """Only this many examples of each part of a benchmark were asked; 0: all."""
    answer_parsing: str
    """How generated answers of tasks were cut before they were scored."""
    is_reportable: bool
    """False if a limit was set, a part is missing or data was seen: such numbers are not comparable."""
    protocols: dict[str, dict[str, Any]]
    """Fingerprint → every choice by which options were scored; two numbers compare only within one."""
    models: Annotated[tuple[MeasuredModel, ...], Field(min_length=1)]
    """The models; all are compared with the first."""
    verdicts: dict[str, Verdict]
    """Later model → the headline on unseen tasks; empty in an evaluation without tasks."""
    overall: tuple[OverallResult, ...]
    """Over all clusters, by number of shots."""
    clusters: tuple[ClusterResult, ...]
    """By cluster, and in a run by fold."""
    tasks: tuple[ExamResult, ...]
    """Tasks in flantune's own form: by fold, name and number of shots."""
    benchmarks: tuple[BenchmarkResult, ...]
    """Benchmarks, and task files of lm-evaluation-harness."""
    normalized_averages: tuple[NormalizedAverage, ...]
    """Averages over benchmarks that were asked for."""
    missing: tuple[Missing, ...]
    """What was not measured for lack of data."""
    trusted_code: tuple[TrustedCode, ...]
    """Python code of task files that was run."""
    seconds: Distance
    """Time an evaluation spent asking, over all starts; 0 for a run, whose manifest has it."""

    @model_validator(mode="after")
    def _check_models(self) -> Self:
        """Makes sure that every entry has every model, and the protocol it was scored by."""
        first, *later = self.names
        for name, protocol in self.protocols.items():
            if not isinstance(protocol.get("name"), str) or protocol.get("normalization") not in _NORMALIZATIONS:
                raise ValueError(f"protocol {name}: no name, or no normalization that there is")
        asked: list[ExamResult | BenchmarkResult] = [*self.exams(), *self.benchmarks]
        for one in asked:
            if one.protocol not in self.protocols:
                raise ValueError(f"{one.name}: scored by the protocol {one.protocol}, which is not described")
        means: list[Means] = [*self.clusters, *self.overall, *(way for one in self.benchmarks for way in one.averages)]
        whole = [contrast for one in means for contrast in (one.raw, one.normalized)]
        named = [(set(one.scores), set(one.differences)) for one in (*asked, *whole)]
        if any(names != ({first, *later}, set(later)) for names in named):
            raise ValueError(f"something has scores or differences of other models than {', '.join(self.names)}")
        if not set(self.verdicts) <= set(later):
            raise ValueError(f"verdicts on {', '.join(self.verdicts)}, where {', '.join(later)} are compared")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The models' names, each once: "base" and "tuned" of a run."""
        return tuple(dict.fromkeys(one.name for one in self.models))

    @property
    def verdict(self) -> Verdict | None:
        """The verdict on the first later model: a run's only one."""
        return next(iter(self.verdicts.values()), None)

    def exams(self) -> Iterator[ExamResult]:
        """Everything measured: tasks, then parts of benchmarks."""
        yield from self.tasks
        for benchmark in self.benchmarks:
            yield from benchmark.parts


def json_schema() -> dict[str, Any]:
    """The JSON Schema of ``results.json``, as shipped in ``results.schema.json``."""
    schema = Results.model_json_schema(by_alias=True, mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
