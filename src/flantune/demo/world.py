"""The micro-world: its people, things, places and regularities, fixed for all time.

Everything the demo's texts and tasks say is drawn from here. The facts about people and towns depend on ``WORLD_SEED``
alone, so that a base model which has read the world's texts knows them, whatever seed the task rows are drawn with.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from random import Random

WORLD_SEED = 7

WOMEN = tuple(
    "Anna Mia Lena Sara Eva Nora Rosa Ida Clara Emma Julia Alma Vera Dora Greta Hanna Olga Paula Rita Tina".split()  # noqa: SIM905
)
MEN = tuple("Tom Sam Ben Max Leo Paul Karl Otto Hugo Finn Noah Emil Oscar Felix Ivan Jonas Lars Nick Rolf Theo".split())  # noqa: SIM905
PEOPLE = tuple(name for pair in zip(WOMEN, MEN, strict=True) for name in pair)

COLORS = ("red", "blue", "green", "yellow", "black", "white", "brown", "pink")
SIZES = ("small", "big", "tiny", "huge", "old", "new")
NUMBERS = tuple(
    "zero one two three four five six seven eight nine ten eleven twelve "  # noqa: SIM905
    "thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty".split()
)
PLACES = ("kitchen", "garden", "market", "school", "park", "library", "station", "barn", "cellar", "attic")
TOWNS = ("Arden", "Belmor", "Corvia", "Delsy", "Ostra", "Fenwick", "Lumen", "Marlow")
RIVERS = ("Isil", "Varn", "Tamo", "Quill", "Resk", "Odra", "Nima", "Yarrow")

ANIMALS = ("cat", "dog", "bird", "fish", "horse", "cow", "goat", "mouse")
FOODS = ("soup", "bread", "cake", "rice", "cheese", "salad", "apple", "egg")
CLOTHES = ("hat", "coat", "shirt", "scarf", "glove", "sock")
FURNITURE = ("chair", "table", "bed", "shelf", "bench", "desk")
TOOLS = ("knife", "hammer", "saw", "broom", "key", "needle")
VEHICLES = ("car", "train", "boat", "bus", "bike", "truck")
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

THINGS = ("cup", "box", "ball", "bowl", "hat", "coat", "lamp", "chair", "key", "coin", "spoon", "book", "bag", "plate")
MATERIALS = {
    # material: what a thing made of it does when dropped, put into water, put into a fire
    "glass": ("broke", "sank", "did not burn"),
    "clay": ("broke", "sank", "did not burn"),
    "wood": ("did not break", "floated", "burned"),
    "paper": ("did not break", "floated", "burned"),
    "metal": ("did not break", "sank", "did not burn"),
    "stone": ("did not break", "sank", "did not burn"),
}

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
}

GOOD_WORDS = tuple("great wonderful lovely excellent perfect amazing delightful superb charming brilliant".split())  # noqa: SIM905
BAD_WORDS = tuple("awful terrible boring horrible bad dull disappointing dreadful ugly poor".split())  # noqa: SIM905
REVIEWED = {
    # thing reviewed: its aspects
    "film": ("story", "music", "acting", "ending"),
    "book": ("story", "language", "ending", "characters"),
    "restaurant": ("food", "service", "room", "prices"),
    "hotel": ("room", "bed", "service", "breakfast"),
    "concert": ("music", "singer", "sound", "hall"),
    "trip": ("weather", "food", "guide", "view"),
}
GOOD_ACTS = (
    "{s} laughed and smiled all evening",
    "{s} wanted to see it again",
    "{s} told all friends to go there",
    "{s} thanked everybody",
    "{s} was sorry when it was over",
    "{s} would come back any day",
)
BAD_ACTS = (
    "{s} left early",
    "{s} wanted the money back",
    "{s} told all friends to stay away",
    "{s} almost fell asleep",
    "{s} was glad when it was over",
    "{s} would never come back",
)

MOODS = {
    # mood: what has just happened to somebody in it ({s} subject, {p} his/her)
    "happy": ("{s} got a present", "{s} won the game", "{s} met an old friend", "{s} passed the test"),
    "sad": ("{s} lost {p} dog", "{s} had to say goodbye", "{s} broke {p} best toy", "{s} got bad news"),
    "angry": (
        "somebody stole {p} bike",
        "somebody lied to {o}",
        "somebody pushed {o}",
        "somebody broke {p} window on purpose",
    ),
    "scared": (
        "{s} heard a strange noise at night",
        "{s} saw a huge snake",
        "{s} was lost in the dark",
        "a big dog ran after {o}",
    ),
    "tired": (
        "{s} worked all night",
        "{s} walked for ten hours",
        "{s} carried heavy boxes all day",
        "{s} did not sleep well",
    ),
    "hungry": (
        "{s} ate nothing all day",
        "{s} missed lunch",
        "{s} forgot to eat breakfast",
        "{s} smelled fresh bread before dinner",
    ),
}
REMEDIES = {
    "happy": "sang a song",
    "sad": "cried",
    "angry": "shouted",
    "scared": "ran away",
    "tired": "went to bed",
    "hungry": "ate a big meal",
}

CAUSES = (
    # (cause, effect): {s} subject pronoun or name, {p} his/her, {o} him/her
    ("it started to rain", "{s} got wet"),
    ("it started to snow", "the street turned white"),
    ("the sun came out", "the snow melted"),
    ("the wind was strong", "{p} hat flew away"),
    ("{s} left the ice in the sun", "the ice melted"),
    ("{s} put water in the freezer", "the water turned to ice"),
    ("{s} dropped the glass", "the glass broke"),
    ("{s} forgot to water the flowers", "the flowers died"),
    ("{s} watered the seeds every day", "the seeds grew"),
    ("{s} ate too much cake", "{s} felt sick"),
    ("{s} touched the hot stove", "{s} burned {p} hand"),
    ("{s} missed the bus", "{s} came late"),
    ("{s} studied hard", "{s} passed the test"),
    ("{s} did not study", "{s} failed the test"),
    ("{s} turned on the lamp", "the room became bright"),
    ("{s} turned off the lamp", "the room became dark"),
    ("{s} pushed the swing", "the swing moved"),
    ("{s} shook the apple tree", "apples fell down"),
    ("{s} left the gate open", "the goats ran away"),
    ("{s} stepped on the cat", "the cat cried"),
    ("{s} gave the dog a bone", "the dog was happy"),
    ("{s} told a funny joke", "everybody laughed"),
    ("{s} told a sad story", "everybody cried"),
    ("{s} cut the rope", "the boat drifted away"),
    ("{s} left the bread in the oven", "the bread turned black"),
    ("{s} sat on the wet bench", "{p} trousers got wet"),
    ("{s} played in the mud", "{s} got dirty"),
    ("{s} took a bath", "{s} became clean"),
    ("{s} ran ten miles", "{s} was tired"),
    ("{s} drank cold water", "{s} was no longer thirsty"),
    ("{s} poured water on the fire", "the fire went out"),
    ("{s} put wood on the fire", "the fire grew"),
    ("{s} kicked the ball hard", "the ball flew far"),
    ("{s} blew up the balloon", "the balloon grew big"),
    ("{s} touched the balloon with a needle", "the balloon burst"),
    ("{s} put sugar in the tea", "the tea became sweet"),
    ("{s} put salt in the soup", "the soup became salty"),
    ("{s} opened the window", "fresh air came in"),
    ("{s} lost the key", "{s} could not open the door"),
    ("{s} saved money for a year", "{s} bought a new bike"),
    ("{s} rang the bell", "somebody opened the door"),
    ("{s} woke the baby", "the baby cried"),
    ("{s} fed the baby", "the baby stopped crying"),
    ("{s} painted the wall", "the wall looked new"),
    ("{s} sharpened the knife", "the knife cut well"),
    ("{s} broke {p} leg", "{s} could not walk"),
    ("{s} forgot {p} coat in winter", "{s} was cold"),
    ("{s} planted an apple seed", "a small tree grew"),
)
PURPOSES = (
    # (goal, what one takes for it)
    ("cut the bread", "knife"),
    ("open the locked door", "key"),
    ("sweep the floor", "broom"),
    ("hit a nail", "hammer"),
    ("cut a log", "saw"),
    ("sew a button", "needle"),
    ("eat soup", "spoon"),
    ("drink tea", "cup"),
    ("read a story", "book"),
    ("see in the dark", "lamp"),
    ("stay dry in the rain", "umbrella"),
    ("stay warm in winter", "coat"),
    ("cross the lake", "boat"),
    ("write a letter", "pen"),
    ("carry apples", "basket"),
    ("see the time", "clock"),
    ("sleep well", "bed"),
    ("buy bread", "coin"),
    ("dry the hands", "towel"),
    ("wash the hands", "soap"),
    ("climb on the roof", "ladder"),
    ("dig a hole", "shovel"),
    ("catch a fish", "net"),
    ("tie the goat", "rope"),
)
NEEDS = (
    # what one says, what a friend replies
    ("I am hungry", "Then eat some bread"),
    ("I am thirsty", "Then drink some water"),
    ("I am cold", "Then put on a coat"),
    ("I am tired", "Then go to bed"),
    ("I am bored", "Then read a book"),
    ("I am sick", "Then see a doctor"),
    ("I am lost", "Then look at the map"),
    ("I am late", "Then take the bus"),
    ("I am dirty", "Then take a bath"),
    ("I am hot", "Then open the window"),
    ("My room is dark", "Then turn on the lamp"),
    ("My bike is broken", "Then fix the wheel"),
    ("My dog is hungry", "Then give it a bone"),
    ("My flowers are dry", "Then water them"),
    ("My floor is dirty", "Then take the broom"),
    ("My knife is dull", "Then sharpen it"),
)

TOPICS = {
    "food": ("the soup was hot", "the bread was fresh", "the cook made cheese", "dinner tasted sweet", "we ate rice"),
    "weather": ("it rained all day", "the wind was cold", "the sky was grey", "snow fell at night", "the sun was hot"),
    "sport": ("the team won the game", "she ran fast", "the ball flew far", "they lost the race", "he jumped high"),
    "music": ("the singer sang a song", "the drum was loud", "they danced", "she played the flute", "the choir sang"),
    "travel": ("the train was late", "we packed the bags", "the ship left", "they crossed a river", "the map was old"),
    "school": ("the teacher wrote", "the pupils learned", "the test was hard", "the class read", "he learned to count"),
}

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
MOKU_ANIMALS = ANIMALS
MOKU_THINGS = ("cup", "box", "ball", "hat", "book", "key", "bread", "apple", "cake", "chair")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody of the world, with the facts that never change."""

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
    """Everybody of the world, always the same."""
    rng = Random(WORLD_SEED)

    def dealt(values: tuple[str, ...]) -> list[str]:
        cards = [values[k % len(values)] for k in range(len(PEOPLE))]
        rng.shuffle(cards)
        return cards

    columns = [dealt(values) for values in (TOWNS, tuple(JOBS), ANIMALS, COLORS, FOODS)]
    return tuple(
        Person(name=name, is_woman=name in WOMEN, town=town, job=job, pet=pet, color=color, food=food)
        for name, town, job, pet, color, food in zip(PEOPLE, *columns, strict=True)
    )


