"""Plain text about scenes: who is where with what, asked about in other words, and which claims about it are true."""

from __future__ import annotations

from random import Random

from flantune.demo import world
from flantune.demo.names import PEOPLE
from flantune.demo.scenes import Claim, Holding, Scene, draw_claim, draw_scene
from flantune.demo.world import capitalized

TOLD_AGAIN = (
    # later sentences about one holding: {n} is the name, {p} the place, {t} the thing, {c} the color
    "The one in the {p} was {n}.",
    "The one with the {t} was {n}.",
    "The color of the {t} was {c}.",
    "The thing that {n} had was the {t}.",
    "The {c} thing was the {t}.",
    "The place where {n} was: the {p}.",
    "Somebody looked for {n} and went to the {p}.",
    "Somebody needed the {t} and got it from {n}.",
    "Somebody asked {n} for something and got the {t}.",
    "The {t} was in the {p}.",
    "In the {p} somebody met {n}.",
)
ASKED_AGAIN = (
    "Who was holding the {t}? {n} was.",
    "Whom did they see in the {p}? They saw {n}.",
    "Who stood in the {p}? {n}.",
    "Who owned something {c}? {n}.",
    "Who held the {c} one? {n}.",
    "Where did they find {n}? In the {p}.",
    "In which place was {n}? In the {p}.",
    "Where did they see the {t}? In the {p}.",
    "What did {n} hold? The {t}.",
    "What was {c}? The {t}.",
    "What lay in the {p}? The {t}.",
    "And the color of the {t}? It was {c}.",
    "And the color of what {n} had? It was {c}.",
)
AND_AGAIN = (
    "{n} told it once more:",
    "{n} read it aloud:",
    "{n} wrote it down:",
    "Once more:",
    "The song began again:",
)
REPEATED_ROWS = (
    ("Those who came were {r}.", "Those who left were {r}.", "people"),
    ("First came {r}.", "Then they called {r}.", "people"),
    ("The names on the list were {r}.", "So they asked {r}.", "people"),
    ("The bag held {r}.", "They put back {r}.", "things"),
    ("On the shelf lay {r}.", "They counted {r}.", "things"),
)
"""Two sentences that contain the same list, and whether it is a list of people or of things."""
_WORDS = (*PEOPLE, *world.THINGS, *world.COLORS, *world.PLACES, *world.ANIMALS, *world.FOODS)
LISTED = (
    # the heading of a list, and its line for each holding
    ("This is who was where.", "{n}: {p}."),
    ("This is who was where.", "{p}: {n}."),
    ("These are the things they had.", "{n}: {t}."),
    ("These are the things and their owners.", "{t}: {n}."),
    ("These are the colors of the things.", "{t}: {c}."),
    ("These are the places of the things.", "{t}: {p}."),
)


def _said(shape: str, one: Holding) -> str:
    return shape.format(n=one.name, p=one.place, t=one.thing, c=one.color)


def recall(rng: Random) -> str:
    """A scene, then the same facts in other words."""
    scene = draw_scene(rng, size=rng.choice((1, 2, 2, 3, 3, 4)))
    later = [_said(rng.choice(TOLD_AGAIN), rng.choice(scene.holdings)) for _ in range(rng.randint(3, 6))]
    return " ".join([*scene.sentences(rng), *later])


def questions(rng: Random) -> str:
    """A scene, then questions about it with their answers."""
    scene = draw_scene(rng, size=rng.choice((1, 2, 2, 3, 3, 4)))
    later = [_said(rng.choice(ASKED_AGAIN), rng.choice(scene.holdings)) for _ in range(rng.randint(3, 6))]
    return " ".join([*scene.sentences(rng), *later])


def lists(rng: Random) -> str:
    """A scene, then lists of who was where and who had what."""
    scene = draw_scene(rng, size=rng.choice((2, 3, 3, 4)))
    parts = scene.sentences(rng)
    for head, line in rng.sample(LISTED, 2):
        parts += [head, *(capitalized(_said(line, one)) for one in rng.sample(scene.holdings, len(scene.holdings)))]
    return " ".join(parts)


def words_twice(rng: Random) -> str:
    """A list of words, twice: the text from which a model learns fastest to copy from its context.

    Nothing precedes the first list. With a speaker before it ("Ida read: …") nothing was learned in a thousand steps.
    """
    row = " ".join(rng.sample(_WORDS, rng.randint(12, 30)))
    return f"{row}. And again: {row}."


def told_twice(rng: Random) -> str:
    """A scene, or a list of names or things, twice in the same words."""
    if rng.random() < 0.5:
        told = draw_scene(rng, size=rng.choice((1, 2, 2, 3))).sentences(rng)
        return " ".join([*told, rng.choice(AND_AGAIN).format(n=rng.choice(PEOPLE)), *told])
    size = rng.randint(2, 6)
    first, second, what = rng.choice(REPEATED_ROWS)
    row_of = {
        "people": rng.sample(PEOPLE, size),
        "things": [world.a(f"{rng.choice(world.COLORS)} {thing}") for thing in rng.sample(world.THINGS, size)],
    }[what]
    named = f"{', '.join(row_of[:-1])} and {row_of[-1]}"
    return f"{first.format(r=named)} {second.format(r=named)}"


def claims(rng: Random) -> str:
    """A scene, then claims about it by people, and whether they are right."""
    scene = draw_scene(rng, size=rng.choice((1, 1, 2, 2, 2, 3)))
    return " ".join([*scene.sentences(rng), *(_judged(scene, rng) for _ in range(rng.randint(3, 6)))])


def drawn_claim(scene: Scene, rng: Random, *, verdict: str) -> Claim:
    """A claim. In a quarter of cases, a false one is easy to recognize: it names something that is not in the scene."""
    mixes_up = len(scene.holdings) > 1 and rng.random() < 0.75
    return draw_claim(scene, rng, verdict=verdict, mixes_up=mixes_up)


def _judged(scene: Scene, rng: Random) -> str:
    verdict = rng.choice(("true", "true", "true", "false", "false", "false", "unknown"))
    claim, who = drawn_claim(scene, rng, verdict=verdict), world.person(rng.choice(PEOPLE))
    return rng.choice(_VERDICTS[verdict]).format(
        n=who.name, c=claim.text, C=capitalized(claim.text), t=claim.truth, T=capitalized(claim.truth), o=who.him
    )


_TRUE = (
    "{n} said that {c}. That was true.",
    "{n} said: {C}. That was right.",
    "{n} asked if {c}. They told {o}: yes.",
    "{n} wondered: {C}? Yes.",
    "{C}: that is true.",
    "Was it so that {c}? Yes, it was.",
    "{n} thought that {c}, and {t}. So it was true.",
    "If somebody says that {c}, the answer is yes.",
)
_FALSE = (
    "{n} said that {c}. That was false.",
    "{n} said: {C}. That was wrong.",
    "{n} asked if {c}. They told {o}: no.",
    "{n} wondered: {C}? No.",
    "{C}: that is false.",
    "Was it so that {c}? No, {t}.",
    "{n} thought that {c}, but {t}. So it was false.",
    "If somebody says that {c}, the answer is no.",
)
_UNKNOWN = (
    "{n} said that {c}. That was not known.",
    "{n} said: {C}. Nobody could tell.",
    "{n} asked if {c}. Nobody knew.",
    "{n} wondered: {C}? It was not known.",
    "{C}: that is not known.",
    "Was it so that {c}? Nobody could say.",
)
_VERDICTS = {"true": _TRUE, "false": _FALSE, "unknown": _UNKNOWN}
