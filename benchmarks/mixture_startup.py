"""Start-up and draw speed of a mixture of 2,000 tasks of a million rows; the floor is a hash and a search a draw."""

from __future__ import annotations

import resource
import time
from types import SimpleNamespace
from typing import Any

from flantune.mixture.mixture import Mixture
from flantune.settings.config import MixtureSettings, PromptSettings
from flantune.types import Template

TASKS, ROWS, DRAWS = 2_000, 1_000_000, 200_000


class _Counted:
    """A store that only knows its length: nothing may be read at start-up."""

    def __len__(self) -> int:
        return ROWS


def measure() -> dict[str, Any]:
    """Seconds to start, draws a second one by one and in blocks, memory grown."""
    prepared = [_task(number) for number in range(TASKS)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    mixture = Mixture(prepared, seed=0, settings=MixtureSettings(), prompts=PromptSettings())
    startup = time.perf_counter() - start
    start = time.perf_counter()
    for index in range(DRAWS // 10):
        mixture.draw(index)
    single = time.perf_counter() - start
    start = time.perf_counter()
    mixture.draws(0, DRAWS)
    block = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "tasks": TASKS,
        "rows_per_task": ROWS,
        "startup_seconds": round(startup, 4),
        "draws_per_second_single": round(DRAWS / 10 / single),
        "draws_per_second_block": round(DRAWS / block),
        "memory_grown_mib": round((after - before) / 1024, 1),
    }


def _task(number: int) -> Any:
    templates = tuple(Template(name=f"t{i}", inputs="{text}") for i in range(10))
    task = SimpleNamespace(
        name=f"task {number}", clusters=(f"cluster {number % 50}",), family=f"f{number}", kind="generation",
        templates=templates, splits={"train": "train"},
    )  # fmt: skip
    return SimpleNamespace(task=task, stores={"train": _Counted()})
