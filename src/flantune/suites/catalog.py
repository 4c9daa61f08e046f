"""The benchmarks by name, and those whose data is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from flantune.errors import EvaluationError, did_you_mean
from flantune.suites import bbh, gsm8k, mgsm, mmlu, natural_instructions, tydiqa
from flantune.suites.flan2022 import SCORES as FLAN2022_SCORES
from flantune.suites.own_question import without_own_questions
from flantune.suites.suite import MissingPart, MissingSuiteDataError, Part, SuiteData, SuiteName

PARTS: Mapping[SuiteName, Callable[[SuiteData], Iterator[Part | MissingPart]]] = {
    "mmlu": mmlu.parts,
    "bbh": bbh.parts,
    "tydiqa": tydiqa.parts,
    "mgsm": mgsm.parts,
    "natural_instructions": natural_instructions.parts,
    "gsm8k": gsm8k.parts,
}
SCORES = (
    "mmlu_direct",
    "mmlu_cot",
    "bbh_direct",
    "bbh_cot",
    "tydiqa_direct",
    "mgsm_cot",
    "natural_instructions_direct",
    "gsm8k_cot",
)
"""Every benchmark with every way of asking it."""
NAMES = ("flan2022", *PARTS, *SCORES)
"""What can be asked for: the six scores of Flan 2022, a benchmark, or one way of asking it."""

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "mmlu": ("mmlu",),
    "bbh": ("bbh", "big_bench_hard"),
    "tydiqa": ("tydiqa",),
    # MGSM is a translation of GSM8K's test rows.
    "mgsm": ("mgsm", "gsm8k"),
    "gsm8k": ("gsm8k",),
    "natural_instructions": (),
}
"""Source families of the benchmarks, for the check of what a model was trained on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What is to be measured, and what of it cannot be."""

    parts: tuple[Part, ...]
    missing: tuple[MissingPart, ...]


def choose_parts(names: Sequence[str], data: SuiteData, *, skip_missing: bool = False) -> Chosen:
    """The parts of the benchmarks asked for.

    Args:
        names: Of ``NAMES``.
        data: Where they are read from.
        skip_missing: Go on without parts whose data is not there.

    Raises:
        EvaluationError: There is no such benchmark.
        MissingSuiteDataError: Data is missing and not to be skipped; all of it is listed.
    """
    scores = tuple(dict.fromkeys(score for name in names for score in _scores(name)))
    suites: list[SuiteName] = [suite for suite in PARTS if any(score.startswith(suite + "_") for score in scores)]
    found = [one for suite in suites for one in PARTS[suite](data)]
    parts = tuple(without_own_questions(one) for one in found if isinstance(one, Part) and one.score in scores)
    missing = tuple(one for one in found if isinstance(one, MissingPart) and one.score in scores)
    if missing and (not skip_missing or not parts):
        hint = "put it there, name the folder with --data, or go on without these parts with --missing skip"
        raise MissingSuiteDataError(f"data is missing:\n{missing_lines(missing)}", hint=hint)
    return Chosen(parts=parts, missing=missing)


def _scores(name: str) -> tuple[str, ...]:
    if name == "flan2022":
        return FLAN2022_SCORES
    found = tuple(score for score in SCORES if score == name or score.rpartition("_")[0] == name)
    if not found:
        hint = did_you_mean(name, NAMES) or f"there are {', '.join(NAMES)}"
        raise EvaluationError(f'no suite "{name}"', hint=hint)
    return found


def missing_lines(missing: Sequence[MissingPart], *, most: int = 3) -> str:
    """What has to be put where, a few lines a benchmark."""
    lines = []
    for score in dict.fromkeys(one.score for one in missing):
        own = [one for one in missing if one.score == score]
        needs = list(dict.fromkeys(one.needs for one in own))
        count = "" if len(own) == 1 else f" ({len(own)} parts)"
        lines.append(f"  {score}{count}:")
        lines += [f"    {need}" for need in needs[:most]]
        lines += [f"    and {len(needs) - most} more of this kind"] if len(needs) > most else []
    return "\n".join(lines)
