"""The shape of ``results.json``: the one definition its schema is made from.

Every score lies in [0, 1] (normalized ones may be negative); ``docs/evaluation.md`` says what each number means.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from flantune.evaluation.rank import Normalization
from flantune.types import Kind

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Natural = Annotated[int, Field(ge=0)]
Direction = Literal["better", "worse", "undecided"]


class Part(BaseModel):
    """Base of all parts: frozen, nothing unknown in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Estimate(Part):
    """A number, its standard error, and the interval it lies in at the file's level of confidence."""

    value: float
    """The number."""
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end of the interval."""
    se: Annotated[float, Field(ge=0.0)]
    """Standard error, clustered by example."""


class TemplateScores(Part):
    """What one model scored with one template."""

    template: str
    """Name of the template."""
    value: Share
    """Headline metric on the test rows."""
    dev: Share | None
    """Headline metric on the dev rows; null without dev rows."""
    metrics: dict[str, Share]
    """Every metric of the task on the test rows."""


class ModelScores(Part):
    """What one model scored on one task, over all forward templates."""

    mean: Estimate
    """Mean over templates. Paper: FLAN 2021, section 2.3."""
    std: Annotated[float, Field(ge=0.0)]
    """Standard deviation over templates."""
    median: Share
    """Median over templates. Paper: T0, section 6."""
    iqr: Share
    """Interquartile range over templates."""
    best_dev_template: str | None
    """The template with the highest dev score (of equals the first); null without dev rows."""
    best_dev_test: Share | None
    """Test score of that template. Paper: FLAN 2021, section 2.3."""
    ties: Natural
    """Answers for which two options scored the same; the first of them was taken."""
    normalizations: dict[Normalization, Share]
    """Headline metric with log-likelihoods as sums, per token, per character and per byte; empty for generation."""
    templates: tuple[TemplateScores, ...]
    """Each template's scores, in the task's order."""
    metrics: dict[str, Share]
    """Every metric of the task, mean over templates."""


class Models(Part):
    """The two models compared."""

    base: ModelScores
    """Before tuning."""
    tuned: ModelScores
    """After tuning."""


class TaskResult(Part):
    """One task, measured with one number of exemplars, base against tuned."""

    task: str
    """Name of the task."""
    clusters: tuple[str, ...]
    """Its clusters."""
    fold: str
    """The fold whose model is compared."""
    is_seen: bool
    """True for a task that was trained on; such tasks enter no cluster, no overall score and no verdict."""
    kind: Kind
    """Classification or generation."""
    metric: str
    """The headline metric."""
    shots: Natural
    """Exemplars before each query."""
    chance: Share
    """What guessing scores: mean of one over the number of options; 0 for generation."""
    examples: Natural
    """Test rows measured."""
    models: Models
    """The scores."""
    difference: Estimate
    """Tuned minus base, on the same rows and templates."""
    mcnemar_p: Share | None
    """Exact McNemar p-value over rows; null for metrics that are not right-or-wrong."""
    ties: Natural
    """Ties of both models together."""


class ClusterResult(Part):
    """One held-out cluster of one fold: the plain mean of its tasks."""

    cluster: str
    """Name of the cluster."""
    fold: str
    """The fold that held it out."""
    shots: Natural
    """Exemplars before each query."""
    base: Estimate
    """Mean of the base model's task means."""
    tuned: Estimate
    """Mean of the tuned model's task means."""
    difference: Estimate
    """Mean of the tasks' paired differences."""
    base_normalized: Estimate
    """The same as a share of the way from chance to perfect."""
    tuned_normalized: Estimate
    """The same as a share of the way from chance to perfect."""
    difference_normalized: Estimate
    """The same as a share of the way from chance to perfect."""
    chance: Share
    """Mean of the tasks' chance."""
    tasks: tuple[str, ...]
    """The tasks in it."""


class OverallResult(Part):
    """The plain mean over held-out clusters."""

    shots: Natural
    """Exemplars before each query."""
    measure: Literal["raw", "normalized"]
    """Scores as they are, or as a share of the way from chance to perfect."""
    base: Estimate
    """Mean of the clusters' base scores."""
    tuned: Estimate
    """Mean of the clusters' tuned scores."""
    difference: Estimate
    """Mean of the clusters' differences."""


class Verdict(Part):
    """The one sentence the run comes to, and the numbers in it; null where nothing unseen was measured."""

    text: str
    """The sentence."""
    direction: Direction
    """"better" or "worse" only when the whole interval lies on that side of zero."""
    base: Share | None
    """Overall raw score of the base model at the first number of shots."""
    tuned: Share | None
    """The same of the tuned model."""
    difference: float | None
    """Tuned minus base."""
    interval: tuple[float, float] | None
    """Interval of the difference."""
    chance: Share | None
    """What guessing would score."""
    tasks: Natural
    """Tasks measured that were never trained on."""
    clusters: Natural
    """Clusters they belong to."""


class Results(Part):
    """All scores of a run."""

    schema_version: Literal[1] = Field(alias="schema")
    """Version of this format."""
    name: str
    """Title of the run."""
    confidence: Share
    """Level of all intervals."""
    normalization: Normalization
    """What log-likelihoods are divided by for the headline."""
    seed: int
    """The run's seed."""
    verdict: Verdict
    """The headline."""
    overall: tuple[OverallResult, ...]
    """Over all held-out clusters, by number of shots and measure."""
    clusters: tuple[ClusterResult, ...]
    """By held-out cluster."""
    tasks: tuple[TaskResult, ...]
    """By task."""


def to_json(results: Results) -> dict[str, Any]:
    """The results as plain JSON values, ready to be written."""
    return results.model_dump(mode="json", by_alias=True)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of ``results.json``, as shipped in ``results.schema.json``."""
    schema = Results.model_json_schema(by_alias=True, mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
