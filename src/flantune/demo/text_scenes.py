"""Plain texts about scenes: who is where with what, what is true of it, how many there are, who "he" is."""

from __future__ import annotations

from random import Random

from flantune.demo import world
from flantune.demo.scenes import Holding, Scene, draw_claim, draw_count, draw_review, draw_scene
from flantune.demo.world import a, capitalized


def recall(rng: Random) -> str:
    """A scene, then the same facts asked for again in other words."""
    scene = draw_scene(rng, size=rng.choice((2, 2, 3, 3, 4)))
    told = scene.sentences(rng)
    later = [_again(rng.choice(scene.holdings), rng) for _ in range(rng.randint(3, 5))]
    return " ".join([*told, *later])


def _again(one: Holding, rng: Random) -> str:
    him, he = one.person.him, one.person.he
    return rng.choice(
        (
            f"The one in the {one.place} was {one.name}.",
            f"The one with the {one.thing} was {one.name}.",
            f"The color of the {one.thing} was {one.color}.",
            f"The thing that {one.name} had was the {one.thing}.",
            f"The {one.color} thing was the {one.thing}.",
            f"The place where {one.name} was: the {one.place}.",
            f"Somebody looked for {one.name} and found {him} in the {one.place}.",
            f"Somebody needed the {one.thing} and got it from {one.name}.",
            f"Somebody asked {one.name} for something, and {he} gave the {one.thing}.",
            f"The {one.thing} was in the {one.place}.",
        )
    )


def claims(rng: Random) -> str:
    """A scene, then what people claim about it, and whether they are right."""
    scene = draw_scene(rng, size=rng.choice((2, 2, 2, 3, 3)))
    told = scene.sentences(rng)
    return " ".join([*told, *(_judged(scene, rng) for _ in range(rng.randint(3, 6)))])


def _judged(scene: Scene, rng: Random) -> str:
    verdict = rng.choice(("true", "true", "true", "false", "false", "false", "unknown"))
    claim = draw_claim(scene, rng, verdict=verdict).text
    who = world.person(rng.choice(world.PEOPLE))
    if verdict == "unknown":
        return rng.choice(
            (
                f"{who.name} said that {claim}. That was not known.",
                f"Was it true that {claim}? That was not known.",
                f"{who.name} asked if {claim}. Nobody knew.",
            )
        )
    yes = verdict == "true"
    return rng.choice(
        (
            f"{who.name} said that {claim}. That was {'true' if yes else 'false'}.",
            f"{who.name} said that {claim}. That was {'true' if yes else 'not true'}.",
            f"{who.name} said: {capitalized(claim)}. {capitalized(who.he)} was {'right' if yes else 'wrong'}.",
            f"{who.name} asked if {claim}. They told {who.him}: {'yes' if yes else 'no'}.",
            f"{who.name} wondered: {capitalized(claim)}? {'Yes' if yes else 'No'}.",
            f"{capitalized(claim)}: that is {'true' if yes else 'false'}.",
        )
    )


def review(rng: Random) -> str:
    """What somebody thought of a film or a meal, and the verdict in several words."""
    person = world.person(rng.choice(world.PEOPLE))
    told = draw_review(rng, person=person, sentences=rng.randint(1, 3))
    good, he = told.is_positive, person.he
    endings = [
        f"{capitalized(he)} {'loved' if good else 'hated'} the {told.kind}.",
        f"It was a {'good' if good else 'bad'} {told.kind}.",
        f"The review was {'positive' if good else 'negative'}.",
        f"{person.name} was {'happy' if good else 'unhappy'} with it.",
        f"{capitalized(he)} {'liked it' if good else 'did not like it'}.",
        f"Friends asked if {he} liked the {told.kind}. {capitalized(he)} said {'yes' if good else 'no'}.",
        f"{capitalized(he)} had a {'positive' if good else 'negative'} feeling about it.",
        f"{capitalized(he)} gave it {'many' if good else 'few'} stars.",
    ]
    return " ".join([told.text, *rng.sample(endings, rng.randint(2, 3))])


def counting(rng: Random) -> str:
    """Small sums in words, and who has more."""
    parts = []
    for _ in range(rng.randint(1, 3)):
        if rng.random() < 0.6:
            told = draw_count(rng)
            now = rng.choice((f"Now {told.person.he} has", f"So {told.person.he} now had", "In the end there were"))
            parts.append(f"{told.story} {now} {world.NUMBERS[told.result]} {told.things}.")
        else:
            parts.append(_comparison(rng))
    return " ".join(parts)


def _comparison(rng: Random) -> str:
    one, other = (world.person(name) for name in rng.sample(world.PEOPLE, 2))
    things = rng.choice(("apples", "coins", "books", "eggs"))
    few, many = sorted(rng.sample(range(1, 11), 2))
    n, m = (few, many) if rng.random() < 0.5 else (many, few)
    richer = one if n > m else other
    poorer = other if n > m else one
    end = rng.choice(
        (
            f"{one.name} has {'more' if n > m else 'fewer'} {things} than {other.name}.",
            f"The one with more {things} is {richer.name}.",
            f"The one with fewer {things} is {poorer.name}.",
        )
    )
    return f"{one.name} has {world.NUMBERS[n]} {things} and {other.name} has {world.NUMBERS[m]} {things}. {end}"


