"""Plain text that tells short stories: opinions, sums, sentences with "he" or "it", lists, attributes."""

from __future__ import annotations

from random import Random

from flantune.demo import world
from flantune.demo.catalogs import PURPOSES, tools_besides
from flantune.demo.names import MEN, PEOPLE, WOMEN
from flantune.demo.reference_shapes import person_facts, thing_facts
from flantune.demo.scenes import draw_count, draw_review
from flantune.demo.world import a, capitalized


def review(rng: Random) -> str:
    """A review by somebody, of a film or a meal for example, and the verdict in several words."""
    person = world.person(rng.choice(PEOPLE))
    told = draw_review(rng, person=person, sentences=rng.randint(1, 3))
    good, he, kind = told.is_positive, person.he, told.kind
    endings = [
        f"{capitalized(he)} {'loved' if good else 'hated'} the {kind}.",
        f"It was a {'good' if good else 'bad'} {kind}.",
        f"The review was {'positive' if good else 'negative'}.",
        f"{person.name} was {'happy' if good else 'unhappy'} with it.",
        f"{capitalized(he)} {'liked it' if good else 'did not like it'}.",
        f"Friends asked if {he} liked the {kind}. {capitalized(he)} said {'yes' if good else 'no'}.",
        f"{capitalized(he)} had a {'positive' if good else 'negative'} feeling about it.",
        f"{capitalized(he)} gave it {'many' if good else 'few'} stars.",
        f"Good or bad? The {kind} was {'good' if good else 'bad'}.",
        f"Was {person.name} happy or unhappy in the end? {capitalized(he)} was {'happy' if good else 'unhappy'}.",
    ]
    return " ".join([told.text, *rng.sample(endings, rng.randint(2, 3))])


def counting(rng: Random) -> str:
    """Sums in words, and who has more."""
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
    one, other = (world.person(name) for name in rng.sample(PEOPLE, 2))
    things = rng.choice(("apples", "coins", "books", "eggs"))
    few, many = sorted(rng.sample(range(2, 11), 2))
    n, m = (few, many) if rng.random() < 0.5 else (many, few)
    richer, poorer = (one, other) if n > m else (other, one)
    end = rng.choice(
        (
            f"{one.name} has {'more' if n > m else 'fewer'} {things} than {other.name}.",
            f"The one with more {things} is {richer.name}.",
            f"The one with fewer {things} is {poorer.name}.",
        )
    )
    return f"{one.name} has {world.NUMBERS[n]} {things} and {other.name} has {world.NUMBERS[m]} {things}. {end}"


def reference(rng: Random) -> str:
    """Sentences with "he", "she" or "it", and who or what is meant."""
    return " ".join(_person_meant(rng) if rng.random() < 0.65 else _thing_meant(rng) for _ in range(rng.randint(1, 3)))


def _person_meant(rng: Random) -> str:
    names = rng.sample(WOMEN if rng.random() < 0.5 else MEN, 2)
    shape, index, reason = rng.choice(person_facts())
    he, meant = world.person(names[0]).he, names[index]
    told = f"{shape.format(a=names[0], b=names[1])}, because {reason.format(w=he)}."
    fact = reason.format(w=meant)
    return f"{told} " + rng.choice(
        (
            f"So it was {meant} of whom this is said.",
            f"{fact}.",
            f"Yes, {fact}.",
            f"Who? {meant}.",
            f"The last words are about {meant}.",
        )
    )


def _thing_meant(rng: Random) -> str:
    shape, index, reason, firsts, seconds = rng.choice(thing_facts())
    things = rng.choice(firsts), rng.choice(seconds)
    told = f"{capitalized(shape.format(x=things[0], y=things[1]))}, because {reason}."
    meant = f"the {things[index]}"
    return f"{told} " + rng.choice(
        (
            f"This was said of {meant}.",
            f"{capitalized(meant)} {reason.removeprefix('it ')}.",
            f"What? {capitalized(meant)}.",
            f"The last words are about {meant}.",
        )
    )


def choice_from_list(rng: Random) -> str:
    """A list of things, one per line, and which of them somebody takes: teaches copying from a list."""
    person = world.person(rng.choice(PEOPLE))
    if rng.random() < 0.5:
        purpose = rng.choice(PURPOSES)
        items = [purpose.tool, *rng.sample(tools_besides(purpose), rng.randint(1, 3))]
        end = f"{person.name} wanted to {purpose.goal} and took the {purpose.tool}."
    else:
        size = rng.randint(2, 4)
        pairs = list(zip(rng.sample(world.COLORS, size), rng.sample(world.THINGS, size), strict=True))
        color, thing = rng.choice(pairs)
        items = [f"{c} {t}" for c, t in pairs]
        end = f"{person.name} took the {color} one, so {person.he} got the {color} {thing}."
    rng.shuffle(items)
    head = rng.choice(("In the box there were:", "On the table lay:", f"{person.name} saw:"))
    if rng.random() < 0.3:
        return f"{head} {', '.join(items)}. {end}"
    return "\n".join([head, *(f"- {item}" for item in items), end])


def attributes(rng: Random) -> str:
    """A list of attributes, and a sentence with the same content."""
    person = world.person(rng.choice(PEOPLE))
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
