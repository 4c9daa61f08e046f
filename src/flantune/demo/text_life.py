"""Plain texts about life in the micro-world: causes, purposes, feelings, people, words, languages, titles, talk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from random import Random

from flantune.demo import world
from flantune.demo.world import Person, a, capitalized


def any_person(rng: Random) -> Person:
    """Somebody."""
    return world.person(rng.choice(world.PEOPLE))


def _in_a_row(tell: Callable[[Random], Iterator[str]]) -> Callable[[Random], str]:
    """A maker of sentences as a maker of the text that they make."""

    @wraps(tell)
    def text(rng: Random) -> str:
        return " ".join(tell(rng))

    return text


def fill(shape: str, person: Person, *, by_name: bool = False) -> str:
    """A sentence shape with {s}, {p}, {o} filled by a person's pronouns, or by the name as the subject."""
    return shape.format(s=person.name if by_name else person.he, p=person.his, o=person.him)


def consequence(rng: Random) -> str:
    """Things that happen, and what follows from them."""
    parts = []
    for cause, effect in rng.sample(world.CAUSES, rng.randint(1, 3)):
        person = any_person(rng)
        shapes = (
            "{c}, so {e}.",
            "{c}. Then {e}.",
            "{n} because {C}.",
            "{c}. Because of that, {e}.",
            "One day {c}. What happened? {E}.",
            "{n}. Why? Because {C}.",
        )
        named = fill(cause, person, by_name=True)
        parts.append(
            capitalized(
                rng.choice(shapes).format(
                    c=named,
                    C=fill(cause, person),
                    e=fill(effect, person),
                    E=capitalized(fill(effect, person, by_name=True)),
                    n=fill(effect, person, by_name=True),
                )
            )
        )
    return " ".join(capitalized(part) for part in parts)


@_in_a_row
def matter(rng: Random) -> Iterator[str]:
    """What things are made of, and what they do when dropped, put into water or put into a fire."""
    for _ in range(rng.randint(1, 3)):
        material = rng.choice(tuple(world.MATERIALS))
        thing, person = rng.choice(world.THINGS), any_person(rng)
        event = rng.randrange(3)
        deed = (f"dropped the {thing}", f"threw the {thing} into the lake", f"threw the {thing} into the fire")[event]
        result = world.MATERIALS[material][event]
        yield rng.choice(
            (
                f"The {thing} was made of {material}. {person.name} {deed}. It {result}.",
                f"{person.name} had a {material} {thing}. {capitalized(person.he)} {deed}, and it {result}.",
                f"{person.name} {deed}. It was made of {material}, so it {result}.",
            )
        )


@_in_a_row
def purpose(rng: Random) -> Iterator[str]:
    """What people want to do, and what they take for it."""
    for goal, thing in rng.sample(world.PURPOSES, rng.randint(1, 3)):
        person = any_person(rng)
        yield rng.choice(
            (
                f"{person.name} wanted to {goal}, so {person.he} took {a(thing)}.",
                f"To {goal}, {person.name} used {a(thing)}.",
                f"{person.name} had {a(thing)} to {goal}.",
                f"You need {a(thing)} to {goal}.",
                f"What is {a(thing)} for? With {a(thing)} you can {goal}.",
            )
        )


@_in_a_row
def feeling(rng: Random) -> Iterator[str]:
    """What happened to somebody, how that feels, and what people do then."""
    for mood in rng.sample(tuple(world.MOODS), rng.randint(1, 3)):
        person = any_person(rng)
        event = rng.choice(world.MOODS[mood])
        named = capitalized(fill(event, person, by_name="{s}" in event))
        if "{s}" not in event:
            named = f"{person.name} had a bad day: {fill(event, person)}" if mood != "happy" else named
        yield f"{named}. " + rng.choice(
            (
                f"{capitalized(person.he)} was {mood}.",
                f"{person.name} felt {mood}.",
                f"{capitalized(person.he)} was {mood} and {world.REMEDIES[mood]}.",
                f"So {person.he} {world.REMEDIES[mood]}, because {person.he} was {mood}.",
                f"The feeling of {person.name} was: {mood}.",
            )
        )


def biography(rng: Random) -> str:
    """Facts about somebody that never change."""
    one = any_person(rng)
    he = capitalized(one.he)
    place, does = world.JOBS[one.job]
    facts = [
        rng.choice((f"{one.name} lives in {one.town}.", f"The home of {one.name} is {one.town}.")),
        rng.choice((f"{one.name} is from {one.town}.", f"{one.name} comes from the town of {one.town}.")),
        rng.choice((f"{one.name} is {a(one.job)}.", f"{one.name} works as {a(one.job)}.")),
        rng.choice((f"The job of {one.name} is {one.job}.", f"{one.name} works at the {place}.")),
        rng.choice((f"{one.name} has {a(one.pet)}.", f"The pet of {one.name} is {a(one.pet)}.")),
        rng.choice((f"{one.name} likes {one.color} best.", f"The favorite color of {one.name} is {one.color}.")),
        rng.choice((f"{one.name} likes to eat {one.food}.", f"The favorite food of {one.name} is {one.food}.")),
        f"As {a(one.job)}, {one.name} {does}.",
    ]
    chosen = rng.sample(facts, rng.randint(2, 5))
    return " ".join(
        fact.replace(one.name, he, 1) if k and fact.startswith(one.name) and rng.random() < 0.4 else fact
        for k, fact in enumerate(chosen)
    )


