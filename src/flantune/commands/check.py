"""Everything that can be checked before a run trains: files, rows, templates, folds, mixture, lengths, cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flantune.commands.answer_check import answer_faults
from flantune.commands.budget_notes import training_notes
from flantune.commands.check_data import (
    Found,
    MissingTask,
    Rows,
    absent_splits,
    error_found,
    missing_found,
    missing_shares,
    read_rows,
)
from flantune.commands.check_lengths import Lengths, look_at_lengths
from flantune.commands.check_repeats import TaskRepeats, overlaps, repeat_findings, task_repeats
from flantune.commands.check_start import start_faults
from flantune.commands.estimate import estimate_cost, planned_few_steps
from flantune.commands.looked import Looked
from flantune.commands.plan import (
    make_codec,
    make_mixture,
    numbered_split,
    planned_reader,
    split_fold,
    with_present_splits,
)
from flantune.commands.prepared_draws import with_prepared
from flantune.commands.suites_in_run import check_unseen, suite_exams
from flantune.errors import FlantuneError, LeakError
from flantune.mixture.holdout import run_folds
from flantune.mixture.portions import training_styles
from flantune.mixture.sheet import mixture_sheet
from flantune.models.devices import HERE, parse_devices
from flantune.packing.stream import PromptStream
from flantune.system.progress import Reporter, Silent
from flantune.tasks.licences import licence_use
from flantune.tasks.load import folder_notes, load_tasks
from flantune.tasks.permitted import without_permission

if TYPE_CHECKING:
    from flantune.mixture.holdout import FoldTasks
    from flantune.mixture.mixture import Mixture
    from flantune.settings.config import RunConfig
    from flantune.settings.run_file import RunFile
    from flantune.studies.estimate import RunCost
    from flantune.tasks.example_store import PreparedTask
    from flantune.types import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedFold:
    """Which tasks are trained on and measured in a fold.

    Attributes:
        held_out: What is held out; empty if nothing is.
        train: Names of the tasks trained on.
        unseen: Names of those measured.
        excluded: Number of the other tasks.
    """

    held_out: tuple[str, ...]
    train: tuple[str, ...]
    unseen: tuple[str, ...]
    excluded: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskShare:
    """A task's share in the mixture.

    Attributes:
        part: The part of the mixture it is drawn in; empty without parts.
        share: Share of all draws.
        rows: Number of training rows.
        epochs: How often each of the rows in use is seen in the whole run.
    """

    task: str
    part: str
    share: float
    rows: int
    epochs: float
    licence: str
    licence_use: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCheck:
    """The result of a check.

    Attributes:
        tasks: Number of tasks in the run file.
        left_out: Reason → how many tasks ``data.licences`` and ``data.languages`` leave out.
        rows: The state of each task's rows.
        missing: Tasks without data, and their largest possible share of the mixture.
        folds: All folds.
        mixture: The shares in the checked fold, the largest first.
        licences: Use → share of the draws.
        overlapping: For each measured task, test rows and those that overlap with training; None: not checked.
        too_short: Number of test rows so short that only exact copies of them were looked for.
        repeats: How often rows and labels occur in each task; empty: not checked.
        lengths: Lengths of prompts in tokens; None without a tokenizer.
        cost: The cost of the run; None without a model.
        found: The findings, the worst first.
    """

    name: str
    tasks: int
    left_out: Mapping[str, int]
    rows: tuple[Rows, ...]
    missing: tuple[MissingTask, ...]
    folds: tuple[CheckedFold, ...]
    mixture: tuple[TaskShare, ...]
    licences: Mapping[str, float]
    overlapping: Mapping[str, tuple[int, int]] | None
    too_short: int
    repeats: tuple[TaskRepeats, ...]
    lengths: Lengths | None
    cost: RunCost | None
    found: tuple[Found, ...]

    @property
    def errors(self) -> int:
        """The number of things that would stop a run."""
        return sum(one.severity == "error" for one in self.found)

    def to_json(self) -> dict[str, Any]:
        """The check as JSON values."""
        return {**asdict(self), "errors": self.errors}


def check_run_file(
    file: RunFile,
    *,
    cache: Path,
    fold: int = 0,
    contamination: bool = True,
    device: str = "",
    folder: Path | None = None,
    reporter: Reporter | None = None,
) -> RunCheck:
    """What would stop a run, what it would leave out, and its cost; nothing is trained and no weights are read.

    Args:
        file: The run file.
        cache: Folder for adapted examples, unless the run file names one; a run finds them there.
        fold: The fold whose mixture, lengths and cost are checked.
        contamination: Also compare rows with each other, which reads all of them.
        device: The device it will run on, for the hours; see ``estimate.estimate_run``.
        folder: The run folder, which may belong to another run; None: unknown.
        reporter: Gets the progress.

    Raises:
        FlantuneError: The tasks cannot be determined from the run file, so there is nothing to check.
    """
    told, config = reporter or Silent(), file.config
    if device not in ("", HERE):  # before anything is read
        parse_devices(device)
    everything = load_tasks(config.data.model_copy(update={"licences": "any", "languages": ()}), root=file.root)
    tasks = load_tasks(config.data, root=file.root)
    told.stage("read the rows")
    read, rows, reasons = read_rows(tasks, config, cache=config.data.cache or cache, told=told)
    prepared = [with_present_splits(one) for one in read]
    found = [one for each in rows for one in each.found]
    if config.data.missing == "error":
        found += absent_splits(rows)
    found += [Found(severity="note", about="data", text=line) for line in folder_notes(config.data, root=file.root)]
    wanted = [task for task in tasks if config.data.missing == "error" or task.name not in reasons]
    splits = _splits(config, wanted, prepared, found) if prepared else []
    chosen = _chosen(config, wanted, prepared, splits, fold, found) if prepared else None
    found += start_faults(file, tasks, prepared, splits, folder=folder)
    if not prepared and not any(one.severity == "error" for each in rows for one in each.found):
        hint = "set data.mirror to a folder that has it, or read from the hub with a network; --json has every reason"
        found.append(Found(severity="error", about="data", text="no task has data", hint=hint))
    ways = _Ways(config, prepared, tuple(splits), told, contamination, device)
    looked = _look(ways, chosen) if chosen is not None else _FoldCheck()
    repeats = tuple(map(task_repeats, prepared)) if contamination else ()
    missing = missing_shares(tasks, reasons, prepared, config=config, fold=fold)
    found += [
        *_suite_faults(config, prepared, splits),
        *looked.found,
        *repeat_findings(repeats),
        *missing_found(missing, is_error=config.data.missing == "error"),
    ]
    uses: Counter[str] = Counter()
    for one in looked.mixture:
        uses[one.licence_use] += one.share  # type: ignore[assignment] # shares add up like counts
    return RunCheck(
        name=config.name,
        tasks=len(tasks),
        left_out=Counter(without_permission(everything, config.data).values()),
        rows=rows,
        missing=missing,
        folds=tuple(_checked(split) for split in splits),
        mixture=looked.mixture,
        licences=dict(uses.most_common()),
        overlapping=looked.overlapping,
        too_short=looked.too_short,
        repeats=repeats,
        lengths=looked.lengths,
        cost=looked.cost,
        found=_worst_first(found),
    )


_SEVERITIES = ("error", "warning", "note")


def _worst_first(found: Sequence[Found]) -> tuple[Found, ...]:
    """Each fault once, even if several checks found it."""
    once: dict[str, Found] = {}
    for one in found:
        once.setdefault(one.text, one)
    return tuple(sorted(once.values(), key=lambda one: _SEVERITIES.index(one.severity)))


def _splits(
    config: RunConfig, tasks: Sequence[Task], prepared: Sequence[PreparedTask], found: list[Found]
) -> list[FoldTasks]:
    """The folds that can be made; what is wrong with the others is noted, unless it follows from unreadable rows."""
    splits = []
    for fold in run_folds(config.holdout):
        try:
            splits.append(split_fold(config, [one.task for one in prepared], fold))
        except FlantuneError as error:
            if _fails(partial(split_fold, config, tasks, fold)):
                found.append(error_found("holdout", error))
    return splits


def _fails(make: Callable[[], object]) -> bool:
    try:
        make()
    except FlantuneError:
        return True
    return False


def _suite_faults(config: RunConfig, prepared: Sequence[PreparedTask], splits: Sequence[FoldTasks]) -> Iterator[Found]:
    """What prevents measuring the benchmarks of ``evaluation.suites``."""
    try:
        suites = suite_exams(config)
        check_unseen(config, prepared, splits, suites.exams)
    except FlantuneError as error:
        yield error_found("contamination" if isinstance(error, LeakError) else "data", error)
    else:
        for one in suites.missing:
            yield Found(severity="note", about="data", text=f"{one.score} {one.name}: not measured; needs {one.needs}")


def _chosen(
    config: RunConfig,
    tasks: Sequence[Task],
    prepared: Sequence[PreparedTask],
    splits: Sequence[FoldTasks],
    fold: int,
    found: list[Found],
) -> FoldTasks | None:
    """The fold whose mixture is checked; None if it cannot be made, which is already reported."""
    try:
        return numbered_split(config, [one.task for one in prepared], fold)
    except FlantuneError as error:
        known = error_found("holdout", error)
        if known not in found and _fails(partial(numbered_split, config, tasks, fold)):
            found.append(known)
        return splits[0] if splits else None


def _checked(split: FoldTasks) -> CheckedFold:
    return CheckedFold(
        held_out=split.held_out,
        train=tuple(task.name for task in split.train),
        unseen=tuple(task.name for task in split.unseen),
        excluded=len(split.excluded),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _FoldCheck:
    """The check of one fold's mixture and model; see ``RunCheck``."""

    mixture: tuple[TaskShare, ...] = ()
    overlapping: Mapping[str, tuple[int, int]] | None = None
    too_short: int = 0
    lengths: Lengths | None = None
    cost: RunCost | None = None
    found: tuple[Found, ...] = ()


