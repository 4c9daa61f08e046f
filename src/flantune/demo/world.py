"""The micro-world: people and facts about them, things, places, jobs, materials and a second language.

All of the demo's texts and tasks are made from this module and ``catalogs``. The facts about people and towns depend
only on ``WORLD_SEED``, so that pretraining text and tasks agree on them, whatever the seed of the task rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from random import Random

from flantune.demo.names import PEOPLE, RIVERS, TOWNS, WOMEN

WORLD_SEED = 7

COLORS = ("red", "blue", "green", "yellow", "black", "white", "brown", "pink", "gray", "purple")
SIZES = ("small", "big", "tiny", "huge", "old", "new")
NUMBERS = tuple(
    "zero one two three four five six seven eight nine ten eleven twelve "  # noqa: SIM905
    "thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty".split()
)
PLACES = tuple(
    "kitchen garden market school park library station barn cellar attic hall yard shop tower church harbor museum "  # noqa: SIM905
    "stable office castle".split()
)

ANIMALS = ("cat", "dog", "bird", "fish", "horse", "cow", "goat", "mouse", "rabbit", "duck")
FOODS = ("soup", "bread", "cake", "rice", "cheese", "salad", "apple", "egg", "pie", "honey", "pasta", "fruit")
CLOTHES = ("hat", "coat", "shirt", "scarf", "glove", "sock", "dress", "boot")
FURNITURE = ("chair", "table", "bed", "shelf", "bench", "desk", "sofa", "stool")
TOOLS = ("knife", "hammer", "saw", "broom", "key", "needle", "shovel", "ladder")
VEHICLES = ("car", "train", "boat", "bus", "bike", "truck", "tram", "wagon")
CATEGORIES = {
    "animal": ANIMALS,
    "food": FOODS,
    "piece of clothing": CLOTHES,
    "piece of furniture": FURNITURE,
    "tool": TOOLS,
    "vehicle": VEHICLES,
    "color": COLORS,
    "town": TOWNS,
}
PLURAL_CATEGORIES = {
    "animal": "animals",
    "food": "foods",
    "piece of clothing": "clothes",
    "piece of furniture": "furniture",
    "tool": "tools",
    "vehicle": "vehicles",
    "color": "colors",
    "town": "towns",
}

THINGS = tuple(
    "cup box ball bowl hat coat lamp chair key coin spoon book bag plate ring drum flute doll kite clock basket bottle "  # noqa: SIM905
    "brush candle scarf glove".split()
)
"""Things that somebody can have, in any color."""

MADE_THINGS = ("bowl", "cup", "box", "ball", "ring", "plate", "spoon", "toy", "button", "star", "figure", "bead")
"""Things that can be made of any material."""
MATERIALS = {
    # material: what a thing made of it does when dropped, thrown into water, thrown into a fire, left in the hot sun
    "glass": ("broke", "sank", "did not burn", "did not melt"),
    "clay": ("broke", "sank", "did not burn", "did not melt"),
    "porcelain": ("broke", "sank", "did not burn", "did not melt"),
    "ice": ("broke", "floated", "did not burn", "melted"),
    "chocolate": ("broke", "sank", "burned", "melted"),
    "wax": ("did not break", "floated", "burned", "melted"),
    "butter": ("did not break", "floated", "burned", "melted"),
    "wood": ("did not break", "floated", "burned", "did not melt"),
    "paper": ("did not break", "floated", "burned", "did not melt"),
    "cork": ("did not break", "floated", "burned", "did not melt"),
    "straw": ("did not break", "floated", "burned", "did not melt"),
    "bamboo": ("did not break", "floated", "burned", "did not melt"),
    "iron": ("did not break", "sank", "did not burn", "did not melt"),
    "stone": ("did not break", "sank", "did not burn", "did not melt"),
    "gold": ("did not break", "sank", "did not burn", "did not melt"),
    "silver": ("did not break", "sank", "did not burn", "did not melt"),
    "copper": ("did not break", "sank", "did not burn", "did not melt"),
}
DEEDS = (
    # what somebody does with a thing, and its two possible outcomes; in the same order as in ``MATERIALS``
    ("dropped the {t}", ("broke", "did not break")),
    ("threw the {t} into the lake", ("sank", "floated")),
    ("threw the {t} into the fire", ("burned", "did not burn")),
    ("left the {t} in the hot sun", ("melted", "did not melt")),
)

JOBS = {
    # job: (place of work, what they do)
    "baker": ("bakery", "bakes bread"),
    "doctor": ("hospital", "helps sick people"),
    "teacher": ("school", "teaches children"),
    "farmer": ("farm", "grows corn"),
    "painter": ("studio", "paints pictures"),
    "singer": ("theater", "sings songs"),
    "driver": ("station", "drives a bus"),
    "cook": ("restaurant", "makes meals"),
    "sailor": ("harbor", "works on a ship"),
    "writer": ("library", "writes books"),
    "tailor": ("shop", "makes clothes"),
    "miner": ("mine", "digs for coal"),
}

GOOD_WORDS = tuple("great wonderful lovely excellent perfect amazing delightful superb charming brilliant".split())  # noqa: SIM905
BAD_WORDS = tuple("awful terrible boring horrible bad dull disappointing dreadful ugly poor".split())  # noqa: SIM905
REVIEWED = {
    # the kind of thing reviewed: (what the reviewer did, its aspects)
    "film": ("saw a film", ("story", "music", "acting", "ending")),
    "book": ("read a book", ("story", "language", "ending", "beginning")),
    "restaurant": ("went to a restaurant", ("food", "service", "room", "menu")),
    "hotel": ("stayed at a hotel", ("room", "bed", "service", "breakfast")),
    "concert": ("went to a concert", ("music", "singer", "sound", "hall")),
    "trip": ("took a trip", ("weather", "food", "guide", "view")),
}
GOOD_ACTS = (
    "{s} laughed and smiled all evening",
    "{s} wanted to do it again soon",
    "{s} told all {p} friends to try it",
    "{s} thanked everybody",
    "{s} was sorry when it was over",
    "{s} would do it again any day",
)
BAD_ACTS = (
    "{s} complained to everybody",
    "{s} wanted {p} money back",
    "{s} told all {p} friends to stay away",
    "{s} almost fell asleep",
    "{s} was glad when it was over",
    "{s} would never do it again",
)

MOKU = {
    # the second language, word for word; adjectives follow their noun and the verb comes last
    "red": "miro", "blue": "talu", "green": "seva", "black": "noku", "white": "pali", "yellow": "zuri",
    "big": "gorun", "small": "pim", "old": "vet", "new": "nai",
    "cat": "kela", "dog": "bau", "bird": "tiri", "fish": "lop", "horse": "hanu", "cow": "mumo", "goat": "ekki",
    "mouse": "pipi", "cup": "dok", "box": "karto", "ball": "rul", "hat": "chapa", "book": "libu", "key": "klis",
    "bread": "panu", "apple": "malu", "cake": "torti", "chair": "sedo",
    "sees": "vidar", "eats": "nyam", "has": "tena", "finds": "trova", "wants": "volin", "takes": "prenu",
}  # fmt: skip
MOKU_ADJECTIVES = tuple(w for w in MOKU if w in COLORS or w in SIZES)
MOKU_VERBS = ("sees", "eats", "has", "finds", "wants", "takes")
MOKU_ANIMALS = ("cat", "dog", "bird", "fish", "horse", "cow", "goat", "mouse")
MOKU_THINGS = ("cup", "box", "ball", "hat", "book", "key", "bread", "apple", "cake", "chair")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A person, with permanent facts."""

    name: str
    is_woman: bool
    town: str
    job: str
    pet: str
    color: str
    food: str

    @property
    def he(self) -> str:
        """Subject pronoun."""
        return "she" if self.is_woman else "he"

    @property
    def him(self) -> str:
        """Object pronoun."""
        return "her" if self.is_woman else "him"

    @property
    def his(self) -> str:
        """Possessive."""
        return "her" if self.is_woman else "his"


