"""The grader of a task's answers, from its file's ``metric_list``, ``filter_list`` and ``process_results``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flantune.errors import TaskError
from flantune.harness.code_grading import AGGREGATIONS, CodeMetric, HarnessCodeGrader
from flantune.harness.docs import answers_of, check_column, choices_of, golds_of, target_of
from flantune.harness.filters import read_filters
from flantune.harness.grading import (
    OPTION_METRICS,
    TEXT_METRICS,
    HarnessGrader,
    HarnessOptionGrader,
    HarnessTextGrader,
)
from flantune.harness.refusals import functions, refuse
from flantune.harness.task_code import Function

if TYPE_CHECKING:
    from flantune.harness.harness_file import HarnessTask
    from flantune.types import Row

_Entry = Mapping[str, Any]
_OF_AN_ENTRY = ("metric", "aggregation", "higher_is_better", "hf_evaluate")
_HANDED_ON = ("f1", "bleu", "chrf", "ter")
"""Metrics of generated answers for which the harness passes right answer and answer to the aggregation function."""


def grader_of(task: HarnessTask, rows: Sequence[Row], *, is_choice: bool) -> tuple[HarnessGrader, tuple[str, ...]]:
    """The grader of the answers to these rows, and notes on metrics in the file that are not computed.

    Raises:
        TaskError: No metric can be computed, or no question has a right choice.
    """
    default = [{"metric": "acc"}, {"metric": "acc_norm"}] if is_choice else [{"metric": "exact_match"}]
    entries: list[_Entry] = list(task.values.get("metric_list") or default)
    results = task.values.get("process_results")
    plain, made, notes = choose_metrics(task, is_choice=is_choice)
    if not is_choice and rows and not isinstance(results, Function):
        check_column(task, rows[0], "doc_to_target")
    made = {name: metric for name, metric in made.items() if is_choice or _is_one_target(task, rows, metric)}
    base, said = _base(task, rows, plain, entries, is_choice=is_choice)
    if not made or task.code is None:
        return base, (*notes, *said)
    order = [name for entry in entries if (name := name_of(entry)) in {*plain, *made}]
    return HarnessCodeGrader(
        base=base,
        names=tuple(order),
        made=made,
        code=task.code,
        rows=dict(enumerate(rows)),
        targets={at: target_of(task, row) for at, row in enumerate(rows)} if results is None else {},
        results=results if isinstance(results, Function) else None,
    ), (*notes, *said)


def choose_metrics(task: HarnessTask, *, is_choice: bool) -> tuple[tuple[str, ...], dict[str, CodeMetric], list[str]]:
    """Supported metrics without functions of the file, supported ones with them, and notes on the others.

    Raises:
        TaskError: None is supported.
    """
    known = OPTION_METRICS if is_choice else TEXT_METRICS
    default = [{"metric": name} for name in (("acc", "acc_norm") if is_choice else ("exact_match",))]
    entries: list[_Entry] = list(task.values.get("metric_list") or default)
    plain: list[str] = []
    made: dict[str, CodeMetric] = {}
    notes = []
    for entry in entries:
        if task.values.get("process_results") is None and entry.get("metric") in known and not any(functions(entry)):
            plain.append(str(entry["metric"]))
            continue
        metric = _of_code(task, entry, is_choice=is_choice)
        why = "" if metric is None else _cannot_load(task, metric)
        if metric is not None and not why:
            made[metric.name] = metric
        else:
            notes.append(f"the metric {entry.get('metric')} is not computed{why}")
    if not plain and not made:
        said = "; ".join(notes).replace("the metric ", "").replace(" is not computed", "")
        what, remedy = f"none of {said} is computed here", f"name one of {', '.join(known)}"
        refuse([("metric_list", what, remedy)], task.path)
    return tuple(plain), made, notes


def name_of(entry: _Entry) -> str:
    """A metric's name in the harness's results; a function's is its own name."""
    metric = entry.get("metric")
    return metric.name.rpartition(".")[2] if isinstance(metric, Function) else str(metric)


