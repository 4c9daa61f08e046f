"""The shape of an evaluation's ``results.json``: the one definition its schema is made from.

Every score lies in [0, 1], but for correlations, which lie in [-1, 1], and normalized scores, which may be negative.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from flantune.evaluation.run_results import Bootstrap, Difference, Estimate, ModelScores, Skill, SkillDifference

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Natural = Annotated[int, Field(ge=0)]


class Section(BaseModel):
    """Base of all sections: frozen, nothing unknown in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class MeasuredModel(Section):
    """A model that was asked."""

    name: str
    """What it is called in this file; no other is."""
    path: str
    """Its folder or hub id."""
    fingerprint: str
    """Names its weights, arithmetic and tokenizer by content."""
    trained_by_flantune: bool
    """Whether it carries a record of what it was trained on, so that seen data can be told."""


class Average(Section):
    """A benchmark's parts, averaged in one way."""

    name: str
    """Which parts, and how they are weighted."""
    raw: Estimate
    """The mean."""
    normalized: Estimate
    """Mean of the parts' shares of the way from chance to perfect; below chance is negative."""
    chance: Share
    """What guessing scores."""
    questions: Natural
    """Questions of the parts that count."""


class PartResult(Section):
    """One subject, task or language."""

    name: str
    """Its name."""
    groups: tuple[str, ...]
    """Categories it belongs to."""
    value: float
    """The headline metric: between -1 and 1, but for what a task file's own functions score on a scale of theirs."""
    low: float
    """Lower end of its interval over questions."""
    high: float
    """Upper end of the same."""
    metrics: dict[str, float]
    """All metrics."""
    chance: Share
    """What guessing scores."""
    questions: Natural
    """Questions answered and graded."""
    unparsed: Share
    """Share of answers in which no answer was found; they count as wrong."""
    ties: Natural
    """Answers for which two options scored the same."""
    rules: dict[str, int]
    """Which rule read how many answers."""
    exemplars_dropped: Natural
    """Exemplars left out because a prompt was too long."""
    inputs_shortened: Natural
    """Prompts of which more than exemplars had to go."""
    prompts_dropped: Natural
    """Prompts that could not be asked."""
    seen_rows: Natural
    """Questions that stand, nearly word for word, among the rows the model was trained on."""
    notes: tuple[str, ...]
    """What a reader should know."""
    vote_confidence: Share | None = None
    """The voted answers' mean share of the answers drawn; null without a vote."""
    skill: Skill | None = None
    """Skill apart from a preference for an answer; null where answers are written."""


class SkillAverage(Section):
    """Skill apart from a preference for an answer: of the parts that have it, weighted as the headline."""

    discrimination: Estimate | None
    """Area under the ROC curve; 0.5 knows nothing. Null where no part has it."""
    calibrated_accuracy: Estimate | None
    """Accuracy after batch calibration. Paper: Zhou et al. 2023."""
    parts: Natural
    """Parts that options were ranked in."""
    collapsed: tuple[str, ...]
    """Parts on which the model gave one answer to over 90% of the questions."""


class ScoreResult(Section):
    """One benchmark, asked in one way, answered by one model."""

    score: str
    """Benchmark and way of asking, such as mmlu_direct."""
    model: str
    """The model."""
    metric: str
    """The headline metric."""
    protocol: str
    """Fingerprint of the scoring protocol."""
    shots: Natural
    """Exemplars before each question."""
    questions: Natural
    """Questions answered."""
    unparsed: Share
    """Share of answers in which no answer was found."""
    averages: tuple[Average, ...]
    """Every way it is averaged; the first is how the papers report it."""
    other_metrics: dict[str, Estimate]
    """The other metrics, averaged like the headline."""
    is_complete: bool
    """Whether all parts were measured, on all their questions."""
    seen: tuple[str, ...]
    """Why this data was not new to the model; empty when nothing speaks for it."""
    clean: Estimate | None
    """The headline without the questions that were seen; null when none was."""
    parts: tuple[PartResult, ...]
    """The parts."""
    answers: Natural = 1
    """Answers drawn to each question; the one most of them agree on is graded (self-consistency)."""
    temperature: Annotated[float, Field(ge=0.0)] = 0.0
    """Temperature of the draws; 0 is greedy."""
    vote_confidence: Share | None = None
    """The voted answers' mean share of the answers drawn; null without a vote."""
    skill: SkillAverage | None = None
    """Skill apart from a preference for an answer; null where answers are written."""


