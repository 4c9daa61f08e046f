"""MGSM: grade-school mathematics in eleven languages, eight shots with rationales in the language itself.

Paper: Shi et al. 2022; Flan 2022, section 2.3, which averages the ten languages that are not English.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from flantune.errors import SourceError
from flantune.evaluation.exams import Exam, MissingExam, Writing
from flantune.evaluation.metrics.extraction import Rules, number_rules, plain_number, shared_phrase
from flantune.evaluation.metrics.graders import text_grader
from flantune.evaluation.statistics.averages import NOT_ENGLISH, not_english
from flantune.suites.prompt_files import read_literal
from flantune.suites.suite import Exams, Suite, SuiteData, written_prompt
from flantune.tasks.sources.formats import FileFormat, read_rows
from flantune.types import Exemplar, Prompt, Row

SHOTS = 8
LANGUAGES = ("bn", "de", "en", "es", "fr", "ja", "ru", "sw", "te", "th", "zh")
EXEMPLAR_FILES = ("mgsm/exemplars.py", "mgsm/exemplars.json", "mgsm_exemplars.json", "exemplars.py")
_DECIMAL_COMMA = frozenset({"de", "es", "fr", "ru"})
_LABEL = re.compile(r"^[^:：]{1,60}[:：]\s*")
_NEEDS = (
    "mgsm/exemplars.py, the benchmark's own file (it is read as data, never run), or mgsm/exemplars.json: an object of "
    'language code to {"1": {"q": "<label>: <question>", "a": "<label>: <rationale> <conclusion> <number>."}, …}; '
    "the labels are taken over for the questions asked"
)


def parts(data: SuiteData) -> Exams:
    """One part a language whose questions and exemplars are both there.

    Raises:
        SourceError: A file is there but cannot be read.
    """
    path = data.find(*EXEMPLAR_FILES)
    exemplars = _exemplars(path) if path else {}
    for language in LANGUAGES:
        rows = data.find(f"mgsm/mgsm_{language}.tsv", f"mgsm_{language}.tsv")
        if rows is None:
            needs = f"mgsm/mgsm_{language}.tsv: question, tab, number; no header"
            yield MissingExam(score="mgsm_cot", name=language, needs=needs)
        elif not exemplars.get(language):
            yield MissingExam(score="mgsm_cot", name=language, needs=_NEEDS)
        else:
            yield _part(data, language, rows, exemplars[language])


def _exemplars(path: Path) -> dict[str, tuple[Exemplar, ...]]:
    table = read_literal(path, "MGSM_EXEMPLARS")
    try:
        if not isinstance(table, Mapping):
            raise TypeError("not an object of languages")
        return {str(language): _language_exemplars(entries) for language, entries in table.items()}
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise SourceError(f"holds no exemplars: {error!r}", where=str(path), hint=_NEEDS) from None


def _language_exemplars(entries: Mapping[str, Mapping[str, str]]) -> tuple[Exemplar, ...]:
    ordered = sorted(entries.items(), key=lambda item: int(item[0]))
    return tuple(
        Exemplar(row=-int(number), inputs=f"{entry['q']}\n{_label(entry['a'])}".rstrip(), targets=_answer(entry["a"]))
        for number, entry in ordered
    )


def _label(text: str) -> str:
    found = _LABEL.match(text)
    return found[0] if found else ""


def _answer(text: str) -> str:
    return " " + text.removeprefix(_label(text)).strip()


def _rules(language: str, exemplars: tuple[Exemplar, ...]) -> Rules:
    """The number after the words with which the exemplars lead to theirs, else the last one."""
    phrase = shared_phrase([exemplar.targets for exemplar in exemplars])
    return number_rules(phrases=(phrase,) if phrase else (), decimal="," if language in _DECIMAL_COMMA else ".")


def _part(data: SuiteData, language: str, path: Path, exemplars: tuple[Exemplar, ...]) -> Exam:
    shown = exemplars[: SHOTS if data.shots is None else data.shots]
    question, answer = (_label(exemplars[0].inputs), exemplars[0].inputs.rpartition("\n")[2])
    form = FileFormat(columns=("question", "answer"))
    return Exam(
        score="mgsm_cot",
        name=language,
        groups=() if language == "en" else (NOT_ENGLISH,),
        questions=data.asked(
            (
                _prompt(row, at, language, f"{question}{row['question']}\n{answer}".rstrip(), shown)
                for at, row in enumerate(read_rows(path, form))
            ),
            shots=len(shown),
        ),
        answering="text",
        grader=text_grader(_rules(language, exemplars)),
        protocol=data.protocol,
        chance=0.0,
        writing=Writing(
            stop=tuple(dict.fromkeys(("\n\n", *([f"\n{question.strip()}"] if question.strip() else [])))),
            max_new_tokens=256,
        ),
        is_voted=True,
    )


def _prompt(row: Row, at: int, language: str, text: str, exemplars: tuple[Exemplar, ...]) -> Prompt:
    number = plain_number(str(row["answer"])) or str(row["answer"]).strip()
    return written_prompt(
        f"mgsm_cot/{language}", at, template="cot", inputs=text, references=(number,), exemplars=exemplars
    )


SUITE = Suite(
    name="mgsm",
    modes=("cot",),
    parts=parts,
    averages=not_english,
    # It is a translation of GSM8K's test rows.
    families=("mgsm", "gsm8k"),
    help="grade-school mathematics in eleven languages, eight shots with rationales",
)
