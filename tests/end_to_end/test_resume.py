"""``kill -9`` at any moment, then the same call: the same model to the bit, the same metrics, no data twice."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path

import pytest

from tests.conftest import HUNG_AFTER_S
from tests.end_to_end.tuning_worker import STEPS, start
from tests.processes import PROCESSES


def run_until(architecture: str, folder: Path, *, last_step: int | None, delay_s: float = 0.0) -> int:
    """Lets one start go on to a step, then kills it within the next one; None: to the end. Returns the exit code."""
    mine, theirs = PROCESSES.Pipe()
    process = PROCESSES.Process(target=start, args=(architecture, folder, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        assert mine.recv() == 0
        while last_step != 0:
            step = mine.recv()
            mine.send("go on")
            if last_step is not None and step >= last_step:
                break
    except EOFError:
        assert last_step is None, "it ended before it was killed"
    if last_step is not None:
        # It gets no further leave, so it cannot end before it is killed, however late that is.
        time.sleep(delay_s)
        process.kill()
    process.join(HUNG_AFTER_S)
    return process.exitcode


def metrics(folder: Path) -> list[dict]:
    timed = ("seconds", "tokens_per_s", "pipeline_tokens_per_s", "data_wait_share")
    entries = [json.loads(text) for text in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in entry.items() if key not in timed} for entry in entries]


@pytest.mark.parametrize(("architecture", "seed"), [("llama", 1), ("llama", 2), ("t5", 3), ("t5", 4)])
def test_killed_and_restarted_ends_with_the_same_bits(tmp_path, architecture, seed):
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    began = time.monotonic()
    summary = start(architecture, straight)
    step_s = (time.monotonic() - began) / STEPS
    maker = random.Random(seed)
    # Within three steps, and once before the first step of a start, while it restores.
    first, second, third = sorted(maker.sample(range(1, STEPS - 1), 3))
    moments = [first, 0, second, third]
    for moment in moments:
        delay_s = maker.uniform(0, 2 * step_s)
        assert run_until(architecture, killed, last_step=moment, delay_s=delay_s) == -signal.SIGKILL
    assert run_until(architecture, killed, last_step=None) == 0

    name = f"checkpoints/step-{STEPS:08d}"
    for file in ("model.safetensors", "optimizer.safetensors"):
        assert (killed / name / file).read_bytes() == (straight / name / file).read_bytes(), file
    assert metrics(killed) == metrics(straight)
    assert [entry["step"] for entry in metrics(killed)] == [3, 6, 9, 12, 14]
    kept = sorted(entry.name for entry in (killed / "checkpoints").iterdir())
    assert kept == [f"step-{step:08d}" for step in (STEPS - 2, STEPS)]
    again = start(architecture, killed)
    assert (again.cursor, again.counts, again.last_loss) == (summary.cursor, summary.counts, summary.last_loss)
