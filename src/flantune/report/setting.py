"""What was mixed, dropped and set, from the run folder's other files: lenient about nesting, exact about numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flantune.report.load import FoldFiles, RunFiles, find
from flantune.report.numbers import as_number, count, duration, plural, short_count
from flantune.report.results import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One entry of the strip under the headline."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedTask:
    """One task of a mixture. Rates are shares between 0 and 1; ``drawn`` is None when the tuning is not done."""

    task: str
    examples: float | None
    used: float | None
    rate: float | None
    templates: float | None
    drawn: float | None

    @property
    def epochs(self) -> float | None:
        """How often the average example was drawn."""
        return self.drawn / self.used if self.drawn is not None and self.used else None


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedCluster:
    """One cluster of a mixture."""

    cluster: str
    tasks: tuple[MixedTask, ...]

    def total(self, name: str) -> float | None:
        """The sum of a number over the cluster's tasks; None when none of them has it."""
        known = [v for task in self.tasks if (v := getattr(task, name)) is not None]
        return sum(known) if known else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A task that was neither trained on nor measured, and why."""

    task: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One fold, as the report tells it."""

    name: str
    held_out: tuple[str, ...]
    unseen: tuple[str, ...]
    excluded: tuple[Left, ...]
    clusters: tuple[MixedCluster, ...]
    counts: Mapping[str, float | None]

    @property
    def label(self) -> str:
        """The fold in words: what it holds out."""
        return ", ".join(self.held_out) or self.name

    @property
    def trained(self) -> int:
        """Tasks trained on."""
        return len({task.task for cluster in self.clusters for task in cluster.tasks})


COUNTS = (
    ("prompts", ("prompts",)),
    ("input_tokens", ("input_tokens",)),
    ("target_tokens", ("target_tokens",)),
    ("positions", ("positions",)),
    ("fill", ("fill",)),
    ("exemplars_dropped", ("exemplars_dropped",)),
    ("inputs_shortened", ("inputs_shortened", "shortened")),
    ("prompts_dropped", ("prompts_dropped", "dropped")),
    ("steps", ("steps", "step")),
    ("loss", ("final_loss", "last_loss", "loss")),
    ("seconds", ("seconds", "wall_s", "elapsed_s", "training_s", "duration_s")),
    ("tokens_per_s", ("tokens_per_s", "tokens_per_second")),
    ("peak_memory", ("peak_memory_bytes", "peak_memory")),
)
"""Numbers of ``training.json``, and the names they may have there."""


def read_fold(files: FoldFiles) -> Fold:
    """A fold's mixture and counts."""
    mixture = files.mixture or {}
    counts = {name: as_number(find(files.training, *names)) for name, names in COUNTS}
    if counts["fill"] is None and counts["positions"]:
        tokens = (counts["input_tokens"] or 0.0) + (counts["target_tokens"] or 0.0)
        counts["fill"] = tokens / counts["positions"]
    last = next((entry for entry in reversed(files.metrics) if "loss" in entry), {})
    for name, key in (("loss", "loss"), ("steps", "step")):
        counts[name] = as_number(last.get(key)) if counts[name] is None else counts[name]
    return Fold(
        name=files.name,
        held_out=_names(mixture.get("held_out")),
        unseen=_names(mixture.get("unseen")),
        excluded=tuple(_excluded(mixture.get("excluded"))),
        clusters=tuple(_mixed(mixture.get("clusters"), counts["prompts"])),
        counts=counts,
    )


def _items(value: object, key: str) -> Iterator[dict[str, Any]]:
    """The objects of an array, or of an object keyed by name, each with its name under a key."""
    if isinstance(value, Mapping):
        for name, entry in value.items():
            inner = entry if isinstance(entry, Mapping) else {"tasks": entry} if isinstance(entry, list) else {}
            yield {key: name, **inner}
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for entry in value:
            yield dict(entry) if isinstance(entry, Mapping) else {key: str(entry)}


def _label(entry: Json, *names: str) -> str:
    return str(next((entry[name] for name in names if name in entry), ""))


def _names(value: object) -> tuple[str, ...]:
    return tuple(_label(entry, "task", "name", "cluster") for entry in _items(value, "name"))


