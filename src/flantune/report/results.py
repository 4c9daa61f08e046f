"""``results.json`` as values: every number checked once, here, so that nothing downstream meets a NaN."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from flantune.report.estimates import Estimate, estimate
from flantune.report.numbers import as_number
from flantune.report.skill_results import SKILL_MEASURES, TaskSkill, parse_skill
from flantune.runs.untrusted_json import Json, mapping, objects

Model = Literal["base", "tuned"]
MODELS: tuple[Model, Model] = ("base", "tuned")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Base, tuned and their difference: of the whole, a cluster or a task."""

    name: str
    shots: int
    base: Estimate
    tuned: Estimate
    difference: Estimate
    chance: float | None = None
    fold: str = ""

    def of(self, model: Model) -> Estimate:
        """The score of one of the two models."""
        return self.base if model == "base" else self.tuned


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateScore:
    """What one model scored with one template, on test and on dev rows, with its interval."""

    template: str
    value: float | None
    dev: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelScores:
    """What one model scored on one task, over all templates."""

    mean: Estimate
    std: float | None
    median: float | None
    iqr: float | None
    best_dev_template: str
    best_dev_test: float | None
    ties: float | None
    normalizations: Mapping[str, float | None]
    templates: tuple[TemplateScore, ...]
    metrics: Mapping[str, float | None]
    range: float | None = None
    worst_template: str = ""
    worst: float | None = None
    agreement: float | None = None
    tie_rules: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clean:
    """Both models on the rows that training does not overlap with."""

    examples: float | None
    flagged: float | None
    base: Estimate
    tuned: Estimate
    difference: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """One task, measured with one number of exemplars.

    Attributes:
        label: Its name; with the fold when several folds measure it.
        is_seen: It was trained on, and is shown apart.
        q: False discovery rate among the tasks beside it.
        bootstrap: The difference's percentile interval and p-value.
        groups: Groups that its rows form.
        clean: None when nobody looked for overlap with training.
        signatures: Metric → how its library says it was computed.
        notes: What a reader of the scores should know of the metrics.
        skill: Skill apart from a preference for an answer; None where nothing was ranked, and in older results.
    """

    task: str
    label: str
    clusters: tuple[str, ...]
    fold: str
    kind: str
    metric: str
    shots: int
    chance: float | None
    examples: float | None
    base: ModelScores
    tuned: ModelScores
    difference: Estimate
    mcnemar_p: float | None
    is_seen: bool
    q: float | None = None
    bootstrap: Estimate = field(default_factory=Estimate)
    groups: float | None = None
    clean: Clean | None = None
    signatures: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    skill: TaskSkill | None = None

    def of(self, model: Model) -> ModelScores:
        """The scores of one of the two models."""
        return self.base if model == "base" else self.tuned

    def pair(self) -> Pair:
        """The task's means, for a figure."""
        return Pair(
            name=self.label,
            shots=self.shots,
            base=self.base.mean,
            tuned=self.tuned.mean,
            difference=self.difference,
            chance=self.chance,
            fold=self.fold,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The headline: one sentence and the numbers in it."""

    text: str
    direction: Literal["better", "worse", "undecided"]
    base: float | None
    tuned: float | None
    difference: Estimate
    chance: float | None
    tasks: int | None
    clusters: int | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All of ``results.json``. ``clusters`` and ``overall`` are keyed by measure: raw, normalized, those of skill."""

    name: str = ""
    confidence: float = 0.95
    normalization: str = "sum"
    answer_parsing: str = "none"
    protocol: str = ""
    seed: int | None = None
    verdict: Verdict | None = None
    overall: Mapping[str, tuple[Pair, ...]] = field(default_factory=dict)
    clusters: Mapping[str, tuple[Pair, ...]] = field(default_factory=dict)
    tasks: tuple[TaskResult, ...] = ()

    @property
    def level(self) -> str:
        """The level of the intervals: "95%"."""
        return f"{self.confidence * 100:g}%"

    @property
    def shots(self) -> tuple[int, ...]:
        """Every number of exemplars measured with, in order."""
        return tuple(sorted({task.shots for task in self.tasks}))


def parse_results(raw: Json) -> Results:
    """The results from their JSON form; parts that are missing stay empty."""
    tasks = tuple(_task(entry, label) for entry, label in _labeled(objects(raw.get("tasks")), "task"))
    clusters = _clusters(objects(raw.get("clusters")))
    confidence = as_number(raw.get("confidence"))
    seed = as_number(raw.get("seed"))
    return Results(
        name=str(raw.get("name") or ""),
        confidence=0.95 if confidence is None else confidence,
        normalization=str(raw.get("normalization") or "sum"),
        answer_parsing=str(raw.get("answer_parsing") or "none"),
        protocol=_protocol(raw.get("protocol")),
        seed=None if seed is None else int(seed),
        verdict=_verdict(raw.get("verdict")),
        overall=_overall(objects(raw.get("overall")), clusters["raw"]),
        clusters=clusters,
        tasks=tasks,
    )


def _protocol(raw: object) -> str:
    """Name and fingerprint of the way options were scored; empty in results that do not say."""
    return f"{raw.get('name')} ({raw.get('fingerprint')})" if isinstance(raw, Mapping) else ""


def _verdict(raw: object) -> Verdict | None:
    if not isinstance(raw, Mapping):
        return None
    low, high = [*(raw.get("interval") or ()), None, None][:2]
    difference = Estimate(as_number(raw.get("difference")), as_number(low), as_number(high))
    direction = raw.get("direction")
    tasks, clusters = as_number(raw.get("tasks")), as_number(raw.get("clusters"))
    return Verdict(
        text=str(raw.get("text") or ""),
        direction=direction if direction in ("better", "worse", "undecided") else difference.direction,
        base=as_number(raw.get("base")),
        tuned=as_number(raw.get("tuned")),
        difference=difference,
        chance=as_number(raw.get("chance")),
        tasks=None if tasks is None else int(tasks),
        clusters=None if clusters is None else int(clusters),
        notes=tuple(str(note) for note in raw.get("notes") or ()),
    )


def _overall(rows: Sequence[Json], clusters: Sequence[Pair]) -> dict[str, tuple[Pair, ...]]:
    pairs: dict[str, list[Pair]] = {}
    for row in rows:
        measure = str(row.get("measure") or "raw")
        chance = 0.0 if measure == "normalized" else None
        if measure == "raw":
            chance = _mean(c.chance for c in clusters if c.shots == row.get("shots"))
        pair = _pair(row, "All clusters", ("base", "tuned", "difference"), chance)
        pairs.setdefault(measure, []).append(pair)
    return {measure: tuple(found) for measure, found in pairs.items()}


def _mean(values: Iterable[float | None]) -> float | None:
    """The mean of what is known."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _clusters(rows: Sequence[Json]) -> dict[str, tuple[Pair, ...]]:
    keys = ("base", "tuned", "difference")
    normalized = tuple(f"{key}_normalized" for key in keys)
    labeled = tuple(_labeled(rows, "cluster"))
    return {
        "raw": tuple(_pair(row, label, keys, as_number(row.get("chance"))) for row, label in labeled),
        "normalized": tuple(_pair(row, label, normalized, 0.0) for row, label in labeled),
        **{
            measure: tuple(
                _pair({**row, **mapping(row.get(measure))}, label, keys, None)
                for row, label in labeled
                if row.get(measure)
            )
            for measure in SKILL_MEASURES
        },
    }


def _labeled(rows: Sequence[Json], key: str) -> Iterator[tuple[Json, str]]:
    """Each row with its name, to which the fold is added when several folds have that name."""
    names = [str(row.get(key) or "") for row in rows]
    folds: dict[str, set[object]] = {}
    for name, row in zip(names, rows, strict=True):
        folds.setdefault(name, set()).add(row.get("fold"))
    for name, row in zip(names, rows, strict=True):
        yield row, name if len(folds[name]) == 1 else f"{name} ({row.get('fold')})"


def _pair(row: Json, name: str, keys: Sequence[str], chance: float | None) -> Pair:
    base, tuned, difference = (estimate(row.get(key)) for key in keys)
    return Pair(
        name=name,
        shots=int(as_number(row.get("shots")) or 0),
        base=base,
        tuned=tuned,
        difference=difference,
        chance=chance,
        fold=str(row.get("fold") or ""),
    )


def _task(raw: Json, label: str) -> TaskResult:
    models = mapping(raw.get("models"))
    return TaskResult(
        task=str(raw.get("task") or ""),
        label=label,
        clusters=tuple(map(str, raw.get("clusters") or ())),
        fold=str(raw.get("fold") or ""),
        kind=str(raw.get("kind") or ""),
        metric=str(raw.get("metric") or ""),
        shots=int(as_number(raw.get("shots")) or 0),
        chance=as_number(raw.get("chance")),
        examples=as_number(raw.get("examples")),
        base=_scores(mapping(models.get("base"))),
        tuned=_scores(mapping(models.get("tuned"))),
        difference=estimate(raw.get("difference")),
        mcnemar_p=as_number(raw.get("mcnemar_p")),
        is_seen=bool(raw.get("is_seen")),
        q=as_number(raw.get("q")),
        bootstrap=estimate(raw.get("bootstrap")),
        groups=as_number(raw.get("groups")),
        clean=_clean(raw.get("clean")),
        signatures={str(k): str(v) for k, v in (raw.get("signatures") or {}).items()},
        notes=tuple(map(str, raw.get("notes") or ())),
        skill=parse_skill(raw),
    )


def _clean(raw: object) -> Clean | None:
    if not isinstance(raw, Mapping):
        return None
    return Clean(
        examples=as_number(raw.get("examples")),
        flagged=as_number(raw.get("flagged")),
        base=estimate(raw.get("base")),
        tuned=estimate(raw.get("tuned")),
        difference=estimate(raw.get("difference")),
    )


def _scores(raw: Json) -> ModelScores:
    return ModelScores(
        mean=estimate(raw.get("mean")),
        std=as_number(raw.get("std")),
        median=as_number(raw.get("median")),
        iqr=as_number(raw.get("iqr")),
        best_dev_template=str(raw.get("best_dev_template") or ""),
        best_dev_test=as_number(raw.get("best_dev_test")),
        ties=as_number(raw.get("ties")),
        normalizations={str(k): as_number(v) for k, v in (raw.get("normalizations") or {}).items()},
        templates=tuple(
            TemplateScore(
                template=str(t.get("template") or ""),
                value=as_number(t.get("value")),
                dev=as_number(t.get("dev")),
                low=as_number(t.get("low")),
                high=as_number(t.get("high")),
            )
            for t in objects(raw.get("templates"))
        ),
        metrics={str(k): as_number(v) for k, v in (raw.get("metrics") or {}).items()},
        range=as_number(raw.get("range")),
        worst_template=str(raw.get("worst_template") or ""),
        worst=as_number(raw.get("worst")),
        agreement=as_number(raw.get("agreement")),
        tie_rules={str(k): as_number(v) for k, v in (raw.get("tie_rules") or {}).items()},
    )
