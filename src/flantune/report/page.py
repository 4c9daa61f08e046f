"""Writes the one page: gathers what the run folder holds, draws it and fills in the template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from flantune.report import numbers, skill_tables, tables
from flantune.report.figures import curves
from flantune.report.figures import run as figures
from flantune.report.figures import skill as skill_figure
from flantune.report.results import Results, TaskResult
from flantune.report.run_details import (
    config_lines,
    key_facts,
    matrix,
    missing_data,
    read_fold,
    read_measured,
    read_splits,
    repeated_rows,
    stage_seconds,
)
from flantune.report.samples import collect_samples
from flantune.report.templating import looks, template
from flantune.report.verdict import SHAPES, WORDS, chance_sentence, headline, metric_notes, note_sentences
from flantune.runs.files import FoldFiles, RunFiles, read_run
from flantune.runs.untrusted_json import Json, mapping, objects
from flantune.system.files import write_text


def write_report(run_folder: Path) -> Path:
    """Writes ``report.html`` into a run folder, from that folder alone, and returns its path.

    The page needs nothing else: no network, no other file. What the run has not made yet is named as missing.

    Raises:
        SourceError: There is no such folder, or one of its files is broken.
        FlantuneError: The page cannot be written.
    """
    page = render_report(read_run(run_folder))
    # A lone surrogate, which JSON can hold and UTF-8 cannot, is shown as a question mark.
    return write_text(run_folder / "report.html", page.encode("utf-8", "replace").decode("utf-8"))


def render_report(run: RunFiles) -> str:
    """The whole page as text."""
    results = run.results or Results()
    folds = tuple(read_fold(files) for files in run.folds)
    unseen = [task for task in results.tasks if not task.is_seen]
    seen = [task for task in results.tasks if task.is_seen]
    browser = collect_samples(run)
    return template("report.html.jinja").render(
        title=results.name or str((run.config or {}).get("name") or "") or run.folder.name,
        looks=looks(scripts=("tables.js", "samples.js", "report.js")),
        n=numbers,
        run=run,
        results=results,
        is_measured=bool(results.tasks),
        headline=headline(results),
        verdict_word=WORDS[results.verdict.direction] if results.verdict else "Not measured",
        verdict_shape=SHAPES[results.verdict.direction] if results.verdict else "–",
        chance=chance_sentence(results.verdict) if results.verdict else "",
        preferences=note_sentences(results.verdict) if results.verdict else (),
        facts=key_facts(run, folds),
        draw=_drawings(results, unseen),
        notes=metric_notes(results),
        tables=_tables(results, unseen, seen),
        folds=folds,
        matrix=matrix(folds),
        training=[_panels(files, _limits(run.folds)) for files in run.folds],
        browser=browser,
        splits=read_splits(run.data),
        missing=missing_data(run.data),
        repeated=repeated_rows(run.data, {task.task for task in results.tasks}),
        measured=read_measured(run),
        settings=list(config_lines(run.config or {}, run.origins)),
        manifest=_manifest(run.manifest),
    )


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
            View(
                numbers.shots_label(shots).capitalize(),
                figures.difference_figure([t.pair() for t in unseen if t.shots == shots]),
            )
            for shots in results.shots
        ],
        "skill": [
            View(
                numbers.shots_label(shots).capitalize(),
                skill_figure.skill_figure([t for t in unseen if t.shots == shots]),
            )
            for shots in results.shots
            if any(t.skill is not None for t in unseen)
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


def _tables(results: Results, unseen: Sequence[TaskResult], seen: Sequence[TaskResult]) -> Mapping[str, tables.Table]:
    found = {
        "overall": tables.overall_table(results),
        "clusters": tables.cluster_table(results),
        "tasks": tables.task_table(unseen, level=results.level),
        "skill_clusters": skill_tables.skill_cluster_table(results),
        "skill": skill_tables.skill_table(unseen, level=results.level),
        "answers": skill_tables.answer_table(unseen),
        "clean": tables.clean_table(unseen),
        "tests": tables.significance_table(unseen, level=results.level),
        "spread": tables.spread_table(unseen),
        "rules": tables.rule_table(unseen, normalization=results.normalization),
        "templates": tables.template_table(unseen),
        "metrics": tables.metric_table(unseen),
        "seen": tables.task_table(seen, level=results.level, name="table-seen", what="Tasks trained on, measured too"),
    }
    return {name: tables.compact(table, "Exemplars") for name, table in found.items()}


def _limits(folds: Sequence[FoldFiles]) -> dict[str, tuple[float, float]]:
    """One vertical axis for each curve, shared by all folds."""
    by_title: dict[str, list[curves.Series]] = {}
    for fold in folds:
        for found in curves.series(fold.metrics):
            by_title.setdefault(found.title, []).append(found)
    return {title: curves.value_limits(several) for title, several in by_title.items()}


def _panels(fold: FoldFiles, limits: Mapping[str, tuple[float, float]]) -> list[Markup]:
    return [curves.curve(found, limits=limits[found.title]) for found in curves.series(fold.metrics)]


def _manifest(manifest: Json | None) -> dict[str, Any]:
    """The parts of the manifest the page shows; each may be empty."""
    whole = manifest or {}
    memory = numbers.as_number(whole.get("peak_memory_mib"))
    return {
        "is_there": manifest is not None,
        "versions": mapping(whole.get("versions")),
        "fingerprints": mapping(whole.get("fingerprints")),
        "seconds": stage_seconds(manifest),
        "peak_memory": None if memory is None else memory * 2**20,
        "files": [
            (str(f.get("path")), numbers.size(numbers.as_number(f.get("bytes")))) for f in objects(whole.get("files"))
        ],
    }
