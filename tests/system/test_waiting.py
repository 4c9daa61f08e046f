"""Threads that wait take no core from anybody, unless the environment says how they wait."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from flantune.system.waiting import wait_passively


@pytest.mark.parametrize("given", [{}, {"OMP_WAIT_POLICY": "active"}, {"GOMP_SPINCOUNT": "100"}])
def test_what_the_environment_says_stays(given: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    wait_passively()
    found = {name: os.environ[name] for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT") if name in os.environ}
    assert found == (given or {"OMP_WAIT_POLICY": "passive"})


def test_the_command_says_so_before_anything_is_imported_that_has_threads() -> None:
    code = """
import os, sys
sys.argv = ["flantune", "--version"]
from flantune.cli.main import main
try:
    main()
finally:
    assert os.environ["OMP_WAIT_POLICY"] == "passive" and "torch" not in sys.modules and "numpy" not in sys.modules
"""
    bare = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    subprocess.run([sys.executable, "-c", code], check=True, env=bare, capture_output=True)
