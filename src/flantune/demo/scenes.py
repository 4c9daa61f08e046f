"""Scenes, reviews and sums of the micro-world: short texts, with the facts that other texts and tasks ask about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from flantune.demo import world
from flantune.demo.names import PEOPLE, TOWNS
from flantune.demo.world import Person, a


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A person, a place, and the thing that the person has there."""

    person: Person
    place: str
    color: str
    thing: str

    @property
    def name(self) -> str:
        """The person's name."""
        return self.person.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Several holdings that differ from each other in every field."""

    holdings: tuple[Holding, ...]

    def sentences(self, rng: Random) -> list[str]:
        """Two facts per person, each in one of several wordings, with the people in random order."""
        told = []
        for one in rng.sample(self.holdings, len(self.holdings)):
            told += _holding_sentences(one, rng)
        return told


def draw_scene(rng: Random, *, size: int, people: Sequence[str] = PEOPLE) -> Scene:
    """A scene of ``size`` people with different names, places, colors and things."""
    columns = zip(
        rng.sample(list(people), size),
        rng.sample(world.PLACES, size),
        rng.sample(world.COLORS, size),
        rng.sample(world.THINGS, size),
        strict=True,
    )
    return Scene(
        holdings=tuple(
            Holding(person=world.person(name), place=place, color=color, thing=thing)
            for name, place, color, thing in columns
        )
    )


def _holding_sentences(one: Holding, rng: Random) -> list[str]:
    noun = f"{one.color} {one.thing}"
    he = world.capitalized(one.person.he)
    return rng.choice(
        (
            [f"{one.name} is in the {one.place}.", f"{he} has {a(noun)}."],
            [f"{one.name} has {a(noun)}.", f"{he} is in the {one.place}."],
            [f"{one.name} is in the {one.place} with {a(noun)}."],
            [f"In the {one.place}, {one.name} holds {a(noun)}."],
            [f"{one.name} went to the {one.place}.", f"There {one.person.he} found {a(noun)}."],
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A statement about a scene.

    Attributes:
        text: The statement, without an initial capital or a full stop.
        verdict: "true", "false" or "unknown" (the scene does not say).
        truth: The corresponding true statement; empty if unknown.
    """

    text: str
    verdict: str
    truth: str = ""


_CLAIMS: tuple[Callable[[Holding, Holding], str], ...] = (
    lambda one, said: f"{one.name} is in the {said.place}",
    lambda one, said: f"{one.name} has the {said.thing}",
    lambda one, said: f"{one.name} has {a(f'{said.color} {said.thing}')}",
    lambda one, said: f"the {one.thing} is {said.color}",
    lambda one, said: f"the {one.thing} is in the {said.place}",
)
"""Functions that make a claim about the first holding with values of the second: true if they are the same one."""


def draw_claim(scene: Scene, rng: Random, *, verdict: str, mixes_up: bool = True) -> Claim:
    """A claim about the scene with the given verdict.

    Args:
        scene: The scene.
        rng: Random numbers.
        verdict: "true", "false" or "unknown".
        mixes_up: Whether a false claim confuses two people of the scene, instead of naming something that is not in it.
    """
    one = rng.choice(scene.holdings)
    if verdict == "unknown":
        return Claim(text=_unknown(one, rng), verdict=verdict)
    claim = rng.choice(_CLAIMS)
    said = one
    if verdict == "false":
        said = rng.choice([x for x in scene.holdings if x is not one]) if mixes_up else _elsewhere(scene, rng)
    return Claim(text=claim(one, said), verdict=verdict, truth=claim(one, one))


def _elsewhere(scene: Scene, rng: Random) -> Holding:
    """A holding with the first person of the scene, but a place, color and thing that are not in it."""
    first = scene.holdings[0]

    def other(values: Sequence[str], field: str) -> str:
        taken = {getattr(one, field) for one in scene.holdings}
        return rng.choice([value for value in values if value not in taken])

    return Holding(
        person=first.person,
        place=other(world.PLACES, "place"),
        color=other(world.COLORS, "color"),
        thing=other(world.THINGS, "thing"),
    )


