"""The list of benchmarks, and the choice of those whose data exists."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from flantune.errors import EvaluationError, did_you_mean
from flantune.evaluation.exams import Exam, MissingExam
from flantune.settings.protocols import PRESETS, ProtocolName, ScoringProtocol
from flantune.suites import (
    axg,
    bbh,
    civil_comments,
    crows_pairs,
    gsm8k,
    mgsm,
    mmlu,
    natural_instructions,
    tydiqa,
    winobias,
    winogender,
)
from flantune.suites.checked import without_own_questions
from flantune.suites.flan2022 import SCORES as FLAN2022_SCORES
from flantune.suites.suite import MissingSuiteDataError, Suite, SuiteData

SUITES: tuple[Suite, ...] = (
    mmlu.SUITE,
    bbh.SUITE,
    tydiqa.SUITE,
    mgsm.SUITE,
    natural_instructions.SUITE,
    gsm8k.SUITE,
    winogender.SUITE,
    axg.SUITE,
    winobias.SUITE,
    crows_pairs.SUITE,
    civil_comments.SUITE,
)
"""All benchmarks; a new one needs a file and a line here."""
AVERAGES: Mapping[str, tuple[str, ...]] = {"flan2022": FLAN2022_SCORES}
"""Averages over several scores, each normalized from chance to perfect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What to measure, and which parts of it cannot be measured."""

    exams: tuple[Exam, ...]
    missing: tuple[MissingExam, ...]


def choose_exams(
    names: Sequence[str],
    data: SuiteData,
    *,
    skip_missing: bool = False,
    protocol: Callable[[ProtocolName], ScoringProtocol] = PRESETS.__getitem__,
) -> Chosen:
    """The exams of the requested benchmarks.

    Args:
        names: Some of ``names()``.
        data: Where they are read from.
        skip_missing: Continue without exams whose data is missing.
        protocol: Scoring protocol to use for a benchmark, by its default protocol's name.

    Raises:
        EvaluationError: There is no such benchmark.
        MissingSuiteDataError: Data is missing and must not be skipped; all missing data is listed.
    """
    scores = tuple(dict.fromkeys(score for name in names for score in _scores(name)))
    found = [
        one
        for suite in SUITES
        if set(suite.scores) & set(scores)
        for one in suite.exams(replace(data, protocol=protocol(suite.protocol)))
        if one.score in scores
    ]
    exams = tuple(without_own_questions(one) for one in found if isinstance(one, Exam))
    missing = tuple(one for one in found if isinstance(one, MissingExam))
    if missing and (not skip_missing or not exams):
        hint = "put it there, name the folder with --data, or continue without these parts with --missing skip"
        raise MissingSuiteDataError(f"data is missing:\n{missing_lines(missing)}", hint=hint)
    return Chosen(exams=exams, missing=missing)


def names() -> tuple[str, ...]:
    """All valid names: an average of several scores, a benchmark, or one of its modes."""
    return (*AVERAGES, *(suite.name for suite in SUITES), *(score for suite in SUITES for score in suite.scores))


def _scores(name: str) -> tuple[str, ...]:
    if name in AVERAGES:
        return AVERAGES[name]
    for suite in SUITES:
        if name == suite.name or name in suite.scores:
            return suite.scores if name == suite.name else (name,)
    known = "; ".join(f"{suite.name}: {suite.help}" for suite in SUITES)
    hint = did_you_mean(name, names()) or f"there are {', '.join(AVERAGES)}; {known}; or one way of asking: mmlu_direct"
    raise EvaluationError(f'no suite "{name}"', hint=hint)


def missing_lines(missing: Sequence[MissingExam], *, most: int = 3) -> str:
    """What data has to be put where, a few lines per benchmark."""
    lines = []
    for score in dict.fromkeys(one.score for one in missing):
        own = [one for one in missing if one.score == score]
        needs = list(dict.fromkeys(one.needs for one in own))
        count = "" if len(own) == 1 else f" ({len(own)} parts)"
        lines.append(f"  {score}{count}:")
        lines += [f"    {need}" for need in needs[:most]]
        lines += [f"    and {len(needs) - most} more of this kind"] if len(needs) > most else []
    return "\n".join(lines)
