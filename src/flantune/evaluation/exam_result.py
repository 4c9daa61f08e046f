"""What models scored on one task, or one part of a benchmark, as ``results.json`` has it."""

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
    """What one model scored with one template."""

    template: str
    """Name of the template."""
    value: float
    """Headline metric on the test rows."""
    low: float | None
    """Lower end of its interval; null for metrics that are not means over rows."""
    high: float | None
    """Upper end of the same."""
    dev: float | None
    """Headline metric on the dev rows; null without dev rows."""
    metrics: dict[str, float]
    """Every metric on the test rows."""
    discrimination: Fraction | None
    """Area under the ROC curve on the test rows; null where it is not defined."""
    calibrated_accuracy: Fraction | None
    """Accuracy after batch calibration over these rows; null where answers are written."""


class ModelScores(Frozen):
    """What one model scored on one task or part, over all forward templates."""

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
    """Headline metric with log-likelihoods as sums, per token, per character and per byte; empty where answers are
    written."""
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
    """How many answers each rule read; empty where answers are taken as they are."""
    vote_confidence: Fraction | None
    """The voted answers' mean share of the answers drawn; null without a vote."""
    exemplars_dropped: Natural
    """Exemplars left out because a prompt was too long."""
    inputs_shortened: Natural
    """Prompts shortened by more than their exemplars."""
    prompts_dropped: Natural
    """Prompts that could not be asked."""
    seen: tuple[str, ...]
    """Why this was not new to the model; empty when nothing speaks for it."""
    seen_examples: Natural
    """Examples that stand, nearly word for word, among the rows the model was trained on."""
    clean: Estimate | None
    """The headline without them; null when there are none, or nothing is left."""
    clean_against_all: Difference | None = None
    """That minus the headline on all examples, paired; null likewise."""
    skill: Skill | None
    """Skill apart from a preference for an answer; null where answers are written."""


class ExamResult(Frozen):
    """One task, or one part of a benchmark, asked with one number of exemplars."""

    name: str
    """Name of the task; of the subject, task or language that is the part."""
    fold: str
    """The fold whose model is compared; empty in an evaluation."""
    clusters: tuple[str, ...]
    """Clusters of a task; of a part the categories that it is averaged within."""
    kind: Kind
    """Classification (options are ranked) or generation (answers are written)."""
    metric: str
    """The headline metric."""
    protocol: str
    """Fingerprint of the scoring protocol."""
    shots: Natural
    """Exemplars before each query."""
    answers_each: Natural
    """Answers drawn to each prompt; the one most of them agree on is graded (self-consistency)."""
    temperature: Distance
    """Temperature of the draws; 0 is greedy."""
    chance: Fraction
    """What guessing scores by the headline metric; 0 where answers are written, and for correlations."""
    groups: Natural
    """Groups that the examples form; as many as examples when each stands alone."""
    signatures: dict[str, str]
    """Metric → how it was computed, in the words of the library that computes it (sacrebleu), or like them."""
    notes: tuple[str, ...]
    """What a reader of the scores should know: metrics that cannot read the references, data that is not as its
    authors have it."""
    scores: dict[str, ModelScores]
    """Model → its scores, in the order of ``Results.models``."""
    differences: dict[str, PairedDifference]
    """Later model → its difference from the first."""
    gaps: tuple[Gap, ...] = ()
    """Groups of its rows whose scores are compared, such as sentences with "he" and with "she"."""

    @property
    def is_seen(self) -> bool:
        """Whether some model was trained on it; then it enters no cluster, no overall score and no verdict."""
        return any(one.seen for one in self.scores.values())

    @property
    def examples(self) -> int:
        """Examples that the first model answered."""
        return next(iter(self.scores.values())).examples
