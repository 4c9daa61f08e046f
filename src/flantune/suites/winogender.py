"""WinoGender: sentences that differ only in the pronoun, which should not change to whom it refers.

A sentence is a *gotcha* if the share of women in the occupation points to the wrong answer: the person with the
occupation is meant and the pronoun is that of the occupation's minority gender, or the other person is meant and it is
that of the majority.

Paper: Rudinger et al. 2018, sections 3 and 4; used by T0 and Flan 2022.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.errors import MissingDataError, SourceError
from flantune.evaluation.exams import MissingExam
from flantune.evaluation.statistics.averages import pooled
from flantune.suites.coreference import Mention, coreference_exam, in_order, is_named
from flantune.suites.suite import Exams, Suite, SuiteData, wanted
from flantune.tasks.sources.formats import FileFormat, read_rows

if TYPE_CHECKING:
    from flantune.types import Row

HUB_ID = "oskarvanderwal/winogender"
SCORE = "winogender_direct"
SENTENCES = ("winogender/all_sentences.tsv", "winogender-schemas/data/all_sentences.tsv", "all_sentences.tsv")
STATISTICS = "occupations-stats.tsv"
GAPS = (("he", "she"), ("he or she", "they"), ("as expected", "gotcha"))
"""Groups to compare: by pronoun, and by whether the pronoun points to the right answer."""

_GENDERS: Mapping[str, str] = {"male": "he", "female": "she", "neutral": "they"}
_PRONOUN = re.compile(r"\b(he|she|they|him|her|them|his|their|hers|theirs)\b", flags=re.IGNORECASE)
_NEEDS = (
    "winogender/all_sentences.tsv of the authors' repository (columns sentid, sentence), and occupations-stats.tsv "
    "beside it for the gotchas"
)


def parts(data: SuiteData) -> Exams:
    """One part: all sentences, with each pronoun, from the authors' files or the hub.

    Raises:
        SourceError: Data exists but cannot be read.
    """
    path = data.find(*SENTENCES)
    try:
        mentions, notes = _of_files(path) if path else _of_hub(data)
    except MissingDataError as error:
        yield MissingExam(score=SCORE, name="", needs=f"{_NEEDS}; or {HUB_ID} of the hub: {wanted(error)}")
        return
    files = (path,) if path else ()
    yield coreference_exam(data, mentions, score=SCORE, name="all", gaps=GAPS, hub=HUB_ID, files=files, notes=notes)


def _of_files(path: Path) -> tuple[list[Mention], tuple[str, ...]]:
    beside = path.parent / STATISTICS
    shares = _shares_of_women(beside) if beside.is_file() else {}
    rows = [(row, _named(row, path)) for row in read_rows(path, FileFormat())]
    mentions = [
        _mention(row["sentence"], *named, where=str(path), is_gotcha=_is_gotcha(named, shares)) for row, named in rows
    ]
    notes = () if shares else (f"no gotchas, since there is no {STATISTICS} beside {path.name}",)
    return _by_schema(mentions), notes


def _named(row: Row, path: Path) -> tuple[str, str, int, str]:
    """Occupation, other person, who is meant, and gender, from a sentence's name."""
    where = str(path)
    names = str(row.get("sentid", "")).removesuffix(".txt").split(".") if isinstance(row, dict) else []
    if len(names) != 4 or names[2] not in {"0", "1"} or names[3] not in _GENDERS or not row.get("sentence"):
        hint = "a row is: technician.customer.1.male.txt, a tab, the sentence; the first row is: sentid, tab, sentence"
        raise SourceError("is not WinoGender's list of sentences", where=where, hint=hint)
    return names[0], names[1], int(names[2]), names[3]


def _shares_of_women(path: Path) -> dict[str, float]:
    try:
        return {row["occupation"]: float(row["bls_pct_female"]) for row in read_rows(path, FileFormat())}
    except (KeyError, TypeError, ValueError) as error:
        hint = "its columns are occupation, bergsma_pct_female, bls_pct_female, bls_year"
        raise SourceError(f"is not WinoGender's table of occupations: {error}", where=str(path), hint=hint) from None


def _is_gotcha(named: tuple[str, str, int, str], shares: Mapping[str, float]) -> bool | None:
    occupation, _, answer, gender = named
    if gender == "neutral" or occupation not in shares:
        return None
    is_majority = (shares[occupation] > 50.0) == (gender == "female")
    return is_majority == (answer == 1)


def _of_hub(data: SuiteData) -> tuple[list[Mention], tuple[str, ...]]:
    rows = data.rows(HUB_ID, "all", split="test")
    try:
        gotchas = {row["sentid"] for row in data.rows(HUB_ID, "gotcha", split="test")}
    except MissingDataError:
        gotchas = set()
    notes = () if gotchas else (f"no gotchas, since the configuration gotcha of {HUB_ID} is missing",)
    return _by_schema(_hub_mentions(rows, gotchas)), notes


def _hub_mentions(rows: Iterable[Row], gotchas: set[str]) -> list[Mention]:
    found = []
    for row in rows:
        try:
            answer = 0 if str(row["target"]) == str(row["occupation"]) else 1
            is_gotcha = None if not gotchas or row["gender"] == "neutral" else row["sentid"] in gotchas
            named = (str(row["occupation"]), str(row["participant"]), answer, str(row["gender"]))
            found.append(_mention(str(row["sentence"]), *named, where=HUB_ID, is_gotcha=is_gotcha))
        except KeyError as error:
            raise SourceError(f"a row has no column {error}", where=HUB_ID) from None
    return found


def _mention(
    sentence: str, occupation: str, other: str, answer: int, gender: str, *, where: str, is_gotcha: bool | None
) -> Mention:
    people, pronoun = in_order(sentence, occupation, other), _PRONOUN.search(sentence)
    if people is None or pronoun is None or gender not in _GENDERS:
        raise SourceError(f'no pronoun and two people in "{sentence}"', where=where)
    is_occupation_first = is_named(people[0], occupation)
    return Mention(
        sentence=sentence,
        pronoun=pronoun[0].lower(),
        people=people,
        answer=answer if is_occupation_first else 1 - answer,
        schema=f"{occupation} {other} {answer}",
        sides=frozenset(_sides(gender, is_gotcha)),
    )


def _sides(gender: str, is_gotcha: bool | None) -> Iterable[str]:
    yield _GENDERS[gender]
    if gender != "neutral":
        yield "he or she"
    if is_gotcha is not None:
        yield "gotcha" if is_gotcha else "as expected"


def _by_schema(mentions: Sequence[Mention]) -> list[Mention]:
    """Puts sentences of one schema next to each other, otherwise in the order of the file."""
    first = {one.schema: at for at, one in reversed(list(enumerate(mentions)))}
    return sorted(mentions, key=lambda one: first[one.schema])


SUITE = Suite(
    name="winogender",
    modes=("direct",),
    parts=parts,
    averages=pooled,
    families=("winogender",),
    protocol="t0",
    help="to whom a pronoun refers, with he, she and they: 720 sentences, zero-shot, gaps between pronouns",
)
