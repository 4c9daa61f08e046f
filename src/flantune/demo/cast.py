"""Who and what appears in which split, so that test rows are not near copies of training rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from flantune.demo import world
from flantune.types import SplitRole

T = TypeVar("T")
Row = dict[str, object]

_PEOPLE: dict[SplitRole, tuple[str, ...]] = {
    "train": world.PEOPLE[:20],
    "dev": world.PEOPLE[20:26],
    "test": world.PEOPLE[26:],
}
_PARTS: dict[SplitRole, tuple[int, ...]] = {"train": (0, 1, 3), "dev": (2,), "test": (4,)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """One row's source of everything random.

    Attributes:
        rng: Its random numbers.
        role: The split the row is for.
        number: The row's number in the split: what must be balanced cycles with it.
    """

    rng: Random
    role: SplitRole
    number: int

    @property
    def people(self) -> tuple[str, ...]:
        """Names of the people of this split."""
        return _PEOPLE[self.role]

    @property
    def women(self) -> tuple[str, ...]:
        """Names of its women."""
        return tuple(name for name in self.people if name in world.WOMEN)

    @property
    def men(self) -> tuple[str, ...]:
        """Names of its men."""
        return tuple(name for name in self.people if name in world.MEN)

    def part(self, catalog: Sequence[T]) -> list[T]:
        """The entries of a catalog that this split may use: three fifths train, one fifth each for dev and test."""
        return [entry for k, entry in enumerate(catalog) if k % 5 in _PARTS[self.role]]

    def person(self) -> world.Person:
        """Somebody of this split."""
        return world.person(self.rng.choice(self.people))

    def couple(self) -> list[world.Person]:
        """Two people of this split."""
        return [world.person(name) for name in self.rng.sample(self.people, 2)]

    def namesakes(self) -> list[str]:
        """Two people whom one pronoun may mean."""
        return self.rng.sample(self.women if self.number % 4 < 2 else self.men, 2)

    def turn(self, values: Sequence[T]) -> T:
        """The value whose turn it is: each comes equally often."""
        return values[self.number % len(values)]

    def choice(self, right: str, wrong: Sequence[str]) -> Row:
        """The option columns: the right one's place cycles, so that it tells nothing."""
        options = self.rng.sample(list(wrong), len(wrong))
        options.insert(self.number % (len(wrong) + 1), right)
        return {"options": options, "answer": right}
