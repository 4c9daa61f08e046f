"""Reads a run folder in any state: a missing file is None, a damaged one an error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from flantune.errors import SourceError
from flantune.evaluation.results import Results
from flantune.evaluation.samples import Origin, read_origin
from flantune.runs.folder import FoldFolder, RunFolder, read_kept_settings
from flantune.runs.products import DataReport, FoldMixture, ModelFacts
from flantune.settings.config import RunConfig
from flantune.settings.json_file import read_lines, read_value
from flantune.settings.run_file import validated
from flantune.system import files
from flantune.system.manifest import Manifest
from flantune.training.metrics_line import MetricsLine
from flantune.training.tuning_summary import TuningSummary

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldFiles:
    """One fold of a run: its mixture and tuning."""

    folder: FoldFolder
    mixture: FoldMixture | None
    training: TuningSummary | None
    metrics: tuple[MetricsLine, ...]

    @property
    def name(self) -> str:
        """Name of its folder."""
        return self.folder.root.name

    @property
    def label(self) -> str:
        """What it holds out, in words."""
        return ", ".join(self.mixture.held_out if self.mixture else ()) or self.name

    @property
    def steps(self) -> int | None:
        """Steps taken so far; None before the first was logged."""
        if self.training:
            return self.training.steps
        return self.metrics[-1].step if self.metrics else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFiles:
    """The content of a run folder.

    Attributes:
        config: Every setting.
        origins: Dotted setting → origin of its value.
        model: The tuned model.
    """

    folder: RunFolder
    results: Results | None
    config: RunConfig | None
    origins: Mapping[str, str]
    manifest: Manifest | None
    data: DataReport | None
    model: ModelFacts | None
    folds: tuple[FoldFiles, ...]


def read_run(root: Path) -> RunFiles:
    """Everything a report needs from a run folder, except the samples, which are streamed later.

    Raises:
        SourceError: There is no such folder, or one of its files was not written by flantune.
    """
    if not root.is_dir():
        raise SourceError("no such run folder", where=str(root), hint="give the folder that `flantune run` wrote")
    folder = RunFolder(root.resolve())
    _check_is_run(folder)
    kept = read_kept_settings(folder, mends=REPEAT) if folder.kept_settings.is_file() else None
    return RunFiles(
        folder=folder,
        results=read_results(root) if folder.results.is_file() else None,
        config=None if kept is None else validated(kept.values, where=str(folder.kept_settings), hint=REPEAT),
        origins={} if kept is None else kept.origins,
        manifest=_read(folder.manifest, Manifest),
        data=_read(folder.data, DataReport),
        model=next((_read(fold.model / "config.json", ModelFacts) for fold in folder.folds()), None),
        folds=tuple(map(_fold, folder.folds())),
    )


def read_results(root: Path) -> Results:
    """The scores of a run or an evaluation, from its folder.

    Raises:
        FlantuneError: They are missing, damaged, or of another version.
    """
    folder = RunFolder(root)
    if folder.kept_settings.is_file():
        read_kept_settings(folder, mends=REPEAT)  # reports a folder of another version
    again = f"write it again: `flantune rescore {root}`, or for an evaluation the command that made it"
    return read_value(folder.results, Results, mends=again, error=SourceError)


def read_config(folder: RunFolder) -> RunConfig:
    """Every setting of a run.

    Raises:
        FlantuneError: The file is missing or damaged.
    """
    kept = read_kept_settings(folder, mends=REPEAT)
    return validated(kept.values, where=str(folder.kept_settings), hint=REPEAT)


def read_origins(home: Path) -> Iterator[Origin]:
    """What happened to the prompts of a model: one entry per task with complete samples.

    Args:
        home: Folder of the model's samples, such as ``RunFolder.base``.
    """
    for path in sorted((home / "samples").glob("[!.]*.parquet")):
        if origin := read_origin(path):
            yield origin


def read_metrics(path: Path) -> Iterator[MetricsLine]:
    """The lines of a fold's metrics; empty if there is no such file.

    Raises:
        SourceError: A line other than the last, which a kill may have truncated, is invalid.
    """
    if path.is_file():
        mends = "delete this line: the curves then lack what it held, and nothing else does"
        yield from (line for _, line in read_lines(path, MetricsLine, mends=mends))


def _check_is_run(folder: RunFolder) -> None:
    """Makes sure that a page of a run is only written into the folder of a run.

    Raises:
        SourceError: The folder has different contents.
    """
    results, config = (_keys(path) for path in (folder.results, folder.kept_settings))
    if results.get("kind") == "evaluation":
        hint = "repeat `flantune evaluate` with the same --out: it writes the page again"
        raise SourceError("holds an evaluation; expected a run folder", where=str(folder.root), hint=hint)
    if "values" not in config and "tasks" not in results:
        there = sorted(path.name for path in folder.root.iterdir())[:5]
        held = f"it holds {', '.join(there)}" if there else "it is empty"
        raise SourceError(
            f"is not a run folder: config.json and results.json of a run are not there; {held}",
            where=str(folder.root),
            hint="give the folder that `flantune run` wrote, such as runs/run",
        )


def _keys(path: Path) -> Mapping[str, object]:
    """A JSON object; empty if there is none."""
    found = files.read_json(path, mends=REPEAT, error=SourceError) if path.is_file() else {}
    return found if isinstance(found, dict) else {}


def _fold(folder: FoldFolder) -> FoldFiles:
    return FoldFiles(
        folder=folder,
        mixture=_read(folder.mixture, FoldMixture),
        training=_read(folder.training, TuningSummary),
        metrics=tuple(read_metrics(folder.metrics)),
    )


def _read(path: Path, kind: type[Value]) -> Value | None:
    return read_value(path, kind, mends=REPEAT, error=SourceError) if path.is_file() else None


def read_training(fold: FoldFolder) -> TuningSummary:
    """The summary of tuning.

    Raises:
        FlantuneError: The file is damaged, and can only be recreated by tuning again.
    """
    mends = (
        "restore a copy; or delete this file and repeat the command: the fold is then tuned again, from its last"
        " checkpoint, or from the start where there is none"
    )
    return read_value(fold.training, TuningSummary, mends=mends)


def read_mixture(fold: FoldFolder) -> FoldMixture:
    """The mixture of the fold.

    Raises:
        FlantuneError: The file is missing or damaged; the run's command writes it again.
    """
    return read_value(fold.mixture, FoldMixture, mends=REPEAT)


REPEAT = "repeat the run command: it resumes where it stopped and writes the file again"