@dataclass(frozen=True, slots=True)
class _Ways:
    """What is checked, and how thoroughly."""

    config: RunConfig
    prepared: Sequence[PreparedTask]
    splits: Sequence[FoldTasks]
    told: Reporter
    contamination: bool
    device: str


def _look(ways: _Ways, split: FoldTasks) -> _FoldCheck:
    config, prepared, told = ways.config, ways.prepared, ways.told
    found: list[Found] = []
    train, asked = ({task.name for task in tasks} for tasks in (split.train, split.measured))
    trained = [one for one in prepared if one.task.name in train]
    measured = [one for one in prepared if one.task.name in asked]
    shares: tuple[TaskShare, ...] = ()
    lengths, cost, overlapping, too_short = None, None, None, 0
    try:
        mixture = make_mixture(config, prepared, split)
    except FlantuneError as error:
        found.append(error_found("mixture", error))
    else:
        told.stage("check the first prompts and batches")
        try:
            lengths, cost = _tokens(ways, split, mixture, found)
        except FlantuneError as error:
            found.append(error_found("model", error))
        shares = _shares(mixture, draws=cost.draws if cost else mixture.cycle)
        sheet = mixture_sheet(mixture, config.mixture, split, skipped={}, draws=cost.draws if cost else mixture.cycle)
        found += [Found(severity="warning", about="mixture", text=text) for text in sheet.warnings]
    if ways.contamination and trained and measured:
        told.stage("compare test rows with training rows")
        compared = overlaps(trained, measured, seed=config.seed, held_out=split.held_out, told=told)
        overlapping, too_short = compared.dirty, compared.too_short
        found += compared.found
    return _FoldCheck(
        mixture=shares, overlapping=overlapping, too_short=too_short, lengths=lengths, cost=cost, found=tuple(found)
    )


