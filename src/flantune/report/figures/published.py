"""Numbers that papers report for what studies repeat: drawn as labeled gray marks, never compared with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One number of a paper: of another model, on other tasks.

    Attributes:
        label: The arm that it belongs to, by its label; empty where ``x`` says it.
        x: Its place on a numeric axis.
        value: The score, in [0, 1].
        source: Model, and where the paper has it.
    """

    value: float
    source: str
    label: str = ""
    x: float | None = None


_CLUSTERS = "FLAN 137B (2021, fig. 6)"
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
}
"""Study → what its paper reports."""


def published(study: str) -> tuple[Published, ...]:
    """What the study's paper reports; nothing where that cannot stand on its axis."""
    return PUBLISHED.get(study, ())
