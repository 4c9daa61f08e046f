"""Threads that wait spin where cores are free and sleep where they are taken, unless the environment says how."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from flantune.system import waiting
from flantune.system.waiting import Usage, usage, wait_by_load

_OWN = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """An environment that says nothing, and the threads that are started."""
    started: list[object] = []
    for name in _OWN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(waiting, "_watch", lambda: started.append("watch"))
    return started


def said() -> dict[str, str]:
    return {name: os.environ[name] for name in _OWN if name in os.environ}


@pytest.mark.parametrize("given", [{"OMP_WAIT_POLICY": "active"}, {"GOMP_SPINCOUNT": "100"}])
def test_what_the_environment_says_stays(
    given: dict[str, str], bare: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    wait_by_load()
    assert said() == given
    assert not bare


@pytest.mark.parametrize("is_gnu", [True, False])
def test_without_gnus_openmp_threads_always_sleep(
    is_gnu: bool, bare: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_is_gnu", lambda: is_gnu)
    monkeypatch.setattr(sys, "platform", "linux")
    wait_by_load()
    # The environment is set for the test alone.
    monkeypatch.setenv("OMP_WAIT_POLICY", os.environ.get("OMP_WAIT_POLICY", ""))
    assert said() == {"OMP_WAIT_POLICY": "" if is_gnu else "passive"}


def test_nothing_is_imported_that_has_threads() -> None:
    code = """
import os, sys
sys.argv = ["flantune", "--version"]
from flantune.cli.main import main
try:
    main()
finally:
    assert "torch" not in sys.modules and "numpy" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, env=without_policy(), capture_output=True)


def without_policy(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _OWN} | more


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's count of Linux")
def test_own_work_is_not_taken_for_that_of_others() -> None:
    before, end = usage(), time.process_time() + 0.3
    while time.process_time() < end:
        pass
    now = usage()
    assert now.own - before.own == pytest.approx(0.3, abs=0.1)
    assert now.all - before.all >= 0.2
    assert Usage(1.0, 5.0, 2.0).others(Usage(0.0, 4.0, 1.0)) == 0.0


WATCHED = """
import sys, time
from flantune.system import waiting

others = iter([{others}] * 1000)
waiting.PERIOD_S, waiting.CALM_PERIODS = 0.01, 1
waiting.Usage.others = lambda *_: next(others)
waiting.wait_by_load()
import torch

torch.set_num_threads(2)
line = torch.ones(2**18)
time.sleep(0.2)

def burned():
    line.add_(1)
    start = time.process_time()
    for _ in range(10):
        line.add_(1)
        time.sleep(0.01)
    return time.process_time() - start

taken = burned()
others = iter([0.0] * 10_000)
time.sleep(0.2)
print(taken, burned())
"""


@pytest.mark.skipif(not waiting._is_gnu(), reason="PyTorch without GNU's OpenMP")
def test_waiting_threads_burn_no_core_while_others_need_it_and_spin_afterwards() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WATCHED.format(others=1.0)],
        check=True, env=without_policy(OMP_NUM_THREADS="2"), capture_output=True, text=True,
    )  # fmt: skip
    asleep, spinning = map(float, done.stdout.split())
    # A thread that spins does so for milliseconds after each operation.
    assert spinning > 2 * asleep
