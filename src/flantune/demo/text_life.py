"""Plain text about life in the micro-world: causes, purposes, feelings, people, words, languages, titles, talk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from random import Random

from flantune.demo import world
from flantune.demo.catalogs import CAUSES, MOODS, NEEDS, PURPOSES, REMEDIES, REWORDINGS, TOPICS
from flantune.demo.names import PEOPLE, TOWNS
from flantune.demo.world import Person, a, capitalized


def any_person(rng: Random) -> Person:
    """A random person."""
    return world.person(rng.choice(PEOPLE))


def _in_a_row(tell: Callable[[Random], Iterator[str]]) -> Callable[[Random], str]:
    """Turns a function that makes sentences into one that joins them to a text."""

    @wraps(tell)
    def text(rng: Random) -> str:
        return " ".join(tell(rng))

    return text


def fill(shape: str, person: Person, *, by_name: bool = False) -> str:
    """A sentence shape with {s}, {p} and {o} replaced by a person's pronouns, or the subject by the name."""
    return shape.format(s=person.name if by_name else person.he, p=person.his, o=person.him)


def happened(event: str, person: Person) -> str:
    """An event about a person as a sentence without full stop; the name occurs once, then pronouns."""
    if "{s}" in event:
        return fill(event, person, by_name=True)
    if "{o}" in event:
        return event.format(p=person.his, o=person.name)
    return event.format(p=f"{person.name}'s")


def consequence(rng: Random) -> str:
    """Events and their effects."""
    parts = []
    for one in rng.sample(CAUSES, rng.randint(1, 3)):
        person = any_person(rng)
        cause, effect = happened(one.cause, person), happened(one.effect, person)
        # After the first mention, a person is a pronoun.
        after = fill(one.effect, person) if person.name in cause else effect
        before = fill(one.cause, person) if person.name in effect else cause
        shapes = (
            f"{cause}, so {after}.",
            f"{cause}. Then {after}.",
            f"{effect} because {before}.",
            f"{cause}. Because of that, {after}.",
            f"One day {cause}. What came of it? {capitalized(effect)}.",
            f"{effect}. Why? Because {before}.",
            f"Why was it that {effect}? {capitalized(cause)}.",
        )
        parts.append(capitalized(rng.choice(shapes)))
    return " ".join(parts)


@_in_a_row
def matter(rng: Random) -> Iterator[str]:
    """Materials of things, and what they do when dropped, thrown into water or fire, or left in the sun."""
    for _ in range(rng.randint(1, 3)):
        material, deed = rng.choice(tuple(world.MATERIALS)), rng.randrange(len(world.DEEDS))
        thing, person = rng.choice(world.MADE_THINGS), any_person(rng)
        did = f"{person.name} {world.DEEDS[deed][0].format(t=thing)}"
        right, wrong = world.outcome(material, deed)
        yield rng.choice(
            (
                f"The {thing} was made of {material}. {did}. It {right}.",
                f"{person.name} had {a(thing)} of {material}. {did}, and it {right}.",
                f"{did}. It was made of {material}, so it {right}.",
                f"The {thing} was made of {material}. {did}. That it {right} was true. That it {wrong} was false.",
                f"The {thing} was made of {material}. {did}. People say it {right}: yes. They say it {wrong}: no.",
                f"The {thing} was made of {material}. {did}. Somebody told us that it {wrong}. That was not true.",
                f"The {thing} was made of {material}. {did}. Somebody told us that it {right}. That was true.",
            )
        )


@_in_a_row
def purpose(rng: Random) -> Iterator[str]:
    """Goals of people, and the tools they use."""
    for one in rng.sample(PURPOSES, rng.randint(1, 3)):
        person, goal, tool = any_person(rng), one.goal, a(one.tool)
        yield rng.choice(
            (
                f"{person.name} wanted to {goal}, so {person.he} took {tool}.",
                f"To {goal}, {person.name} used {tool}.",
                f"{person.name} had {tool} to {goal}.",
                f"You need {tool} to {goal}.",
                f"What is {tool} good for? With it you can {goal}.",
                f"How can one {goal}? With {tool}.",
            )
        )


@_in_a_row
def feeling(rng: Random) -> Iterator[str]:
    """Events, how people feel about them, and what they do then."""
    for mood in rng.sample(tuple(MOODS), rng.randint(1, 3)):
        person = any_person(rng)
        yield f"{capitalized(happened(rng.choice(MOODS[mood]), person))}. " + rng.choice(
            (
                f"{capitalized(person.he)} was {mood}.",
                f"{person.name} felt {mood}.",
                f"{capitalized(person.he)} was {mood} and {REMEDIES[mood]}.",
                f"So {person.he} {REMEDIES[mood]}, because {person.he} was {mood}.",
                f"The feeling of {person.name} was: {mood}.",
                f"Then {person.name} {REMEDIES[mood]}.",
            )
        )


