"""Runs benchmarks by name, or all of them: ``python -m benchmarks [NAME …]``; results go to ``benchmarks/results``.

``--small`` tries a benchmark with little data and writes nothing; ``--device NAME`` chooses the device, for benchmarks
that support it. The exit code is 1 if a benchmark with a required result does not reach it.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Mapping
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

NAMES = (
    "mixture_scale",
    "packing_fill",
    "preparation",
    "preparation_seqio",
    "contamination",
    "start",
    "whole_job",
    "cost_model",
    "beside",
    "training_decoder_only",
    "training_encoder_decoder",
    "training_lora",
    "gpu_day",
    "soak",
    "corpus_bootstrap",
    "generation",
    "lm_eval_scoring",
    "scoring_real_model",
    "bbh_codex_anchor",
    "interval_coverage",
    "harness_coverage",
    "harness_equality",
    "skill_coverage",
    "template_variety",
)


def main(names: list[str]) -> int:
    """Runs each benchmark and writes its JSON; returns the exit code."""
    is_small = "--small" in names
    names = [name for name in names if name != "--small"]
    chosen: dict[str, Any] = {}
    if "--device" in names:
        at = names.index("--device")
        chosen, names = {"device": names[at + 1]}, [*names[:at], *names[at + 2 :]]
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"unknown benchmark {', '.join(unknown)}; known ones: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    wrong = []
    for name in names or NAMES:
        print(f"── {name} ──", flush=True)
        start = time.perf_counter()
        measure = import_module(f"benchmarks.{name}").measure
        known = signature(measure).parameters
        own = {key: value for key, value in chosen.items() if key in known}
        if is_small:
            if "small" not in known:
                print(f"{name} has no small version")
                continue
            print(json.dumps(measure(small=True, **own), indent=1))
            continue
        measured = measure(**own)
        if measured is None:
            continue
        path = write_record(name, measured, seconds=time.perf_counter() - start)
        print(json.dumps(measured, indent=1))
        print(f"written: {path}")
        wrong += [] if measured.get("is_right", True) else [name]
    return 1 if wrong else 0


def write_record(name: str, measured: Mapping[str, Any], *, seconds: float) -> Path:
    """Keeps what a benchmark measured, with machine and date; returns the file."""
    record = {
        "benchmark": name,
        "machine": f"{platform.processor() or platform.machine()}, {_cores()} cores",
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
        "seconds": round(seconds, 1),
        **measured,
    }
    path = Path(__file__).with_name("results") / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
