"""What the two training benchmarks share: run the sides, say how far each is from the floor, and who is how fast."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.training.floor import floor, rates
from benchmarks.training.lockstep import race, start
from benchmarks.training.world import build_world, has_data
from flantune.models.arithmetic import dtype_name

MODULES = {"flantune": "side_flantune", "trl": "side_trl", "seq2seq": "side_seq2seq"}


def contest(
    sides: Mapping[str, Mapping[str, Any]],
    *,
    scratch: dict[str, Any],
    device: str,
    steps: int,
    warm_up: int,
    batch_tokens: int,
    needs: tuple[str, ...],
) -> dict[str, Any] | None:
    """Races the sides; None with a word of explanation where something is missing.

    Args:
        sides: Name to settings; the name's first word says which program it is.
        scratch: The model.
        device: Where to train.
        steps: Measured optimizer steps.
        warm_up: Steps before them.
        batch_tokens: Tokens of flantune's optimizer step.
        needs: Packages that must be there.
    """
    missing = [name for name in needs if find_spec(name) is None]
    if missing or not has_data():
        reason = (
            "needs pip install -r benchmarks/peers.txt"
            if missing
            else "needs the real files of examples/real_files.toml"
        )
        print(f"skipped: {reason}")
        return None
    with world_cache() as cache:
        world = build_world(cache, scratch=scratch, device=device)
        sample = world.encoded(2_000)
        measured = rates(device, threads=1)
        least = floor(world.lm, sample, measured, batch_tokens=batch_tokens)
        common = {"cache": str(cache), "scratch": scratch, "device": device, "batch_tokens": batch_tokens}
        started = [
            start(name, f"benchmarks.training.{MODULES[name.split()[0]]}", {**common, **settings}, threads=1)
            for name, settings in sides.items()
        ]
        found = race(started, steps=steps, warm_up=warm_up, clock="cpu" if device == "cpu" else "wall")
    best = least["tokens_per_second_by_arithmetic"]
    for figures in found.values():
        figures["share_of_the_arithmetic_floor"] = round(figures["useful_tokens_per_unit"] / best, 3)
    return {
        "device": device,
        "arithmetic": dtype_name(world.lm.compute_dtype),
        "threads": 1,
        "unit": "CPU second, all threads of the process" if device == "cpu" else "second",
        "model": {**scratch, "weights": sum(weight.numel() for weight in world.lm.model.parameters())},
        "rows": _described(sample),
        "rates": measured,
        "floor": least,
        "sides": found,
        "ratios": _ratios(found),
    }


@contextmanager
def world_cache() -> Iterator[Path]:
    """The folder of the sides' files: the one that FLANTUNE_BENCHMARK_CACHE names, or one that goes at the end."""
    if kept := os.environ.get("FLANTUNE_BENCHMARK_CACHE"):
        yield Path(kept)
        return
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def _ratios(found: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Each form of flantune over each peer, by the median step and over all steps."""
    ours = [name for name in found if name.startswith("flantune")]
    return {
        f"{mine} / {peer}": {
            "median": round(found[mine]["useful_tokens_per_unit"] / found[peer]["useful_tokens_per_unit"], 2),
            "overall": round(found[mine]["overall"] / found[peer]["overall"], 2),
            "peak_memory": round(found[mine]["peak_memory_mib"] / found[peer]["peak_memory_mib"], 2),
        }
        for mine in ours
        for peer in found
        if peer not in ours
    }


def _described(sample: list[Any]) -> dict[str, float]:
    read, written = (
        sum(lengths) for lengths in zip(*((len(p.inputs), len(p.targets[0])) for p in sample), strict=True)
    )
    longest = max(len(p.inputs) + len(p.targets[0]) for p in sample)
    return {
        "mean_tokens": round((read + written) / len(sample), 1),
        "longest": longest,
        "target_share": round(written / (read + written), 3),
    }
