"""The facts of the micro-world that are not about single people: causes, purposes, moods, needs, topics, synonyms.

A shape with ``{x}`` stands for one fact per word of its list. In shapes about somebody, ``{s}`` is the subject (a name
or pronoun), ``{p}`` is "his" or "her", and ``{o}`` is "him" or "her".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from flantune.demo.cause_shapes import CAUSE_SHAPES, UNCLEAR
from flantune.demo.purpose_shapes import PURPOSE_SHAPES, RIVAL_TOOLS


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """An event and its effect.

    Attributes:
        kind: The number of its shape. Two events of one shape are never offered as right and wrong answer.
    """

    cause: str
    effect: str
    kind: int

    def is_unlike(self, other: Cause) -> bool:
        """Whether neither effect is plausible for the other cause."""
        if self.kind == other.kind or self.effect.split()[-1] == other.effect.split()[-1]:
            return False
        return not any(
            any(self.effect.endswith(x) for x in ends) and any(other.effect.endswith(x) for x in ends)
            for ends in UNCLEAR
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """A goal, and the tool for it."""

    goal: str
    tool: str

    def is_rival(self, tool: str) -> bool:
        """Whether this tool also serves the goal, or nearly."""
        return tool == self.tool or any({tool, self.tool} <= rivals for rivals in RIVAL_TOOLS)


def _filled(shape: str, word: str) -> str:
    return shape.replace("{x}", word)


CAUSES = tuple(
    Cause(cause=_filled(cause, word), effect=_filled(effect, word), kind=kind)
    for kind, (cause, effect, words) in enumerate(CAUSE_SHAPES)
    for word in words.split(", ")
)
PURPOSES = tuple(
    Purpose(goal=_filled(goal, word), tool=tool) for goal, tool, words in PURPOSE_SHAPES for word in words.split(", ")
)


@cache
def unlike(cause: Cause) -> tuple[Cause, ...]:
    """All events whose effects can be wrong answers beside this one's."""
    return tuple(other for other in CAUSES if cause.is_unlike(other))


@cache
def tools_besides(purpose: Purpose) -> tuple[str, ...]:
    """All tools that do not serve the goal."""
    return tuple(sorted({one.tool for one in PURPOSES if not purpose.is_rival(one.tool)}))


MOODS = {
    # mood: what has just happened to somebody in this mood
    "happy": (
        "{s} got a present", "{s} won the game", "{s} met an old friend", "{s} passed the test",
        "{s} found {p} lost ring", "{s} heard good news", "everybody sang for {o}", "{s} won a prize",
        "a friend came to visit {o}", "{s} went on vacation",
    ),
    "sad": (
        "{s} lost {p} dog", "{s} had to say goodbye", "{s} broke {p} best toy", "{s} got bad news", "{p} cat died",
        "nobody came to {p} party", "{p} best friend moved away", "{s} lost the photo of {p} mother",
        "{s} was all alone on {p} birthday", "{s} had to sell {p} horse",
    ),
    "angry": (
        "somebody stole {p} bike", "somebody lied to {o}", "somebody pushed {o}",
        "somebody broke {p} window on purpose", "somebody tore {p} book", "somebody spoke badly of {o}",
        "somebody ate {p} cake without asking", "somebody cheated in a game against {o}",
        "somebody painted on {p} car", "somebody took {p} seat and laughed",
    ),
    "scared": (
        "{s} heard a strange noise at night", "{s} saw a huge snake", "{s} was lost in the dark",
        "a big dog ran after {o}", "{s} met a bear in the forest", "{s} stood on a very high bridge",
        "lightning struck near {o}", "{p} boat was about to sink", "{s} saw a ghost in the attic",
        "a wolf howled behind {o}",
    ),
    "tired": (
        "{s} worked all night", "{s} walked for ten hours", "{s} carried heavy boxes all day",
        "{s} did not sleep well", "{s} climbed a high mountain", "{s} got up at three in the morning",
        "{s} rowed across the lake and back", "{s} dug in the field all day", "{s} swam for hours",
        "{s} danced until morning",
    ),
    "hungry": (
        "{s} ate nothing all day", "{s} missed lunch", "{s} forgot to eat breakfast",
        "{s} smelled fresh bread before dinner", "{s} left home without any food", "somebody else ate {p} dinner",
        "{s} had only a small apple since morning", "{s} waited hours for {p} meal", "there was no food left for {o}",
        "{s} skipped dinner yesterday",
    ),
}  # fmt: skip
REMEDIES = {
    "happy": "sang a song",
    "sad": "cried",
    "angry": "shouted",
    "scared": "ran away",
    "tired": "went to bed",
    "hungry": "ate a big meal",
}
NEEDS = (
    # what somebody says, what a friend replies
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
    ("My hair is too long", "Then cut it"),
    ("My tea is bitter", "Then put sugar in it"),
    ("My soup has no taste", "Then put salt in it"),
    ("My tooth hurts", "Then go to the dentist"),
    ("My shirt is wet", "Then hang it in the sun"),
    ("My fire is going out", "Then put wood on it"),
    ("My friend is sad", "Then tell a joke"),
    ("My baby is crying", "Then sing it a song"),
)
TOPICS = {
    "food": ("the soup was hot", "the bread was fresh", "the cook made cheese", "dinner tasted sweet", "we ate rice"),
    "weather": ("it rained all day", "the wind was cold", "the sky was gray", "snow fell at night", "the sun was hot"),
    "sport": ("the team won the game", "she ran fast", "the ball flew far", "they lost the race", "he jumped high"),
    "music": ("the singer sang a song", "the drum was loud", "they danced", "she played the flute", "the choir sang"),
    "travel": ("the train was late", "we packed the bags", "the ship left", "they crossed a river", "the map was old"),
    "school": ("the teacher wrote", "the pupils learned", "the test was hard", "the class read", "he learned to count"),
}

REWORDINGS = (
    # two sentences with the same meaning; a third with similar words and another meaning
    ("{a} bought the {t} from {b}", "{b} sold the {t} to {a}", "{a} sold the {t} to {b}"),
    ("{a} gave the {t} to {b}", "{b} got the {t} from {a}", "{a} got the {t} from {b}"),
    ("{a} is taller than {b}", "{b} is shorter than {a}", "{a} is shorter than {b}"),
    ("{a} is older than {b}", "{b} is younger than {a}", "{a} is younger than {b}"),
    ("{a} came before {b}", "{b} came after {a}", "{a} came after {b}"),
    ("{a} taught {b}", "{b} learned from {a}", "{a} learned from {b}"),
    ("{a} followed {b}", "{b} was followed by {a}", "{a} was followed by {b}"),
    ("{a} won against {b}", "{b} lost against {a}", "{a} lost against {b}"),
    ("{a} sent {b} a letter", "{b} got a letter from {a}", "{a} got a letter from {b}"),
    ("{a} showed {b} the {t}", "{b} was shown the {t} by {a}", "{a} was shown the {t} by {b}"),
    ("{a} lent the {t} to {b}", "{b} borrowed the {t} from {a}", "{a} borrowed the {t} from {b}"),
    ("{a} lives above {b}", "{b} lives below {a}", "{a} lives below {b}"),
)
