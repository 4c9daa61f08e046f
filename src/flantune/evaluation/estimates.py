"""Numbers in the format of ``results.json``: with intervals, paired differences, and measures of skill."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Distance = Annotated[float, Field(ge=0.0)]
Natural = Annotated[int, Field(ge=0)]
Direction = Literal["better", "worse", "undecided"]


class Frozen(BaseModel):
    """Base of all sections: frozen, without unknown keys, all numbers finite."""

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
        """Its direction: "better" or "worse" only if the whole interval is on that side of zero."""
        if self.low > 0.0:
            return "better"
        return "worse" if self.high < 0.0 else "undecided"


class Bootstrap(Frozen):
    """A difference by the bootstrap over examples."""

    low: float
    """Lower end of the percentile interval."""
    high: float
    """Upper end of the percentile interval."""
    p: Fraction
    """Two-sided p-value: twice the share of replicates on the rarer side of zero."""


class CommonestAnswer(Frozen):
    """The answer a model gives most often: a preference for it is not a skill."""

    answer: str
    """The option's text; its place or letter if ``by_place``."""
    share: Fraction
    """How often it was given: mean over templates of the share of rows."""
    gold: Fraction
    """Share of rows whose right answer it is."""
    distance: Fraction
    """Share of answers that would have to change for each to be given as often as it is right."""
    by_place: bool
    """Whether answers are counted by place in the list, because options change or letters are the answers."""
    is_collapsed: bool
    """Given to over 90% of prompts, although no answer is right that often."""


class Skill(Frozen):
    """How well a model's option scores predict the right answer, whichever answer it prefers."""

    answers: CommonestAnswer
    """Its most common answer."""
    discrimination: Estimate | None
    """Area under the ROC curve, mean over templates; 0.5 is guessing. Null if not defined."""
    not_defined: str
    """Why it is not defined; empty if it is."""
    calibrated_accuracy: Estimate | None
    """Accuracy after batch calibration, mean over templates, which removes a strong preference only in part.

    Paper: Zhou et al. 2023.
    """


class SkillDifference(Frozen):
    """Paired differences of the same."""

    discrimination: Difference | None
    """Of discrimination; null if not defined."""
    discrimination_q: Fraction | None
    """Its false discovery rate, in the family of ``PairedDifference.q``."""
    calibrated_accuracy: Difference | None
    """Of accuracy after batch calibration."""
    calibrated_accuracy_q: Fraction | None
    """Its false discovery rate, among the differences in calibrated accuracy."""


class CleanScores(Frozen):
    """Two models on the examples that neither has seen in training, by the headline metric."""

    examples: Natural
    """Clean examples."""
    flagged: Natural
    """Examples left out because they share words with training rows, or are near duplicates of one."""
    first: Estimate | None
    """The first model on the clean examples; null if none is left."""
    second: Estimate | None
    """The later model on them."""
    difference: Difference | None
    """The later minus the first on them."""
    first_against_all: Difference | None = None
    """The first model's score on the clean examples minus that on all, paired; null if none or all were left out."""
    second_against_all: Difference | None = None
    """The same for the later model."""
    difference_against_all: Difference | None = None
    """The same for their difference."""


class PairedDifference(Difference):
    """A later model minus the first, with everything known about the difference."""

    bootstrap: Bootstrap | None
    """The same by 1,000 bootstrap replicates; null if all of them agree."""
    mcnemar_p: Fraction | None
    """Exact McNemar p-value over examples; null for metrics that are not right-or-wrong, and for rows in groups."""
    q: Fraction | None
    """Benjamini and Hochberg's false discovery rate of ``p``. In a run: among all unseen (or all seen) tasks at these
    shots. In an evaluation: among all benchmarks and tasks that neither of the two models had seen; null for those that
    one had, and for averages of benchmarks. For a benchmark's part: among its parts."""
    examples: Natural
    """Examples both models answered."""
    rows_sha256: str
    """Identifies the examples: two differences with the same value are over the same examples."""
    skill: SkillDifference | None
    """Differences in discrimination and calibrated accuracy, with the same weights; null if answers are generated."""
    clean: CleanScores | None
    """Without examples that a model was trained on; null if not checked."""
