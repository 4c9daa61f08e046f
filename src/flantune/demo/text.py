"""The endless plain text that the demo's base models are pretrained on: narrative, never in the form of a task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from flantune import __version__
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


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoText:
    """Short documents without end; the k-th depends on the seed and k alone, so any part can be made again.

    >>> DemoText(seed=0)[3] == DemoText(seed=0)[3]
    True
    """

    seed: int
    name: str = "text"
    size: None = None

    @property
    def identity(self) -> str:
        """The seed, and the version of the program that writes the documents."""
        return f"demo text {self.seed}, flantune {__version__}"

    def __getitem__(self, number: int) -> str:
        """A document."""
        rng = Random(f"{self.seed}/{number}")
        write: Writer = rng.choices(*zip(*SHARES, strict=True))[0]
        return write(rng)