def biography(rng: Random) -> str:
    """Permanent facts about a person."""
    one = any_person(rng)
    he = capitalized(one.he)
    place, does = world.JOBS[one.job]
    facts = [
        rng.choice(
            (
                f"{one.name} lives in {one.town}.",
                f"The home of {one.name} is {one.town}.",
                f"{one.name} is from {one.town}.",
            )
        ),
        f"The town of {one.name}? It is {one.town}.",
        rng.choice((f"{one.name} is {a(one.job)}.", f"{one.name} works as {a(one.job)}.")),
        rng.choice((f"The job of {one.name} is {one.job}.", f"{one.name} works at the {place}.")),
        f"As {a(one.job)}, {one.name} {does}.",
        rng.choice((f"{one.name} has {a(one.pet)}.", f"The pet of {one.name} is {a(one.pet)}.")),
        f"The animal of {one.name}? It is {a(one.pet)}.",
        rng.choice((f"{one.name} likes {one.color} best.", f"The favorite color of {one.name} is {one.color}.")),
        rng.choice((f"{one.name} likes to eat {one.food}.", f"The favorite food of {one.name} is {one.food}.")),
    ]
    chosen = rng.sample(facts, rng.randint(3, 6))
    return " ".join(
        fact.replace(one.name, he, 1) if k and fact.startswith(one.name) and rng.random() < 0.3 else fact
        for k, fact in enumerate(chosen)
    )


def geography(rng: Random) -> str:
    """Permanent facts about towns and jobs."""
    parts = []
    for town in rng.sample(TOWNS, 2):
        river, food = world.town_facts()[town]
        parts.append(
            rng.choice(
                (
                    f"{town} lies on the river {river}.",
                    f"The river of {town} is the {river}.",
                    f"The {river} flows through {town}.",
                    f"{town} is famous for its {food}.",
                    f"The best {food} comes from {town}.",
                )
            )
        )
    job = rng.choice(tuple(world.JOBS))
    place, does = world.JOBS[job]
    parts.append(rng.choice((f"A {job} {does}.", f"A {job} works at the {place}.", f"Somebody who {does} is a {job}.")))
    rng.shuffle(parts)
    return " ".join(capitalized(part) for part in parts)


@_in_a_row
def kinds_of_things(rng: Random) -> Iterator[str]:
    """Categories: their members, and things that do not belong."""
    for _ in range(rng.randint(2, 3)):
        kind, other = rng.sample(tuple(world.CATEGORIES), 2)
        members = rng.sample(world.CATEGORIES[kind], 3)
        stranger = rng.choice(world.CATEGORIES[other])
        four, plural = [*members, stranger], world.PLURAL_CATEGORIES[kind]
        rng.shuffle(four)
        person = any_person(rng)
        listed = f"{four[0]}, {four[1]}, {four[2]} and {four[3]}"
        yield rng.choice(
            (
                f"{capitalized(members[0])} is the name of {a(kind)}.",
                f"{capitalized(members[0])}, {members[1]} and {members[2]} are all {plural}.",
                f"{person.name} wrote down {listed}. Only {stranger} did not belong with the others.",
                f"Of {listed}, all but one are {plural}, and that one is {stranger}.",
                f"{capitalized(members[0])} and {members[1]} are of the same kind.",
                f"{capitalized(members[0])} and {stranger} are not of the same kind.",
            )
        )


@_in_a_row
def bilingual(rng: Random) -> Iterator[str]:
    """Lines in English and in Moku, the second language."""
    for _ in range(rng.randint(1, 3)):
        subject, verb, thing = (rng.choice(x) for x in (world.MOKU_ANIMALS, world.MOKU_VERBS, world.MOKU_THINGS))
        pair = tuple(rng.choice(("", rng.choice(world.MOKU_ADJECTIVES))) for _ in range(2))
        english = f"the {f'{pair[0]} {subject}'.strip()} {verb} the {f'{pair[1]} {thing}'.strip()}"
        other = world.moku(subject, verb, thing, adjectives=(pair[0], pair[1]))
        word = rng.choice(tuple(world.MOKU))
        yield rng.choice(
            (
                f"{capitalized(english)}. In Moku: {other}.",
                f"In Moku they say {other}. That means: {english}.",
                f"English: {english}. Moku: {other}.",
                f"Moku: {other}. English: {english}.",
                f"The Moku word for {word} is {world.MOKU[word]}.",
                f"{capitalized(world.MOKU[word])} is Moku and means {word}.",
            )
        )