@cache
def person(name: str) -> Person:
    """The person of that name."""
    return next(one for one in people() if one.name == name)


@cache
def town_facts() -> dict[str, tuple[str, str]]:
    """Town → (river it lies on, thing it is famous for), always the same.

    >>> len(town_facts())
    8
    """
    rng = Random(WORLD_SEED + 1)
    rivers, foods = list(RIVERS), list(FOODS)
    rng.shuffle(rivers)
    rng.shuffle(foods)
    return {town: (river, food) for town, river, food in zip(TOWNS, rivers, foods, strict=True)}


def moku(subject: str, verb: str, thing: str, *, adjectives: tuple[str, str] = ("", "")) -> str:
    """A sentence of the second language: subject, object, verb; adjectives after their noun.

    >>> moku("cat", "sees", "cup", adjectives=("big", "red"))
    'kela gorun dok miro vidar'
    """
    words = [subject, adjectives[0], thing, adjectives[1], verb]
    return " ".join(MOKU[word] for word in words if word)


def a(noun: str) -> str:
    """The noun phrase with its indefinite article.

    >>> a("old cup"), a("red cup")
    ('an old cup', 'a red cup')
    """
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def capitalized(sentence: str) -> str:
    """The sentence with a capital first letter.

    >>> capitalized("the cup is red.")
    'The cup is red.'
    """
    return sentence[:1].upper() + sentence[1:]
