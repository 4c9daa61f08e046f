"""The endless plain text that the demo's base models are pretrained on: prose, never in the form of a task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from flantune import __version__
from flantune.demo import text_life as life
from flantune.demo import text_scenes as scenes
from flantune.demo import text_tales as tales
from flantune.demo.text_about import about_texts
from flantune.demo.text_quiz import quiz

Writer = Callable[[Random], str]

SHARES: tuple[tuple[Writer, float], ...] = (
    (scenes.recall, 10),
    (scenes.questions, 10),
    (scenes.lists, 5),
    (scenes.words_twice, 3),
    (scenes.told_twice, 8),
    (scenes.claims, 22),
    (tales.review, 5),
    (tales.counting, 3),
    (tales.reference, 6),
    (tales.choice_from_list, 4),
    (tales.attributes, 2),
    (life.consequence, 6),
    (life.matter, 4),
    (life.purpose, 4),
    (life.feeling, 4),
    (life.biography, 10),
    (life.geography, 1),
    (life.kinds_of_things, 2),
    (life.bilingual, 3),
    (life.titled, 2),
    (life.grammar, 2),
    (life.rewording, 3),
    (life.talk, 2),
    (life.topic, 2),
    (about_texts, 4),
)
"""Each kind of document with its weight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoText:
    """An endless sequence of short documents. Document k depends only on the seed and k.

    >>> DemoText(seed=0)[3] == DemoText(seed=0)[3]
    True
    """

    seed: int
    name: str = "text"
    size: None = None

    @property
    def identity(self) -> str:
        """The seed and the version of flantune, which determine the documents."""
        return f"demo text {self.seed}, flantune {__version__}"

    def __getitem__(self, number: int) -> str:
        """The document with this number."""
        rng = Random(f"{self.seed}/{number}")
        write: Writer = rng.choices(*zip(*SHARES, strict=True))[0]
        return write(rng)


def asked_text(number: int, *, seed: int = 0) -> str:
    """A document of the second text: a question with its answer, or, in two of five cases, a text of the first kind.

    The questions do not depend on the seed.
    """
    rng = Random(f"q/{number}")
    return quiz(rng) if rng.random() < 0.6 else DemoText(seed=seed + 5)[number]
