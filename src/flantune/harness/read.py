"""Turns task files of lm-evaluation-harness into exams for any model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from flantune.contamination.training_record import Measured
from flantune.errors import TaskError, TemplateError
from flantune.evaluation.exams import Exam, Writing, asked, content_name
from flantune.harness.code_grading import HarnessCodeGrader
from flantune.harness.docs import (
    answers_of,
    choices_of,
    golds_of,
    local_files,
    render,
    target_of,
    text_of,
)
from flantune.harness.filters import read_filters
from flantune.harness.grading import HarnessGrader
from flantune.harness.harness_file import HarnessTask, read_task_file
from flantune.harness.installed import task_file
from flantune.harness.metric_list import choose_metrics, grader_of, said_of
from flantune.harness.rows import TaskRows, passage_column
from flantune.harness.shots import ExemplarDraw, shots_of
from flantune.harness.task_code import Limits, files_of
from flantune.prompts.alike import plain
from flantune.prompts.layout import Layout
from flantune.settings.protocols import PRESETS, ScoringProtocol
from flantune.suites.suite import SuiteData
from flantune.types import Exemplar, Prompt

if TYPE_CHECKING:
    from flantune.types import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class HarnessExam:
    """A harness task as an exam.

    Attributes:
        task: The task file.
        exam: Its questions.
        shots: Number of exemplars before each question.
        rows: The questions' rows, in order.
        total: Number of rows of the split, including those not asked.
    """

    task: HarnessTask
    exam: Exam
    shots: int
    rows: tuple[Row, ...]
    total: int

    @property
    def grader(self) -> HarnessGrader:
        """What grades its answers."""
        return cast("HarnessGrader", self.exam.grader)


def harness_exams(
    paths: Sequence[Path],
    data: SuiteData,
    *,
    limits: Limits | None = None,
    protocol: ScoringProtocol = PRESETS["lm_eval"],
) -> tuple[HarnessExam, ...]:
    """The tasks of several files; a group's tasks are averaged together.

    Args:
        paths: The files; bare names are tasks of the installed harness.
        data: Where datasets are searched for, and how much of them is used.
        limits: How much the files' own Python functions may use; None: they are not run.
        protocol: How options are scored and prompts truncated.

    Raises:
        TaskError: A file is wrong, or needs what flantune does not do.
        flantune.errors.SourceError: Rows are missing.
    """
    paths = [task_file(path) for path in paths]
    tasks = [task for path in paths for task in read_task_file(path, limits=limits)]
    twice = sorted({task.name for task in tasks if sum(other.name == task.name for other in tasks) > 1})
    if twice:
        raise TaskError(f'two tasks are named "{twice[0]}"', where=", ".join(map(str, paths)))
    return tuple(_with_common_headlines([_exam(task, data, protocol) for task in tasks]))


def _with_common_headlines(exams: Sequence[HarnessExam]) -> Iterator[HarnessExam]:
    """A group's tasks with a common headline metric for averaging; those without one stay single."""
    members = dict(by_group(exams))
    for one in exams:
        group = [other.grader.metrics for other in members.get(one.task.group, (one,))]
        common = [name for name in group[0] if all(name in metrics for metrics in group)]
        if one.grader.metrics[0] in common[:1]:
            yield one
        elif common:
            grader = replace(one.grader, headline=common[0])
            yield replace(one, exam=replace(one.exam, grader=grader))
        else:
            note = f"the tasks of {one.task.group} share no metric, so they are not averaged"
            yield replace(one, exam=replace(one.exam, score=one.task.name, notes=(*one.exam.notes, note)))


