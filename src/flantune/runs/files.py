"""Reads a run folder as it is: a piece that is not there yet is None, a piece that is broken is an error."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flantune.errors import SourceError
from flantune.report.results import Results, parse_results
from flantune.runs.untrusted_json import Json, mapping
from flantune.system import files


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldFiles:
    """One fold of a run: what was mixed, how the tuning went, where its samples lie."""

    name: str
    mixture: Json | None
    training: Json | None
    metrics: tuple[Json, ...]
    samples: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFiles:
    """A run folder, read.

    Attributes:
        config: Every setting.
        origins: Dotted setting → where its value came from.
        model: The ``config.json`` of a tuned model.
    """

    folder: Path
    results: Results | None
    config: Json | None
    origins: Mapping[str, str]
    manifest: Json | None
    data: Json | None
    model: Json | None
    folds: tuple[FoldFiles, ...]
    base_samples: Path


def read_run(folder: Path) -> RunFiles:
    """Everything a report needs from a run folder, but for the samples, which are streamed later.

    Raises:
        SourceError: There is no such folder, or one of its files is not valid JSON.
    """
    if not folder.is_dir():
        raise SourceError("no such run folder", where=str(folder), hint="give the folder that `flantune run` wrote")
    folder = folder.resolve()
    results, config = read_json(folder / "results.json"), read_json(folder / "config.json")
    _check_is_run(folder, results, config)
    return RunFiles(
        folder=folder,
        results=None if results is None else parse_results(results),
        config=None if config is None else mapping(config.get("values")),
        origins=mapping((config or {}).get("origins")),
        manifest=read_json(folder / "manifest.json"),
        data=read_json(folder / "data.json"),
        model=next((read_json(path) for path in sorted(folder.glob("folds/*/model/config.json"))), None),
        folds=tuple(_fold(path) for path in sorted((folder / "folds").glob("*")) if path.is_dir()),
        base_samples=folder / "base" / "samples",
    )


def _check_is_run(folder: Path, results: Json | None, config: Json | None) -> None:
    """Makes sure that a page is only ever written into the folder of a run.

    Raises:
        SourceError: The folder is something else.
    """
    if results is not None and results.get("kind") == "evaluation":
        hint = "repeat `flantune evaluate` with the same --out: it writes the page again"
        raise SourceError("holds an evaluation; expected a run folder", where=str(folder), hint=hint)
    is_run = (config is not None and "values" in config) or (results is not None and "tasks" in results)
    if not is_run:
        there = sorted(path.name for path in folder.iterdir())[:5]
        held = f"it holds {', '.join(there)}" if there else "it is empty"
        raise SourceError(
            f"is no run folder: config.json and results.json of a run are not there; {held}",
            where=str(folder),
            hint="give the folder that `flantune run` wrote, such as runs/run",
        )


def _fold(path: Path) -> FoldFiles:
    return FoldFiles(
        name=path.name,
        mixture=read_json(path / "mixture.json"),
        training=read_json(path / "training.json"),
        metrics=tuple(read_lines(path / "metrics.jsonl")),
        samples=path / "tuned" / "samples",
    )


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object, or None when there is no such file.

    Raises:
        SourceError: The file is not a JSON object.
    """
    if not path.is_file():
        return None
    value = files.read_json(path, mends=_REPEAT, error=SourceError)
    if not isinstance(value, dict):
        raise SourceError(f"expected a JSON object, got {type(value).__name__}", where=str(path), hint=_REPEAT)
    return value


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON-lines file, in constant memory; nothing when there is no such file.

    A last line that was cut off by a killed run is left out.

    Raises:
        SourceError: A line before the last is not a JSON object.
    """
    if not path.is_file():
        return
    broken: tuple[int, Exception] | None = None
    # What is not UTF-8 is not JSON either, but has a line.
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            if broken is not None:
                raise SourceError(
                    f"not valid JSON: {broken[1]}", where=f"{path}:{broken[0]}", hint=_DELETE_LINE
                ) from broken[1]
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                broken = (number, error)
                continue
            if isinstance(value, dict):
                yield value


_REPEAT = "give the same run command again: it goes on where it stopped and writes the file anew"

_DELETE_LINE = "delete this line: the curves then lack what it held, and nothing else does"