def geography(rng: Random) -> str:
    """Facts about towns and jobs that never change."""
    parts = []
    for town in rng.sample(world.TOWNS, 2):
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
    """What is what: members of categories, and things that do not belong with the rest."""
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
    # (a title, what happened) with {n} a name, {t} a thing, {l} a place, {c} a color
    ("The Lost {T}", "{n} lost {p} {c} {t} in the {l}. {S} looked for it everywhere."),
    ("A New {T}", "{n} bought a {c} {t} at last. {S} showed it to everybody in the {l}."),
    ("The Broken {T}", "{n} broke the {c} {t} in the {l}. {S} was sorry."),
    ("The Stolen {T}", "Somebody took the {c} {t} of {n} from the {l}. {S} called the police."),
    ("A Gift of a {T}", "A friend gave {n} a {c} {t}. {S} opened it in the {l}."),
    ("The {T} in the {L}", "{n} went to the {l} in the morning. There {s} found a {c} {t}."),
)


def event(rng: Random, person: Person) -> tuple[str, str]:
    """A title and the two-sentence story it stands for."""
    title, story = rng.choice(EVENTS)
    thing, place, color = rng.choice(world.THINGS), rng.choice(world.PLACES), rng.choice(world.COLORS)
    told = story.format(n=person.name, t=thing, l=place, c=color, p=person.his, s=person.he, S=capitalized(person.he))
    return title.format(T=capitalized(thing), L=capitalized(place)), told.replace("a old", "an old")


def titled(rng: Random) -> str:
    """A story with its title before or after it, or with its gist."""
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
    """The sentence with its words in a wrong order."""
    words = sentence.split()
    mixed = list(words)
    while mixed == words:
        rng.shuffle(mixed)
    return " ".join(mixed)


def plain_sentence(rng: Random) -> str:
    """A short correct sentence, without capital and full stop."""
    animal, thing, place = rng.choice(world.ANIMALS), rng.choice(world.THINGS), rng.choice(world.PLACES)
    color, name = rng.choice(world.COLORS), rng.choice(world.PEOPLE)
    return rng.choice(
        (
            f"the {animal} sleeps in the {place}",
            f"{name} has {a(color)} {thing}",
            f"the {color} {thing} is on the table",
            f"{name} goes to the {place}",
            f"there is {a(animal)} in the {place}",
            f"{name} gave the {thing} to {rng.choice(world.PEOPLE)}",
        )
    )


@_in_a_row
def grammar(rng: Random) -> Iterator[str]:
    """What pupils wrote, and whether the teacher found it well formed."""
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


REWORDINGS = (
    # two ways to say one thing; and a third sentence, near by its words, that says another
    ("{a} bought the {t} from {b}", "{b} sold the {t} to {a}", "{a} sold the {t} to {b}"),
    ("{a} gave the {t} to {b}", "{b} got the {t} from {a}", "{a} got the {t} from {b}"),
    ("{a} is taller than {b}", "{b} is shorter than {a}", "{a} is shorter than {b}"),
    ("{a} came before {b}", "{b} came after {a}", "{a} came after {b}"),
    ("{a} taught {b}", "{b} learned from {a}", "{a} learned from {b}"),
    ("{a} followed {b}", "{b} was followed by {a}", "{a} was followed by {b}"),
    ("{a} is the mother of {b}", "{b} is a child of {a}", "{a} is a child of {b}"),
    ("{a} won against {b}", "{b} lost against {a}", "{a} lost against {b}"),
    ("{a} sent {b} a letter", "{b} got a letter from {a}", "{a} got a letter from {b}"),
    ("{a} showed {b} the {t}", "{b} was shown the {t} by {a}", "{a} was shown the {t} by {b}"),
)


@_in_a_row
def rewording(rng: Random) -> Iterator[str]:
    """Sentences that say the same in other words, and some that do not."""
    for _ in range(rng.randint(1, 3)):
        first, same, other = rng.choice(REWORDINGS)
        one, two = rng.sample(world.PEOPLE, 2)
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
    """Two people talk: one says what is wrong, the other what to do."""
    for said, reply in rng.sample(world.NEEDS, rng.randint(1, 3)):
        one, two = rng.sample(world.PEOPLE, 2)
        yield rng.choice(
            (
                f"{one} said: {said}. {two} said: {reply}.",
                f"{said}, said {one}. {reply}, said {two}.",
                f"{one}: {said}.\n{two}: {reply}.",
            )
        )


def topic(rng: Random) -> str:
    """A short text, and what it was about."""
    name = rng.choice(tuple(world.TOPICS))
    said = rng.sample(world.TOPICS[name], rng.randint(1, 3))
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


def about_texts(rng: Random) -> str:
    """People who read, ask, answer, choose and write: the words in which work with texts is spoken of."""
    one, two = any_person(rng), any_person(rng)
    text = rng.choice(("story", "text", "review", "letter", "sentence", "passage", "message", "list", "dialogue"))
    return " ".join(
        rng.sample(
            (
                f"{one.name} read the following {text} and thought about it.",
                f"{two.name} had a question about the {text}. {one.name} knew the answer.",
                f"Which of the options is best? That is what {one.name} wanted to know.",
                f"{one.name} had to choose one of two options and took the first.",
                f"Please write the {text} again, said {two.name}.",
                f"{one.name} gave the {text} a title and described what it says.",
                f"{two.name} translated a {text} into Moku and then back into English.",
                f"The {text} was complete, and each word had the right meaning.",
                f"Does this follow? {one.name} could not tell from the {text}.",
                f"{one.name} checked if the statement was correct, true or false.",
                f"How does the {text} end? {two.name} wrote the last sentence.",
                f"{one.name} picked the correct word and the most likely ending.",
                f"{two.name} named a cause and an effect, a person, a place and a number.",
                f"Based on the {text}, {one.name} decided what happens next.",
                "The pupils solve the problem: how many are left, and who has more?",
                f"Is it possible to say who is meant? {two.name} explained the {text}.",
            ),
            rng.randint(1, 3),
        )
    )