REFERENCES = (
    # (sentence with two people, whether the first or the second is meant, the reason, said of {w})
    ("{a} gave {b} some bread", 1, "{w} was hungry"),
    ("{a} gave {b} some bread", 0, "{w} had too much of it"),
    ("{a} asked {b} for help", 0, "{w} could not do it alone"),
    ("{a} asked {b} for help", 1, "{w} was very strong"),
    ("{a} thanked {b}", 1, "{w} had helped"),
    ("{a} thanked {b}", 0, "{w} had got help"),
    ("{a} paid {b}", 1, "{w} had done the work"),
    ("{a} paid {b}", 0, "{w} had bought the horse"),
    ("{a} visited {b} in the hospital", 1, "{w} was sick"),
    ("{a} visited {b} in the hospital", 0, "{w} wanted to bring flowers"),
    ("{a} ran away from {b}", 0, "{w} was scared"),
    ("{a} ran away from {b}", 1, "{w} looked dangerous"),
    ("{a} sold the house to {b}", 0, "{w} needed money"),
    ("{a} sold the house to {b}", 1, "{w} needed a home"),
    ("{a} carried {b}", 1, "{w} could not walk"),
    ("{a} carried {b}", 0, "{w} was strong"),
    ("{a} taught {b} to swim", 0, "{w} was a good teacher"),
    ("{a} taught {b} to swim", 1, "{w} wanted to learn"),
    ("{a} lost the game against {b}", 0, "{w} played badly"),
    ("{a} lost the game against {b}", 1, "{w} played well"),
    ("{a} shouted at {b}", 1, "{w} had broken the window"),
    ("{a} shouted at {b}", 0, "{w} was angry"),
    ("{a} woke {b}", 1, "{w} had slept too long"),
    ("{a} woke {b}", 0, "{w} did not want to be alone"),
)
FITS = (
    # (sentence, {x} and {y} things, index of the thing meant, what is said of it)
    ("the {x} did not fit into the {y}", 0, "it was too big"),
    ("the {x} did not fit into the {y}", 1, "it was too small"),
    ("the {x} fell on the {y}, and it broke", 1, "it was made of thin glass"),
    ("the {x} could not be put on the {y}", 0, "it was too heavy"),
    ("the {x} could not be put on the {y}", 1, "it was too weak"),
    ("the {x} was hidden behind the {y}", 1, "it was tall"),
    ("the {x} was hidden behind the {y}", 0, "it was meant to be a secret"),
)


def reference(rng: Random) -> str:
    """Sentences with a "he" or an "it", and who is meant."""
    return " ".join(_person_meant(rng) if rng.random() < 0.7 else _thing_meant(rng) for _ in range(rng.randint(1, 3)))


def _person_meant(rng: Random) -> str:
    names = rng.sample(world.WOMEN if rng.random() < 0.5 else world.MEN, 2)
    shape, index, reason = rng.choice(REFERENCES)
    he = world.person(names[0]).he
    told = f"{shape.format(a=names[0], b=names[1])}, because {reason.format(w=he)}."
    fact = reason.format(w=names[index])
    return f"{told} " + rng.choice((f"So it was {names[index]} of whom this is said.", f"{fact}.", f"Yes, {fact}."))


def _thing_meant(rng: Random) -> str:
    things = rng.sample(world.THINGS, 2)
    shape, index, reason = rng.choice(FITS)
    told = capitalized(shape.format(x=things[0], y=things[1]))
    return f"{told}, because {reason}. " + rng.choice(
        (f"This was said of the {things[index]}.", f"The {things[index]} {reason.removeprefix('it ')}.")
    )


def choice_from_list(rng: Random) -> str:
    """A list of things one a line, and which of them somebody takes, so that copying from a list is worth learning."""
    person = world.person(rng.choice(world.PEOPLE))
    if rng.random() < 0.5:
        goals = rng.sample(world.PURPOSES, rng.randint(2, 4))
        goal, thing = rng.choice(goals)
        items = [item for _, item in goals]
        end = f"{person.name} wanted to {goal} and took the {thing}."
    else:
        size = rng.randint(2, 4)
        pairs = list(zip(rng.sample(world.COLORS, size), rng.sample(world.THINGS, size), strict=True))
        color, thing = rng.choice(pairs)
        items = [f"{c} {t}" for c, t in pairs]
        end = f"{person.name} took the {color} one, so {person.he} got the {color} {thing}."
    head = rng.choice(("In the box there were:", "On the table lay:", f"{person.name} saw:"))
    return "\n".join([head, *(f"- {item}" for item in items), end])


def attributes(rng: Random) -> str:
    """A list of attributes beside the sentence that says the same."""
    person = world.person(rng.choice(world.PEOPLE))
    thing, color, size = rng.choice(world.THINGS), rng.choice(world.COLORS), rng.choice(world.SIZES)
    place, material = rng.choice(world.PLACES), rng.choice(tuple(world.MATERIALS))
    listed = f"thing = {thing}; color = {color}; size = {size}; place = {place}; owner = {person.name}"
    said = rng.choice(
        (
            f"The {size} {color} {thing} in the {place} belongs to {person.name}.",
            f"{person.name} owns {a(f'{size} {color} {thing}')} in the {place}.",
            f"In the {place} there is {a(f'{size} {color} {thing}')}. It belongs to {person.name}.",
        )
    )
    if rng.random() < 0.4:
        listed = f"name = {person.name}; home = {person.town}; job = {person.job}; pet = {person.pet}"
        said = f"{person.name} is {a(person.job)} from {person.town} and has {a(person.pet)}."
    elif rng.random() < 0.2:
        listed = f"thing = {thing}; material = {material}"
        said = f"The {thing} is made of {material}."
    both = (listed + ".", said)
    return " ".join(both if rng.random() < 0.6 else both[::-1])
