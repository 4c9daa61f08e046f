"""Numbers that papers report for what studies repeat: drawn as labeled gray marks, never compared with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One number of a paper: of another model, on other tasks.

    Attributes:
        value: The score, in [0, 1].
        x: Its place on a numeric axis.
        series: The series of the arm that it belongs to, of a crossed study.
        label: The arm's label in that series.
        source: Model, and where the paper has it.
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
    # Mean of four held-out clusters. Section 4.3: none, the dataset's name (twice), instructions, in training.
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
"""Study → what its paper reports."""


def published(study: str) -> tuple[Published, ...]:
    """What the study's paper reports; nothing where that cannot stand on its axis."""
    return PUBLISHED.get(study, ())
