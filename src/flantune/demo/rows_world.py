"""Rows of tasks about the micro-world: common sense, sentiment, facts, languages, titles, words."""

from __future__ import annotations

from flantune.demo import text_life as life
from flantune.demo import world
from flantune.demo.cast import Cast, Row
from flantune.demo.catalogs import CAUSES, MOODS, NEEDS, PURPOSES, TOPICS, Cause, unlike
from flantune.demo.names import TOWNS
from flantune.demo.rows_reading import made_of, other_tools
from flantune.demo.scenes import draw_review
from flantune.demo.world import Person, a, capitalized


def _line(shape: str, person: Person) -> str:
    return f"{capitalized(life.happened(shape, person))}."


def effect(cast: Cast) -> Row:
    """Which of two events is the effect of a cause?"""
    one, other, person = _two_causes(cast)
    right, wrong = _line(one.effect, person), _line(other.effect, person)
    return {"premise": _line(one.cause, person), "fact": f"{one.cause}: {one.effect}", **cast.choice(right, [wrong])}


def cause(cast: Cast) -> Row:
    """Which of two events is the cause of an effect?"""
    one, other, person = _two_causes(cast)
    right, wrong = _line(one.cause, person), _line(other.cause, person)
    return {"premise": _line(one.effect, person), "fact": f"{one.cause}: {one.effect}", **cast.choice(right, [wrong])}


def _two_causes(cast: Cast) -> tuple[Cause, Cause, Person]:
    one = cast.fact(CAUSES)
    return one, cast.rng.choice(unlike(one)), cast.person()


def purpose(cast: Cast) -> Row:
    """Which thing serves a goal?"""
    one = cast.fact(PURPOSES)
    return {
        "name": cast.rng.choice(cast.people),
        "goal": one.goal,
        **cast.choice(a(one.tool), [a(tool) for tool in other_tools(cast, one, 2)]),
    }


def matter(cast: Cast) -> Row:
    """What does a thing do, given its material?"""
    told, fact, (right, wrong) = made_of(cast)
    return {"story": told, "fact": fact, **cast.choice(f"It {right}.", [f"It {wrong}."])}


def review(cast: Cast) -> Row:
    """Is a review positive or negative?"""
    told = draw_review(cast.rng, person=cast.person(), sentences=cast.rng.randint(2, 3))
    return {"review": told.text, "answer": "positive" if told.is_positive else "negative"}


def satisfied(cast: Cast) -> Row:
    """Was the reviewer happy or unhappy?"""
    person = cast.person()
    told = draw_review(cast.rng, person=person, sentences=2)
    return {
        "text": told.text,
        "name": person.name,
        "kind": told.kind,
        "answer": "happy" if told.is_positive else "unhappy",
    }


def verdict(cast: Cast) -> Row:
    """Was the thing reviewed good or bad?"""
    told = draw_review(cast.rng, person=cast.person(), sentences=2)
    return {"text": told.text, "kind": told.kind, "answer": "good" if told.is_positive else "bad"}


def mood(cast: Cast) -> Row:
    """How does somebody feel about an event?"""
    right, event = cast.fact([(mood, event) for mood, events in MOODS.items() for event in events])
    person = cast.person_in(event)
    wrong = cast.rng.sample([other for other in MOODS if other != right], 2)
    told = f"{capitalized(life.happened(event, person))}."
    return {"event": told, "name": person.name, "fact": event, **cast.choice(right, wrong)}


def _fact(cast: Cast, field: str, values: tuple[str, ...], *, turn: int | None = None) -> Row:
    one = cast.person_asked(turn=turn)
    right = str(getattr(one, field))
    return {"name": one.name, **cast.choice(right, cast.rng.sample([value for value in values if value != right], 3))}


def home(cast: Cast) -> Row:
    """In which town does somebody live?"""
    return _fact(cast, "town", TOWNS)


def job(cast: Cast) -> Row:
    """What does somebody do for a living?"""
    return _fact(cast, "job", tuple(world.JOBS))


