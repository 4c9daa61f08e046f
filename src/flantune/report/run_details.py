"""A run's mixture, dropped rows and settings, from the run folder's other files."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

from flantune.packing.packs import Counts
from flantune.report.numbers import MISSING, count, duration, plural, short_count
from flantune.runs.files import FoldFiles, RunFiles, read_origins
from flantune.runs.products import DataReport
from flantune.settings.config import RunConfig
from flantune.settings.run_file import flatten
from flantune.tasks.example_store import SplitReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One entry of the key facts under the headline."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Something unexpected, and its reason."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRows:
    """What happened to the rows of one split of a task."""

    task: str
    role: str
    report: SplitReport

    @property
    def is_clean(self) -> bool:
        """Whether every row was kept."""
        return not self.report.bad and not self.report.dropped

    @property
    def bad(self) -> tuple[tuple[str, int, str], ...]:
        """Each reason, its number of rows, and the first of them in words."""
        firsts: dict[str, list[str]] = {}
        for note in self.report.first_bad:
            said = f"row {count(note.row)}"
            firsts.setdefault(note.reason, []).append(f"{said} ({note.detail})" if note.detail else said)
        return tuple((why, number, "; ".join(firsts.get(why, []))) for why, number in self.report.bad.items())


def read_splits(data: DataReport | None) -> tuple[SplitRows, ...]:
    """What happened to the raw rows of every split."""
    return tuple(
        SplitRows(task=task.name, role=role, report=report)
        for task in (data.tasks if data else ())
        for role, report in task.splits.items()
    )


def missing_data(data: DataReport | None) -> tuple[Reason, ...]:
    """Tasks, and splits of tasks, whose data could not be found."""
    if data is None:
        return ()
    splits = ((f"{task.name}, {role}", why) for task in data.tasks for role, why in task.missing.items())
    return tuple(Reason(name=name, reason=why) for name, why in (*data.skipped.items(), *splits))


def repeated_rows(data: DataReport | None, tasks: Collection[str]) -> tuple[Reason, ...]:
    """Measured tasks whose rows are not independent observations."""
    return tuple(
        Reason(name=task.name, reason=task.repeated)
        for task in (data.tasks if data else ())
        if task.repeated and task.name in tasks
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredPrompts:
    """What happened to the prompts that one model was measured with."""

    model: str
    counts: Counts


def read_measured(run: RunFiles) -> tuple[MeasuredPrompts, ...]:
    """Prompts shortened and dropped in evaluation, one entry per model; models that were not measured are left out."""
    homes = [("Base", run.folder.base), *((f"Tuned, {fold.name}", fold.folder.tuned) for fold in run.folds)]
    each = [(model, [origin.counts for origin in read_origins(home)]) for model, home in homes]
    return tuple(MeasuredPrompts(model=model, counts=reduce(add, counts)) for model, counts in each if counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigLine:
    """One setting and the origin of its value."""

    key: str
    value: str
    origin: str

    @property
    def is_default(self) -> bool:
        """Whether it has its default."""
        return self.origin in ("", "default")


def config_lines(run: RunFiles) -> Iterator[ConfigLine]:
    """Every setting on its own line, dotted; None is "not set"."""
    for key, value in flatten(run.config) if run.config else ():
        said = "not set" if value is None else json.dumps(value, ensure_ascii=False, default=str)
        yield ConfigLine(key=key, value=said, origin=run.origins.get(key, ""))


def model_label(config: RunConfig | None) -> str:
    """The model's name: a path or hub id, or a description of a model from scratch."""
    if config is None:
        return "not recorded"
    if config.model.scratch:
        return f"{config.model.scratch.architecture} from scratch"
    return config.model.path or "not recorded"


def family_label(run: RunFiles) -> str:
    """Decoder-only or encoder-decoder, from the settings or the tuned model's config."""
    if run.config and run.config.family:
        return str(run.config.family)
    if run.model is not None:
        return "encoder-decoder" if run.model.is_encoder_decoder else "decoder-only"
    scratch = run.config.model.scratch if run.config else None
    return {"t5": "encoder-decoder", None: "not known yet"}.get(
        scratch.architecture if scratch else None, "decoder-only"
    )


def key_facts(run: RunFiles) -> tuple[Fact, ...]:
    """The key facts under the headline."""
    counts = [fold.training.counts for fold in run.folds if fold.training]
    tokens = sum(one.input_tokens + one.target_tokens for one in counts)
    trained = sorted({len(fold.mixture.train) if fold.mixture else 0 for fold in run.folds})
    unseen = {task.name for task in run.results.tasks if not task.is_seen} if run.results else set()
    is_plain = bool(run.results and run.results.tasks) and not unseen
    told = count(len(unseen)) if run.results else MISSING
    a_fold = " a fold" if len(run.folds) > 1 else ""
    seconds = sum(run.manifest.seconds.values()) if run.manifest and run.manifest.seconds else None
    return (
        Fact(name="Model", value=model_label(run.config).rstrip("/").rsplit("/", 1)[-1]),
        Fact(name="Family", value=family_label(run)),
        Fact(name="Folds", value=str(len(run.folds)), note="one model each" if len(run.folds) > 1 else "one model"),
        Fact(name="Tasks trained on", value=_range(trained), note="and measured" if is_plain else a_fold.strip()),
        *([] if is_plain else [Fact(name="Unseen tasks", value=told, note="never trained on")]),
        Fact(
            name="Steps",
            value=_steps(run),
            note=_kept(run) or a_fold.strip(),
        ),
        Fact(name="Tokens", value=short_count(tokens) if tokens else MISSING, note="trained on, in all"),
        Fact(name="Wall time", value=duration(seconds), note="all stages"),
    )


def _steps(run: RunFiles) -> str:
    """The steps taken; before training, the largest planned number."""
    taken = sorted({fold.training.steps for fold in run.folds if fold.training})
    return _range(taken) if taken else count(run.config.training.steps if run.config else None)


def _kept(run: RunFiles) -> str:
    """Which step's weights were kept, if dev rows of trained tasks decided."""
    steps = [fold.training.kept_step for fold in run.folds if fold.training and fold.training.kept_step is not None]
    return f"kept: {_range(sorted(steps))}, best on dev rows" if steps else ""


def _range(numbers: Sequence[int]) -> str:
    if not numbers:
        return MISSING
    return count(numbers[0]) if numbers[0] == numbers[-1] else f"{count(numbers[0])}–{count(numbers[-1])}"


def matrix(folds: Sequence[FoldFiles]) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """What each fold did with each cluster: (cluster, one (state, words) per fold)."""
    trained = [{c.name: len(c.tasks) for c in fold.mixture.tree.clusters} if fold.mixture else {} for fold in folds]
    held = [fold.mixture.held_out if fold.mixture else () for fold in folds]
    names = sorted({name for each in (*trained, *held) for name in each})
    return tuple((name, tuple(map(lambda t, h: _state(name, t, h), trained, held))) for name in names)


def _state(cluster: str, trained: dict[str, int], held: Collection[str]) -> tuple[str, str]:
    if cluster in held:
        return "held", "held out"
    return ("trained", plural(trained[cluster], "task")) if cluster in trained else ("absent", "left out")
