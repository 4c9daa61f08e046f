"""TyDiQA-GoldP: reading comprehension in nine languages, one shot, exact match.

Paper: Clark et al. 2020; Flan 2022, section 2.3, which averages the eight languages that are not English.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flantune.contamination.training_record import Measured
from flantune.errors import MissingDataError
from flantune.evaluation.exams import Exam, MissingExam, Writing, content_name
from flantune.evaluation.metrics.extraction import TYDIQA_DIRECT
from flantune.evaluation.metrics.graders import text_grader
from flantune.evaluation.statistics.averages import NOT_ENGLISH, not_english
from flantune.suites.suite import Exams, Suite, SuiteData, wanted, written_prompt
from flantune.system.keyed_random import mix64, stream_key
from flantune.types import Exemplar, Prompt

if TYPE_CHECKING:
    from flantune.types import Row

HUB_ID = "google-research-datasets/tydiqa"
SHOTS = 1
LANGUAGES = ("arabic", "bengali", "english", "finnish", "indonesian", "korean", "russian", "swahili", "telugu")


def parts(data: SuiteData) -> Exams:
    """One part per language, with an exemplar drawn by seed from the training split.

    Without a training split, the exemplar is a validation row, which is then not asked, nor are the other questions
    about its passage.

    Raises:
        flantune.errors.SourceError: Data exists but cannot be read.
    """
    for language in LANGUAGES:
        try:
            rows = _rows(data, language, split="validation")
        except MissingDataError as error:
            needs = f"{HUB_ID}, secondary_task-{language} (or secondary_task), split validation: {wanted(error)}"
            yield MissingExam(score="tydiqa_direct", name=language, needs=needs)
            continue
        yield _part(data, language, rows)


def _rows(data: SuiteData, language: str, *, split: str) -> list[Row]:
    """The rows of a language: its own configuration, or its rows in the one with all languages."""
    try:
        return data.rows(HUB_ID, f"secondary_task-{language}", split=split)
    except MissingDataError as missing:
        try:
            rows = data.rows(HUB_ID, "secondary_task", split=split)
        except MissingDataError:
            raise missing from None
        return [row for row in rows if str(row["id"]).startswith(f"{language}-")]


def _part(data: SuiteData, language: str, rows: list[Row]) -> Exam:
    try:
        pool, note = _rows(data, language, split="train"), ""
    except MissingDataError:
        pool, note = rows, "no training split: the exemplar is a validation row, left out of the questions"
    shots = SHOTS if data.shots is None else data.shots
    key = stream_key(data.seed, "tydiqa", language)
    shown = sorted(range(len(pool)), key=lambda at: mix64(key, at))[:shots]
    exemplars = tuple(
        Exemplar(row=at, inputs=question_text(pool[at]), targets=" " + answers_of(pool[at])[0]) for at in shown
    )
    passages = {pool[at]["context"] for at in shown} if note else set()
    return Exam(
        score="tydiqa_direct",
        name=language,
        groups=() if language == "english" else (NOT_ENGLISH,),
        questions=data.asked(
            (_prompt(row, at, language, exemplars) for at, row in enumerate(rows) if row["context"] not in passages),
            shots=len(exemplars),
        ),
        answering="text",
        grader=text_grader(TYDIQA_DIRECT, "squad"),
        protocol=data.protocol,
        chance=0.0,
        writing=Writing(stop=("\n\n", "\nTitle:", "\nPassage:", "\nQuestion:"), max_new_tokens=50),
        made=Measured(hub=HUB_ID),
        notes=(note,) if note and exemplars else (),
    )


def question_text(row: Row) -> str:
    """The prompt: a passage, its title and a question, up to the answer."""
    title = str(row.get("title") or "").strip()
    head = [f"Title: {title}"] if title else []
    return "\n".join([*head, f"Passage: {row['context']}".strip(), f"Question: {row['question']}".strip(), "Answer:"])


def answers_of(row: Row) -> tuple[str, ...]:
    """The acceptable answers of a row in SQuAD's format."""
    return tuple(dict.fromkeys(str(text) for text in row["answers"]["text"]))


def _prompt(row: Row, at: int, language: str, exemplars: tuple[Exemplar, ...]) -> Prompt:
    return written_prompt(
        f"tydiqa_direct/{language}",
        at,
        template="direct",
        inputs=question_text(row),
        references=answers_of(row),
        exemplars=exemplars,
        # Questions about one passage are not independent.
        group=content_name(row["context"]),
    )


SUITE = Suite(
    name="tydiqa",
    modes=("direct",),
    parts=parts,
    averages=not_english,
    families=("tydiqa",),
    help="reading comprehension in nine languages, one shot",
)
