"""One page over several runs: changes by tuning, comparison with the first, costs, and differing settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flantune.errors import ConfigError, FlantuneError
from flantune.evaluation.estimates import Difference
from flantune.evaluation.results import Verdict
from flantune.evaluation.statistics.seeds import SeedSummary, over_seeds
from flantune.report import numbers, run_details, score_tables, sentences
from flantune.report.figures import curves
from flantune.report.figures.cost import CostPoint, cost_figure, differ_in_cost, tokens_per_point
from flantune.report.figures.forest import ForestRow, forest_figure
from flantune.report.plates import Plate, View, asked, plates
from flantune.report.score_tables import level
from flantune.report.sides import shown_tasks
from flantune.report.tables import EMPTY, Cell, Column, Table, change, detectable, number, score, trimmed, word, words
from flantune.report.templating import looks, template, write_page
from flantune.runs.compared import Comparison, Side, compare_runs
from flantune.runs.files import RunFiles, read_run
from flantune.runs.folder import short_names


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedRun:
    """A run and its label among the others."""

    name: str
    files: RunFiles

    @property
    def verdict(self) -> Verdict | None:
        """What tuning changed; None if it was not measured."""
        return self.files.results.verdict if self.files.results else None

    @property
    def difference(self) -> Difference | None:
        """Tuned minus base over all held-out clusters."""
        return self.verdict.difference if self.verdict else None

    @property
    def tokens(self) -> float | None:
        """Tokens trained on, over all folds; None before anything was trained."""
        counts = [fold.training.counts for fold in self.files.folds if fold.training]
        return float(sum(one.input_tokens + one.target_tokens for one in counts)) if counts else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRuns:
    """Several runs.

    Attributes:
        compared: All tuned models on their shared rows, the first run's first; None if that is impossible.
        why_not: Why it is impossible.
        seeds: The combined result of the runs; None if they differ in more than their seed.
    """

    runs: tuple[NamedRun, ...]
    compared: Comparison | None
    why_not: str
    seeds: SeedSummary | None


def read_runs(folders: Sequence[Path]) -> ReadRuns:
    """Reads several run folders and pairs their models.

    Raises:
        ConfigError: A folder is given twice.
        FlantuneError: One is not a run folder, or one of its files is damaged.
    """
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise ConfigError("a run is given twice", where=" ".join(map(str, folders)), hint="give each run once")
    names = short_names(folders)
    runs = tuple(NamedRun(name=name, files=read_run(folder)) for name, folder in zip(names, folders, strict=True))
    compared, why_not = None, ""
    try:
        compared = compare_runs({name: Side(folder) for name, folder in zip(names, folders, strict=True)})
    except FlantuneError as error:
        why_not = f"{error.where}: {error.message}" if error.where else error.message
    return ReadRuns(runs=runs, compared=compared, why_not=why_not, seeds=_seeds(runs))


def write_runs_page(path: Path, found: ReadRuns) -> Path:
    """Writes the page.

    Raises:
        FlantuneError: It cannot be written.
    """
    return write_page(path, render_runs(found))


def render_runs(found: ReadRuns) -> str:
    """The whole page as text."""
    results = found.compared.results if found.compared else None
    tasks = shown_tasks(results) if results else ()
    figures = runs_plates(found)
    return template("runs.html.jinja").render(
        title=" · ".join(run.name for run in found.runs),
        looks=looks(scripts=("tables.js",)),
        n=numbers,
        own=[plate for plate in figures if plate.name in ("gains", "cost")],
        against=[plate for plate in figures if plate.name not in ("gains", "cost")],
        found=found,
        verdicts=[
            (name, verdict.direction, sentences.WORDS[verdict.direction], sentences.verdict_sentence(verdict))
            for name, verdict in (results.verdicts.items() if results else ())
        ],
        shapes=sentences.SHAPES,
        runs=runs_table(found),
        clusters=score_tables.cluster_table(results) if results else None,
        tasks=score_tables.task_table(results, tasks, what="Tasks") if results else None,
        settings=settings_table(found.runs),
        seeds=seeds_table(found.seeds) if found.seeds else None,
        training=list(_training(found.runs)),
    )


def runs_plates(found: ReadRuns) -> tuple[Plate, ...]:
    """The figures of several runs: each one's gain, its cost, and the comparison with the first."""
    results = found.compared.results if found.compared else None
    unseen = [one for one in shown_tasks(results) if not one.exam.is_seen] if results else []
    return (*_own(found.runs), *(plates(results, unseen) if results else ()))


