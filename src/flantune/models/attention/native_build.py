"""The C++ part of flantune, built on the machine that runs it and cached for later runs."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

from flantune.models.compiler import find_compiler, no_compiler

FLAGS = ("-std=c++17", "-O3", "-march=native", "-fopenmp", "-fPIC", "-shared", "-w")
SOURCE = Path(__file__).with_name("segment_attention.cpp")
ROWS = Path(__file__).parents[1] / "forms/row_operations.cpp"
INCLUDED = Path(__file__).with_name("native_products.h")
BUILD_TIMEOUT_S = 300


class BuildError(Exception):
    """The library cannot be built or loaded; the message tells why, in a few words."""


def load_library() -> ctypes.CDLL:
    """Loads the library from the user's cache folder; if it is not there yet, builds it there, which takes seconds.

    Raises:
        BuildError: There is no compiler, it failed, or the library cannot be written or loaded.
    """
    try:
        path = library_path()
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            build(path)
        return ctypes.CDLL(str(path))
    except (OSError, RuntimeError) as error:
        # ``Path.home`` raises RuntimeError when the home folder cannot be determined.
        raise BuildError(f"it cannot be written or loaded: {error}") from error


def library_path() -> Path:
    """Path of the library built from these sources for this processor."""
    sources = [path.read_text(encoding="utf-8") for path in (SOURCE, ROWS, INCLUDED)]
    text = "\n".join([*sources, *FLAGS, processor()])
    name = f"segment_attention-{hashlib.sha256(text.encode()).hexdigest()[:16]}.so"
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "flantune" / name


def build(path: Path) -> None:
    """Compiles the sources; the file appears whole or not at all, even when several processes build it at once.

    Raises:
        BuildError: There is no compiler, or it failed.
    """
    compiler = find_compiler()
    if not compiler:
        raise BuildError(no_compiler())
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".build-") as folder:
        made = Path(folder) / path.name
        try:
            subprocess.run(
                [compiler, *FLAGS, "-o", str(made), str(SOURCE), str(ROWS)],
                check=True,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=BUILD_TIMEOUT_S,
            )
            made.replace(path)
        except subprocess.CalledProcessError as error:
            said = next(filter(None, map(str.strip, error.stderr.splitlines())), f"exit code {error.returncode}")
            raise BuildError(f"{compiler} failed: {said}") from error
        except subprocess.TimeoutExpired as error:
            raise BuildError(f"{compiler} took more than {BUILD_TIMEOUT_S} s") from error


@lru_cache(maxsize=1)
def processor() -> str:
    """A description of the processor, which decides for what ``-march=native`` compiles."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    told = [line for line in lines if line.split(":")[0].strip() in ("model name", "flags", "Features", "CPU part")]
    return "\n".join([platform.machine(), platform.processor(), *sorted(set(told))])
