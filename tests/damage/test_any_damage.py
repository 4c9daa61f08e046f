"""Two thousand damages a run of the suite: none may end in anything but an error of flantune's own."""

from __future__ import annotations

import os
import random
import resource
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flantune.errors import FlantuneError
from flantune.report.page import write_report
from tests.damage import worlds
from tests.damage.damages import damage, damage_content

MEMORY_BYTES = 6 * 2**30
"""More address space than any of this needs: what asks for more was led to it by a damaged number."""


@contextmanager
def bounded_memory() -> Iterator[None]:
    if not Path("/proc/self/statm").exists():  # a system that cannot tell
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def survives(folder: Path, kind: str, number: int) -> None:
    """Damages one file of a world and reads it all; the world is made once and copied."""
    make, read, _ = worlds.WORLDS[kind]
    whole = folder / kind
    if not whole.exists():
        make(whole)
        read(whole, None)
    draw = random.Random(f"{kind} {number}")
    spoiled = folder / f"{kind}-{number}"
    shutil.copytree(whole, spoiled, symlinks=True)
    path = worlds.choose(spoiled, draw)
    how = damage(path, draw)
    try:
        with bounded_memory(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read(spoiled, path)
    except FlantuneError as error:
        assert error.message.strip(), "an error without a message"
    except BaseException as error:
        place = path.relative_to(spoiled)
        raise AssertionError(f"{kind} {number}: {how} of {place} ends in {type(error).__name__}: {error}") from error
    finally:
        shutil.rmtree(spoiled, ignore_errors=True)


MEMORY = Path("/dev/shm")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """In memory where there is room: thousands of small files are written, synced and deleted."""
    has_room = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 2**30
    with tempfile.TemporaryDirectory(prefix="flantune-damage-", dir=MEMORY if has_room else None) as made:
        yield Path(made)


PIECES = [
    (kind, range(start, min(times, start + 40)))
    for kind, (_, _, times) in worlds.WORLDS.items()
    for start in range(0, times, 40)
]
"""So many damages a test, so that none takes long on a busy machine."""


@pytest.mark.parametrize(("kind", "numbers"), PIECES, ids=lambda value: str(value).replace("range", ""))
def test_no_damage_ends_in_a_traceback(folder: Path, kind: str, numbers: range) -> None:
    for number in numbers:
        survives(folder, kind, number)


def test_there_are_two_thousand() -> None:
    assert sum(times for _, _, times in worlds.WORLDS.values()) >= 2_000


FILES = ("results.json", "mixture.json", "training.json", "data.json", "manifest.json", "config.json", "animal.json")


@pytest.mark.parametrize("name", FILES)
def test_no_damage_to_a_file_of_a_run_ends_in_a_traceback(folder: Path, name: str) -> None:
    """The typed files, each often: of a page there is one, or one error that says what to do."""
    make, _, _ = worlds.WORLDS["run folder"]
    whole = folder / "run folder"
    if not whole.exists():
        make(whole)
    path = min(path for path in (whole / "run").rglob(name) if "model" not in path.parts)
    raw = path.read_bytes()
    for number in range(12):
        damage_content(path, random.Random(f"{name} {number}"))
        try:
            write_report(whole / "run")
        except FlantuneError as error:
            assert error.hint, error
        finally:
            path.write_bytes(raw)