def _unknown(one: Holding, rng: Random) -> str:
    return rng.choice(
        (
            f"{one.name} is {rng.choice(('tired', 'hungry', 'sad', 'happy', 'angry'))}",
            f"{one.name} bought the {one.thing} in {rng.choice(TOWNS)}",
            f"the {one.thing} is made of {rng.choice(tuple(world.MATERIALS))}",
            f"{one.name} wants to sell the {one.thing}",
            f"the {one.thing} is {rng.choice(('new', 'old'))}",
            f"{one.name} has a sister",
            f"{one.name} likes the {one.thing}",
        )
    )


def question_of(claim: str) -> str:
    """A claim as a yes/no question.

    >>> question_of("Tom has the cup"), question_of("the cup is red")
    ('Does Tom have the cup?', 'Is the cup red?')
    """
    if " has " in claim:
        subject, rest = claim.split(" has ", 1)
        return f"Does {subject} have {rest}?"
    subject, rest = claim.split(" is ", 1)
    return f"Is {subject} {rest}?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A review with its sentiment."""

    text: str
    kind: str
    is_positive: bool


def draw_review(rng: Random, *, person: Person, sentences: int = 3) -> Review:
    """A review in the third person. Positive and negative reviews have the same sentence shapes."""
    is_positive = rng.random() < 0.5
    kind = rng.choice(tuple(world.REVIEWED))
    did, aspects = world.REVIEWED[kind]
    parts = _opinions(rng, kind=kind, aspects=rng.sample(aspects, 3), is_positive=is_positive, person=person)
    lead = rng.choice(
        (f"{person.name} {did} in {{t}}.", f"Last week {person.name} {did}.", f"One day {person.name} {did}.")
    )
    text = " ".join([lead.format(t=rng.choice(TOWNS)), *rng.sample(parts, sentences)])
    return Review(text=text, kind=kind, is_positive=is_positive)


def _opinions(rng: Random, *, kind: str, aspects: Sequence[str], is_positive: bool, person: Person) -> list[str]:
    words = list(world.GOOD_WORDS if is_positive else world.BAD_WORDS)
    others = list(world.BAD_WORDS if is_positive else world.GOOD_WORDS)
    rng.shuffle(words)
    act = rng.choice(world.GOOD_ACTS if is_positive else world.BAD_ACTS).format(s=person.he, p=person.his)
    return [
        f"The {aspects[0]} was {words[0]}.",
        f"The {aspects[1]} was {words[1]} and the {aspects[2]} was {words[2]}.",
        f"It was not {rng.choice(others)} at all.",
        f"What {a(words[3])} {kind}!",
        world.capitalized(f"{act}."),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """A sum in words: how many things somebody had, what changed, and how many there are now."""

    story: str
    person: Person
    things: str
    result: int


def draw_count(rng: Random, *, names: Sequence[str] = PEOPLE, most: int = 10) -> Count:
    """A sum in which somebody gets or loses things; there are never more than ``most``."""
    one, other = (world.person(name) for name in rng.sample(list(names), 2))
    things = rng.choice(("apples", "coins", "books", "balls", "eggs", "keys"))
    start, change = rng.randint(2, most - 1), rng.randint(2, most - 1)
    if rng.random() < 0.5:
        start = rng.randint(2, max(2, most - change))
        deed = rng.choice((f"{other.name} gave {one.him} {{n}} more.", f"{one.name} found {{n}} more."))
        result = start + change
    else:
        start = rng.randint(min(change + 2, most), most)
        change = min(change, start - 2)
        deed = rng.choice((f"{one.name} gave {{n}} to {other.name}.", f"{one.name} lost {{n}} of them."))
        result = start - change
    story = f"{one.name} had {world.NUMBERS[start]} {things}. {deed.format(n=world.NUMBERS[change])}"
    return Count(story=story, person=one, things=things, result=result)
