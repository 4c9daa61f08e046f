"""BIG-Bench Hard: 27 files that are 23 tasks, three shots, direct and chain of thought.

Paper: Suzgun et al. 2022; Flan 2022, section 2.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.contamination.training_record import Measured
from flantune.errors import MissingDataError
from flantune.evaluation.exams import Exam, MissingExam, Writing
from flantune.evaluation.metrics.extraction import BBH_COT, BBH_DIRECT, EXEMPLAR_STOP
from flantune.evaluation.metrics.graders import text_grader
from flantune.evaluation.statistics.averages import Weighed, Weighting, all_questions, every
from flantune.suites.flan2022 import BBH_CHANCE, bbh_task
from flantune.suites.prompt_files import FewShotPrompt, read_prompt, without_rationale
from flantune.suites.suite import Exams, Mode, Suite, SuiteData, wanted, written_prompt
from flantune.types import Exemplar, Prompt

if TYPE_CHECKING:
    from flantune.types import Row

HUB_ID = "lukaemon/bbh"
FOLDERS = ("bbh_cot_prompts", "cot-prompts", "BIG-Bench-Hard/cot-prompts")
TASKS = tuple(BBH_CHANCE)


def parts(data: SuiteData) -> Exams:
    """Both modes, from the published chain-of-thought prompts; direct ones omit the rationale.

    Raises:
        flantune.errors.SourceError: Data exists but cannot be read.
    """
    folder = data.find(*FOLDERS)
    loaded = {task: _load(data, folder, task) for task in TASKS}
    modes: tuple[Mode, ...] = ("direct", "cot")
    for mode in modes:
        for task, found in loaded.items():
            if isinstance(found, str):
                yield MissingExam(score=f"bbh_{mode}", name=task, needs=found)
            else:
                yield _part(data, task, mode, *found)


def _load(data: SuiteData, folder: Path | None, task: str) -> tuple[list[Row], FewShotPrompt] | str:
    path = folder / f"{task}.txt" if folder else None
    if path is None or not path.is_file():
        return f"bbh_cot_prompts/{task}.txt: the published prompt (blocks of Q: and A:, ending in 'the answer is …')"
    try:
        rows = data.rows(HUB_ID, task, split="test")
    except MissingDataError as error:
        return f"{HUB_ID}, {task}: {wanted(error)}"
    return rows, read_prompt(path.read_text(encoding="utf-8"))


def _part(data: SuiteData, task: str, mode: Mode, rows: list[Row], published: FewShotPrompt) -> Exam:
    shown = published.exemplars if data.shots is None else published.exemplars[: data.shots]
    exemplars = tuple(map(without_rationale, shown)) if mode == "direct" else shown
    return Exam(
        score=f"bbh_{mode}",
        name=task,
        questions=data.asked(
            (_prompt(row, at, task, mode, published.preamble, exemplars) for at, row in enumerate(rows)),
            shots=len(exemplars),
        ),
        answering="text",
        grader=text_grader(BBH_DIRECT if mode == "direct" else BBH_COT),
        protocol=data.protocol,
        chance=BBH_CHANCE[task],
        writing=Writing(stop=EXEMPLAR_STOP, max_new_tokens=64 if mode == "direct" else 512),
        is_voted=mode == "cot",
        made=Measured(hub=HUB_ID),
    )


def _prompt(row: Row, at: int, task: str, mode: Mode, preamble: str, exemplars: tuple[Exemplar, ...]) -> Prompt:
    target = str(row["target"]).strip()
    inputs = f"Q: {str(row['input']).strip()}\nA:"
    return written_prompt(
        f"bbh_{mode}/{task}", at, template=mode, inputs=inputs, references=(target,), exemplars=exemplars,
        preamble=preamble,
    )  # fmt: skip


def averages(exams: Sequence[Weighed]) -> tuple[Weighting, ...]:
    """The mean over 23 tasks first, two of which come in three sizes; then over 27 files, then over 6,511 questions."""
    tasks = {exam.name: bbh_task(exam.name) for exam in exams}
    files = {task: sum(other == task for other in tasks.values()) for task in tasks.values()}
    weights = {name: 1.0 / (len(files) * files[task]) for name, task in tasks.items()}
    return (Weighting(name=f"mean of {len(files)} tasks", weights=weights), every(exams, "files"), all_questions(exams))


SUITE = Suite(
    name="bbh",
    modes=("direct", "cot"),
    parts=parts,
    averages=averages,
    families=("bbh", "big_bench_hard"),
    help="BIG-Bench Hard: 23 tasks, three shots, answered at once and after reasoning",
)