def _own(runs: Sequence[NamedRun]) -> Iterator[Plate]:
    measured = [(run, run.difference) for run in runs if run.difference is not None]
    first = next((run.files.results for run, _ in measured if run.files.results), None)
    if first is None:
        return
    each = [
        f"{run.name}: {asked([one for one in shown_tasks(run.files.results) if not one.exam.is_seen])}"
        for run, _ in measured
        if run.files.results
    ]
    yield Plate(
        name="gains",
        title="What tuning changed in each run",
        caption=(
            f"Tuned minus base over all clusters held out, in points, with {level(first)} intervals over rows, not "
            f"over seeds. Filled: the interval excludes zero. {'; '.join(each)}."
        ),
        views=(
            View(
                "",
                forest_figure(
                    [ForestRow(name=run.name, difference=difference) for run, difference in measured],
                    unit="tuned − base, points",
                    label="Tuned minus base model of each run, in points.",
                ),
            ),
        ),
    )
    costs = [
        CostPoint(name=run.name, tokens=run.tokens, difference=difference)
        for run, difference in measured
        if run.tokens is not None
    ]
    if differ_in_cost(costs):
        yield Plate(
            name="cost",
            title="What it cost",
            caption=(
                f"The same differences, with {level(first)} intervals over rows, against the tokens that each run was "
                "trained on, over all its folds. Hollow: the interval includes zero, so no gain was shown."
            ),
            views=(View("", cost_figure(costs)),),
        )


def runs_table(found: ReadRuns) -> Table:
    """Each run: its description, change and cost."""
    columns = (
        words("Run"),
        words("Model"),
        Column("Seed"),
        Column("Folds"),
        Column("Steps"),
        Column("Tokens", help="Trained on, over all folds"),
        Column("Base", help="Mean over clusters held out, in points"),
        Column("Tuned", help="The same after tuning"),
        Column("Difference", help="Paired over rows and templates, in points"),
        Column("Interval", help="Over rows"),
        Column("Detectable", help="Smallest true difference that this many rows would detect with 80% power"),
        Column("Tokens per point", help="Tokens trained on for a point of gain; empty where no gain was shown"),
    )
    rows = tuple(tuple(_run_cells(run)) for run in found.runs)
    return trimmed(Table(name="table-runs", caption="Each run by itself. Points.", columns=columns, rows=rows), "Model")


def _run_cells(run: NamedRun) -> Iterator[Cell]:
    config, verdict, tokens = run.files.config, run.verdict, run.tokens
    each = tokens_per_point(tokens, run.difference)
    yield word(run.name)
    yield word(run_details.model_label(config).rstrip("/").rsplit("/", 1)[-1])
    yield number(config.seed if config else None)
    yield number(len(run.files.folds))
    taken = [fold.training.steps for fold in run.files.folds if fold.training]
    yield number(max(taken) if taken else config.training.steps if config else None)
    yield Cell(numbers.short_count(tokens), tokens) if tokens is not None else EMPTY
    yield score(verdict.first if verdict else None)
    yield score(verdict.second if verdict else None)
    yield from change(run.difference)
    yield detectable(run.difference)
    yield Cell(numbers.short_count(each), each) if each is not None else EMPTY


def settings_table(runs: Sequence[NamedRun]) -> Table:
    """The settings in which the runs differ, one column per run."""
    each = [{one.key: one.value for one in run_details.config_lines(run.files)} for run in runs]
    keys = dict.fromkeys(key for lines in each for key in lines)
    rows = tuple(
        (word(key), *(word(lines.get(key, "")) for lines in each))
        for key in keys
        if key != "name" and len({lines.get(key) for lines in each}) > 1
    )
    columns = (words("Setting"), *(words(run.name) for run in runs))
    return Table(name="table-settings", caption="Settings that differ.", columns=columns, rows=rows)


def _seeds(runs: Sequence[NamedRun]) -> SeedSummary | None:
    """The combined result of the runs, if they differ only in their seed and were all measured."""
    unlike = {row[0].text for row in settings_table(runs).rows}
    results = [run.files.results for run in runs if run.files.results]
    if unlike != {"seed"} or len(results) < len(runs):
        return None
    try:
        return over_seeds(results)
    except FlantuneError:
        return None


def seeds_table(found: SeedSummary) -> Table:
    """What tuning changed in raw scores over the seeds: in total, per cluster and per task."""
    columns = (
        words("Measured"),
        words("Exemplars"),
        Column("Difference", help="Tuned minus base, mean over seeds"),
        Column("Interval", help="Covers other seeds as well as other rows"),
        Column("Std over seeds"),
    )
    rows = tuple(
        (
            word(one.name),
            word(numbers.shots_label(one.shots)),
            Cell(numbers.signed(one.value), one.value * 100, _tone(one.low, one.high)),
            Cell(numbers.interval(one.low, one.high), one.low * 100, "muted"),
            score(one.std, "muted"),
        )
        for one in found.effects
        if one.measure == "raw"
    )
    caption = (
        f"These runs differ only in their seed ({', '.join(map(str, found.seeds))}): together, with "
        f"{found.confidence * 100:g}% intervals over seeds and rows. Points."
    )
    return trimmed(Table(name="table-seeds", caption=caption, columns=columns, rows=rows), "Exemplars")


def _tone(low: float, high: float) -> str:
    return "better" if low > 0.0 else "worse" if high < 0.0 else "undecided"


def _training(runs: Sequence[NamedRun]) -> Iterator[tuple[str, list[object]]]:
    """The loss of every fold of every run, on a common vertical axis."""
    limits = curves.shared_limits([fold.metrics for run in runs for fold in run.files.folds])
    for run in runs:
        for fold in run.files.folds:
            found = next((one for one in curves.series(fold.metrics) if one.title == "Loss"), None)
            if found:
                named = f"{run.name}, held out: {fold.label}"
                yield named, [curves.curve(found, limits=limits["Loss"])]
