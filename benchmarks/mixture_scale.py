"""The mixture at the size of Flan 2022: 1,836 tasks of 100 million rows each, side by side and as the released tree.

Rows are numbers alone, so what is measured is the mixture: seconds to the first prompt, memory, one draw after another
at draw 1,000,000,000, and blocks of draws. The aims: 5 seconds, 1 GB, 1 millisecond a draw.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from dataclasses import dataclass
from statistics import median
from typing import Any

from flantune.mixture.mixture import Mixture
from flantune.settings.config import PromptSettings
from flantune.settings.mixture_settings import MixtureSettings
from flantune.tasks.listed_tasks import ListedSource, flan2022_tasks
from flantune.types import Example, Task, Template

ROWS, LATE, SINGLE, BLOCK = 100_000_000, 1_000_000_000, 2_000, 100_000
COLLECTIONS = {"muffin": "flan2021", "t0_sf": "t0", "niv2": "natural_instructions", "cot": "cot"}
FORMS = {"side_by_side": "", "released_tree": "flan2022_released"}


@dataclass(frozen=True, slots=True)
class _Rows:
    """A store of any size that holds nothing."""

    size: int

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int, /) -> Example:
        return Example(row=index, fields={"text": f"text {index}"}, references=(f"answer {index}",))


@dataclass(frozen=True, slots=True)
class _Prepared:
    task: Task
    stores: dict[Any, Any]


def measure() -> dict[str, Any]:
    """Each form in a process of its own, so that memory is its own too."""
    context = multiprocessing.get_context("spawn")
    found = {}
    for name, proportions in FORMS.items():
        with context.Pool(1) as pool:
            found[name] = pool.apply(_measure, (proportions,))
    is_right = all(
        one["first_prompt_seconds"] <= 5 and one["peak_memory_mib"] <= 953 and one["draw_ms_slowest_percent"] <= 1
        for one in found.values()
    )
    return {"tasks": len(_tasks()), "rows_per_task": ROWS, **found, "is_right": is_right}


def _measure(proportions: str) -> dict[str, Any]:
    start = time.perf_counter()
    mixture = Mixture(
        _tasks(),
        seed=0,
        settings=MixtureSettings(proportions=proportions, max_rate=0, max_examples=0 if proportions else 30_000),
        prompts=PromptSettings(),
    )
    mixture[0]  # the first prompt
    first = time.perf_counter() - start
    single = []
    for index in range(LATE, LATE + SINGLE):
        begin = time.perf_counter()
        mixture.draw(index)
        single.append(time.perf_counter() - begin)
    begin = time.perf_counter()
    mixture.draws(LATE, LATE + BLOCK)
    block = time.perf_counter() - begin
    return {
        "leaves": len(mixture.portions),
        "first_prompt_seconds": round(first, 3),
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "draw_ms_median": round(1_000 * median(single), 4),
        "draw_ms_slowest_percent": round(1_000 * sorted(single)[-SINGLE // 100], 4),
        "draws_per_second_block": round(BLOCK / block),
    }


def _tasks() -> list[_Prepared]:
    """The list's tasks as the paper counts them, ten templates each, three of them inverted."""
    forward = tuple(Template(name=f"t{number}", inputs="{text}") for number in range(7))
    turned = tuple(Template(name=f"i{number}", inputs="{text}", is_inverted=True) for number in range(3))
    encodings = ("definition", "pos2", "definition_pos2_explanation")
    encoded = tuple(Template(name=name, inputs="{text}") for name in encodings)
    found = []
    for listed in sorted(flan2022_tasks(), key=lambda one: one.submixture == "niv2")[:1_836]:
        task = Task(
            name=listed.name,
            clusters=(listed.category,),
            source_family=listed.source,
            kind="generation",
            source=ListedSource(listed),
            adapter=lambda _: None,
            splits={"train": "train"},
            templates=encoded if listed.submixture == "niv2" else (*forward, *turned),
            metrics=("exact_match",),
            collection=COLLECTIONS[listed.submixture],
        )
        found.append(_Prepared(task, {"train": _Rows(ROWS)}))
    return found
