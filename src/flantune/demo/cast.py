"""Divides people and facts among the splits, so that test rows ask about what no training row mentions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from flantune.demo import world
from flantune.demo.names import MEN, PEOPLE, WOMEN
from flantune.types import SplitRole

T = TypeVar("T")
Row = dict[str, object]

_PAIRS = [range(start, len(PEOPLE) // 2, 15) for start in range(15)]


def _people(pairs: Sequence[range]) -> tuple[str, ...]:
    """The women and men in some of the fifteen parts of all people."""
    return tuple(PEOPLE[2 * k + sex] for part in pairs for k in part for sex in (0, 1))


_PEOPLE: dict[SplitRole, tuple[str, ...]] = {
    "train": _people(_PAIRS[:4]),
    "dev": _people(_PAIRS[4:5]),
    "test": _people(_PAIRS[5:]),
}
_FEW: dict[SplitRole, tuple[int, ...]] = {"train": (0, 1), "dev": (2,), "test": (3, 4, 5, 6, 7)}
_MOST: dict[SplitRole, tuple[int, ...]] = {"train": (0, 1, 3, 5, 7), "dev": (2,), "test": (4, 6)}


def _of(catalog: Sequence[T], places: Sequence[int]) -> list[T]:
    return [entry for k, entry in enumerate(catalog) if k % 8 in places]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """The source of everything random in one row.

    Attributes:
        rng: Its random numbers.
        role: The row's split.
        number: The row's number in the split. Properties that must be balanced cycle with it.
        key: Determines the order in which facts are asked about; the same for all rows of a split.
    """

    rng: Random
    role: SplitRole
    number: int
    key: str

    @property
    def people(self) -> tuple[str, ...]:
        """Names of the people in this split: 80 in training, 20 in dev, 200 in the test."""
        return _PEOPLE[self.role]

    def part(self, catalog: Sequence[T]) -> list[T]:
        """The entries of a catalog that this split may use: five eighths in training, one in dev, two in the test."""
        return _of(catalog, _MOST[self.role])

    def fact(self, catalog: Sequence[T], *, turn: int | None = None) -> T:
        """The entry that the row asks about; all entries are used equally often.

        Training has a quarter of the catalog and dev an eighth. The test has all of it, its own entries first:
        when a kind of task is held out, none of its rows is trained on, so all entries can be tested.

        Args:
            catalog: All entries.
            turn: The row's number among those that ask about this catalog; None: its number in the split.
        """
        return self._next([_of(catalog, _FEW[role]) for role in self._sources], turn)

    def person_asked(self, *, turn: int | None = None) -> world.Person:
        """The person that the row asks about, chosen like a fact: the test has everybody, its own people first."""
        return world.person(self._next([_PEOPLE[role] for role in self._sources], turn))

    @property
    def _sources(self) -> tuple[SplitRole, ...]:
        return ("test", "train", "dev") if self.role == "test" else (self.role,)

    def _next(self, sources: Sequence[Sequence[T]], turn: int | None) -> T:
        number = self.number if turn is None else turn
        round_, place = divmod(number, sum(map(len, sources)))
        order = Random(f"{self.key}/{round_}")
        shuffled = [entry for source in sources for entry in order.sample(source, len(source))]
        return shuffled[place]

    def person(self) -> world.Person:
        """A random person of this split."""
        return world.person(self.rng.choice(self.people))

    def person_in(self, event: str) -> world.Person:
        """A random person of this split to whom an event could happen: if it names their pet, they have one."""
        owners = [one for one in map(world.person, self.people) if f"{{p}} {one.pet}" in event]
        return self.rng.choice(owners) if owners else self.person()

    def couple(self) -> list[world.Person]:
        """Two random people of this split."""
        return [world.person(name) for name in self.rng.sample(self.people, 2)]

    def namesakes(self) -> list[str]:
        """Two people of the same sex, so that a pronoun can mean either."""
        same = WOMEN if self.number % 4 < 2 else MEN
        return self.rng.sample([name for name in self.people if name in same], 2)

    def turn(self, values: Sequence[T]) -> T:
        """The next value in a cycle, so that all are used equally often."""
        return values[self.number % len(values)]

    def choice(self, right: str, wrong: Sequence[str]) -> Row:
        """The columns for options and answer. The position of the answer cycles, so that it is not informative."""
        options = self.rng.sample(list(wrong), len(wrong))
        options.insert(self.number % (len(wrong) + 1), right)
        return {"options": options, "answer": right}