def _of_code(task: HarnessTask, entry: _Entry, *, is_choice: bool) -> CodeMetric | None:
    """A metric that uses the file's functions; None if functions are not run, or it is not supported."""
    metric, total = entry.get("metric"), entry.get("aggregation")
    options = {key: value for key, value in entry.items() if key not in _OF_AN_ENTRY}
    is_by_results = task.values.get("process_results") is not None
    # For choices, the harness ignores the library that the file names, and compares right and chosen itself.
    is_of_library = entry.get("hf_evaluate") and not is_choice and not is_by_results
    if task.code is None or is_of_library or any(functions(options)):
        return None
    if total is None and is_by_results and metric in {*OPTION_METRICS, *TEXT_METRICS} - {"f1", "mcc", *_HANDED_ON}:
        total = "mean"
    if not isinstance(total, Function | str) or (isinstance(total, str) and total not in AGGREGATIONS):
        return None
    name = name_of(entry)
    if is_by_results:
        return CodeMetric(name=name, aggregation=total)
    if isinstance(metric, Function):
        return None if is_choice else CodeMetric(name=name, function=metric, aggregation=total, options=options)
    is_handed_on = metric in OPTION_METRICS if is_choice else metric in {"exact_match", *_HANDED_ON}
    return CodeMetric(name=name, aggregation=total) if is_handed_on and isinstance(total, Function) else None


def _cannot_load(task: HarnessTask, metric: CodeMetric) -> str:
    """Why a metric's functions cannot be loaded; empty if they can."""
    wanted = [one for one in (metric.function, metric.aggregation) if isinstance(one, Function)]
    try:
        if task.code is not None:
            task.code.begin(wanted)
    except TaskError as error:
        return f": {error.message.splitlines()[0]}"
    return ""


def _is_one_target(task: HarnessTask, rows: Sequence[Row], metric: CodeMetric) -> bool:
    """False if the metric needs pairs of right answer and answer, but questions have several right answers.

    The harness then passes only whether the answer is right.
    """
    is_pair = metric.function is None and metric.name in _HANDED_ON and task.values.get("process_results") is None
    return not (is_pair and rows and isinstance(target_of(task, rows[0]), list))


def _base(
    task: HarnessTask, rows: Sequence[Row], names: tuple[str, ...], entries: Sequence[_Entry], *, is_choice: bool
) -> tuple[HarnessOptionGrader | HarnessTextGrader, tuple[str, ...]]:
    if is_choice:
        golds = {at: golds_of(target_of(task, row), choices_of(task, row)) for at, row in enumerate(rows)}
        is_graded = task.values.get("process_results") is None
        wrong = tuple(_wrong_targets(task, rows, golds)) if is_graded else ()
        return HarnessOptionGrader(names=names, golds=golds), wrong
    options = next((dict(entry) for entry in entries if entry.get("metric") == "exact_match"), {})
    filters, left_out = read_filters(task.values.get("filter_list"), where=str(task.path), code=task.code)
    choices = {at: _listed(row.get("choices")) for at, row in enumerate(rows)}
    has_own = any(step.own is not None for one in filters for step in one.steps)
    grader = HarnessTextGrader(
        filters=filters,
        names=names,
        options=options,
        choices=choices,
        rows=dict(enumerate(rows)) if has_own else {},
    )
    silent: tuple[str, ...] = ()
    if "exact_match" in names and task.values.get("process_results") is None:
        silent = tuple(grader.silence_notes([answers_of(target_of(task, row), choices_of(task, row)) for row in rows]))
    return grader, (*left_out, *silent)


def _listed(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()


def _wrong_targets(task: HarnessTask, rows: Sequence[Row], golds: Mapping[int, tuple[int, ...]]) -> Iterator[str]:
    """A note on questions without a right choice.

    Raises:
        TaskError: No question has a right choice.
    """
    empty = [at for at, found in golds.items() if not found]
    if not empty:
        return
    row = rows[empty[0]]
    said = said_of(task, row)
    if len(empty) == len(rows):
        hint = f"name the index or the text of a choice; columns: {', '.join(row)}"
        raise TaskError(f"no question has a right choice: {said}", where=str(task.path), hint=hint)
    yield f"{len(empty)} questions of {len(rows)} have no right choice and count as wrong; row {empty[0]}: {said}"


def said_of(task: HarnessTask, row: Row) -> str:
    """A row's target and the allowed values, in words."""
    choices = ", ".join(map(repr, choices_of(task, row)))
    return f"doc_to_target makes {target_of(task, row)!r}, the choices are {choices}"