EVENTS = (
    # (title, story) with {n} a name, {t} a thing, {l} a place, {c} a color
    ("The Lost {T}", "{n} lost {p} {c} {t} in the {l}. {S} looked for it everywhere."),
    ("A New {T}", "{n} bought a {c} {t} at last. {S} showed it to everybody in the {l}."),
    ("The Broken {T}", "{n} broke the {c} {t} in the {l}. {S} was sorry."),
    ("The Stolen {T}", "Somebody took the {c} {t} of {n} from the {l}. {S} called the police."),
    ("A Gift of a {T}", "A friend gave {n} a {c} {t}. {S} opened it in the {l}."),
    ("The {T} in the {L}", "{n} went to the {l} in the morning. There {s} found a {c} {t}."),
)


def event(rng: Random, person: Person) -> tuple[str, str]:
    """A title and its story of two sentences."""
    title, story = rng.choice(EVENTS)
    thing, place, color = rng.choice(world.THINGS), rng.choice(world.PLACES), rng.choice(world.COLORS)
    told = story.format(n=person.name, t=thing, l=place, c=color, p=person.his, s=person.he, S=capitalized(person.he))
    return title.format(T=capitalized(thing), L=capitalized(place)), told


def titled(rng: Random) -> str:
    """A story with its title before or after it, or with its summary."""
    person = any_person(rng)
    title, story = event(rng, person)
    return rng.choice(
        (
            f"{title}\n{story}",
            f"{story} The story is called: {title}.",
            f"{story} {person.name} told it under the name of {title}.",
        )
    )


def broken(sentence: str, rng: Random) -> str:
    """A sentence with its words in a wrong order."""
    words = sentence.split()
    mixed = list(words)
    while mixed == words:
        rng.shuffle(mixed)
    return " ".join(mixed)


def plain_sentence(rng: Random) -> str:
    """A short correct sentence, without initial capital and full stop."""
    animal, thing, place = rng.choice(world.ANIMALS), rng.choice(world.THINGS), rng.choice(world.PLACES)
    color, name = rng.choice(world.COLORS), rng.choice(PEOPLE)
    return rng.choice(
        (
            f"the {animal} sleeps in the {place}",
            f"{name} has {a(color)} {thing}",
            f"the {color} {thing} is on the table",
            f"{name} goes to the {place}",
            f"there is {a(animal)} in the {place}",
            f"{name} gave the {thing} to {rng.choice(PEOPLE)}",
        )
    )


@_in_a_row
def grammar(rng: Random) -> Iterator[str]:
    """Sentences by pupils, and whether the teacher finds them well formed."""
    for _ in range(rng.randint(1, 3)):
        person, sentence = any_person(rng), plain_sentence(rng)
        is_good = rng.random() < 0.5
        written = sentence if is_good else broken(sentence, rng)
        judged = rng.choice(
            (
                ("The teacher said it was correct.", "The teacher said it was not correct."),
                ("That is good English.", "That is bad English."),
                ("The words were in the right order.", "The words were in the wrong order."),
            )
        )
        yield f"{person.name} wrote: {written}. {judged[0 if is_good else 1]}"


@_in_a_row
def rewording(rng: Random) -> Iterator[str]:
    """Sentences with the same meaning in other words, and some with another meaning."""
    for _ in range(rng.randint(1, 3)):
        first, same, other = rng.choice(REWORDINGS)
        one, two = rng.sample(PEOPLE, 2)
        words = {"a": one, "b": two, "t": rng.choice(world.THINGS)}
        first, same, other = (x.format(**words) for x in (first, same, other))
        if rng.random() < 0.5:
            first, same = same, first
            other = _swapped(first, one, two)
        yield rng.choice(
            (
                f"{first}. In other words, {same}.",
                f"{first}. {same}. Both mean the same.",
                f"{first}. {other}. They do not mean the same.",
                f"{first}. {same}. The meaning is the same.",
                f"{first}. {other}. The meaning is different.",
            )
        )


def _swapped(sentence: str, one: str, two: str) -> str:
    return sentence.replace(one, "\0").replace(two, one).replace("\0", two)


@_in_a_row
def talk(rng: Random) -> Iterator[str]:
    """A conversation: one person says what is wrong, the other what to do."""
    for said, reply in rng.sample(NEEDS, rng.randint(1, 3)):
        one, two = rng.sample(PEOPLE, 2)
        yield rng.choice(
            (
                f"{one} said: {said}. {two} said: {reply}.",
                f"{said}, said {one}. {reply}, said {two}.",
                f"{one}: {said}.\n{two}: {reply}.",
            )
        )


def topic(rng: Random) -> str:
    """A short text, and its topic."""
    name = rng.choice(tuple(TOPICS))
    said = rng.sample(TOPICS[name], rng.randint(1, 3))
    person = any_person(rng)
    text = " ".join(f"{capitalized(sentence)}." for sentence in said)
    return rng.choice(
        (
            f"{text} This was about {name}.",
            f"{text} {person.name} likes to talk about {name}.",
            f"{text} The topic was {name}.",
            f"{person.name} wrote about {name}. {text}",
        )
    )
