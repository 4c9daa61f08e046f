"""The rows that a cap leaves are known without reading any, so that only they are read for a model's record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import numpy as np
import pytest

from flantune.contamination.clean import only_rows
from flantune.contamination.training_record import make_training_index, record_of
from flantune.mixture.mixture import Mixture
from flantune.mixture.used_rows import rows_within_caps
from flantune.settings.config import MixtureSettings
from flantune.tasks.every_reply import EveryReply
from flantune.tasks.example_store import PreparedTask
from flantune.types import Example, Task, Turn


def test_they_are_those_drawn_in_an_epoch_whatever_part_draws_them(ready: Callable) -> None:
    parts = {
        "few": {"tasks": ["a", "b"], "max_examples": 20},
        "more": {"tasks": ["a", "c"], "max_examples": 30},
    }
    mixture = Mixture(
        [ready("a", 500), ready("b", 90), ready("c", 30)],
        seed=4,
        settings=MixtureSettings.model_validate({"parts": parts}),
    )
    drawn: dict[str, set[int]] = defaultdict(set)
    for draw in mixture.draws(0, 2_000):
        drawn[mixture.task_names[draw.task]].add(draw.example)
    found = rows_within_caps(mixture.portions)
    assert {name: set(rows.tolist()) for name, rows in found.items()} == {name: drawn[name] for name in "ab"}
    assert all((np.diff(rows) > 0).all() for rows in found.values())
    assert (len(found["a"]), len(found["b"])) == (30, 20)  # and all of c may be drawn


def test_of_conversations_they_are_those_with_a_reply_within_the_cap() -> None:
    talks = [
        Example(row=at, fields={}, references=(), turns=(Turn("user", "a"), Turn("assistant", "b")) * 3, replies=(1, 3))
        for at in range(40)
    ]
    replies = EveryReply(talks)
    assert [replies.place(number) for number in (0, 1, 2, 79)] == [(0, 0), (0, 1), (1, 0), (39, 1)]
    assert [replies[number].row for number in range(80)] == [number // 2 for number in range(80)]


@pytest.fixture
def story(make_task: Callable) -> tuple[PreparedTask, list[int]]:
    asked: list[int] = []

    class Read(tuple):
        def __getitem__(self, number: int) -> Example:
            asked.append(number)
            return super().__getitem__(number)

    text = "the miller of valley {0} took {0} sacks of flour down to the river before the sun had risen on day {0}"
    rows = Read(Example(row=at, fields={"text": text.format(at)}, references=("yes",)) for at in range(300))
    task: Task = make_task("story")
    return PreparedTask(task=task, stores={"train": rows}, reports={}), asked


def test_a_record_reads_and_knows_only_them(story: tuple[PreparedTask, list[int]]) -> None:
    prepared, asked = story
    mixture = Mixture([prepared], seed=1, settings=MixtureSettings(max_examples=12))
    within = rows_within_caps(mixture.portions)["story"]
    shown = {draw.example for draw in mixture.draws(0, 12)}
    asked.clear()
    capped = only_rows(prepared, within)
    index = make_training_index([capped])
    assert {*asked} == {*within.tolist()} == shown
    rows = [tuple(example.fields.values()) for example in tuple(prepared.stores["train"])]
    assert set(np.flatnonzero(index.is_seen(rows)).tolist()) == shown
    (record,) = record_of([capped], held_out=(), base="", fingerprint="").tasks
    assert record.rows == 12
