"""Fifty kills at random moments: does a tuning that is killed and started again end as one that never was?

Small models of both families are tuned by one process, and by two that share the work. ``kill -9`` comes at seeded
random moments (one of the two at random); the same call then goes on, until the run is done. Weights, optimizer state
and metrics must be those of a run that nobody killed, to the bit. Afterwards the next run begins, until all kills are
spent. Of two processes, the one that is left must end by itself within seconds.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flantune.types import Prompt

SEED = 2021
STEPS = 60
KILLS = {("llama", 1, "data"): 20, ("t5", 1, "data"): 14, ("llama", 2, "data"): 8, ("llama", 2, "sharded"): 8}
"""Kills by architecture, number of processes and way of sharing: fifty."""
LONGEST_LIFE_S = 2.0
PATIENCE_S = 60.0
WORDS = ("red", "blue", "green", "tall", "short", "round", "square", "old", "new", "quick", "slow", "warm")
TIMED = ("seconds", "tokens_per_s", "pipeline_tokens_per_s", "data_wait_share")
PROCESSES = multiprocessing.get_context("forkserver")


@dataclass(slots=True)
class Tally:
    """What came of one way of running."""

    kills: int = 0
    kills_while_training: int = 0
    runs: int = 0
    differing_runs: int = 0
    restarts_from: list[int] = field(default_factory=list)
    others_ended_s: list[float] = field(default_factory=list)


class Prompts:
    """An endless mixture of two tasks with answers of unlike length."""

    def __getitem__(self, index: int) -> Prompt:
        first, second = WORDS[index % 12], WORDS[(index * 7 + 3) % 12]
        if index % 2:
            inputs, targets, task = f"Spell {first}.", "-".join(first), "spell"
        else:
            inputs, targets, task = f"Is {first} the same word as {second}?", "no" if first != second else "yes", "same"
        return Prompt(task=task, split="train", row=index, template="t", inputs=inputs, targets=targets)


def tune_once(folder: str, architecture: str, rank: int, count: int, port: int, parallel: str) -> None:
    """One start of one process."""
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in names.items()}
    # What a process says when another one is gone is of no interest here; its exit code is.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    import torch

    from flantune.models.scratch import build_model, train_tokenizer
    from flantune.packing.batches import Batches
    from flantune.packing.encode import Codec
    from flantune.packing.stream import PromptStream
    from flantune.prompts.layout import Layout
    from flantune.settings.config import PackingSettings, ScratchSettings, TrainingSettings
    from flantune.system.processes import joined
    from flantune.training.loop import tune

    torch.set_num_threads(1)
    prompts = Prompts()
    tokenizer = train_tokenizer((prompts[i].inputs + " " + prompts[i].targets for i in range(60)), 300)
    lm = build_model(
        ScratchSettings(architecture=architecture, hidden_size=32, layers=2, heads=2), tokenizer, seed=SEED
    )
    codec = Codec(tokenizer=tokenizer, family=lm.family, layout=Layout(), max_input_tokens=96, max_target_tokens=48)
    sizes = PackingSettings(max_input_tokens=96, max_target_tokens=48, row_tokens=128, batch_tokens=512)
    settings = TrainingSettings(
        steps=STEPS,
        learning_rate=1e-2,
        schedule="cosine",
        warmup_steps=5,
        dropout=0.1,
        checkpoint_every=3,
        log_every=2,
        parallel=parallel,
    )
    batches = Batches(PromptStream(prompts, codec, row_tokens=sizes.row_tokens), sizes, processes=count)
    with joined():
        marker(Path(folder), rank).touch()
        tune(lm, batches, settings, folder=Path(folder), seed=SEED, fingerprint="soak")


def marker(folder: Path, rank: int) -> Path:
    """A file that says that this process has found the others."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"joined-{rank}"


def start(folder: Path, way: tuple[str, int, str]) -> list[Any]:
    """All processes of one start."""
    architecture, count, parallel = way
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    for rank in range(count):
        marker(folder, rank).unlink(missing_ok=True)
    arguments = [(str(folder), architecture, rank, count, port, parallel) for rank in range(count)]
    started = [PROCESSES.Process(target=tune_once, args=each, daemon=True) for each in arguments]
    for process in started:
        process.start()
    return started


