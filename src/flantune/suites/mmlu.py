"""MMLU: 57 subjects of four-way questions, five shots. Paper: Hendrycks et al. 2021; Flan 2022, section 2.3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from string import ascii_uppercase
from typing import TYPE_CHECKING

from flantune.contamination.training_record import Measured
from flantune.errors import MissingDataError
from flantune.evaluation.exams import Exam, MissingExam, Writing
from flantune.evaluation.metrics.extraction import EXEMPLAR_STOP, MMLU_COT
from flantune.evaluation.metrics.graders import option_grader, text_grader
from flantune.evaluation.statistics.averages import by_group
from flantune.suites.prompt_files import FewShotPrompt, read_prompt, read_prompt_table
from flantune.suites.suite import Exams, Mode, Suite, SuiteData, wanted
from flantune.types import Exemplar, Prompt

if TYPE_CHECKING:
    from flantune.types import Row

HUB_ID = "cais/mmlu"
SHOTS = 5
COT_FILES = ("mmlu-cot.json", "mmlu_cot.json", "mmlu_cot_prompts/mmlu-cot.json")

CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "STEM": ("physics", "chemistry", "biology", "computer science", "math", "engineering"),
    "humanities": ("history", "philosophy", "law"),
    "social sciences": ("politics", "culture", "economics", "geography", "psychology"),
    "other fields": ("other", "business", "health"),
}
"""The four categories and their seventeen sub-categories."""

_BY_SUBCATEGORY: Mapping[str, str] = {
    "math": (
        "abstract_algebra college_mathematics elementary_mathematics high_school_mathematics high_school_statistics"
    ),
    "health": (
        "anatomy clinical_knowledge college_medicine human_aging medical_genetics nutrition professional_medicine "
        "virology"
    ),
    "physics": "astronomy college_physics conceptual_physics high_school_physics",
    "business": "business_ethics management marketing",
    "biology": "college_biology high_school_biology",
    "chemistry": "college_chemistry high_school_chemistry",
    "computer science": "college_computer_science computer_security high_school_computer_science machine_learning",
    "economics": "econometrics high_school_macroeconomics high_school_microeconomics",
    "engineering": "electrical_engineering",
    "philosophy": "formal_logic logical_fallacies moral_disputes moral_scenarios philosophy world_religions",
    "other": "global_facts miscellaneous professional_accounting",
    "history": "high_school_european_history high_school_us_history high_school_world_history prehistory",
    "geography": "high_school_geography",
    "politics": "high_school_government_and_politics public_relations security_studies us_foreign_policy",
    "psychology": "high_school_psychology professional_psychology",
    "culture": "human_sexuality sociology",
    "law": "international_law jurisprudence professional_law",
}
SUBJECTS: Mapping[str, str] = dict(
    sorted((subject, group) for group, subjects in _BY_SUBCATEGORY.items() for subject in subjects.split())
)
"""The 57 subjects, each with its sub-category."""


def parts(data: SuiteData) -> Exams:
    """Direct answers by option letters, then chain of thought if the user has prompts for it.

    The exemplars are the first five of the subject's dev split, in file order; if a prompt is too long, the last of
    them are dropped first, as in the benchmark's own script.

    Raises:
        flantune.errors.SourceError: Data exists but cannot be read.
    """
    path = data.find(*COT_FILES)
    published = {name: read_prompt(text) for name, text in (read_prompt_table(path) if path else {}).items()}
    loaded: dict[str, tuple[list[Row], list[Row]] | MissingDataError] = {}
    for subject in SUBJECTS:
        loaded[subject] = _load(data, subject)
    for mode in ("direct", "cot"):
        for subject, rows in loaded.items():
            if isinstance(rows, MissingDataError):
                yield MissingExam(score=f"mmlu_{mode}", name=subject, needs=f"{HUB_ID}, {subject}: {wanted(rows)}")
            elif mode == "direct":
                yield _direct(data, subject, *rows, header=published.get(subject))
            elif subject in published:
                yield _chain_of_thought(data, subject, rows[1], published[subject])
        if mode == "cot" and not set(published) >= set(SUBJECTS):
            yield MissingExam(score="mmlu_cot", name="", needs=_needs(sorted(set(SUBJECTS) - set(published))))


def _needs(subjects: Sequence[str]) -> str:
    return (
        f"mmlu-cot.json: a JSON object of subject to prompt text, each a header and blocks of "
        f'"Q: … (A) … (B) … (C) … (D) …", "A: <rationale> The answer is (B)."; no prompt for {len(subjects)} subjects, '
        f"such as {subjects[0]}"
    )


def _load(data: SuiteData, subject: str) -> tuple[list[Row], list[Row]] | MissingDataError:
    try:
        return data.rows(HUB_ID, subject, split="dev"), data.rows(HUB_ID, subject, split="test")
    except MissingDataError as error:
        return error


def _direct(data: SuiteData, subject: str, dev: list[Row], test: list[Row], *, header: FewShotPrompt | None) -> Exam:
    shots = SHOTS if data.shots is None else data.shots
    exemplars = tuple(
        Exemplar(row=at, inputs=question_text(row), targets=f" {ascii_uppercase[int(row['answer'])]}")
        for at, row in enumerate(dev[:shots])
    )
    preamble = (
        header.preamble if header else f"Questions about {subject.replace('_', ' ')}, each with its right answer.\n\n"
    )
    return Exam(
        score="mmlu_direct",
        name=subject,
        groups=_groups(subject),
        questions=data.asked(
            (
                _prompt(row, at, subject, "direct", question_text(row), preamble, exemplars)
                for at, row in enumerate(test)
            ),
            shots=len(exemplars),
        ),
        answering="options",
        grader=option_grader(data.protocol),
        protocol=data.protocol,
        chance=0.25,
        made=Measured(hub=HUB_ID),
        notes=() if header else ("the header above the questions is flantune's own",),
        blank=_without_content,
    )


def _chain_of_thought(data: SuiteData, subject: str, test: list[Row], published: FewShotPrompt) -> Exam:
    exemplars = published.exemplars if data.shots is None else published.exemplars[: data.shots]
    return Exam(
        score="mmlu_cot",
        name=subject,
        groups=_groups(subject),
        questions=data.asked(
            (
                _prompt(row, at, subject, "cot", _lettered_text(row), published.preamble, exemplars)
                for at, row in enumerate(test)
            ),
            shots=len(exemplars),
        ),
        answering="text",
        grader=text_grader(MMLU_COT),
        protocol=data.protocol,
        chance=0.25,
        writing=Writing(stop=EXEMPLAR_STOP, max_new_tokens=256),
        is_voted=True,
        made=Measured(hub=HUB_ID),
    )


def _prompt(
    row: Row, at: int, subject: str, mode: Mode, text: str, preamble: str, exemplars: tuple[Exemplar, ...]
) -> Prompt:
    answer = int(row["answer"])
    letters = ascii_uppercase[: len(row["choices"])]
    return Prompt(
        task=f"mmlu_{mode}/{subject}",
        split="test",
        row=at,
        template=mode,
        inputs=text,
        targets=f" {letters[answer]}",
        options=tuple(f" {letter}" for letter in letters) if mode == "direct" else (),
        answer=answer if mode == "direct" else None,
        references=(letters[answer],),
        exemplars=exemplars,
        preamble=preamble,
    )


def question_text(row: Row) -> str:
    r"""A question with its choices after letters, up to "Answer:".

    >>> question_text({"question": "1+1?", "choices": ["1", "2"]})
    '1+1?\nA. 1\nB. 2\nAnswer:'
    """
    choices = [f"{letter}. {choice}" for letter, choice in zip(ascii_uppercase, row["choices"], strict=False)]
    return "\n".join([str(row["question"]).strip(), *choices, "Answer:"])


def _lettered_text(row: Row) -> str:
    choices = " ".join(f"({letter}) {choice}" for letter, choice in zip(ascii_uppercase, row["choices"], strict=False))
    return f"Q: {str(row['question']).strip()}\n{choices}\nA:"


def _without_content(prompt: Prompt, text: str) -> Prompt:
    return replace(prompt, inputs=question_text({"question": text, "choices": [text] * len(prompt.options)}))


def _groups(subject: str) -> tuple[str, ...]:
    group = SUBJECTS[subject]
    return (group, next(category for category, members in CATEGORIES.items() if group in members))


SUITE = Suite(
    name="mmlu",
    modes=("direct", "cot"),
    parts=parts,
    averages=by_group("subjects"),
    families=("mmlu",),
    help="57 subjects of four-way questions, five shots, answered by letter and after reasoning",
)
