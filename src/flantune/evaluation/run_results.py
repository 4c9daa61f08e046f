"""The shape of ``results.json``: the one definition its schema is made from.

Every score lies in [0, 1], but for correlations, which lie in [-1, 1], and normalized scores, which may be negative;
``docs/evaluation.md`` says what each number means.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from flantune.evaluation.metrics.rank_classification import Normalization
from flantune.settings.protocols import Ties
from flantune.types import Kind

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Score = Annotated[float, Field(ge=-1.0, le=1.0)]
Distance = Annotated[float, Field(ge=0.0)]
Natural = Annotated[int, Field(ge=0)]
Direction = Literal["better", "worse", "undecided"]
Measure = Literal["raw", "normalized", "discrimination", "calibrated_accuracy"]


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
    """Standard error, clustered by example, or by group of examples."""


class Difference(Estimate):
    """A paired difference, tuned minus base."""

    p: Share
    """Two-sided p-value of no difference, by the standard error and the degrees of freedom of the interval."""
    detectable: Distance
    """Smallest true difference that would have been found, four times in five, at the file's level of confidence."""


class Bootstrap(Part):
    """The same difference by redrawing rows."""

    low: float
    """Lower end of the percentile interval."""
    high: float
    """Upper end of the percentile interval."""
    p: Share
    """Two-sided p-value: twice the share of replicates on zero's rarer side."""


class CommonestAnswer(Part):
    """The answer a model gives most often: a preference for it is no skill."""

    answer: str
    """The option's text; its place or letter where ``by_place``."""
    share: Share
    """How often it was given: mean over templates of the share of rows."""
    gold: Share
    """Share of rows whose right answer it is."""
    distance: Share
    """Share of answers that would have to be others for each to be given as often as it is right."""
    by_place: bool
    """Whether answers are told apart by their place in the list: the options change, or letters are written."""
    is_collapsed: bool
    """Given to over 90% of prompts, while no answer is right that often."""


class Skill(Part):
    """What a model's option scores tell of the right answer, whichever answer it prefers."""

    answers: CommonestAnswer
    """What it answers most often."""
    discrimination: Estimate | None
    """Area under the ROC curve, mean over templates; 0.5 knows nothing. Null where it is not defined."""
    not_defined: str
    """Why it is not defined; empty where it is."""
    calibrated_accuracy: Estimate | None
    """Accuracy after batch calibration, mean over templates, which takes a strong preference out only in part.

    Paper: Zhou et al. 2023.
    """


class SkillDifference(Part):
    """Paired differences of the same, tuned minus base."""

    discrimination: Difference | None
    """Of discrimination; null where it is not defined."""
    discrimination_q: Share | None
    """False discovery rate of it, among discrimination's differences on all unseen (or all seen) tasks."""
    calibrated_accuracy: Difference | None
    """Of accuracy after batch calibration."""
    calibrated_accuracy_q: Share | None
    """False discovery rate of it, among calibrated accuracy's differences."""


class Contrast(Part):
    """A mean over tasks, before and after tuning."""

    base: Estimate
    """Mean of the base model's task means."""
    tuned: Estimate
    """Mean of the tuned model's task means."""
    difference: Difference
    """Mean of the tasks' paired differences."""
    tasks: tuple[str, ...]
    """The tasks it is defined for."""


class CleanScores(Part):
    """Both models on the rows that no training row overlaps with, by the headline metric."""

    examples: Natural
    """Clean rows."""
    flagged: Natural
    """Rows left out: they share words with training rows, or are near duplicates of one."""
    base: Estimate | None
    """Base model on the clean rows; null when none is left."""
    tuned: Estimate | None
    """Tuned model on the clean rows."""
    difference: Difference | None
    """Tuned minus base on the clean rows."""


class TemplateScores(Part):
    """What one model scored with one template."""

    template: str
    """Name of the template."""
    value: Score
    """Headline metric on the test rows."""
    low: Share | None
    """Lower end of its interval; null for metrics that are no mean over rows."""
    high: Share | None
    """Upper end of the same."""
    dev: Score | None
    """Headline metric on the dev rows; null without dev rows."""
    metrics: dict[str, Score]
    """Every metric of the task on the test rows."""
    discrimination: Share | None = None
    """Area under the ROC curve on the test rows; null where it is not defined."""
    calibrated_accuracy: Share | None = None
    """Accuracy after batch calibration over these rows; null for generation."""


