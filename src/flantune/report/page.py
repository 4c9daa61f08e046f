"""Writes the one page: gathers what the run folder holds, draws it and fills in the template."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from flantune.report import curves, figures, numbers, tables
from flantune.report.load import FoldFiles, RunFiles, find, read_run
from flantune.report.results import Pair, Results, TaskResult
from flantune.report.samples import collect_samples
from flantune.report.setting import (
    Fold,
    config_lines,
    key_facts,
    matrix,
    read_fold,
    read_splits,
    stage_seconds,
)
from flantune.report.verdict import SHAPES, WORDS, chance_sentence, headline


def write_report(run_folder: Path) -> Path:
    """Writes ``report.html`` into a run folder, from that folder alone, and returns its path.

    The page needs nothing else: no network, no other file. What the run has not made yet is named as missing.

    Raises:
        SourceError: There is no such folder, or one of its files is broken.
    """
    target = Path(run_folder) / "report.html"
    temporary = target.with_name(f".report.html.{os.getpid()}.tmp")
    temporary.write_text(render_report(read_run(Path(run_folder))), encoding="utf-8", errors="replace")
    temporary.replace(target)
    return target


def render_report(run: RunFiles) -> str:
    """The whole page as text."""
    results = run.results or Results()
    folds = tuple(read_fold(files) for files in run.folds)
    unseen, seen = _apart(results.tasks, folds)
    browser = collect_samples(run)
    script = _asset("report.js")
    return _template().render(
        title=results.name or str((run.config or {}).get("name") or "") or run.folder.name,
        css=Markup(_asset("report.css")),  # noqa: S704 - ours, part of the package
        script=Markup(script),  # noqa: S704 - ours, part of the package
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        n=numbers,
        run=run,
        results=results,
        is_measured=bool(results.tasks),
        headline=headline(results),
        verdict_word=WORDS[results.verdict.direction] if results.verdict else "Not measured",
        verdict_shape=SHAPES[results.verdict.direction] if results.verdict else "–",
        chance=chance_sentence(results.verdict) if results.verdict else "",
        facts=key_facts(run, folds),
        draw=_drawings(results, unseen),
        tables=_tables(results, unseen, seen),
        folds=folds,
        matrix=matrix(folds),
        training=[_panels(files, _limits(run.folds)) for files in run.folds],
        browser=browser,
        splits=read_splits(run.data),
        settings=list(config_lines(run.config or {}, run.origins)),
        manifest=_manifest(run.manifest),
    )


@cache
def _template() -> jinja2.Template:
    loader = jinja2.PackageLoader("flantune.report", "templates")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html.jinja")


@cache
def _asset(name: str) -> str:
    return (files("flantune.report") / "templates" / name).read_text(encoding="utf-8")


def _apart(tasks: Sequence[TaskResult], folds: Sequence[Fold]) -> tuple[list[TaskResult], list[TaskResult]]:
    """Unseen tasks, and those that were trained on and are shown apart."""
    known = {fold.name: fold.unseen for fold in folds if fold.unseen}
    seen = [t for t in tasks if t.is_seen or (t.fold in known and t.task not in known[t.fold])]
    return [t for t in tasks if t not in seen], seen


@dataclass(frozen=True, slots=True)
class View:
    """One of several drawings a reader can switch between."""

    label: str
    figure: Markup


def _drawings(results: Results, unseen: Sequence[TaskResult]) -> dict[str, Any]:
    """The figures of the results, each a list of views."""
    measures = (("raw", "Raw score"), ("normalized", "Normalized against chance"))
    return {
        "verdict": figures.verdict_figure(results.verdict) if results.verdict else Markup(""),
        "clusters": [
            View(label, figures.cluster_figure(rows, results.overall.get(measure, ()), measure=measure))
            for measure, label in measures
            for rows in [results.clusters.get(measure, ())]
            if any(pair.base.value is not None for pair in rows)
        ],
        "differences": [
            View(numbers.shots_label(shots).capitalize(), figures.difference_figure(_pairs(unseen, shots)))
            for shots in results.shots
        ],
        "templates": [
            View(
                numbers.shots_label(shots).capitalize(),
                figures.template_figure([t for t in _by_difference(unseen) if t.shots == shots]),
            )
            for shots in results.shots
        ],
    }


def _by_difference(tasks: Sequence[TaskResult]) -> list[TaskResult]:
    return sorted(tasks, key=lambda t: -(t.difference.value or 0.0))


def _pairs(tasks: Sequence[TaskResult], shots: int) -> list[Pair]:
    """The tasks' differences; one measured in several folds carries its fold's name."""
    ours = [t for t in tasks if t.shots == shots]
    names = [t.task for t in ours]
    return [
        figures.renamed(t.pair(), f"{t.task} ({t.fold})") if names.count(t.task) > 1 else t.pair() for t in ours
    ]


def _tables(
    results: Results, unseen: Sequence[TaskResult], seen: Sequence[TaskResult]
) -> Mapping[str, tables.Table | None]:
    return {
        "overall": tables.overall_table(results),
        "clusters": tables.cluster_table(results),
        "tasks": tables.task_table(unseen, level=results.level),
        "spread": tables.spread_table(unseen, normalization=results.normalization),
        "templates": tables.template_table(unseen),
        "metrics": tables.metric_table(unseen),
        "seen": tables.task_table(seen, level=results.level, name="table-seen", what="Tasks trained on, measured too"),
    }


def _limits(folds: Sequence[FoldFiles]) -> dict[str, tuple[float, float]]:
    """One vertical axis for each curve, shared by all folds."""
    by_title: dict[str, list[curves.Series]] = {}
    for fold in folds:
        for found in curves.series(fold.metrics):
            by_title.setdefault(found.title, []).append(found)
    return {title: curves.value_limits(several) for title, several in by_title.items()}


def _panels(fold: FoldFiles, limits: Mapping[str, tuple[float, float]]) -> list[Markup]:
    return [curves.curve(found, limits=limits[found.title]) for found in curves.series(fold.metrics)]


def _manifest(manifest: Mapping[str, Any] | None) -> dict[str, Any]:
    """The parts of the manifest the page shows; each may be empty."""
    versions = find(manifest, "versions", "packages")
    fingerprints = find(manifest, "fingerprints")
    written = find(manifest, "files")
    return {
        "is_there": manifest is not None,
        "versions": versions if isinstance(versions, Mapping) else {},
        "fingerprints": fingerprints if isinstance(fingerprints, Mapping) else {},
        "seconds": stage_seconds(manifest),
        "peak_memory": numbers.as_number(find(manifest, "peak_memory_bytes", "peak_memory", "peak_rss_bytes")),
        "files": [_file_line(entry) for entry in _file_entries(written)],
    }


def _file_entries(written: object) -> list[tuple[str, object]]:
    if isinstance(written, Mapping):
        return [(str(name), entry) for name, entry in written.items()]
    if isinstance(written, Sequence) and not isinstance(written, str):
        return [(str(find(e, "path", "name", "file") or e), e) for e in written]
    return []


def _file_line(entry: tuple[str, object]) -> tuple[str, str, str]:
    """(path, size, hash) of one file."""
    name, value = entry
    size = numbers.as_number(find(value, "bytes", "size", "size_bytes") if isinstance(value, Mapping) else value)
    digest = find(value, "sha256", "hash", "fingerprint") if isinstance(value, Mapping) else value
    return name, numbers.size(size), str(digest) if isinstance(digest, str) else ""
