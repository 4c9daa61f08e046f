"""Writes the page of a run, or of an evaluation of any number of models: gathers data, draws, fills the template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from flantune.evaluation.results import Results
from flantune.report import (
    benchmark_tables,
    gap_tables,
    numbers,
    run_details,
    score_tables,
    sentences,
    skill_tables,
    template_tables,
)
from flantune.report.figures import curves, scores
from flantune.report.plates import plates
from flantune.report.run_details import Fact
from flantune.report.samples import Browser, asked_in_run, collect_samples
from flantune.report.sides import ShownTask, Sides, shown_tasks
from flantune.report.templating import looks, template, write_page
from flantune.runs.files import RunFiles, read_run


def write_report(run_folder: Path) -> Path:
    """Writes ``report.html`` into a run folder, using only that folder, and returns its path.

    The page is self-contained: no network, no other file. It names the run's missing results.

    Raises:
        SourceError: There is no such folder, or one of its files is damaged.
        FlantuneError: The page cannot be written.
    """
    run = read_run(run_folder)
    return write_page(run_folder / "report.html", render_run(run))


def render_run(run: RunFiles) -> str:
    """The whole page of a run as text."""
    browser = collect_samples(asked_in_run(run), root=run.folder.root)
    return _render(run.results, browser, run)


def render_evaluation(results: Results, browser: Browser | None = None) -> str:
    """The whole page of an evaluation as text.

    Args:
        results: The evaluation's results.
        browser: Single prompts to browse (``flantune.report.samples``).
    """
    return _render(results, browser or Browser(), None)


def _render(results: Results | None, browser: Browser, run: RunFiles | None) -> str:
    tasks = shown_tasks(results) if results else ()
    unseen = tuple(one for one in tasks if not one.exam.is_seen)
    are_trained_on = run is not None and bool(tasks) and not unseen
    return template("page.html.jinja").render(
        title=_title(results, run),
        looks=looks(scripts=("tables.js", "samples.js")),
        n=numbers,
        run=run,
        results=results,
        is_measured=bool(results and (results.tasks or results.benchmarks)),
        is_drawn=bool(unseen),
        are_trained_on=are_trained_on,
        level=score_tables.level(results) if results else "",
        headline=sentences.headline(results),
        verdicts=_verdicts(results) if results else (),
        warnings=sentences.warnings(results) if results else (),
        facts=run_details.key_facts(run) if run else _averages(results),
        plates=plates(results, tasks if are_trained_on else unseen) if results else (),
        notes=sentences.metric_notes(results) if results else (),
        tables=_tables(results, tasks) if results else {},
        browser=browser,
        repeated=run_details.repeated_rows(run.data, {one.exam.name for one in tasks}) if run else (),
        seen=[(model, why) for _, model, reasons in sentences.seen_reasons(results) for why in reasons]
        if results
        else (),
        **(_about_the_run(run) if run else {}),
    )


def _title(results: Results | None, run: RunFiles | None) -> str:
    if run is None:
        return ", ".join(results.names) if results else ""
    return (results.name if results else "") or (run.config.name if run.config else "") or run.folder.root.name


def _averages(results: Results | None) -> tuple[Fact, ...]:
    """The averages over benchmarks, one per model."""
    return tuple(
        Fact(
            name=f"{one.name}, {model}",
            value=numbers.points(found.value if found else None),
            note=" ".join([*([numbers.span(found.low, found.high)] if found else []), one.reasons.get(model, "")]),
        )
        for one in (results.normalized_averages if results else ())
        for model, found in one.scores.items()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownVerdict:
    """The headline of one later model."""

    models: str
    direction: str
    word: str
    shape: str
    sentence: str
    figure: Markup
    notes: tuple[str, ...]
    chance: str


def _verdicts(results: Results) -> list[ShownVerdict]:
    return [
        ShownVerdict(
            models=f"{model} against {results.names[0]}",
            direction=verdict.direction,
            word=sentences.WORDS[verdict.direction],
            shape=sentences.SHAPES[verdict.direction],
            sentence=sentences.verdict_sentence(verdict),
            figure=scores.verdict_figure(verdict, Sides(results.names[0], model)),
            notes=sentences.note_sentences(verdict),
            chance=sentences.chance_sentence(results, model, verdict),
        )
        for model, verdict in results.verdicts.items()
    ]


def _tables(results: Results, tasks: Sequence[ShownTask]) -> dict[str, Any]:
    """All tables; in a run, tasks that a model was trained on are separate."""
    is_run = results.kind == "run"
    seen = [one for one in tasks if one.exam.is_seen and is_run]
    unseen = "Unseen tasks" if is_run else "Tasks"
    if is_run and len(seen) == len(tasks):
        seen, unseen = [], "Tasks trained on, new rows of them"
    else:
        tasks = [one for one in tasks if not (one.exam.is_seen and is_run)]
    return {
        "scores": benchmark_tables.scores_table(results, [] if is_run else tasks),
        "averages": benchmark_tables.averages_table(results),
        "overall": score_tables.overall_table(results),
        "clusters": score_tables.cluster_table(results),
        "tasks": score_tables.task_table(results, tasks, what=unseen),
        "tests": score_tables.difference_table(results, tasks),
        "skill_clusters": skill_tables.skill_cluster_table(results),
        "skill": skill_tables.skill_table(results, tasks),
        "answers": skill_tables.answer_table(results, tasks),
        "gaps": gap_tables.gap_table(results),
        "clean": template_tables.clean_table(results, tasks),
        "spread": template_tables.spread_table(tasks),
        "rules": template_tables.rule_table(results, tasks),
        "templates": template_tables.template_table(results, tasks),
        "metrics": template_tables.metric_table(results, tasks),
        "seen": score_tables.task_table(results, seen, name="table-seen", what="Tasks trained on, measured too"),
        "parts": [
            table
            for one in results.benchmarks
            for table in (
                benchmark_tables.parts_table(one),
                score_tables.part_difference_table(results, one.label, one.parts),
            )
            if table.rows
        ],
    }


def _about_the_run(run: RunFiles) -> dict[str, Any]:
    """The parts that only a run has: mixtures, training, dropped rows, settings."""
    limits = curves.shared_limits([fold.metrics for fold in run.folds])
    return {
        "folds": run.folds,
        "matrix": run_details.matrix(run.folds),
        "training": [
            [curves.curve(found, limits=limits[found.title]) for found in curves.series(fold.metrics)]
            for fold in run.folds
        ],
        "splits": run_details.read_splits(run.data),
        "missing": run_details.missing_data(run.data),
        "measured": run_details.read_measured(run),
        "settings": list(run_details.config_lines(run)),
    }