def _tokens(ways: _Ways, split: FoldTasks, mixture: Mixture, found: list[Found]) -> tuple[Lengths, RunCost]:
    """Lengths and cost; what the tokenizer cannot represent and what does not fit is recorded.

    Raises:
        FlantuneError: The model's tokenizer or configuration cannot be read, or no prompt fits.
    """
    config, prepared = ways.config, ways.prepared
    reader = planned_reader(config, prepared)
    stream = PromptStream(mixture, make_codec(config, reader), row_tokens=config.packing.row_tokens)
    chat = stream.codec.chat
    found += [Found(severity="note", about="model", text=known) for known in (chat.notes if chat else ())]
    try:
        with_prepared(config, stream, mixture, prepared, split, note=ways.told.note)
    except FlantuneError as error:
        found.append(error_found("data", error))
    inverted = config.prompts.include_inverted
    faults = {
        str(fault): fault.is_refused
        for style in training_styles(config.mixture, config.prompts)
        for one in prepared
        for fault in answer_faults(one, stream.codec, style=style, teaches_inverted=inverted)
    }
    found += [
        Found(severity="error" if is_refused else "warning", about="tokenizer", text=text)
        for text, is_refused in faults.items()
    ]
    found += [
        Found(severity="warning", about="lengths", text=note)
        for note in training_notes(mixture, stream.codec, config.packing)
    ]
    looked = Looked(config=config, prepared=prepared, folds=ways.splits, mixture=mixture, stream=stream, reader=reader)
    found += [
        Found(severity="warning", about="mixture", text=text, hint=hint) for text, hint in planned_few_steps(looked)
    ]
    cost = estimate_cost(looked, device=ways.device, reporter=ways.told)
    found += [Found(severity="note", about="device", text=note) for note in cost.notes]
    return look_at_lengths(stream), cost


def _shares(mixture: Mixture, *, draws: int) -> tuple[TaskShare, ...]:
    """Each task's share in the mixture, the largest first."""
    shares = (
        TaskShare(
            task=one.task.name,
            part=one.part,
            share=one.share,
            rows=one.examples,
            epochs=draws * one.share / one.capped,
            licence=one.task.licence,
            licence_use=licence_use(one.task.licence),
        )
        for one in mixture.portions
    )
    return tuple(sorted(shares, key=lambda one: -one.share))
