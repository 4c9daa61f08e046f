"""Numbers as ``results.json`` has them: with their intervals, their paired differences, and what skill is in them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Distance = Annotated[float, Field(ge=0.0)]
Natural = Annotated[int, Field(ge=0)]
Direction = Literal["better", "worse", "undecided"]


class Frozen(BaseModel):
    """Base of all sections: frozen, nothing unknown in it, every number finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class Estimate(Frozen):
    """A number, its standard error, and the interval it lies in at the file's level of confidence."""

    value: float
    """The number."""
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end of the interval."""
    se: Distance
    """Standard error, clustered by example, or by group of examples."""


class Difference(Estimate):
    """A paired difference: a later model minus the first, on the same examples."""

    p: Fraction
    """Two-sided p-value of no difference, by the standard error and the degrees of freedom of the interval."""
    detectable: Distance
    """Smallest true difference that would be detected with 80% power at the file's level of confidence."""

    @property
    def direction(self) -> Direction:
        """What it says: "better" or "worse" only when the whole interval lies on that side of zero."""
        if self.low > 0.0:
            return "better"
        return "worse" if self.high < 0.0 else "undecided"


class Bootstrap(Frozen):
    """A difference by redrawing examples."""

    low: float
    """Lower end of the percentile interval."""
    high: float
    """Upper end of the percentile interval."""
    p: Fraction
    """Two-sided p-value: twice the share of replicates on zero's rarer side."""


class CommonestAnswer(Frozen):
    """The answer a model gives most often: a preference for it is not a skill."""

    answer: str
    """The option's text; its place or letter where ``by_place``."""
    share: Fraction
    """How often it was given: mean over templates of the share of rows."""
    gold: Fraction
    """Share of rows whose right answer it is."""
    distance: Fraction
    """Share of answers that would have to be others for each to be given as often as it is right."""
    by_place: bool
    """Whether answers are told apart by their place in the list: the options change, or letters are written."""
    is_collapsed: bool
    """Given to over 90% of prompts, while no answer is right that often."""


class Skill(Frozen):
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


class SkillDifference(Frozen):
    """Paired differences of the same."""

    discrimination: Difference | None
    """Of discrimination; null where it is not defined."""
    discrimination_q: Fraction | None
    """False discovery rate of it, in the family of ``PairedDifference.q``."""
    calibrated_accuracy: Difference | None
    """Of accuracy after batch calibration."""
    calibrated_accuracy_q: Fraction | None
    """False discovery rate of it, among calibrated accuracy's differences."""


class CleanScores(Frozen):
    """Two models on the examples that neither saw while it was trained, by the headline metric."""

    examples: Natural
    """Clean examples."""
    flagged: Natural
    """Examples left out: they share words with training rows, or are near duplicates of one."""
    first: Estimate | None
    """The first model on the clean examples; null when none is left."""
    second: Estimate | None
    """The later model on them."""
    difference: Difference | None
    """The later minus the first on them."""
    first_against_all: Difference | None = None
    """The first model's score on the clean examples minus that on all, paired; null where none or all were left out."""
    second_against_all: Difference | None = None
    """The same of the later model."""
    difference_against_all: Difference | None = None
    """The same of their difference."""


class PairedDifference(Difference):
    """A later model minus the first, with all that is known of the difference."""

    bootstrap: Bootstrap | None
    """The same by 1,000 redraws of the examples; null when all of them agree."""
    mcnemar_p: Fraction | None
    """Exact McNemar p-value over examples; null for metrics that are not right-or-wrong, and for rows in groups."""
    q: Fraction | None
    """Benjamini and Hochberg's false discovery rate of ``p``. Of a run: among all unseen (or all seen) tasks at these
    shots. Of an evaluation: among all benchmarks and tasks that neither of the two models had seen; null for those one
    had, and for averages of benchmarks. Of a benchmark's part: among its parts."""
    examples: Natural
    """Examples both models answered."""
    rows_sha256: str
    """Names the examples: of two differences with the same one, the same were asked."""
    skill: SkillDifference | None
    """Differences of discrimination and calibrated accuracy, weighted likewise; null where answers are written."""
    clean: CleanScores | None
    """Without the examples that a model was trained on; null when nobody looked for such."""
