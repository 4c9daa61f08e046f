"""Task files of lm-evaluation-harness as parts that any model can be asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flantune.errors import TaskError
from flantune.harness.docs import answers_of, choices_of, golds_of, load_rows, render, target_of, text_of
from flantune.harness.grading import (
    OPTION_METRICS,
    TEXT_METRICS,
    HarnessOptionGrader,
    HarnessTextGrader,
    read_filters,
)
from flantune.harness.shots import ExemplarDraw, shots_of
from flantune.harness.taskfile import HarnessTask, read_task_file
from flantune.prompts.layout import Layout
from flantune.suites.suite import Part, SuiteData
from flantune.types import Exemplar, Prompt

if TYPE_CHECKING:
    from flantune.suites.grading import Grader
    from flantune.types import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class HarnessPart:
    """A task of the harness, ready to be asked.

    Attributes:
        task: What its file says.
        part: Its questions.
        rows: The rows they were made from, in order.
        total: Rows of the split, asked or not.
    """

    task: HarnessTask
    part: Part
    rows: tuple[Row, ...]
    total: int


def harness_parts(paths: Sequence[Path], data: SuiteData) -> tuple[HarnessPart, ...]:
    """The tasks of several files; a group's tasks are averaged together.

    Raises:
        TaskError: A file is wrong, or needs what flantune does not do.
        flantune.errors.SourceError: Rows are missing.
    """
    tasks = [task for path in paths for task in read_task_file(path)]
    twice = sorted({task.name for task in tasks if sum(other.name == task.name for other in tasks) > 1})
    if twice:
        raise TaskError(f'two tasks are named "{twice[0]}"', where=", ".join(map(str, paths)))
    return tuple(_part(task, data) for task in tasks)


def _part(task: HarnessTask, data: SuiteData) -> HarnessPart:
    @lru_cache(maxsize=8)
    def load(split: str) -> list[Row]:
        return load_rows(task, split, data)

    name = task.values.get("test_split") or task.values.get("validation_split")
    if not name:
        raise TaskError("test_split or validation_split: is missing", where=str(task.path))
    rows = load(str(name))
    asked = rows[: data.limit] if data.limit else rows
    shots = shots_of(task, data)
    draw = ExemplarDraw(task, load, shots=shots)
    is_choice = task.values.get("output_type", "generate_until") == "multiple_choice"
    prompts = tuple(_prompt(task, row, at, draw, is_choice=is_choice) for at, row in enumerate(asked))
    grader, notes = _grader(task, asked, is_choice=is_choice)
    part = Part(
        suite="harness",
        mode=task.group or task.name,
        label=task.group or task.name,
        name=task.name,
        prompts=prompts,
        answering="options" if is_choice else "text",
        grader=grader,
        chance=_chance(prompts),
        shots=shots,
        headline=grader.metrics[0],
        layout=_layout(task) if is_choice else Layout(target_separator="", exemplar_separator=_next(task)),
        stop=() if is_choice else _stops(task),
        max_new_tokens=int((task.values.get("generation_kwargs") or {}).get("max_gen_toks", 256)),
        hub_id=_hub_id(task),
        notes=notes,
    )
    return HarnessPart(task=task, part=part, rows=tuple(asked), total=len(rows))


def _hub_id(task: HarnessTask) -> str:
    path = task.text("dataset_path")
    name = task.values.get("dataset_name")
    return (f"{path}:{name}" if name else path) if "/" in path else ""


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


def _prompt(task: HarnessTask, row: Row, at: int, draw: ExemplarDraw, *, is_choice: bool) -> Prompt:
    choices, target = choices_of(task, row), target_of(task, row)
    golds = golds_of(target, choices)
    # The delimiter before a written answer is the model's own to write, so exemplars carry theirs in their targets.
    before = "" if is_choice else _delimiter(task)
    solved = task.of_exemplars()
    shown = (
        Exemplar(row=-1 - n, inputs=text_of(solved, one), targets=before + _first_answer(solved, one))
        for n, one in enumerate(draw.draw(row))
    )
    references = answers_of(target, choices)
    return Prompt(
        task=f"harness/{task.name}",
        split="test",
        row=at,
        template="harness",
        inputs=text_of(task, row),
        targets=references[0] if references else "",
        options=choices if is_choice else (),
        answer=golds[0] if is_choice and golds else None,
        references=references,
        exemplars=tuple(shown),
        preamble=_description(task, row),
    )


def _first_answer(task: HarnessTask, row: Row) -> str:
    found = answers_of(target_of(task, row), choices_of(task, row))
    if not found:
        raise TaskError(f"an exemplar has no answer: {dict(row)!r:.200}", where=str(task.path))
    return found[0]


def _description(task: HarnessTask, row: Row) -> str:
    text = task.text("description")
    return str(row[text]) if text in row else render(text, row, where=f"{task.path}: description") if text else ""


def _grader(task: HarnessTask, rows: Sequence[Row], *, is_choice: bool) -> tuple[Grader, tuple[str, ...]]:
    default = [{"metric": "acc"}, {"metric": "acc_norm"}] if is_choice else [{"metric": "exact_match"}]
    entries: list[Mapping[str, Any]] = list(task.values.get("metric_list") or default)
    known = OPTION_METRICS if is_choice else TEXT_METRICS
    names = [str(entry.get("metric")) for entry in entries]
    kept = tuple(name for name in names if name in known)
    notes = tuple(f"the metric {name} is not computed" for name in names if name not in known)
    if not kept:
        raise TaskError(f"metric_list: none of {', '.join(names)}; there are {', '.join(known)}", where=str(task.path))
    if is_choice:
        golds = {at: golds_of(target_of(task, row), choices_of(task, row)) for at, row in enumerate(rows)}
        return HarnessOptionGrader(names=kept, golds=golds), notes
    options = next(dict(entry) for entry in entries if entry.get("metric") == "exact_match")
    filters = read_filters(task.values.get("filter_list"), where=str(task.path))
    return HarnessTextGrader(filters=filters, options=options), notes


def by_group(parts: Sequence[HarnessPart]) -> Iterator[tuple[str, tuple[HarnessPart, ...]]]:
    """The groups that were asked for, each with its tasks."""
    for group in dict.fromkeys(one.task.group for one in parts if one.task.group):
        yield group, tuple(one for one in parts if one.task.group == group)
