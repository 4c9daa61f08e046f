"""The manifest of a run: versions, fingerprints, seconds, memory and files; its presence means that it is finished."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from flantune.errors import FlantuneError
from flantune.system import memory
from flantune.system.files import read_json, write_json

MANIFEST = "manifest.json"

_PACKAGES = (
    "flantune",
    "torch",
    "transformers",
    "tokenizers",
    "numpy",
    "pyarrow",
    "datasets",
    "sacrebleu",
    "rouge-score",
)


class Stopwatch:
    """Seconds of each stage, summed over all starts of a run; stored in a file, so a kill loses at most one stage."""

    def __init__(self, path: Path | None, *, note: Callable[[str], None] = lambda _: None) -> None:
        """Continues from an earlier start.

        Args:
            path: The file; None: nothing is stored.
            note: Called if the file is damaged, so that counting restarts.
        """
        self._path = path
        self.seconds: dict[str, float] = {}
        if path is not None and path.exists():
            try:
                self.seconds = _seconds(read_json(path), path)
            except (FlantuneError, ValueError) as error:
                note(f"seconds are counted from zero, since the file is damaged: {str(error).partition(chr(10))[0]}")
                if path.is_dir() or path.is_symlink():
                    note(f"{path} is left as it is, and the seconds of this run are not kept")
                    self._path = None

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the time spent inside the block to the stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
            if self._path is not None:
                write_json(self._path, self.seconds)


def _seconds(found: object, path: Path) -> dict[str, float]:
    if not isinstance(found, dict) or not all(isinstance(value, int | float) for value in found.values()):
        raise ValueError(f"{path} holds no seconds")
    return {str(stage): float(value) for stage, value in found.items()}


def versions() -> dict[str, str]:
    """Versions of everything that may affect a result."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFile:
    """A file of the folder, by its path from there."""

    path: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The content of ``manifest.json``.

    Attributes:
        versions: Package → version, for everything that may affect a result.
        fingerprints: Name → fingerprint.
        seconds: Stage → seconds, over all starts.
        peak_memory_mib: Peak resident memory of the last start; None if the system does not report it.
        files: All other files of the folder.
    """

    schema: int = 1
    versions: Mapping[str, str]
    fingerprints: Mapping[str, str]
    seconds: Mapping[str, float]
    peak_memory_mib: float | None
    files: tuple[ManifestFile, ...]


def write_manifest(folder: Path, *, seconds: Mapping[str, float], fingerprints: Mapping[str, str]) -> Path:
    """Writes ``manifest.json``, the last file of a run, which lists all others."""
    manifest = Manifest(
        versions=versions(),
        fingerprints=dict(fingerprints),
        seconds={name: round(value, 3) for name, value in seconds.items()},
        peak_memory_mib=round(memory.peak_bytes() / 2**20, 1) or None,
        files=tuple(_files(folder)),
    )
    return write_json(folder / MANIFEST, asdict(manifest))


def _files(folder: Path) -> Iterator[ManifestFile]:
    # A store is only for resuming an interrupted run, and its files have random names.
    passed_over = {".lock", "checkpoints", "store"}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not passed_over & {*path.relative_to(folder).parts}:
            yield ManifestFile(path=path.relative_to(folder).as_posix(), bytes=path.stat().st_size)
