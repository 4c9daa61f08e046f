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
    """The score of every seed, in the order of ``StudyOutcome.seeds`` as far as they are there."""


class SeedDifference(Difference):
    """A paired difference over the study's seeds."""

    each: tuple[float, ...]
    """The difference of every seed, in the same order."""
    row_se: float
    """Root mean square of the seeds' own standard errors, which cover rows only."""
    shares_rows: bool
    """All seeds measured the same rows, so that more seeds do not make up for too few rows."""
    q: Fraction | None
    """False discovery rate of ``p`` among the study's arms; of a task among the arm's; null where it is alone."""


class TaskOutcome(Frozen):
    """One task, or one benchmark, as an arm did on it."""

    name: str
    """The task; the benchmark."""
    cluster: str
    """The cluster that it counts in; empty of a benchmark."""
    score: SeedScore
    """The arm's score."""
    base: SeedScore | None
    """That of the base model of the arm's runs; null where it was not measured."""
    difference: SeedDifference | None
    """The arm minus what it is paired with; null of the baseline itself, and where that lacks the task."""
    chance: Fraction
    """What guessing scores."""
    rows: Natural
    """Rows measured, mean over seeds."""
    templates: Natural
    """Templates that each row was asked with."""
    template_std: float | None
    """Standard deviation over templates, mean over seeds; null with one template."""


ChangeMeasure = Literal["raw", "discrimination", "calibrated_accuracy"]
"""The score, or a measure of skill that a preference for an answer does not move."""


class ClusterChange(Frozen):
    """The tuned model of an arm's runs beside the base model of the same runs, on clusters that it never saw."""

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
    """What the training of an arm took, mean over seeds."""

    steps: float
    """Optimizer steps, over all folds."""
    tokens: float
    """Real input and target tokens trained on."""
    seconds: float
    """Seconds of training on the machine that it ran on; what equal arms share counts for each."""


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
    """Which model of its runs it stands for."""
    templates: TemplatesRead
    """Whether tasks' scores are means over templates or those of the template best on dev rows."""
    labeled_rows: Natural | None
    """Labeled rows of the measured task that it learned from."""
    seeds: tuple[int, ...]
    """The seeds that were run to the end."""
    score: SeedScore | None
    """Its score by the study's measure; null while no run of it is finished."""
    base: SeedScore | None
    """That of the base model of its runs, on the same rows."""
    chance: Fraction
    """What guessing scores."""
    paired_with: str
    """The arm that it is paired with; empty: the base model of its own run, or it is a baseline."""
    difference: SeedDifference | None
    """The arm minus what it is paired with; null of a baseline, and where nothing was measured on both."""
    compared: Natural
    """Tasks that the difference is over: those that both have."""
    tasks: tuple[TaskOutcome, ...]
    """Every task that its score is over."""
    clusters: tuple[ClusterChange, ...] = ()
    """What tuning changed, by cluster and measure; none of base models and of benchmarks."""
    cost: Cost | None
    """What its training took; null where nothing was trained."""


class Trend(Frozen):
    """The straight line through the arms of one series, over their place on the axis."""

    series: str
    """The series; empty where there is one."""
    slope: SeedDifference
    """Change of the score a unit of the axis; a doubling where the axis is logarithmic."""
    arms: tuple[str, ...]
    """The arms that it goes through."""


class StudyVerdict(Frozen):
    """The one sentence that a study comes to."""

    text: str
    """The sentence."""
    direction: Direction
    """What it says of the comparison it is about."""
    notes: tuple[str, ...]
    """Sentences a reader of it must know."""


class Lacking(Frozen):
    """A run of the study that is not finished."""

    arm: str
    """Its arm."""
    seed: int
    """Its seed."""
    why: str
    """Why, as far as it is known: "not run yet", or what stopped it."""


class Written(Frozen):
    """What was written down before the first run, and whether that is what was run."""

    sha256: str
    """Of ``plan.json``."""
    when: str
    """When it was written down, in UTC."""
    changed: tuple[str, ...]
    """What was run and is not what was written down, one sentence each; empty: all is."""


class StudyOutcome(Frozen):
    """Everything that came out of a study."""

    schema_version: Literal[1] = SCHEMA
    """Version of this format."""
    name: str
    """The study."""
    question: str
    """What it asks."""
    axis: str
    """What differs between the arms."""
    baseline: str
    """The arm that others are paired with, or its label in every series; empty: each arm's own base model."""
    measure: str
    """Which average is compared, in words."""
    metric: str
    """The metric where all tasks have one; else empty."""
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
    """The mean of all arms' differences, where each is paired with its own base model; null elsewhere."""
    trends: tuple[Trend, ...]
    """The line of each series, where the axis is numeric and all its arms measured the same tasks."""
    verdict: StudyVerdict
    """What it comes to."""
    written: Written
    """What was written down before the first run."""
    lacking: tuple[Lacking, ...]
    """Runs that are not finished; the numbers are of the others."""

    def arm(self, name: str) -> ArmOutcome:
        """The arm of this name."""
        return next(one for one in self.arms if one.name == name)

    @property
    def is_complete(self) -> bool:
        """Whether every run is there."""
        return not self.lacking
