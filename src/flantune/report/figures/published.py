"""Scores from the papers whose experiments the studies repeat. They are drawn as labeled gray marks, never compared."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One score from a paper, of another model on other tasks.

    Attributes:
        value: The score, in [0, 1].
        x: Its position on a numeric axis.
        series: In a crossed study: the series of the corresponding arm.
        label: In a crossed study: the label of the corresponding arm.
        source: The model, and where the paper reports the score.
    """

    value: float
    source: str
    x: float | None = None
    series: str = ""
    label: str = ""


_CLUSTERS = "FLAN 137B (2021, fig. 6)"
_INSTRUCTIONS = "FLAN 137B (2021, sec. 4.3)"
_TASKS = "Flan-PaLM 540B, normalized (2022)"

PUBLISHED: dict[str, tuple[Published, ...]] = {
    # Mean of three held-out clusters: inference, closed-book questions, commonsense.
    "clusters": tuple(
        Published(x=float(number), value=value / 100, source=_CLUSTERS)
        for number, value in enumerate((49.9, 55.0, 59.3, 59.2, 60.8, 61.9, 63.5), start=1)
    ),
    # Table 3: the normalized average of MMLU, BBH, TyDiQA and MGSM.
    "tasks": tuple(
        Published(x=x, value=value / 100, source=_TASKS)
        for x, value in ((9.0, 52.6), (89.0, 57.0), (282.0, 57.5), (1836.0, 58.5))
    ),
    # Mean of four held-out clusters. Section 4.3: trained with nothing, the dataset's name (twice) or instructions.
    "instructions": tuple(
        Published(
            value=value / 100, source=_INSTRUCTIONS, series=f"measured with {measured}", label=f"trained with {trained}"
        )
        for trained, measured, value in (
            ("no instruction", "instructions", 37.3),
            ("dataset name", "instructions", 46.6),
            ("dataset name", "dataset name", 47.0),
            ("instructions", "instructions", 55.2),
        )
    ),
}
"""Study → the scores in its paper."""


def published(study: str) -> tuple[Published, ...]:
    """The scores in the study's paper; none if there are none that fit the study's axis."""
    return PUBLISHED.get(study, ())