def _exam(task: HarnessTask, data: SuiteData, protocol: ScoringProtocol) -> HarnessExam:
    shots = shots_of(task, data)
    check_task(task, shots=shots)
    source = TaskRows(task, data)
    # Exemplars first, as in the harness, so that functions with random draws use the same order.
    draw = ExemplarDraw(source, shots=shots, is_same=partial(_is_same, task))
    rows = source.asked()
    kept = rows[: data.limit] if data.limit else rows
    _prepare(task, kept)
    is_choice = task.values.get("output_type", "generate_until") == "multiple_choice"
    passages = passage_column(rows)
    prompts = [_prompt(task, row, at, draw, passages, is_choice=is_choice) for at, row in enumerate(kept)]
    grader, notes = grader_of(task, kept, is_choice=is_choice)
    notes = notes if is_choice else (*notes, *_writing_notes(task))
    code = files_of(task.functions(shots=shots)) if task.code is not None else {}
    if code:
        notes = (*notes, f"Python beside the task file was run: {', '.join(Path(path).name for path in code)}")
    exam = Exam(
        name=task.name,
        score=task.group or task.name,
        questions=asked(prompts, shots=shots),
        answering="options" if is_choice else "text",
        grader=grader,
        protocol=protocol,
        # The score of guessing is known only for shares of right answers.
        chance=_chance(prompts) if grader.metrics[0].startswith("acc") and not _is_made(grader) else 0.0,
        layout=_layout(task) if is_choice else Layout(target_separator="", exemplar_separator=_next(task)),
        writing=Writing(stop=() if is_choice else _stops(task), max_new_tokens=_longest_answer(task)),
        made=Measured(tasks=(task.name,), hub=_hub_id(task), files=local_files(task)),
        code=code,
        notes=notes,
    )
    return HarnessExam(task=task, exam=exam, shots=shots, rows=tuple(kept), total=len(rows))


def check_task(task: HarnessTask, *, shots: int) -> None:
    """Raises an error for a task that cannot be evaluated, as far as that can be determined without its rows.

    Raises:
        MissingModuleError: Its functions import packages that are not installed.
        TaskError: They cannot be loaded or are not allowed, or none of its metrics or filters is supported.
    """
    if task.code is not None:
        task.code.begin(task.functions(shots=shots))
    if shots:
        task.of_exemplars()
    is_choice = task.values.get("output_type", "generate_until") == "multiple_choice"
    choose_metrics(task, is_choice=is_choice)
    if not is_choice:
        read_filters(task.values.get("filter_list"), where=str(task.path), code=task.code)


def _prepare(task: HarnessTask, rows: Sequence[Row]) -> None:
    """Runs the file's functions once for all questions, choices and targets."""
    if task.code is not None:
        made = {key: task.function(key) for key in ("doc_to_text", "doc_to_choice", "doc_to_target")}
        task.code.prepare({key: found[1] for key, found in made.items() if found}, rows)


def _is_same(task: HarnessTask, row: Row, query: Row) -> bool:
    """Whether an exemplar's row is the query, or the same question up to case, white space and order of choices."""
    if row == query:
        return True
    asked = _question(task, query)
    if not asked[0] or _is_constant(task):
        return False
    solved = task.of_exemplars()
    if _question(solved, row) == asked:
        return True
    if solved is task or any(task.function(key) for key in ("doc_to_text", "doc_to_choice")):
        return False
    with suppress(TaskError, TemplateError):  # exemplar rows may lack columns that the questions' fields name
        return _question(task, row) == asked
    return False


def _question(task: HarnessTask, row: Row) -> tuple[str, list[str]]:
    """A row's question, without differences that do not matter to a reader."""
    return plain(text_of(task, row)), sorted(map(plain, choices_of(task, row)))


def _is_constant(task: HarnessTask) -> bool:
    """Whether all rows have the same question, which then does not distinguish them."""
    text = task.values["doc_to_text"]
    return isinstance(text, str) and "{" not in text and isinstance(task.values.get("doc_to_choice"), list)


def _longest_answer(task: HarnessTask) -> int:
    given = task.values.get("generation_kwargs") or {}
    names = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
    return int(next((given[name] for name in names if given.get(name) is not None), 256))


def _hub_id(task: HarnessTask) -> str:
    path = task.text("dataset_path")
    name = task.values.get("dataset_name")
    return (f"{path}:{name}" if name else path) if "/" in path else ""


def _is_made(grader: HarnessGrader) -> bool:
    """Whether the file's own functions compute the headline metric, so that the score of guessing is unknown."""
    return isinstance(grader, HarnessCodeGrader) and grader.names[0] in grader.made


def _chance(prompts: Sequence[Prompt]) -> float:
    counts = [len(prompt.options) for prompt in prompts]
    return sum(1 / count for count in counts) / len(counts) if all(counts) and counts else 0.0


def _delimiter(task: HarnessTask) -> str:
    return task.text("target_delimiter", " ")


def _next(task: HarnessTask) -> str:
    return task.text("fewshot_delimiter", "\n\n")


def _layout(task: HarnessTask) -> Layout:
    return Layout(target_separator=_delimiter(task), exemplar_separator=_next(task))


