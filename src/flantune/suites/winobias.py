"""WinoBias: to whom a pronoun refers, when its gender fits the stereotype of the right occupation and when not.

Type 1 needs world knowledge, type 2 is decided by syntax. Every sentence occurs twice, pro- and anti-stereotypical: the
gap between the two accuracies is the effect of the occupation's stereotypical gender.

Paper: Zhao et al. 2018, section 2; T0, appendix on bias.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.errors import MissingDataError, SourceError
from flantune.evaluation.exams import Exam, MissingExam
from flantune.evaluation.statistics.averages import Weighed, Weighting, all_questions, every
from flantune.suites.coreference import Mention, coreference_exam, in_order, is_named
from flantune.suites.suite import Exams, Suite, SuiteData, wanted

if TYPE_CHECKING:
    from flantune.types import Row

HUB_ID = "uclanlp/wino_bias"
SCORE = "winobias_direct"
TYPES = ("type1", "type2")
SIDES = ("pro", "anti")
SPLITS = {"dev": "validation", "test": "test"}
"""Names of the authors' files, and of the hub's splits."""

MEN = (
    "driver supervisor janitor cook mover laborer construction_worker chief developer carpenter manager lawyer farmer "
    "salesperson physician guard analyst mechanic sheriff ceo"
)
WOMEN = (
    "attendant cashier teacher nurse assistant secretary auditor cleaner receptionist clerk counselor designer "
    "hairdresser writer housekeeper baker accountant editor librarian tailor"
)
OCCUPATIONS = tuple(name.replace("_", " ") for name in (*MEN.split(), *WOMEN.split()))
"""The forty occupations; in the first twenty most workers are men, in the others women (Zhao et al. 2018, table 1)."""

_PRONOUNS = frozenset({"he", "she", "him", "her", "his", "hers", "himself", "herself"})
_BRACKETS = re.compile(r"\[\s*([^\]]*?)\s*\]")
_NUMBER = re.compile(r"^\d+\s+")
_NEEDS = (
    "winobias/{side}_stereotyped_{kind}.txt.dev and .txt.test of the authors' repository: a number, then the sentence "
    "with the pronoun and whom it means in square brackets"
)


def parts(data: SuiteData) -> Exams:
    """One part per type, with the authors' development and test sentences, pro and anti side by side.

    Raises:
        SourceError: Data exists but cannot be read.
    """
    for kind in TYPES:
        try:
            yield _part(data, kind)
        except MissingDataError as error:
            needs = f"{_NEEDS.format(side='{pro,anti}', kind=kind)}; or {HUB_ID} of the hub: {wanted(error)}"
            yield MissingExam(score=SCORE, name=kind, needs=needs)


def _part(data: SuiteData, kind: str) -> Exam:
    columns = [_sentences(data, kind, side) for side in SIDES]
    pairs = chain.from_iterable(zip_longest(*columns))
    read = [(marked, _mention(*marked)) for marked in pairs if marked is not None]
    mentions = [mention for _, mention in read if mention is not None]
    lost = [marked for marked, mention in read if mention is None]
    if not mentions:
        hint = "a line is: 1 [The developer] argued with the designer because [he] did not like the design."
        raise SourceError("no sentence has a pronoun and two occupations", where=f"{SCORE}/{kind}", hint=hint)
    notes = [f'{len(lost)} sentences do not name two people, and are not asked: "{lost[0][0]}"'] if lost else []
    files = [path for side in SIDES for path in _files(data, kind, side).values()]
    return coreference_exam(data, mentions, score=SCORE, name=kind, gaps=(SIDES,), hub=HUB_ID, files=files, notes=notes)


def _files(data: SuiteData, kind: str, side: str) -> dict[str, Path]:
    """The existing files of the authors, by split."""
    names = {split: f"{side}_stereotyped_{kind}.txt.{split}" for split in SPLITS}
    found = {split: data.find(f"winobias/{name}", f"WinoBias/wino/data/{name}", name) for split, name in names.items()}
    return {split: path for split, path in found.items() if path is not None}


def _sentences(data: SuiteData, kind: str, side: str) -> list[tuple[str, str, str]]:
    """Sentences with brackets, each with its schema and side; from the hub if there are no files."""
    files = _files(data, kind, side)
    by_split = (
        {split: [_NUMBER.sub("", line) for line in _lines(path)] for split, path in files.items()}
        if files
        else {
            split: [_marked(row) for row in data.rows(HUB_ID, f"{kind}_{side}", split=name)]
            for split, name in SPLITS.items()
        }
    )
    return [(line, f"{split} {number}", side) for split, lines in by_split.items() for number, line in enumerate(lines)]


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeError) as error:
        raise SourceError(f"cannot be read: {error}", where=str(path)) from None


def _marked(row: Row) -> str:
    """The hub's words and positions of mentions as a sentence with brackets."""
    try:
        words, places = [str(word) for word in row["tokens"]], [int(at) for at in row["coreference_clusters"]]
        for first, last in zip(places[::2], places[1::2], strict=True):
            words[first] = f"[{words[first]}"
            words[last] = f"{words[last]}]"
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise SourceError(f"a row is not as expected: {error}", where=HUB_ID) from None
    return re.sub(r" (?=[.,!?])", "", " ".join(words))


def _mention(marked: str, schema: str, side: str) -> Mention | None:
    """The sentence without brackets; None if they do not mark a pronoun and one of two occupations."""
    sentence = re.sub(r"\s+", " ", _BRACKETS.sub(r"\1", marked)).strip()
    said = [text.lower() for text in _BRACKETS.findall(marked)]
    pronoun = next((text for text in said if text in _PRONOUNS), None)
    meant = next((name for text in said if (name := _occupation(text))), None)
    named = [name for name in OCCUPATIONS if re.search(rf"\b{name}\b", sentence, flags=re.IGNORECASE)]
    others = [name for name in named if name != meant]
    if pronoun is None or meant is None or len(others) != 1:
        return None
    people = in_order(sentence, meant, others[0])
    if people is None:
        return None
    return Mention(
        sentence=sentence,
        pronoun=pronoun,
        people=people,
        answer=0 if is_named(people[0], meant) else 1,
        schema=schema,
        sides=frozenset({side}),
    )


def _occupation(text: str) -> str | None:
    return next((name for name in OCCUPATIONS if re.fullmatch(rf"(?:(?:the|an?) )*{name}", text)), None)


def averages(exams: Sequence[Weighed]) -> tuple[Weighting, ...]:
    """Averages with both types weighted equally, then over all sentences."""
    return (every(exams, "types"), all_questions(exams)) if len(exams) > 1 else (all_questions(exams),)


SUITE = Suite(
    name="winobias",
    modes=("direct",),
    parts=parts,
    averages=averages,
    families=("winobias",),
    protocol="t0",
    help="to whom a pronoun refers, pro- and anti-stereotypical: types 1 and 2, zero-shot, the gap between the two",
)
