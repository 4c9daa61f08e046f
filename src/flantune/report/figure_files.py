"""``flantune report --figures``: figures as files, with their captions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flantune.evaluation.results import Results
from flantune.report.figures import curves
from flantune.report.figures.files import Format, Scheme, check_formats, drawings, write_drawing
from flantune.report.figures.scores import verdict_figure
from flantune.report.plates import Plate, View, plates
from flantune.report.score_tables import level
from flantune.report.sentences import verdict_sentence
from flantune.report.sides import Sides, shown_tasks
from flantune.runs.files import RunFiles
from flantune.system.files import slug, write_text

CAPTIONS = "captions.md"
"""The file with the figures' captions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How figures are written: formats, and light or dark background."""

    formats: tuple[Format, ...] = ("svg", "pdf", "png")
    scheme: Scheme = "light"


def write_figures(found: Iterable[Plate], folder: Path, look: Look) -> list[Path]:
    """Writes every view of every figure, and a file with their captions; returns the written files.

    Raises:
        ConfigError: The library for a requested format is not installed.
        FlantuneError: The folder cannot be written.
    """
    check_formats(look.formats)
    written: list[Path] = []
    captions = ["# Captions", ""]
    for plate in found:
        for name, drawing in _named(plate):
            written += write_drawing(folder, name, drawing, formats=look.formats, scheme=look.scheme)
            captions += [f"**{name}**: {plate.title}. {plate.caption}", ""]
    return [*written, write_text(folder / CAPTIONS, "\n".join(captions))]


def _named(plate: Plate) -> Iterator[tuple[str, str]]:
    """Each drawing with its file's name; an empty figure has no drawing."""
    for view in plate.views:
        found = drawings(view.figure)
        for at, drawing in enumerate(found):
            parts = [plate.name, *([view.label] if view.label and len(plate.views) > 1 else [])]
            yield slug(" ".join(parts + ([str(at + 1)] if len(found) > 1 else []))), drawing


def result_plates(results: Results) -> tuple[Plate, ...]:
    """The figures of results: headlines first, then tasks that no model was trained on."""
    unseen = [one for one in shown_tasks(results) if not one.exam.is_seen]
    return (*_verdicts(results), *(plates(results, unseen) if unseen else ()))


def run_plates(run: RunFiles) -> tuple[Plate, ...]:
    """The figures of a run: those of its results, and its training curves."""
    return (*(result_plates(run.results) if run.results else ()), *_training(run))


def _verdicts(results: Results) -> Iterator[Plate]:
    for model, verdict in results.verdicts.items():
        figure = verdict_figure(verdict, Sides(results.names[0], model))
        name = "headline" if len(results.verdicts) == 1 else f"headline {model}"
        caption = f"{verdict_sentence(verdict)} The bar is the {level(results)} interval over rows."
        yield Plate(name=name, title="The headline", caption=caption, views=(View("", figure),))


def _training(run: RunFiles) -> Iterator[Plate]:
    limits = curves.shared_limits([fold.metrics for fold in run.folds])
    for fold in run.folds:
        views = tuple(
            View(one.title, curves.curve(one, limits=limits[one.title])) for one in curves.series(fold.metrics)
        )
        caption = (
            "A line of means of neighboring steps over a band from their minimum to their maximum. "
            "Vertical axes are shared between folds."
        )
        if views:
            title = f"How the tuning went, held out: {fold.label}"
            yield Plate(name=f"training {fold.name}", title=title, caption=caption, views=views)


def said(paths: Sequence[Path], folder: Path) -> str:
    """The written files, in one line."""
    kinds = sorted({path.suffix.removeprefix(".") for path in paths} - {"md"})
    count = len({path.stem for path in paths if path.name != CAPTIONS})
    return f"{folder}: {count} figures as {', '.join(kinds)}, and {CAPTIONS}"
