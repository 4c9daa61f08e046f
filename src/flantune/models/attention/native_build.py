"""The C++ part of flantune, built on the machine that runs it and kept for later runs."""

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
    """Why there is no library, in a few words."""


def load_library() -> ctypes.CDLL:
    """The library: from the user's cache folder when it was built before, else built there, which takes seconds.

    Raises:
        BuildError: There is no compiler, or it failed, or what it wrote cannot be loaded.
    """
    try:
        path = library_path()
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            build(path)
        return ctypes.CDLL(str(path))
    except (OSError, RuntimeError) as error:
        # A RuntimeError where nobody knows the user's home folder.
        raise BuildError(f"it cannot be written or loaded: {error}") from error


def library_path() -> Path:
    """Where the library is that was built from these sources for this processor."""
    sources = [path.read_text(encoding="utf-8") for path in (SOURCE, ROWS, INCLUDED)]
    text = "\n".join([*sources, *FLAGS, processor()])
    name = f"segment_attention-{hashlib.sha256(text.encode()).hexdigest()[:16]}.so"
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "flantune" / name


def build(path: Path) -> None:
    """Compiles the source; the file is whole or not there, also when several processes do it at once.

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
    """What a program that is made for this very processor depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    told = [line for line in lines if line.split(":")[0].strip() in ("model name", "flags", "Features", "CPU part")]
    return "\n".join([platform.machine(), platform.processor(), *sorted(set(told))])