def soak(way: tuple[str, int, str], kills: int, root: Path, chance: random.Random) -> Tally:
    """So many kills, over as many runs as that takes."""
    tally = Tally()
    straight = root / "straight"
    join(start(straight, way))
    expected = state_of(straight)
    while tally.kills < kills:
        folder = root / f"run-{tally.runs}"
        while not is_done(folder):
            # A run that is about to end is left to: the kill has to meet somebody alive.
            life_s = chance.uniform(0, LONGEST_LIFE_S) if tally.kills < kills else PATIENCE_S
            live_and_die(start(folder, way), folder, life_s, chance, tally)
        tally.runs += 1
        found = state_of(folder)
        if differing := [key for key in expected if found[key] != expected[key]]:
            tally.differing_runs += 1
            print(f"{way}: run {tally.runs} differs in its {', '.join(differing)}", flush=True)
        shutil.rmtree(folder)
    return tally


def live_and_die(processes: list[Any], folder: Path, life_s: float, chance: random.Random, tally: Tally) -> None:
    """Lets a start live for so long, then kills one of its processes, if they have not ended by then."""
    victim = chance.choice(processes)
    victim.join(life_s)
    before = steps_done(folder)
    victim.kill()
    victim.join(PATIENCE_S)
    # It may have ended just before.
    if victim.exitcode == -signal.SIGKILL:
        end_others(processes, folder, tally)
        tally.kills += 1
        tally.kills_while_training += before > 0
        tally.restarts_from.append(before)
        return
    join(processes)
    if any(process.exitcode for process in processes):
        raise RuntimeError(f"a start ended with {[process.exitcode for process in processes]}")


def end_others(processes: list[Any], folder: Path, tally: Tally) -> None:
    """Those that are left end by themselves; when they had not all met yet, they wait for the rest, and are ended."""
    killed_at = time.monotonic()
    if all(marker(folder, rank).exists() for rank in range(len(processes))):
        join(processes)
        if len(processes) > 1:
            tally.others_ended_s.append(time.monotonic() - killed_at)
        return
    # `torchrun` does the same.
    for process in processes:
        process.kill()
    join(processes)


def join(processes: list[Any]) -> None:
    """Waits for all; whoever does not end is a failure."""
    for process in processes:
        process.join(PATIENCE_S)
        if process.is_alive():
            process.kill()
            raise RuntimeError("a process hangs")


def is_done(folder: Path) -> bool:
    """Whether the last checkpoint is there."""
    return steps_done(folder) == STEPS


def steps_done(folder: Path) -> int:
    """Step of the last whole checkpoint."""
    return max((int(entry.name[5:]) for entry in folder.glob("checkpoints/step-*")), default=0)


def state_of(folder: Path) -> dict[str, Any]:
    """Every stored tensor's bits, what the metrics say, and which files lie there."""
    last = folder / f"checkpoints/step-{STEPS:08d}"
    lines = [json.loads(text) for text in (folder / "metrics.jsonl").read_text().splitlines()]
    state = json.loads((last / "state.json").read_text())["state"]
    return {
        "files": sorted(str(entry.relative_to(folder / "checkpoints")) for entry in folder.glob("checkpoints/**/*")),
        "tensors": tensors_of(last),
        "metrics": [{key: value for key, value in line.items() if key not in TIMED} for line in lines],
        "cursor": (state["step"], state["cursor"], state["counts"]),
    }


def tensors_of(folder: Path) -> dict[str, bytes]:
    """Every stored tensor's bits, put together where processes wrote parts (how they divide that up may differ)."""
    from flantune.training.sharded_files import read_assembled

    return {name: tensor.numpy().tobytes() for name, tensor in read_assembled(folder).items()}


def measure(kills: dict[tuple[str, int, str], int] | None = None) -> dict[str, Any]:
    """Kills, and how many of the killed runs ended otherwise than the ones that were not: none, or it fails."""
    os.environ["OMP_NUM_THREADS"] = "1"
    PROCESSES.set_forkserver_preload(["benchmarks.soak", "flantune.training.loop", "flantune.models.scratch"])
    chance = random.Random(SEED)
    rows = []
    for way, count in (kills or KILLS).items():
        with tempfile.TemporaryDirectory() as root:
            began = time.monotonic()
            tally = soak(way, count, Path(root), chance)
        architecture, processes, parallel = way
        rows.append(
            {
                "architecture": architecture,
                "processes": processes,
                "parallel": parallel,
                "kills": tally.kills,
                "kills_after_a_checkpoint": tally.kills_while_training,
                "runs": tally.runs,
                "differing_runs": tally.differing_runs,
                "killed_after_steps": tally.restarts_from,
                "kills_after_which_others_ended_alone": len(tally.others_ended_s),
                "slowest_end_of_the_others_s": round(max(tally.others_ended_s, default=0.0), 2),
                "seconds": round(time.monotonic() - began, 1),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    if any(row["differing_runs"] for row in rows):
        raise SystemExit("a killed run ended otherwise than one that was not killed")
    return {"seed": SEED, "steps": STEPS, "kills": sum(row["kills"] for row in rows), "rows": rows}