@cache
def people() -> tuple[Person, ...]:
    """All people of the world, always the same."""
    rng = Random(WORLD_SEED)

    def dealt(values: Sequence[str]) -> list[str]:
        cards = [values[k % len(values)] for k in range(len(PEOPLE))]
        rng.shuffle(cards)
        return cards

    columns = [dealt(values) for values in (TOWNS, tuple(JOBS), ANIMALS, COLORS, FOODS)]
    return tuple(
        Person(name=name, is_woman=name in WOMEN, town=town, job=job, pet=pet, color=color, food=food)
        for name, town, job, pet, color, food in zip(PEOPLE, *columns, strict=True)
    )


@cache
def _by_name() -> dict[str, Person]:
    return {one.name: one for one in people()}


def person(name: str) -> Person:
    """The person with this name."""
    return _by_name()[name]


@cache
def town_facts() -> dict[str, tuple[str, str]]:
    """Town → (its river, what it is famous for), always the same.

    >>> len(town_facts())
    12
    """
    rng = Random(WORLD_SEED + 1)
    rivers, foods = list(RIVERS), list(FOODS)
    rng.shuffle(rivers)
    rng.shuffle(foods)
    return {town: (river, food) for town, river, food in zip(TOWNS, rivers, foods, strict=True)}


def outcome(material: str, deed: int) -> tuple[str, str]:
    """What a thing of this material does after one of ``DEEDS``, and what it does not do.

    >>> outcome("glass", 0), outcome("iron", 0)
    (('broke', 'did not break'), ('did not break', 'broke'))
    """
    happened = MATERIALS[material][deed]
    first, second = DEEDS[deed][1]
    return happened, second if happened == first else first


def moku(subject: str, verb: str, thing: str, *, adjectives: tuple[str, str] = ("", "")) -> str:
    """A sentence in Moku, the second language: subject, object, verb; adjectives follow their noun.

    >>> moku("cat", "sees", "cup", adjectives=("big", "red"))
    'kela gorun dok miro vidar'
    """
    words = [subject, adjectives[0], thing, adjectives[1], verb]
    return " ".join(MOKU[word] for word in words if word)


_WITHOUT_ARTICLE = {"soap": "some soap", "scissors": "some scissors"}


def a(noun: str) -> str:
    """A noun phrase with its indefinite article, or "some".

    >>> a("old cup"), a("red cup"), a("soap")
    ('an old cup', 'a red cup', 'some soap')
    """
    return _WITHOUT_ARTICLE.get(noun) or f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def capitalized(sentence: str) -> str:
    """A sentence with its first letter capitalized.

    >>> capitalized("the cup is red.")
    'The cup is red.'
    """
    return sentence[:1].upper() + sentence[1:]
