"""``flantune seen``: for each benchmark that another tool measured, whether the model was trained on it or its kin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from flantune.contamination.record_files import read_index, read_record
from flantune.contamination.training_record import (
    Measured,
    Relation,
    RowIndex,
    TrainingRecord,
    check_seen,
    seen_reasons,
)
from flantune.errors import ConfigError
from flantune.harness.other_results import ReportedBenchmark, read_reported, result_files
from flantune.mixture.taxonomy import Taxonomy, load_taxonomy, plain_name
from flantune.tasks.naming import is_named
from flantune.tasks.same_data import hub_name, is_same_hub
from flantune.tasks.shipped_files import collection_files, collections
from flantune.tasks.taskfile import load_task_file
from flantune.types import Task

Standing = Literal["taught", "rows", "kin", "cluster", "unseen", "unknown"]
"""The relation of a benchmark to a model's training data, from closest to most distant."""

_RELATIONS: tuple[Relation, ...] = ("taught", "kin", "cluster")


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkStanding:
    """One benchmark of a results file.

    Attributes:
        benchmark: Its name in the file.
        tool: The tool that measured it.
        hub: Its dataset; empty if the file does not say.
        metric: Its first metric.
        score: The model's score.
        known_as: The tasks and benchmarks that it was recognized as; empty if only its name is known.
        standing: Its relation to the training data; "rows": its questions occur in training rows; "unknown": no
            indication, but it was not recognized either.
        reasons: Sentences that say why it is not new; empty if it is.
        rows_seen: Questions that occur in the training rows, nearly word for word.
        rows: Questions that were checked; 0 if the file has none.
    """

    benchmark: str
    tool: str
    hub: str
    metric: str
    score: float | None
    known_as: tuple[str, ...]
    standing: Standing
    reasons: tuple[str, ...]
    rows_seen: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenReport:
    """What a model had seen of the measured benchmarks.

    Attributes:
        model: Its folder or GGUF file.
        is_signed: Whether the record has a hash of its contents that is correct.
        tasks: Tasks that the record names.
        held_out: Clusters that were held out, by the record.
        benchmarks: The benchmarks in the results files.
    """

    model: str
    is_signed: bool
    tasks: int
    held_out: tuple[str, ...]
    benchmarks: tuple[BenchmarkStanding, ...]

    @property
    def seen(self) -> tuple[BenchmarkStanding, ...]:
        """Those that were not new to the model."""
        return tuple(one for one in self.benchmarks if one.standing not in ("unseen", "unknown"))


def look_up(model: Path, results: Sequence[Path]) -> SeenReport:
    """Every benchmark of some results files against a model's record.

    Args:
        model: A model's folder, or a GGUF file.
        results: Results files, and folders of them.

    Raises:
        ConfigError: There is no record: flantune did not tune this model.
        SourceError: The record is damaged or was changed, or a file is not a results file.
    """
    record = read_record(model)
    if record is None:
        hint = "name the folder of a model that flantune tuned (of a run: folds/<fold>/model)"
        raise ConfigError("no record of what this model was trained on", where=str(model), hint=hint)
    index, taxonomy = read_index(model), load_taxonomy(None)
    files = dict.fromkeys(file for path in results for file in result_files(path))
    reported = [one for path in files for one in read_reported(path)]
    return SeenReport(
        model=str(model),
        is_signed=bool(record.sha256),
        tasks=len(record.tasks),
        held_out=record.held_out,
        benchmarks=tuple(_standing(one, record, index, taxonomy) for one in reported),
    )


def _standing(one: ReportedBenchmark, record: TrainingRecord, index: RowIndex, taxonomy: Taxonomy) -> BenchmarkStanding:
    tasks = [task for task in _shipped() if _is_task(one, task)]
    benchmarks = [known for known in taxonomy.benchmarks if _is_benchmark(one, known.name, known.hubs, known.tasks)]
    families = {task.source_family for task in tasks}.union(*(known.families for known in benchmarks))
    hubs = dict.fromkeys([one.hub, *(hub_name(task.source) for task in tasks)])
    clusters = tuple(dict.fromkeys(cluster for task in tasks for cluster in task.clusters))
    measured = [
        Measured(
            name=one.name,
            tasks=(one.name, *(task.name for task in tasks)),
            clusters=clusters,
            families=tuple(families),
            hub=hub,
        )
        for hub in hubs
    ]
    found = [reason for each in measured for reason in seen_reasons(record, each, taxonomy)]
    rows = check_seen(record, index, Measured(name=one.name, rows=lambda: enumerate(one.texts)), taxonomy).rows
    relation = next((name for name in _RELATIONS if any(reason.relation == name for reason in found)), None)
    known_as = tuple(dict.fromkeys([*(task.name for task in tasks), *(known.name for known in benchmarks)]))
    standing: Standing = relation or ("unseen" if known_as else "unknown")
    reasons = [reason.text for reason in found if reason.relation == relation]
    if rows:
        standing = "taught" if relation == "taught" else "rows"
        count = f"{len(rows)} of {len(one.texts)} questions"
        reasons = [f"{count} occur in its training rows, nearly word for word", *reasons]
    return BenchmarkStanding(
        benchmark=one.name,
        tool=one.tool,
        hub=one.hub,
        metric=one.metric,
        score=one.score,
        known_as=known_as,
        standing=standing,
        reasons=tuple(dict.fromkeys(reasons)),
        rows_seen=len(rows or ()),
        rows=len(one.texts),
    )


def _is_task(one: ReportedBenchmark, task: Task) -> bool:
    return plain_name(task.name) in _names(one) or _is_hub(one.hub, hub_name(task.source))


def _is_benchmark(one: ReportedBenchmark, name: str, hubs: Sequence[str], patterns: Sequence[str]) -> bool:
    own = _names(one)
    is_part = any(written == plain_name(name) or written.startswith(f"{plain_name(name)} ") for written in own)
    return is_part or is_named(one.name, patterns) or any(_is_hub(one.hub, hub) for hub in hubs)


def _names(one: ReportedBenchmark) -> frozenset[str]:
    """Possible names of a benchmark: "mmlu:astronomy" and "mmlu_astronomy" are one name."""
    return frozenset({plain_name(one.name.replace(":", " "))})


def _is_hub(one: str, other: str) -> bool:
    """Whether two names mean the same dataset; tools omit its organization."""
    left, right = one.partition(":"), other.partition(":")
    if "/" not in left[0] or "/" not in right[0]:
        left, right = (_bare(left), _bare(right))
    return is_same_hub("".join(left), "".join(right))


def _bare(name: tuple[str, str, str]) -> tuple[str, str, str]:
    return name[0].rpartition("/")[2], name[1], name[2]


@cache
def _shipped() -> tuple[Task, ...]:
    """The shipped tasks, for recognizing benchmarks by name, dataset, family and cluster."""
    return tuple(load_task_file(path) for path in collection_files(collections()))
