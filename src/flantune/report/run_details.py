"""What was mixed, dropped and set, from the run folder's other files: lenient about nesting, exact about numbers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from flantune.report.numbers import as_number, count, duration, plural, short_count
from flantune.runs.files import FoldFiles, RunFiles, read_json
from flantune.runs.untrusted_json import Json, mapping, objects


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One entry of the strip under the headline."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedTask:
    """One task of a mixture.

    Attributes:
        used: Examples after the cap.
        rate: Share of draws, between 0 and 1.
        drawn: Prompts drawn; None until the tuning is done.
        epochs: How often each used example was drawn on average; None until the tuning is done.
        dataset: Hub id of its data; empty when there is none or it was not recorded.
    """

    task: str
    examples: float | None
    used: float | None
    rate: float | None
    templates: float | None
    drawn: float | None
    epochs: float | None
    dataset: str = ""


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
    "prompts",
    "input_tokens",
    "target_tokens",
    "fill",
    "exemplars_dropped",
    "inputs_shortened",
    "prompts_dropped",
    "answers_unknown",
    "options_alike",
)
"""What ``training.json`` counts."""
TOTALS = (
    "steps",
    "final_loss",
    "seconds",
    "tokens_per_s",
    "peak_memory_bytes",
    "border_mismatch_share",
    "skipped_steps",
)
"""What else ``training.json`` says."""


def read_fold(files: FoldFiles) -> Fold:
    """A fold's mixture and counts."""
    mixture, training = files.mixture or {}, files.training or {}
    counts = mapping(training.get("counts"))
    known = {name: as_number(counts.get(name)) for name in COUNTS} | {n: as_number(training.get(n)) for n in TOTALS}
    if known["steps"] is None and files.metrics:
        known["steps"] = as_number(files.metrics[-1].get("step"))
    return Fold(
        name=files.name,
        held_out=_names(mixture.get("held_out")),
        unseen=_names(mixture.get("unseen")),
        excluded=tuple(
            Left(task=str(entry.get("task")), reason=str(entry.get("reason") or ""))
            for entry in objects(mixture.get("excluded"))
        ),
        clusters=mixed_clusters(mixture),
        counts=known,
    )