def favorite(cast: Cast) -> Row:
    """What is somebody's favorite color or food?"""
    kind, values = cast.turn((("color", world.COLORS), ("food", world.FOODS)))
    return {"kind": kind, **_fact(cast, kind, values, turn=cast.number // 2)}


def pet(cast: Cast) -> Row:
    """Which animal does somebody have?"""
    return _fact(cast, "pet", world.ANIMALS)


def describe_thing(cast: Cast) -> Row:
    """Write a sentence from a list of attributes."""
    person = cast.person()
    thing, color = cast.rng.choice(world.THINGS), cast.rng.choice(world.COLORS)
    size, place = cast.rng.choice(world.SIZES), cast.rng.choice(world.PLACES)
    data = f"thing = {thing}; color = {color}; size = {size}; place = {place}; owner = {person.name}"
    noun = f"{size} {color} {thing}"
    said = [
        f"The {noun} in the {place} belongs to {person.name}.",
        f"{person.name} owns {a(noun)} in the {place}.",
        f"In the {place} there is {a(noun)}. It belongs to {person.name}.",
    ]
    cast.rng.shuffle(said)
    return {"data": data, "sentence": said[0], "answer": said}


def describe_person(cast: Cast) -> Row:
    """Write a sentence about somebody from a list of attributes, none of which contradicts the facts of the world."""
    name, place = cast.rng.choice(cast.people), cast.rng.choice(world.PLACES)
    state, thing = cast.rng.choice(tuple(MOODS)), a(f"{cast.rng.choice(world.COLORS)} {cast.rng.choice(world.THINGS)}")
    said = f"{name} is in the {place}, feels {state} and wants {thing}."
    return {
        "data": f"name = {name}; place = {place}; feeling = {state}; wish = {thing}",
        "sentence": said,
        "answer": [said],
    }


def _bilingual(cast: Cast) -> tuple[str, str]:
    # The three words of a sentence determine its split, so that no test sentence is trained on in either direction.
    role = {"train": (0, 1, 2, 3), "dev": (4,), "test": (5, 6)}[cast.role]
    while True:
        subject, verb, thing = (
            cast.rng.choice(words) for words in (world.MOKU_ANIMALS, world.MOKU_VERBS, world.MOKU_THINGS)
        )
        places = world.MOKU_ANIMALS.index(subject), world.MOKU_VERBS.index(verb), world.MOKU_THINGS.index(thing)
        if (places[0] + 2 * places[1] + 4 * places[2]) % 7 in role:
            break
    first, second = (cast.rng.choice(("", cast.rng.choice(world.MOKU_ADJECTIVES))) for _ in range(2))
    english = f"the {f'{first} {subject}'.strip()} {verb} the {f'{second} {thing}'.strip()}"
    return english, world.moku(subject, verb, thing, adjectives=(first, second))


def to_moku(cast: Cast) -> Row:
    """Translate a sentence into Moku."""
    english, moku = _bilingual(cast)
    return {"english": english, "answer": moku}


def from_moku(cast: Cast) -> Row:
    """Translate a sentence from Moku."""
    english, moku = _bilingual(cast)
    return {"moku": moku, "answer": english}


def moku_word(cast: Cast) -> Row:
    """What does a word of Moku mean?"""
    right, *wrong = cast.rng.sample(cast.part(tuple(world.MOKU)), 3)
    return {"word": world.MOKU[right], **cast.choice(right, wrong)}


def title(cast: Cast) -> Row:
    """Write a title for a story."""
    name, story = life.event(cast.rng, cast.person())
    return {"story": story, "answer": name}


def gist(cast: Cast) -> Row:
    """Which of three titles fits a story?"""
    person = cast.person()
    name, story = life.event(cast.rng, person)
    wrong: list[str] = []
    while len(wrong) < 2:
        other = life.event(cast.rng, person)[0]
        if other not in (name, *wrong):
            wrong.append(other)
    return {"story": story, **cast.choice(name, wrong)}


def topic(cast: Cast) -> Row:
    """What is a short text about?"""
    right, *wrong = cast.rng.sample(tuple(TOPICS), 3)
    sentences = TOPICS[right]
    # Each topic reserves one sentence for dev and one for the test.
    own = cast.part(sentences)
    said = cast.rng.sample(own, min(2, len(own)))
    lead = f"{cast.person().name} wrote this."
    text = " ".join([lead, *(f"{capitalized(one)}." for one in said)])
    return {"text": text, "fact": " / ".join(sorted(said)), **cast.choice(right, wrong)}


def odd_one_out(cast: Cast) -> Row:
    """Which of four words does not belong with the others?"""
    # Towns are left out: the capital letter would give the answer away.
    kind, other = cast.rng.sample([name for name in world.CATEGORIES if name != "town"], 2)
    members = cast.rng.sample(world.CATEGORIES[kind], 3)
    stranger = cast.rng.choice(world.CATEGORIES[other])
    words = cast.rng.sample([stranger, *members], 4)
    return {"words": ", ".join(words), **cast.choice(stranger, members)}


def category(cast: Cast) -> Row:
    """To which category does a word belong?"""
    right, *wrong = cast.rng.sample(tuple(world.CATEGORIES), 3)
    return {"word": cast.rng.choice(cast.part(world.CATEGORIES[right])), **cast.choice(a(right), [a(x) for x in wrong])}


def word_order(cast: Cast) -> Row:
    """Are the words of a sentence in the right order?"""
    person = cast.person()
    thing, place, color = cast.rng.choice(world.THINGS), cast.rng.choice(world.PLACES), cast.rng.choice(world.COLORS)
    sentence = cast.rng.choice(
        (
            f"{person.name} has {a(f'{color} {thing}')}",
            f"{person.name} goes to the {place}",
            f"{person.name} gave the {thing} to {person.him}",
            f"{person.name}'s {color} {thing} is on the table",
        )
    )
    answer = cast.turn(("correct", "not correct"))
    return {"sentence": sentence if answer == "correct" else life.broken(sentence, cast.rng), "answer": answer}


def reply(cast: Cast) -> Row:
    """What does a friend reply?"""
    (said, right), *others = cast.rng.sample(cast.part(NEEDS), 3)
    one, two = cast.couple()
    return {
        "said": said,
        "speaker": one.name,
        "friend": two.name,
        **cast.choice(f"{right}.", [f"{other}." for _, other in others]),
    }
