"""The rows of the demo's tasks, as pure functions of a seed."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random

from flantune.demo import rows_reading as reading
from flantune.demo import rows_world as life
from flantune.demo.cast import Cast, Row
from flantune.types import SplitRole

RowMaker = Callable[[Cast], Row]

MAKERS: dict[str, RowMaker] = {
    f"demo_{make.__name__}": make
    for make in (
        reading.entailment, reading.inference, reading.matter_inference, reading.who, reading.where,
        reading.boolean, reading.color_span, reading.next_deed, reading.needed_thing, reading.pronoun,
        reading.thing_meant, reading.same_meaning, reading.reworded, reading.count, reading.more, life.effect,
        life.cause, life.purpose, life.matter, life.review, life.satisfied, life.verdict, life.mood, life.home,
        life.job, life.favorite, life.pet, life.describe_thing, life.describe_person, life.to_moku,
        life.from_moku, life.moku_word, life.title, life.gist, life.topic, life.odd_one_out, life.category,
        life.word_order, life.reply,
    )
}  # fmt: skip
"""Task name → function that makes one row. Each task has a file of the same name in ``tasks/``."""

ROLES: tuple[SplitRole, ...] = ("train", "dev", "test")
_TRIES = 40


def task_rows(task: str, *, seed: int, counts: dict[SplitRole, int]) -> dict[SplitRole, list[Row]]:
    """All splits of a task. No question appears twice, within a split or across splits.

    A task with few possible questions gets fewer rows than requested.
    """
    seen: set[str] = set()
    return {role: _split(task, role, seed=seed, count=counts[role], seen=seen) for role in ROLES}


def _split(task: str, role: SplitRole, *, seed: int, count: int, seen: set[str]) -> list[Row]:
    make, rows = MAKERS[task], []
    for number in range(count):
        for attempt in range(_TRIES):
            rng = Random(f"{seed}/{task}/{role}/{number}/{attempt}")
            row = make(Cast(rng=rng, role=role, number=number, key=f"{seed}/{task}/{role}"))
            key = _question(row)
            if key not in seen:
                seen.add(key)
                rows.append(row)
                break
    return rows


def _question(row: Row) -> str:
    """A key for a row's question, without its answer and regardless of the order of options."""
    asked = {name: value for name, value in row.items() if name != "answer"}
    if isinstance(options := row.get("options"), list):
        asked["options"] = sorted(str(option) for option in options)
    return json.dumps(asked, sort_keys=True)
