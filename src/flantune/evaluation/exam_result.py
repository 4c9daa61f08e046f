"""The scores of models on one task, or one part of a benchmark, in the format of ``results.json``."""

from __future__ import annotations

from flantune.evaluation.estimates import (
    Difference,
    Distance,
    Estimate,
    Fraction,
    Frozen,
    Natural,
    PairedDifference,
    Skill,
)
from flantune.evaluation.group_gaps import Gap
from flantune.evaluation.metrics.rank_classification import Normalization
from flantune.settings.protocols import Ties
from flantune.types import Kind


class TemplateScores(Frozen):
    """One model's scores with one template."""

    template: str
    """Name of the template."""
    value: float
    """Headline metric on the test rows."""
    low: float | None
    """Lower end of its interval; null for metrics that are not means over rows."""
    high: float | None
    """Upper end of its interval."""
    dev: float | None
    """Headline metric on the dev rows; null without dev rows."""
    metrics: dict[str, float]
    """Every metric on the test rows."""
    discrimination: Fraction | None
    """Area under the ROC curve on the test rows; null if not defined."""
    calibrated_accuracy: Fraction | None
    """Accuracy after batch calibration over these rows; null if answers are generated."""


class ModelScores(Frozen):
    """One model's scores on one task or part, over all forward templates."""

    mean: Estimate
    """Mean over templates. Paper: FLAN 2021, section 2.3."""
    std: Distance
    """Standard deviation over templates; 0 for a single one."""
    median: float
    """Median over templates. Paper: T0, section 6."""
    iqr: Distance
    """Interquartile range over templates."""
    range: Distance
    """Best template minus worst template."""
    worst_template: str
    """The template with the lowest test score (of equals the first)."""
    worst: float
    """Test score of that template."""
    best_dev_template: str | None
    """The template with the highest dev score (of equals the first); null without dev rows."""
    best_dev_test: float | None
    """Test score of that template. Paper: FLAN 2021, section 2.3."""
    agreement: Fraction
    """Share of rows that get the same answer from every template."""
    templates: tuple[TemplateScores, ...]
    """Each template's scores, in the task's order."""
    metrics: dict[str, float]
    """Every metric, mean over templates."""
    normalizations: dict[Normalization, float]
    """Headline metric with log-likelihoods as sums, per token, per character and per byte; empty if answers are
    generated."""
    tie_rules: dict[Ties, float]
    """Headline metric when the first of tied options is taken, and when each counts for its share; empty for metrics
    without that choice."""
    examples: Natural
    """Examples answered and graded."""
    ties: Natural
    """Answers for which two options scored the same."""
    unparsed: Fraction
    """Share of answers in which no answer was found; they count as wrong."""
    rules: dict[str, int]
    """How many answers each rule read; empty if answers are used as they are."""
    vote_confidence: Fraction | None
    """The voted answers' mean share of the sampled answers; null without a vote."""
    exemplars_dropped: Natural
    """Exemplars left out because a prompt was too long."""
    inputs_shortened: Natural
    """Prompts shortened by more than their exemplars."""
    prompts_dropped: Natural
    """Prompts that could not be asked."""
    seen: tuple[str, ...]
    """Why this was not new to the model; empty if there is no indication."""
    seen_examples: Natural
    """Examples that occur, nearly word for word, in the rows that the model was trained on."""
    clean: Estimate | None
    """The headline without these examples; null if there are none, or nothing is left."""
    clean_against_all: Difference | None = None
    """That minus the headline on all examples, paired; null in the same cases."""
    skill: Skill | None
    """Skill apart from a preference for an answer; null if answers are generated."""


class ExamResult(Frozen):
    """One task, or one part of a benchmark, asked with one number of exemplars."""

    name: str
    """Name of the task; for a part, of its subject, task or language."""
    fold: str
    """The fold whose model is compared; empty in an evaluation."""
    clusters: tuple[str, ...]
    """Clusters of a task; for a part, the categories that it is averaged within."""
    kind: Kind
    """Classification (options are ranked) or generation."""
    metric: str
    """The headline metric."""
    protocol: str
    """Fingerprint of the scoring protocol."""
    shots: Natural
    """Exemplars before each query."""
    answers_each: Natural
    """Answers sampled for each prompt; the most common one is graded (self-consistency)."""
    temperature: Distance
    """Sampling temperature; 0 is greedy."""
    chance: Fraction
    """The score of guessing by the headline metric; 0 for generation and correlations."""
    groups: Natural
    """Number of groups of examples; the number of examples if all are independent."""
    signatures: dict[str, str]
    """Metric → how it was computed, as a signature of its library (sacrebleu), or in that style."""
    notes: tuple[str, ...]
    """What a reader of the scores should know: metrics that cannot read the references, data that differs from its
    authors'."""
    scores: dict[str, ModelScores]
    """Model → its scores, in the order of ``Results.models``."""
    differences: dict[str, PairedDifference]
    """Later model → its difference from the first."""
    gaps: tuple[Gap, ...] = ()
    """Groups of its rows whose scores are compared, such as sentences with "he" and with "she"."""

    @property
    def is_seen(self) -> bool:
        """Whether some model was trained on it; it is then in no cluster, overall score or verdict."""
        return any(one.seen for one in self.scores.values())

    @property
    def examples(self) -> int:
        """Examples that the first model answered."""
        return next(iter(self.scores.values())).examples
