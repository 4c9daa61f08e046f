"""The first half of ``flantune check``: the state of every task's rows and templates, and tasks without data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from flantune.commands.plan import numbered_split
from flantune.commands.task_check import findings_in_rows
from flantune.errors import FlantuneError, MissingDataError
from flantune.mixture.portions import lay_out
from flantune.mixture.proportions import parts_of
from flantune.prompts.lint import lint_task
from flantune.report.numbers import plural
from flantune.tasks.prepare import row_faults, survey_task

if TYPE_CHECKING:
    from flantune.prompts.lint_text import Finding
    from flantune.settings.config import RunConfig
    from flantune.settings.mixture_settings import MixtureSettings, PartSettings
    from flantune.system.progress import Reporter
    from flantune.tasks.example_store import PreparedTask
    from flantune.types import SplitRole, Task

_LINTED_ROWS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A finding.

    Attributes:
        severity: An error would stop a run; a warning should be checked; a note is for information.
        about: Its subject: data, templates, holdout, mixture, tokenizer, lengths, contamination or model.
        text: The finding in words.
        hint: What to do about it.
        rule: The linter's rule, which other tasks may break too; otherwise empty.
    """

    severity: Literal["error", "warning", "note"]
    about: str
    text: str
    hint: str = ""
    rule: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The state of one task's data.

    Attributes:
        kept: Examples of each split.
        bad: Bad rows, by reason.
        absent: Splits without data, with the reason.
        found: Findings about its rows and templates.
    """

    task: str
    kept: Mapping[SplitRole, int]
    bad: Mapping[str, int]
    absent: Mapping[SplitRole, str]
    found: tuple[Found, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingTask:
    """A task without data.

    Attributes:
        reason: Why there is none, and how to get it if it cannot be downloaded automatically.
        share: Its share of the mixture, if it had enough rows for the largest share; 0 if it is not trained on.
    """

    task: str
    reason: str
    share: float


def read_rows(
    tasks: Sequence[Task], config: RunConfig, *, cache: Path, told: Reporter
) -> tuple[list[PreparedTask], tuple[Rows, ...], dict[str, str]]:
    """Reads every task's rows like a run, but for all tasks.

    Returns:
        The tasks that a run could use; the state of all tasks' rows; and why some have no data.
    """
    prepared: list[PreparedTask] = []
    rows: list[Rows] = []
    missing: dict[str, str] = {}
    for number, task in enumerate(tasks):
        told.step(number, len(tasks), f"{task.name}, {number + 1:,} of {len(tasks):,}")
        try:
            one = survey_task(task, cache=cache, skip_missing=True, note=told.note)
        except MissingDataError as error:
            manual = task.source.manual
            missing[task.name] = error.message + (f". {manual}" if manual and manual not in error.message else "")
        except FlantuneError as error:
            rows.append(Rows(task=task.name, kept={}, bad={}, absent={}, found=(error_found("data", error),)))
        else:
            faults = row_faults(one, max_bad_share=config.data.max_bad_share)
            prepared += [] if faults else [one]
            rows.append(_rows(one, faults))
    told.step(len(tasks), len(tasks), f"{len(tasks):,} of {len(tasks):,}")
    return prepared, tuple(rows), missing


def absent_splits(rows: Sequence[Rows]) -> Iterator[Found]:
    """Splits that would stop a run because their data is missing and nothing may be skipped."""
    for one in rows:
        for role, reason in one.absent.items():
            said, _, hint = reason.partition("\nhint: ")
            where = "" if one.task in said else f"task {one.task}: "
            hints = [hint] if hint else []
            yield Found(
                severity="error",
                about="data",
                text=f'{where}{said} (its split "{role}")',
                hint="; or ".join([*hints, 'set data.missing = "skip" to continue without this split']),
            )


def error_found(about: str, error: FlantuneError) -> Found:
    """An error that would stop a run."""
    text = f"{error.where}: {error.message}" if error.where else error.message
    return Found(severity="error", about=about, text=text, hint=error.hint)


def _rows(one: PreparedTask, faults: Sequence[FlantuneError]) -> Rows:
    bad: dict[str, int] = {}
    for report in one.reports.values():
        for reason, count in report.bad.items():
            bad[reason] = bad.get(reason, 0) + count
    stores = [store for store in one.stores.values() if len(store)]
    examples = list(islice(stores[0], _LINTED_ROWS)) if stores else []
    findings = () if faults else (*lint_task(one.task, examples), *findings_in_rows(one))
    return Rows(
        task=one.task.name,
        kept={role: len(store) for role, store in one.stores.items()},
        bad=bad,
        absent=dict(one.missing),
        found=(*(error_found("data", fault) for fault in faults), *map(_of_linter, findings)),
    )


def _of_linter(finding: Finding) -> Found:
    # The linter's errors spoil prompts, but do not stop a run.
    return Found(
        severity="warning",
        about="templates",
        text=f"{finding.where}: {finding.rule}: {finding.message}",
        hint=finding.hint,
        rule=finding.rule,
    )


def missing_shares(
    tasks: Sequence[Task], reasons: Mapping[str, str], prepared: Sequence[PreparedTask], *, config: RunConfig, fold: int
) -> tuple[MissingTask, ...]:
    """The largest possible share of tasks without data in a fold's mixture, since their number of rows is unknown.

    Args:
        tasks: All tasks of the run.
        reasons: Those without data, with the reason.
        prepared: Those with data.
        config: The run.
        fold: The fold whose mixture is considered.
    """
    if not reasons:
        return ()
    try:
        trained = {task.name for task in numbered_split(config, tasks, fold).train}
    except FlantuneError:
        trained = {task.name for task in tasks if "train" in task.splits}
    known = {one.task.name: len(one.stores["train"]) for one in prepared if len(one.stores.get("train", ()))}
    most = max((*_caps(config.mixture), *known.values()), default=1)
    assumed = [
        _Assumed(task=task, stores={"train": range(known.get(task.name, most))})
        for task in tasks
        if task.name in trained and (task.name in known or task.name in reasons)
    ]
    share: Counter[str] = Counter()
    if assumed:
        # None of their rows is read, so a range works as a store.
        stores: Any = assumed
        for portion in lay_out(stores, seed=config.seed, settings=config.mixture, prompts=config.prompts):
            share[portion.task.name] += portion.share  # type: ignore[assignment] # shares add up like counts
    return tuple(MissingTask(task=name, reason=why, share=share[name]) for name, why in reasons.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Assumed:
    """A task with this number of rows, none of which is ever read."""

    task: Task
    stores: Mapping[SplitRole, range]


def _caps(settings: MixtureSettings) -> Iterator[int]:
    """The number of rows beyond which a task's share no longer grows, in any part."""
    todo: list[MixtureSettings | PartSettings] = [settings, *parts_of(settings).values()]
    while todo:
        part = todo.pop()
        yield from (cap for cap in (part.max_rate, part.max_examples) if cap)
        todo += part.parts.values()


def missing_found(missing: Sequence[MissingTask], *, is_error: bool) -> Iterator[Found]:
    """What tasks without data come to: an error, or a warning where the run goes on without them."""
    if missing:
        share, have = sum(one.share for one in missing), "has" if len(missing) == 1 else "have"
        yield Found(
            severity="error" if is_error else "warning",
            about="data",
            text=f"{plural(len(missing), 'task')} {have} no data, at most {share:.1%} of the mixture",
            hint='get their data, or set data.missing = "skip" to continue without them'
            if is_error
            else "the run continues without them; the others take their share",
        )