class ModelScores(Part):
    """What one model scored on one task, over all forward templates."""

    mean: Estimate
    """Mean over templates. Paper: FLAN 2021, section 2.3."""
    std: Distance
    """Standard deviation over templates."""
    median: Score
    """Median over templates. Paper: T0, section 6."""
    iqr: Distance
    """Interquartile range over templates."""
    range: Distance
    """Best template minus worst template."""
    worst_template: str
    """The template with the lowest test score (of equals the first)."""
    worst: Score
    """Test score of that template."""
    best_dev_template: str | None
    """The template with the highest dev score (of equals the first); null without dev rows."""
    best_dev_test: Score | None
    """Test score of that template. Paper: FLAN 2021, section 2.3."""
    agreement: Share
    """Share of rows that get the same answer from every template."""
    ties: Natural
    """Answers for which two options scored the same."""
    tie_rules: dict[Ties, Score]
    """Headline metric when the first of tied options is taken, and when each counts for its share; empty for metrics
    without that choice."""
    normalizations: dict[Normalization, Score]
    """Headline metric with log-likelihoods as sums, per token, per character and per byte; empty for generation."""
    templates: tuple[TemplateScores, ...]
    """Each template's scores, in the task's order."""
    metrics: dict[str, Score]
    """Every metric of the task, mean over templates."""
    skill: Skill | None = None
    """Skill apart from a preference for an answer; null for generation."""


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
    """What guessing scores by the headline metric; 0 for generation and for correlations."""
    examples: Natural
    """Test rows measured."""
    groups: Natural
    """Groups they form; as many as rows when each stands alone."""
    rows_sha256: str
    """Names the set of rows: runs with the same one were measured on the same rows."""
    models: Models
    """The scores."""
    difference: Difference
    """Tuned minus base, on the same rows and templates."""
    bootstrap: Bootstrap | None
    """The same by redrawing rows; null when all replicates agree."""
    q: Share
    """Benjamini and Hochberg's false discovery rate: ``difference.p`` among all unseen (or all seen) tasks at these
    shots."""
    skill: SkillDifference | None = None
    """What tuning did to discrimination and to calibrated accuracy; null for generation."""
    mcnemar_p: Share | None
    """Exact McNemar p-value over rows; null for metrics that are not right-or-wrong, and for rows in groups."""
    clean: CleanScores | None
    """Scores without rows that training overlaps with; null when no contamination report lies with the run."""
    signatures: dict[str, str]
    """Metric → how it was computed, in the words of the library that computes it (sacrebleu), or like them."""
    notes: tuple[str, ...] = ()
    """What a reader of the scores should know: metrics that cannot read the references, wholly or in part."""
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
    difference: Difference
    """Mean of the tasks' paired differences."""
    base_normalized: Estimate
    """The same as a share of the way from chance to perfect."""
    tuned_normalized: Estimate
    """The same as a share of the way from chance to perfect."""
    difference_normalized: Difference
    """The same as a share of the way from chance to perfect."""
    chance: Share
    """Mean of the tasks' chance."""
    tasks: tuple[str, ...]
    """The tasks in it."""
    discrimination: Contrast | None = None
    """Mean of its tasks' discrimination; null where none has it."""
    calibrated_accuracy: Contrast | None = None
    """Mean of its tasks' accuracy after batch calibration; null where none is ranked."""


class OverallResult(Part):
    """The plain mean over held-out clusters."""

    shots: Natural
    """Exemplars before each query."""
    measure: Measure
    """Scores as they are, or as a share of the way from chance to perfect; or, of ranked tasks alone, their
    discrimination or their accuracy after batch calibration."""
    base: Estimate
    """Mean of the clusters' base scores."""
    tuned: Estimate
    """Mean of the clusters' tuned scores."""
    difference: Difference
    """Mean of the clusters' differences."""


class Verdict(Part):
    """The one sentence the run comes to, and the numbers in it; null where nothing unseen was measured."""

    text: str
    """The sentence."""
    direction: Direction
    """"better" or "worse" only when the whole interval lies on that side of zero."""
    base: Score | None
    """Overall raw score of the base model at the first number of shots."""
    tuned: Score | None
    """The same of the tuned model."""
    difference: float | None
    """Tuned minus base."""
    interval: tuple[float, float] | None
    """Interval of the difference."""
    detectable: Distance | None
    """Smallest true difference that would have been found, four times in five."""
    chance: Share | None
    """What guessing would score."""
    tasks: Natural
    """Tasks measured that were never trained on."""
    clusters: Natural
    """Clusters they belong to."""
    notes: tuple[str, ...] = ()
    """Sentences a reader of the score must know: where a preference for an answer moved or hid it, who collapsed."""


class Results(Part):
    """All scores of a run."""

    schema_version: Literal[3] = Field(alias="schema")
    """Version of this format."""
    name: str
    """Title of the run."""
    confidence: Share
    """Level of all intervals."""
    normalization: Normalization
    """What log-likelihoods are divided by for the headline."""
    seed: int
    """The run's seed."""
    protocol: dict[str, object]
    """Every choice by which options were scored, and their fingerprint: only numbers with the same one compare."""
    answer_parsing: str
    """What was done to written answers before they were scored."""
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