def _stops(task: HarnessTask) -> tuple[str, ...]:
    until = (task.values.get("generation_kwargs") or {}).get("until", _next(task))
    return tuple(text for text in map(str, until if isinstance(until, list) else [until]) if text)


def _prompt(task: HarnessTask, row: Row, at: int, draw: ExemplarDraw, passages: str, *, is_choice: bool) -> Prompt:
    choices, target = choices_of(task, row), target_of(task, row)
    golds = golds_of(target, choices)
    references = answers_of(target, choices)
    return Prompt(
        task=f"harness/{task.name}",
        split="test",
        row=at,
        template="harness",
        inputs=_begun(task, row),
        targets=references[0] if references else "",
        options=choices if is_choice else (),
        answer=golds[0] if is_choice and golds else None,
        references=references,
        exemplars=tuple(_exemplars(task, draw.draw(row), is_choice=is_choice)),
        preamble=_description(task, row),
        group=content_name(str(row[passages])) if passages else "",
    )


def _exemplars(task: HarnessTask, rows: Sequence[Row], *, is_choice: bool) -> Iterator[Exemplar]:
    if not rows:
        return
    solved, delimiter = task.of_exemplars(), _delimiter(task)
    for n, row in enumerate(rows):
        inputs, answer = text_of(solved, row), _first_answer(solved, row)
        if prefix := _prefix(solved, row):
            # The delimiter comes before the prefix, and a space after it; the layout adds its own between the parts.
            text = _begun(solved, row) + (" " if _is_glued(prefix, answer) else "") + answer
            inputs, answer = _parted(text, delimiter, answer)
        # The model generates the delimiter before its answer, so exemplars have theirs in their targets.
        yield Exemplar(row=-1 - n, inputs=inputs, targets=answer if is_choice else delimiter + answer)


def _begun(task: HarnessTask, row: Row) -> str:
    """The question, and the beginning of its answer if the file gives one."""
    text, prefix = text_of(task, row), _prefix(task, row)
    return text + (_delimiter(task) if prefix and text and _is_glued(text, prefix) else "") + prefix


def _prefix(task: HarnessTask, row: Row) -> str:
    text = task.text("gen_prefix")
    return str(row[text]) if text in row else render(text, row, where=f"{task.path}: gen_prefix") if text else ""


def _is_glued(text: str, more: str) -> bool:
    """Whether two texts would merge without something between them."""
    return bool(text and more) and not (text[-1].isspace() or more[0].isspace())


def _parted(text: str, delimiter: str, answer: str) -> tuple[str, str]:
    r"""Splits a text at a delimiter: the one before the answer, else the last one.

    >>> _parted("Is it? Answer: a cat", " ", "a cat"), _parted("Is it? It is\na cat", " ", "a cat")
    (('Is it? Answer:', 'a cat'), ('Is it? It is\na', 'cat'))
    """
    if text.endswith(delimiter + answer):
        return text.removesuffix(delimiter + answer), answer
    before, found, behind = text.rpartition(delimiter) if delimiter else (text.removesuffix(answer), "", answer)
    if delimiter and not found:
        raise TaskError(f"gen_prefix: no {delimiter!r} is put before the answer of an exemplar: {text!r:.200}")
    return before, behind


def _first_answer(task: HarnessTask, row: Row) -> str:
    found = answers_of(target_of(task, row), choices_of(task, row))
    if not found:
        hint = f"name the index or the text of a choice; columns: {', '.join(row)}"
        raise TaskError(f"an exemplar has no right answer: {said_of(task, row)}", where=str(task.path), hint=hint)
    return found[0]


def _description(task: HarnessTask, row: Row) -> str:
    text = task.text("description")
    return str(row[text]) if text in row else render(text, row, where=f"{task.path}: description") if text else ""


def _writing_notes(task: HarnessTask) -> Iterator[str]:
    """Notes on generation settings of a file that are not followed."""
    given = task.values.get("generation_kwargs") or {}
    if given.get("do_sample") or int(task.values.get("repeats") or 1) > 1:
        yield "the file sets sampling; each answer was generated once, greedily"
    if int(given.get("num_beams") or 1) > 1:
        yield f"the file sets {given['num_beams']} beams; answers were generated greedily"


def by_group(exams: Sequence[HarnessExam]) -> Iterator[tuple[str, tuple[HarnessExam, ...]]]:
    """The requested groups, each with its tasks."""
    for group in dict.fromkeys(one.task.group for one in exams if one.task.group):
        yield group, tuple(one for one in exams if one.task.group == group)
