"""Who and what appears in which split, so that test rows ask about what no training row told."""

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
    """The women and men of some fifteenths of everybody."""
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
    """One row's source of everything random.

    Attributes:
        rng: Its random numbers.
        role: The split the row is for.
        number: The row's number in the split: what must be balanced cycles with it.
        key: The same for all rows of a split; it decides the order in which facts are asked about.
    """

    rng: Random
    role: SplitRole
    number: int
    key: str

    @property
    def people(self) -> tuple[str, ...]:
        """Names of the people of this split: 80 for training, 20 for dev, 200 for the test."""
        return _PEOPLE[self.role]

    def part(self, catalog: Sequence[T]) -> list[T]:
        """The entries of a catalog that this split may use: five eighths train, one dev, two test."""
        return _of(catalog, _MOST[self.role])

    def fact(self, catalog: Sequence[T], *, turn: int | None = None) -> T:
        """What the row asks about, each entry as often as any other.

        Training has a quarter of the catalog and dev an eighth. The test has all of it, what no training row told
        first: a kind of task is measured where it was not trained on, and then nothing need be kept from it.

        Args:
            catalog: All facts.
            turn: The row's number among those that ask about this catalog; left out: its number.
        """
        return self._next([_of(catalog, _FEW[role]) for role in self._sources], turn)

    def person_asked(self, *, turn: int | None = None) -> world.Person:
        """Whom the row asks about, in the same way: the test has everybody, people of no training row first."""
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
        """Somebody of this split."""
        return world.person(self.rng.choice(self.people))

    def couple(self) -> list[world.Person]:
        """Two people of this split."""
        return [world.person(name) for name in self.rng.sample(self.people, 2)]

    def namesakes(self) -> list[str]:
        """Two people whom one pronoun may mean."""
        same = WOMEN if self.number % 4 < 2 else MEN
        return self.rng.sample([name for name in self.people if name in same], 2)

    def turn(self, values: Sequence[T]) -> T:
        """The value whose turn it is: each comes equally often."""
        return values[self.number % len(values)]

    def choice(self, right: str, wrong: Sequence[str]) -> Row:
        """The option columns: the right one's place cycles, so that it tells nothing."""
        options = self.rng.sample(list(wrong), len(wrong))
        options.insert(self.number % (len(wrong) + 1), right)
        return {"options": options, "answer": right}