def _names(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def mixed_clusters(mixture: Json) -> tuple[MixedCluster, ...]:
    """The clusters of a fold's mixture, with their tasks."""
    return tuple(_mixed_cluster(branch) for branch in objects(mapping(mixture.get("tree")).get("children")))


def _mixed_cluster(branch: Json) -> MixedCluster:
    tasks = tuple(_mixed_task(leaf) for leaf in objects(branch.get("children")))
    return MixedCluster(cluster=str(branch.get("name") or ""), tasks=tasks)


def _mixed_task(leaf: Json) -> MixedTask:
    return MixedTask(
        task=str(leaf.get("name") or ""),
        examples=as_number(leaf.get("examples")),
        used=as_number(leaf.get("capped")),
        rate=as_number(leaf.get("rate")),
        templates=as_number(leaf.get("templates")),
        drawn=as_number(leaf.get("draws")) or None,
        epochs=as_number(leaf.get("epochs")) or None,
        dataset=str(leaf.get("dataset") or ""),
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
    return tuple(
        _dropped(str(task.get("name") or ""), str(role), mapping(report))
        for task in objects((data or {}).get("tasks"))
        for role, report in mapping(task.get("splits")).items()
    )


def _dropped(task: str, role: str, report: Json) -> DroppedRows:
    firsts: dict[str, list[str]] = {}
    for note in objects(report.get("first_bad")):
        detail = str(note.get("detail") or "")
        said = f"row {count(as_number(note.get('row')))}"
        firsts.setdefault(str(note.get("reason")), []).append(f"{said} ({detail})" if detail else said)
    return DroppedRows(
        task=task,
        split=role,
        source=str(report.get("source") or ""),
        raw=as_number(report.get("raw_rows")),
        kept=as_number(report.get("kept")),
        dropped=as_number(report.get("dropped")),
        bad=tuple(
            (str(reason), count(as_number(number)), "; ".join(firsts.get(str(reason), [])))
            for reason, number in mapping(report.get("bad")).items()
        ),
    )


def missing_data(data: Json | None) -> tuple[Left, ...]:
    """Tasks, and splits of tasks, whose data could not be found."""
    skipped = [Left(task=str(k), reason=str(v)) for k, v in mapping((data or {}).get("skipped")).items()]
    return (
        *skipped,
        *(
            Left(task=f"{task.get('name')}, {role}", reason=str(reason))
            for task in objects((data or {}).get("tasks"))
            for role, reason in mapping(task.get("missing")).items()
        ),
    )


def repeated_rows(data: Json | None, tasks: Collection[str]) -> tuple[Left, ...]:
    """Of the tasks that were measured, those whose rows are no independent observations."""
    return tuple(
        Left(task=str(task.get("name")), reason=str(task["repeated"]))
        for task in objects((data or {}).get("tasks"))
        if task.get("repeated") and task.get("name") in tasks
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What became of the prompts that one model was measured with."""

    model: str
    counts: Mapping[str, float | None]


def read_measured(run: RunFiles) -> tuple[Measured, ...]:
    """Prompts shortened and dropped while measuring, one entry a model; models not measured are left out."""
    homes = [("Base", run.base_samples), *((f"Tuned, {fold.name}", fold.samples) for fold in run.folds)]
    found = []
    for model, folder in homes:
        each = [mapping((read_json(path) or {}).get("counts")) for path in sorted(folder.glob("*.json"))]
        if each:
            sums = {name: sum(as_number(c.get(name)) or 0.0 for c in each) for name in COUNTS}
            found.append(Measured(model=model, counts=sums))
    return tuple(found)


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


def model_label(config: Json | None) -> str:
    """The model's name: a path or hub id, or what was built from nothing."""
    model = mapping((config or {}).get("model"))
    scratch = mapping(model.get("scratch"))
    if scratch:
        return f"{scratch.get('architecture', 'model')} from nothing"
    return str(model.get("path") or "not recorded")


def family_label(run: RunFiles) -> str:
    """Decoder-only or encoder-decoder: as set, or as the tuned model's own config says."""
    config = run.config or {}
    if config.get("family"):
        return str(config["family"])
    if run.model is not None:
        return "encoder-decoder" if run.model.get("is_encoder_decoder") else "decoder-only"
    architecture = mapping(mapping(config.get("model")).get("scratch")).get("architecture")
    return {"t5": "encoder-decoder", None: "not known yet"}.get(architecture, "decoder-only")


def key_facts(run: RunFiles, folds: Sequence[Fold]) -> tuple[Fact, ...]:
    """The strip under the headline."""
    steps = mapping((run.config or {}).get("training")).get("steps")
    tokens = [sum(fold.counts[n] or 0.0 for n in ("input_tokens", "target_tokens")) for fold in folds]
    trained = sorted({fold.trained for fold in folds})
    unseen = {task.task for task in run.results.tasks if not task.is_seen} if run.results else set()
    a_fold = " a fold" if len(folds) > 1 else ""
    return (
        Fact(name="Model", value=model_label(run.config).rstrip("/").rsplit("/", 1)[-1]),
        Fact(name="Family", value=family_label(run)),
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
    pairs = ((str(k), as_number(v)) for k, v in mapping((manifest or {}).get("seconds")).items())
    return {name: value for name, value in pairs if value is not None}


def wall_seconds(manifest: Json | None) -> float | None:
    """Seconds of the whole run, all starts together."""
    stages = stage_seconds(manifest)
    return sum(stages.values()) if stages else None


def matrix(folds: Sequence[Fold]) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """What each fold did with each cluster: (cluster, one (state, words) a fold)."""
    names = {c for fold in folds for c in (*fold.held_out, *(m.cluster for m in fold.clusters))}
    return tuple((name, tuple(_state(fold, name) for fold in folds)) for name in sorted(names))


def _state(fold: Fold, cluster: str) -> tuple[str, str]:
    if cluster in fold.held_out:
        return "held", "held out"
    tasks = next((len(c.tasks) for c in fold.clusters if c.cluster == cluster), 0)
    return ("trained", plural(tasks, "task")) if tasks else ("absent", "left out")
