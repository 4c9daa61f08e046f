"""The endless plain text that the demo's base models are pretrained on: narrative, never in the form of a task."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from flantune.demo import text_life as life
from flantune.demo import text_scenes as scenes

Writer = Callable[[Random], str]

SHARES: tuple[tuple[Writer, float], ...] = (
    (scenes.recall, 14),
    (scenes.claims, 20),
    (scenes.review, 7),
    (scenes.counting, 5),
    (scenes.reference, 6),
    (scenes.choice_from_list, 5),
    (scenes.attributes, 3),
    (life.consequence, 6),
    (life.matter, 3),
    (life.purpose, 4),
    (life.feeling, 4),
    (life.biography, 8),
    (life.geography, 3),
    (life.kinds_of_things, 4),
    (life.bilingual, 6),
    (life.titled, 3),
    (life.grammar, 2),
    (life.rewording, 5),
    (life.talk, 3),
    (life.topic, 2),
    (life.about_texts, 2),
)
"""Each kind of document with its share of all documents, in per cent or nearly so."""


def documents(seed: int, *, start: int = 0) -> Iterator[str]:
    """An endless stream of short documents; the k-th depends on ``seed`` and k alone, so any part can be made again.

    >>> next(documents(0)) == next(documents(0))
    True
    """
    writers, weights = zip(*SHARES, strict=True)
    number = start
    while True:
        rng = Random(f"{seed}/{number}")
        yield rng.choices(writers, weights)[0](rng)
        number += 1
