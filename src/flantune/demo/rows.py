"""The rows of the demo's tasks: any split of any task, as pure functions of a seed."""

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
    "demo_entailment": reading.entailment,
    "demo_inference": reading.inference,
    "demo_matter_inference": reading.matter_inference,
    "demo_who": reading.who,
    "demo_where": reading.where,
    "demo_boolean": reading.boolean,
    "demo_color_span": reading.color_span,
    "demo_next_deed": reading.next_deed,
    "demo_needed_thing": reading.needed_thing,
    "demo_pronoun": reading.pronoun,
    "demo_thing_meant": reading.thing_meant,
    "demo_same_meaning": reading.same_meaning,
    "demo_reworded": reading.reworded,
    "demo_count": reading.count,
    "demo_more": reading.more,
    "demo_effect": life.effect,
    "demo_cause": life.cause,
    "demo_purpose": life.purpose,
    "demo_matter": life.matter,
    "demo_review": life.review,
    "demo_satisfied": life.satisfied,
    "demo_verdict": life.verdict,
    "demo_mood": life.mood,
    "demo_home": life.home,
    "demo_job": life.job,
    "demo_favorite": life.favorite,
    "demo_pet": life.pet,
    "demo_describe_thing": life.describe_thing,
    "demo_describe_person": life.describe_person,
    "demo_to_moku": life.to_moku,
    "demo_from_moku": life.from_moku,
    "demo_moku_word": life.moku_word,
    "demo_title": life.title,
    "demo_gist": life.gist,
    "demo_topic": life.topic,
    "demo_odd_one_out": life.odd_one_out,
    "demo_category": life.category,
    "demo_word_order": life.word_order,
    "demo_reply": life.reply,
}
"""Task name → what makes one row of it. Each has a task file of the same name in ``tasks/``."""

ROLES: tuple[SplitRole, ...] = ("train", "dev", "test")
_TRIES = 40


def task_rows(task: str, *, seed: int, counts: dict[SplitRole, int]) -> dict[SplitRole, list[Row]]:
    """All splits of a task; no row's question appears twice, in one split or across them.

    A task with few different rows (a handful of facts, say) has fewer than asked for.
    """
    seen: set[str] = set()
    return {role: _split(task, role, seed=seed, count=counts[role], seen=seen) for role in ROLES}


def _split(task: str, role: SplitRole, *, seed: int, count: int, seen: set[str]) -> list[Row]:
    make, rows = MAKERS[task], []
    for number in range(count):
        for attempt in range(_TRIES):
            row = make(Cast(rng=Random(f"{seed}/{task}/{role}/{number}/{attempt}"), role=role, number=number))
            key = _question(row)
            if key not in seen:
                seen.add(key)
                rows.append(row)
                break
    return rows


def _question(row: Row) -> str:
    """What a row asks, without its answer; options in any order are the same question."""
    asked = {name: value for name, value in row.items() if name != "answer"}
    if isinstance(options := row.get("options"), list):
        asked["options"] = sorted(str(option) for option in options)
    return json.dumps(asked, sort_keys=True)
