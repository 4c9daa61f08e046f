"""What ``flantune tasks check`` and ``flantune templates lint`` find in a task's rows, metrics and options."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flantune.errors import FlantuneError
from flantune.evaluation.metrics.readable import MOST_LOOKED_AT as READ_BY_METRICS
from flantune.evaluation.metrics.readable import metric_findings
from flantune.prompts.giveaways import MOST_LOOKED_AT as OPTIONS_LOOKED_AT
from flantune.prompts.giveaways import option_findings
from flantune.prompts.lint import empty_field_findings, lint_task
from flantune.prompts.lint_text import Finding
from flantune.tasks.example_store import PreparedTask, SplitReport
from flantune.tasks.examples import FirstLook, first_look
from flantune.tasks.prepare import survey_task
from flantune.tasks.repeated_rows import find_repeated_rows
from flantune.tasks.row_checks import bad_rows_hint, check_slots
from flantune.tasks.rows import BadRowNote, short
from flantune.tasks.sources.slices import parse_slice
from flantune.types import Example, Task

_FEWEST_ROWS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCheck:
    """What was found.

    Attributes:
        lines: The findings as lines for a terminal.
        problems: Bad rows, roles without an example, errors; 0: nothing prevents a run.
    """

    lines: tuple[str, ...]
    problems: int


def check_task(task: Task, *, cache: Path) -> TaskCheck:
    """Every row of a task: what is bad, where and why, however many rows are; then its metrics and options."""
    try:
        survey = survey_task(task, cache=cache, skip_missing=True)
    except FlantuneError as error:
        return TaskCheck(lines=(f"{task.name}: {error.render()}",), problems=1)
    lines = [f"{task.name:32} {role:6} has no data: {reason}" for role, reason in survey.missing.items()]
    problems = len(lines)
    for role, report in survey.reports.items():
        problems += sum(report.bad.values()) or int(not report.kept)
        lines += _report_lines(task, parse_slice(task.splits[role]).source_split, report)
    asked = _asked(survey)
    if asked:
        try:
            check_slots(task, asked[0])
        except FlantuneError as error:
            lines, problems = [*lines, error.render()], problems + 1
    findings = findings_in_rows(survey)
    problems += sum(finding.severity == "error" for finding in findings)
    lines += [line for finding in findings for line in finding_lines(finding)]
    if (repeated := find_repeated_rows(task, survey.stores.get("test", ()))) is not None:
        lines.append(f"    note: {repeated}")
    return TaskCheck(lines=tuple(lines), problems=problems)


def findings_in_rows(survey: PreparedTask) -> tuple[Finding, ...]:
    """What a task's rows show, such as references that its metrics cannot read or options that give answers away."""
    return (*metric_findings(survey.task, _asked(survey)), *_rows_findings(survey))


def _report_lines(task: Task, split: str, report: SplitReport) -> Iterator[str]:
    bad = sum(report.bad.values())
    yield f"{task.name:32} {report.split:6} {report.raw_rows:9,} rows  {report.kept:9,} kept  {bad:6,} bad"
    if not report.kept:
        dropped = f", {report.dropped:,} were left out on purpose" if report.dropped else ""
        yield f"    no example is left of {report.raw_rows:,} rows{dropped}"
    for reason, count in report.bad.items():
        notes = [note for note in report.first_bad if note.reason == reason]
        where = task.source.describe(split, notes[0].row)
        yield f"    {count:,} × {reason}, in {where} (rows counted from 0)"
        for note in notes:
            yield f"      row {note.row}: {note.detail}"
    if report.first_bad:
        yield f"    hint: {bad_rows_hint(min(report.first_bad, key=lambda note: note.row).reason)}"


def _asked(survey: PreparedTask) -> list[Example]:
    """Examples that metrics are to read: of the test split where there is one."""
    stores = [survey.stores[role] for role in ("test", "dev", "train") if len(survey.stores.get(role, ()))]
    return _spread(stores[0], READ_BY_METRICS) if stores else []


def _spread(store: Sequence[Example], most: int) -> list[Example]:
    """Examples from all over a split: a file that is sorted by label shows one label at its top."""
    size = min(len(store), most)
    return [store[number * len(store) // size] for number in range(size)]


def _rows_findings(survey: PreparedTask) -> Iterator[Finding]:
    """Options that give answers away, and empty fields, each reported once for all splits."""
    said: set[tuple[str, str]] = set()
    for role, store in survey.stores.items():
        examples = _spread(store, OPTIONS_LOOKED_AT)
        found = (
            *option_findings(survey.task, examples),
            *empty_field_findings(survey.task, examples),
            *_one_answer(survey.task, role, examples),
        )
        for finding in found:
            if (finding.rule, finding.hint) not in said:
                said.add((finding.rule, finding.hint))
                yield finding


def _one_answer(task: Task, role: str, examples: Sequence[Example]) -> Iterator[Finding]:
    """A split in which every row has the same answer: a model that always says it is right."""
    said = {example.references[0] for example in examples if example.references}
    if len(said) == 1 and len(examples) >= _FEWEST_ROWS:
        yield Finding(
            task=task.name,
            template="",
            rule="constant-answer",
            message=f"each of {len(examples):,} rows of {role} has the same answer, {short(said.pop())}",
            hint=f"look at splits.{role} and at the column of [answer]",
            severity="warning",
        )


def finding_lines(finding: Finding) -> Iterator[str]:
    """A finding as lines for a terminal: what, and what to do."""
    yield f"{finding.where}: {finding.severity}: {finding.rule}: {finding.message}"
    if finding.hint:
        yield f"    hint: {finding.hint}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLint:
    """What the linter says of a task.

    Attributes:
        has_rows: Whether rows were available for the rules that need some.
    """

    findings: tuple[Finding, ...]
    has_rows: bool


def lint_with_rows(task: Task, *, rows: int) -> TaskLint:
    """The linter's findings on a task's templates, metrics, options and first rows."""
    look = first_look(task, count=rows)
    findings = (
        *lint_task(task, look.examples),
        *_bad_rows(task, look),
        *metric_findings(task, look.examples),
        *option_findings(task, look.examples),
        *empty_field_findings(task, look.examples),
    )
    return TaskLint(findings=findings, has_rows=bool(look.rows) or rows == 0)


def _bad_rows(task: Task, look: FirstLook) -> Iterator[Finding]:
    """The bad rows on the way to the good ones, one finding per reason."""
    by_reason: dict[str, list[BadRowNote]] = {}
    for note in look.bad:
        by_reason.setdefault(note.reason, []).append(note)
    for reason, notes in by_reason.items():
        first = notes[0]
        where = task.source.describe(look.split, first.row)
        yield Finding(
            task=task.name,
            template="",
            rule="bad-rows",
            message=f"{len(notes):,} of the first {look.rows:,} rows are bad ({reason}), first in row {first.row} of "
            f"{where} (counted from 0): {first.detail}",
            hint=bad_rows_hint(reason),
            severity="warning" if look.examples else "error",
        )
