"""The program for the hour on a GPU, tried with little of everything: all parts run, and what must be equal is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import gpu_day

from tests.conftest import HUNG_AFTER_S

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def as_it_was():
    """The program sets its process's environment, which the tests after this one share."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.slow
def test_every_part_runs_without_a_gpu():
    command = [sys.executable, "-m", "benchmarks", "gpu_day", "--small", "--device", "cpu"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=HUNG_AFTER_S)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout[result.stdout.index("\n{\n") :])
    assert found["failed"] == [] and list(found["parts"]) == list(gpu_day.PARTS)
    assert all("needs" in found["parts"][name]["why_not"] for name in found["left_out"])
    equal = [each for each in found["parts"]["equalities"].values() if isinstance(each, dict)]
    assert found["is_right"] and len(equal) == 4 and all(each["resumed_to_the_bit"] for each in equal), equal
    for name, part in found["parts"].items():
        if name.startswith(("decoder-only", "encoder-decoder")) and name not in found["left_out"]:
            assert part["tokens_per_second"] > 0 and part["steps"] == 2, name


def test_without_a_gpu_it_says_so_and_writes_nothing(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(gpu_day, "OUT", tmp_path / "gpu_day.json")
    monkeypatch.setattr(gpu_day, "_has_gpu", lambda: False)
    assert gpu_day.measure() is None and "there is no GPU" in capsys.readouterr().out
    assert not gpu_day.OUT.exists()


def test_a_part_that_fails_or_hangs_costs_nothing_but_itself(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu_day, "OUT", tmp_path / "gpu_day.json")
    monkeypatch.setattr(gpu_day, "_has_gpu", lambda: True)
    monkeypatch.setattr(gpu_day, "_import_once", lambda: None)
    told = iter([{"rates": {"bfloat16_gflops": 7.0}}, {"error": "it broke"}, *[{"overall": 3.0}] * 20])
    rates = []

    def run(part, *, rate, **_):
        rates.append(rate)
        return next(told)

    monkeypatch.setattr(gpu_day, "_run", run)
    found = gpu_day.measure()
    assert found["failed"] == ["equalities"] and not found["is_right"] and rates[:3] == [0.0, 7.0, 7.0]
    assert found["ratios"]["decoder-only: flantune compiled / trl"] == {"ratio": 1.0, "goal": 1.3}
    assert json.loads(gpu_day.OUT.read_text(encoding="utf-8")) == found