def _excluded(value: object) -> Iterator[Left]:
    if isinstance(value, Mapping):
        yield from (Left(task=str(task), reason=str(reason)) for task, reason in value.items())
        return
    for entry in _items(value, "task"):
        yield Left(task=_label(entry, "task", "name"), reason=str(entry.get("reason") or ""))


def _mixed(value: object, prompts: float | None) -> Iterator[MixedCluster]:
    found = [(_label(c, "cluster", "name"), list(_items(c.get("tasks"), "task"))) for c in _items(value, "cluster")]
    quotas = sum(as_number(t.get("quota")) or 0.0 for _, tasks in found for t in tasks)
    for cluster, tasks in found:
        yield MixedCluster(cluster=cluster, tasks=tuple(_mixed_task(t, quotas, prompts) for t in tasks))


def _mixed_task(raw: Json, quotas: float, prompts: float | None) -> MixedTask:
    examples, quota = as_number(raw.get("examples")), as_number(raw.get("quota"))
    capped = raw.get("capped")
    rate = as_number(raw.get("rate"))
    if rate is None and quota is not None and quotas:
        rate = quota / quotas
    drawn = as_number(raw.get("drawn", raw.get("prompts")))
    if drawn is None and rate is not None and prompts is not None:
        drawn = rate * prompts
    templates = raw.get("templates")
    return MixedTask(
        task=_label(raw, "task", "name"),
        examples=examples,
        used=as_number(capped) if as_number(capped) is not None else examples,
        rate=rate,
        templates=as_number(len(templates) if isinstance(templates, list) else templates),
        drawn=drawn,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedRows:
    """Rows of one split that did not become examples."""

    task: str
    split: str
    source: str
    raw: float | None
    kept: float | None
    dropped: float | None
    bad: tuple[tuple[str, str, str], ...]
    """(reason, how many, first rows)"""

    @property
    def is_clean(self) -> bool:
        """Whether every row was kept."""
        return not self.bad and not self.dropped


def read_splits(data: Json | None) -> tuple[DroppedRows, ...]:
    """What became of the raw rows of every split."""
    tasks = (data or {}).get("tasks", data)
    found = []
    for entry in _items(tasks, "task"):
        reports = next((entry[k] for k in ("splits", "reports", "split_reports") if k in entry), {})
        for report in _items(reports, "split"):
            found.append(_dropped(_label(entry, "task", "name"), report))
    return tuple(found)


def _dropped(task: str, report: Json) -> DroppedRows:
    firsts: dict[str, list[str]] = {}
    for note in _items(report.get("first_bad"), "reason"):
        row = as_number(note.get("row"))
        detail = str(note.get("detail") or "")
        said = f"row {count(row)}" if row is not None else ""
        firsts.setdefault(str(note.get("reason")), []).append(f"{said} ({detail})" if detail else said)
    bad = report.get("bad") if isinstance(report.get("bad"), Mapping) else {}
    return DroppedRows(
        task=task,
        split=str(report.get("split") or report.get("role") or ""),
        source=str(report.get("source") or ""),
        raw=as_number(report.get("raw_rows")),
        kept=as_number(report.get("kept")),
        dropped=as_number(report.get("dropped")),
        bad=tuple(
            (str(reason), count(as_number(number)), "; ".join(firsts.get(str(reason), [])))
            for reason, number in (bad or {}).items()
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigLine:
    """One setting with where its value came from."""

    key: str
    value: str
    origin: str

    @property
    def is_default(self) -> bool:
        """Whether nobody set it."""
        return self.origin in ("", "default")


def config_lines(values: object, origins: Mapping[str, str], prefix: str = "") -> Iterator[ConfigLine]:
    """Every setting on a line of its own, dotted.

    >>> [line.key for line in config_lines({"seed": 0, "training": {"steps": 10}}, {})]
    ['seed', 'training.steps']
    """
    if not isinstance(values, Mapping):
        return
    for name, value in values.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from config_lines(value, origins, f"{key}.")
        else:
            yield ConfigLine(key=key, value=_literal(value), origin=str(origins.get(key, "")))


def _literal(value: object) -> str:
    """A value as TOML would have it; None is "not set"."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(_literal(v) for v in value)}]"
    return str(value)


def model_label(config: Json | None, manifest: Json | None) -> str:
    """The model's name: a path or hub id, or what was built from nothing."""
    model = (config or {}).get("model") or {}
    if model.get("path"):
        return str(model["path"])
    scratch = model.get("scratch")
    if isinstance(scratch, Mapping):
        return f"{scratch.get('architecture', 'model')} from scratch"
    return str(find(manifest, "model_name", "model") or "unknown")


def family_label(config: Json | None, manifest: Json | None) -> str:
    """Decoder-only or encoder-decoder, from wherever it is written."""
    known = (config or {}).get("family") or find(manifest, "family")
    if known:
        return str(known)
    scratch = ((config or {}).get("model") or {}).get("scratch")
    if isinstance(scratch, Mapping):
        return "encoder-decoder" if scratch.get("architecture") == "t5" else "decoder-only"
    return "not recorded"


def key_facts(run: RunFiles, folds: Sequence[Fold]) -> tuple[Fact, ...]:
    """The strip under the headline."""
    steps = (run.config or {}).get("training", {}).get("steps")
    tokens = [sum(fold.counts[n] or 0.0 for n in ("input_tokens", "target_tokens")) for fold in folds]
    trained = sorted({fold.trained for fold in folds})
    unseen = {task.task for task in run.results.tasks if not task.is_seen} if run.results else set()
    a_fold = " a fold" if len(folds) > 1 else ""
    parameters = as_number(find(run.manifest, "parameters", "n_parameters"))
    return (
        Fact(
            name="Model",
            value=model_label(run.config, run.manifest).rstrip("/").rsplit("/", 1)[-1],
            note=f"{short_count(parameters)} parameters" if parameters else "",
        ),
        Fact(name="Family", value=family_label(run.config, run.manifest)),
        Fact(name="Folds", value=str(len(folds)), note="one model each" if len(folds) > 1 else "one model"),
        Fact(name="Tasks trained on", value=_range(trained), note=a_fold.strip()),
        Fact(name="Unseen tasks", value=count(len(unseen)) if run.results else "–", note="never trained on"),
        Fact(name="Steps", value=count(as_number(steps)), note=a_fold.strip()),
        Fact(name="Tokens", value=short_count(sum(tokens)) if any(tokens) else "–", note="trained on, in all"),
        Fact(name="Wall time", value=duration(wall_seconds(run.manifest)), note="all stages"),
    )


def _range(numbers: Sequence[int]) -> str:
    if not numbers:
        return "–"
    return count(numbers[0]) if numbers[0] == numbers[-1] else f"{count(numbers[0])}–{count(numbers[-1])}"


def stage_seconds(manifest: Json | None) -> dict[str, float]:
    """Seconds of each stage, in the order they ran."""
    stages = find(manifest, "seconds", "stage_seconds", "stages", "seconds_per_stage")
    if not isinstance(stages, Mapping):
        return {}
    pairs = ((str(k), as_number(find(v, "seconds") if isinstance(v, Mapping) else v)) for k, v in stages.items())
    return {name: value for name, value in pairs if value is not None}


def wall_seconds(manifest: Json | None) -> float | None:
    """Seconds of the whole run: as written, or the sum of the stages."""
    whole = as_number(find(manifest, "total_seconds", "wall_s", "wall_seconds"))
    if whole is not None:
        return whole
    stages = stage_seconds(manifest)
    return stages.get("total", sum(stages.values())) if stages else None


def matrix(folds: Sequence[Fold]) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """What each fold did with each cluster: (cluster, one (state, words) a fold)."""
    names = {c for fold in folds for c in (*fold.held_out, *(m.cluster for m in fold.clusters))}
    return tuple((name, tuple(_state(fold, name) for fold in folds)) for name in sorted(names))


def _state(fold: Fold, cluster: str) -> tuple[str, str]:
    if cluster in fold.held_out:
        return "held", "held out"
    tasks = next((len(c.tasks) for c in fold.clusters if c.cluster == cluster), 0)
    return ("trained", plural(tasks, "task")) if tasks else ("absent", "left out")
