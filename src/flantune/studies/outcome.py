"""The outcome of a study: ``outcome.json``, the value that its page, its figures and its table are made from.

Scores lie in [0, 1]. A number over several seeds is their mean; its interval covers other seeds as well as other rows.
"""

from __future__ import annotations

from typing import Literal

from flantune.evaluation.estimates import Difference, Direction, Estimate, Fraction, Frozen, Natural
from flantune.studies.study import Figure, Reads, TemplatesRead, XScale

SCHEMA: Literal[1] = 1
"""Version of the format."""


class SeedScore(Estimate):
    """A score over the study's seeds."""

    each: tuple[float, ...]
    """The score of every finished seed, in the order of ``StudyOutcome.seeds``."""


class SeedDifference(Difference):
    """A paired difference over the study's seeds."""

    each: tuple[float, ...]
    """The difference of every seed, in the same order."""
    row_se: float
    """Root mean square of the seeds' own standard errors, which cover rows only."""
    shares_rows: bool
    """All seeds measured the same rows, so that more seeds do not compensate for too few rows."""
    q: Fraction | None
    """False discovery rate of ``p`` among the study's arms, or of a task's among the arm's tasks; null for a single
    one."""


class TaskOutcome(Frozen):
    """The result of an arm on one task or benchmark."""

    name: str
    """The task; the benchmark."""
    cluster: str
    """The cluster that it counts in; empty for a benchmark."""
    score: SeedScore
    """The arm's score."""
    base: SeedScore | None
    """The score of the base model of the arm's runs; null if not measured."""
    difference: SeedDifference | None
    """The arm minus what it is paired with; null for the baseline itself, or if that lacks the task."""
    chance: Fraction
    """The score of guessing."""
    rows: Natural
    """Rows measured, mean over seeds."""
    templates: Natural
    """Templates that each row was asked with."""
    template_std: float | None
    """Standard deviation over templates, mean over seeds; null with one template."""


ChangeMeasure = Literal["raw", "discrimination", "calibrated_accuracy"]
"""The score, or a measure of skill apart from a preference for an answer."""


class ClusterChange(Frozen):
    """The tuned model of an arm's runs compared with their base model, on held-out clusters."""

    measure: ChangeMeasure
    """What is compared."""
    cluster: str
    """The cluster; empty: the mean over clusters."""
    exams: tuple[str, ...]
    """The tasks that have the measure."""
    base: float
    """The base model, mean over seeds."""
    tuned: float
    """The tuned model, mean over seeds."""
    difference: SeedDifference
    """Tuned minus base; ``q`` among the clusters."""


class Cost(Frozen):
    """The cost of an arm's training, as a mean over seeds."""

    steps: float
    """Optimizer steps, over all folds."""
    tokens: float
    """Real input and target tokens trained on."""
    seconds: float
    """Seconds of training on its machine; training shared by arms counts for each."""


class ArmOutcome(Frozen):
    """One arm."""

    name: str
    """Its name."""
    label: str
    """What differs within its series."""
    series: str
    """The line or group it belongs to."""
    x: float | None
    """Its place on a numeric axis."""
    reads: Reads
    """The model of its runs that it represents."""
    templates: TemplatesRead
    """Whether tasks' scores are means over templates or those of the template best on dev rows."""
    labeled_rows: Natural | None
    """Labeled rows of the measured task that it learned from."""
    seeds: tuple[int, ...]
    """The finished seeds."""
    score: SeedScore | None
    """Its score by the study's measure; null if no run is finished."""
    base: SeedScore | None
    """The score of the base model of its runs, on the same rows."""
    chance: Fraction
    """The score of guessing."""
    paired_with: str
    """The arm that it is paired with; empty: the base model of its own run, or it is a baseline."""
    difference: SeedDifference | None
    """The arm minus what it is paired with; null for a baseline, or if nothing was measured with both."""
    compared: Natural
    """Number of tasks in the difference: those that both have."""
    tasks: tuple[TaskOutcome, ...]
    """Every task in its score."""
    clusters: tuple[ClusterChange, ...] = ()
    """Changes by tuning, by cluster and measure; none for base models and benchmarks."""
    cost: Cost | None
    """The cost of its training; null if nothing was trained."""


class Trend(Frozen):
    """The straight line through the arms of one series, over their place on the axis."""

    series: str
    """The series; empty if there is only one."""
    slope: SeedDifference
    """Change of the score per unit of the axis, or per doubling if the axis is logarithmic."""
    arms: tuple[str, ...]
    """The arms on the line."""


class StudyVerdict(Frozen):
    """The one-sentence conclusion of a study."""

    text: str
    """The sentence."""
    direction: Direction
    """The direction of the comparison."""
    notes: tuple[str, ...]
    """Sentences that a reader must know."""


class Lacking(Frozen):
    """A run of the study that is not finished."""

    arm: str
    """Its arm."""
    seed: int
    """Its seed."""
    why: str
    """Why, if known: "not run yet", or what stopped it."""


class Written(Frozen):
    """The plan recorded before the first run, and whether the runs followed it."""

    sha256: str
    """Of ``plan.json``."""
    when: str
    """When it was recorded, in UTC."""
    changed: tuple[str, ...]
    """Deviations from the plan, one sentence each; empty: none."""


class StudyOutcome(Frozen):
    """The whole outcome of a study."""

    schema_version: Literal[1] = SCHEMA
    """Version of this format."""
    name: str
    """The study."""
    question: str
    """Its question."""
    axis: str
    """What differs between the arms."""
    baseline: str
    """The arm that others are paired with, or its label in every series; empty: each arm's own base model."""
    measure: str
    """Which average is compared, in words."""
    metric: str
    """The metric if all tasks have the same; otherwise empty."""
    figure: Figure
    """How it is drawn."""
    x_scale: XScale
    """How a numeric axis is spaced."""
    equal: str
    """What is held equal between the arms, or why not."""
    notes: tuple[str, ...]
    """Sentences on what the tasks do not allow, and how the paper's own differs."""
    seeds: tuple[int, ...]
    """The seeds that were planned."""
    confidence: float
    """Level of the intervals."""
    arms: tuple[ArmOutcome, ...]
    """The arms, in the figure's order."""
    overall: SeedDifference | None
    """The mean of all arms' differences, if each is paired with its own base model; otherwise null."""
    trends: tuple[Trend, ...]
    """The line of each series, if the axis is numeric and all its arms measured the same tasks."""
    verdict: StudyVerdict
    """The conclusion."""
    written: Written
    """The plan recorded before the first run."""
    lacking: tuple[Lacking, ...]
    """Unfinished runs; the numbers are from the others."""

    def arm(self, name: str) -> ArmOutcome:
        """The arm with this name."""
        return next(one for one in self.arms if one.name == name)

    @property
    def is_complete(self) -> bool:
        """Whether every run is finished."""
        return not self.lacking
