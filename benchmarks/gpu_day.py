"""All that a GPU must show, in under nine minutes, alone, on a bare machine without network; one JSON.

``python -m benchmarks gpu_day`` on a machine with one GPU. It makes its own models, ids and prompts. Each part runs in
a process of its own, so that one that fails, hangs or fills the memory costs nothing but itself; what is measured is
written after each part. TRL, lm-eval and what they need (``benchmarks/peers.txt``) are raced where they are installed.
``python -m benchmarks gpu_day --small --device cpu`` runs the same program with little of everything.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

SECONDS = 500
"""The whole must end within; parts that would begin later are left out and named."""
OUT = Path(__file__).with_name("results") / "gpu_day.json"
GOALS = {"decoder-only": 1.3, "encoder-decoder": 3.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One thing to measure.

    Attributes:
        module: Of ``benchmarks.gpu``; its ``measure`` is called.
        settings: What else it is told.
        needs: Packages without which it is left out.
        seconds: After so many it is ended.
    """

    module: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    seconds: int = 60


LLAMA, T5 = {"architecture": "llama"}, {"architecture": "t5"}
TRAINERS = ("datasets", "accelerate")
PARTS = {
    "machine": Part(module="machine"),
    "equalities": Part(module="equalities", seconds=100),
    "pieces": Part(module="pieces"),
    "decoder-only: flantune": Part(module="race_flantune", settings=LLAMA),
    "decoder-only: flantune compiled": Part(module="race_flantune", settings={**LLAMA, "compile": True}, seconds=120),
    "decoder-only: trl": Part(module="race_trl", settings=LLAMA, needs=("trl", *TRAINERS), seconds=80),
    "encoder-decoder: flantune": Part(module="race_flantune", settings=T5, seconds=80),
    "encoder-decoder: seq2seq grouped": Part(
        module="race_seq2seq", settings={**T5, "grouped": True}, needs=TRAINERS, seconds=90
    ),
    "scoring: decoder-only": Part(module="scoring", settings=LLAMA),
    "answers: decoder-only": Part(module="answers", settings=LLAMA, seconds=80),
    "encoder-decoder: flantune compiled": Part(module="race_flantune", settings={**T5, "compile": True}, seconds=120),
    "encoder-decoder: seq2seq plain": Part(module="race_seq2seq", settings=T5, needs=TRAINERS, seconds=90),
    "scoring: encoder-decoder": Part(module="scoring", settings=T5),
    "answers: encoder-decoder": Part(module="answers", settings=T5),
}


def measure(*, small: bool = False, device: str = "cuda") -> dict[str, Any] | None:
    """Every part in turn, for as long as there is time.

    Args:
        small: Little of everything, and nothing is written.
        device: Where to measure.
    """
    # Asks the driver's own list, so that the processes that are forked here may begin with the GPU themselves.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    os.environ |= {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    if device != "cpu" and not _has_gpu():
        print("skipped: there is no GPU; --small --device cpu tries the program")
        return None
    _import_once()
    start, found, rate = time.perf_counter(), dict[str, Any](), 0.0
    for name, part in PARTS.items():
        # A trial takes what it takes, on any machine at any load.
        limit = 3_600 if small else min(part.seconds, SECONDS - (time.perf_counter() - start))
        found[name] = _run(part, device=device, small=small, rate=rate, seconds=limit)
        rate = found["machine"].get("rates", {}).get("bfloat16_gflops", 0.0)
        print(f"{name}: {json.dumps(found[name])}", flush=True)
        if not small:
            OUT.parent.mkdir(exist_ok=True)
            OUT.write_text(json.dumps(_summary(device, found), indent=1) + "\n", encoding="utf-8")
    return _summary(device, found)


def _summary(device: str, found: Mapping[str, Any]) -> dict[str, Any]:
    equal = found.get("equalities", {})
    return {
        "device": device,
        "is_right": bool(equal.get("is_right", False)),
        "failed": [name for name, each in found.items() if "error" in each],
        "left_out": [name for name, each in found.items() if "why_not" in each],
        "ratios": _ratios(found),
        "parts": dict(found),
    }


def _ratios(found: Mapping[str, Any]) -> dict[str, Any]:
    """Flantune over its peers in useful tokens a second, and the goal."""
    ratios: dict[str, Any] = {}
    for family, goal in GOALS.items():
        speeds = {
            name.removeprefix(f"{family}: "): each["overall"]
            for name, each in found.items()
            if name.startswith(f"{family}: ") and "overall" in each
        }
        for mine, ours in speeds.items():
            for peer, theirs in speeds.items():
                if mine.startswith("flantune") and not peer.startswith("flantune"):
                    ratios[f"{family}: {mine} / {peer}"] = {"ratio": round(ours / theirs, 2), "goal": goal}
    return ratios


def _has_gpu() -> bool:
    """Asked in a process of its own: one that has begun with a GPU cannot be forked."""
    process = multiprocessing.get_context("fork").Process(target=_end_by_gpu)
    process.start()
    process.join()
    return process.exitcode == 0


def _end_by_gpu() -> None:
    import torch

    sys.exit(0 if torch.cuda.is_available() else 1)


def _import_once() -> None:
    """Imports what all parts need before they are forked, which saves each of them the wait."""
    for name in sorted({part.module for part in PARTS.values()}):
        import_module(f"benchmarks.gpu.{name}")


def _run(part: Part, *, device: str, small: bool, rate: float, seconds: float) -> dict[str, Any]:
    """What a part measured in a process of its own, or why it did not."""
    missing = [name for name in part.needs if find_spec(name) is None]
    if missing:
        return {"why_not": f"needs {', '.join(missing)} (benchmarks/peers.txt)"}
    if seconds < 10:
        return {"why_not": "no time was left"}
    fork = multiprocessing.get_context("fork")
    listening, telling = fork.Pipe(duplex=False)
    start = time.perf_counter()
    process = fork.Process(target=_measure, args=(telling, part, device, small, rate))
    process.start()
    telling.close()
    try:
        told: dict[str, Any] = (
            listening.recv() if listening.poll(seconds) else {"error": f"not done after {seconds:.0f} seconds"}
        )
    except EOFError:
        process.join()
        told = {"error": f"the process ended with exit code {process.exitcode}"}
    process.kill()
    process.join()
    return {**told, "seconds": round(time.perf_counter() - start, 1)}


def _measure(telling: Connection, part: Part, device: str, small: bool, rate: float) -> None:
    import torch

    from benchmarks.gpu.timing import Task

    # What libraries print is not what is measured.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    work: Callable[[Task], dict[str, Any]] = import_module(f"benchmarks.gpu.{part.module}").measure
    place = torch.device("cuda:0" if device == "cuda" else device)
    try:
        told = work(Task(device=place, is_small=small, rate=rate, settings=dict(part.settings)))
    except Exception as error:
        told = {"error": f"{type(error).__name__}: {error}", "where": traceback.format_exc().splitlines()[-8:]}
    telling.send(told)
    telling.close()