class PartDifference(Section):
    """Two models on one subject, task or language."""

    name: str
    """The part."""
    difference: Difference
    """Second minus first."""
    mcnemar_p: Share | None
    """Exact McNemar p-value over questions; null for metrics that are not right-or-wrong."""
    q: Share
    """False discovery rate (Benjamini and Hochberg) of the difference among the benchmark's parts."""
    questions: Natural
    """Questions both answered."""
    skill: SkillDifference | None = None
    """Differences of discrimination and calibrated accuracy; null where answers are written."""


class Comparison(Section):
    """Two models on the same questions of one benchmark or task."""

    score: str
    """The benchmark or task; "flan2022" for the normalized average."""
    first: str
    """The model compared with."""
    second: str
    """The model compared."""
    shots: Natural
    """Exemplars before each question."""
    difference: Difference
    """Second minus first, in the headline's weighting."""
    bootstrap: Bootstrap | None
    """The same by 1,000 redraws of the questions; null when all redraws agree."""
    mcnemar_p: Share | None
    """Exact McNemar p-value over questions; null for metrics that are not right-or-wrong."""
    q: Share | None
    """False discovery rate (Benjamini and Hochberg) of the difference among all benchmarks and tasks that these two
    models were compared on and had not seen; null for those they had, and for averages of benchmarks."""
    questions: Natural
    """Questions both answered."""
    questions_sha256: str
    """Names the questions: of two comparisons with the same one, the same were asked."""
    parts: tuple[PartDifference, ...] = ()
    """The parts of a benchmark that has several."""
    skill: SkillDifference | None = None
    """Differences of discrimination and calibrated accuracy, weighted likewise; null where answers are written."""


class Flan2022(Section):
    """The normalized average of the six scores of Flan 2022."""

    model: str
    """The model."""
    average: Estimate | None
    """The average; null when one of the six was not measured at all."""
    reason: str
    """Why there is none, or why it compares with no one's; empty when it does."""


class TaskScore(Section):
    """One task in flantune's own form, asked in all its templates."""

    task: str
    """Its name."""
    model: str
    """The model."""
    clusters: tuple[str, ...]
    """Its clusters."""
    metric: str
    """The headline metric."""
    protocol: str
    """Fingerprint of the scoring protocol."""
    shots: Natural
    """Exemplars before each question."""
    questions: Natural
    """Test rows."""
    chance: Share
    """What guessing scores."""
    seen: tuple[str, ...]
    """Why this task was not new to the model; empty when nothing speaks for it."""
    scores: ModelScores
    """Mean, median and spread over templates, each template's scores, all metrics."""
    notes: tuple[str, ...] = ()
    """What a reader should know: metrics that cannot read the references, wholly or in part."""


class Missing(Section):
    """A part that was not measured, since its data is not there."""

    score: str
    """Benchmark and way of asking."""
    name: str
    """The part; empty: all of them."""
    needs: str
    """What would have to be put where."""


class TrustedCode(Section):
    """Python of a task file that was run, since ``--trust-task-code`` said so."""

    score: str
    """The part whose prompts or scores it had a hand in."""
    files: dict[str, str]
    """Each file and the SHA-256 of what it held."""


class EvaluationResults(Section):
    """Everything one ``flantune evaluate`` found."""

    schema_version: Literal[2] = Field(alias="schema")
    """Version of this format."""
    kind: Literal["evaluation"]
    """Tells this file from a run's results."""
    protocols: dict[str, dict[str, Any]]
    """Fingerprint → every choice of that scoring protocol; two numbers compare only within one."""
    seed: Natural
    """What exemplars, rows and sampled answers were drawn by."""
    confidence: Share
    """Level of all intervals."""
    limit: Natural
    """Only so many questions of each part were asked; 0: all."""
    is_reportable: bool
    """False when a limit was set, a part is missing or data was seen: such numbers compare with no one's."""
    models: tuple[MeasuredModel, ...]
    """The models, in the order given."""
    scores: tuple[ScoreResult, ...]
    """Benchmarks, by score and model."""
    flan2022: tuple[Flan2022, ...]
    """The normalized average of each model, when the suite was asked for."""
    tasks: tuple[TaskScore, ...]
    """Tasks in flantune's own form, by task and model."""
    comparisons: tuple[Comparison, ...]
    """Every later model against the first."""
    missing: tuple[Missing, ...]
    """Parts without data."""
    seconds: float
    """Time spent asking, over all starts."""
    trusted_code: tuple[TrustedCode, ...] = ()
    """Python of task files that was run."""


def to_json(results: EvaluationResults) -> dict[str, Any]:
    """The results as plain JSON values."""
    return results.model_dump(mode="json", by_alias=True)
