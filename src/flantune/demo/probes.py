"""Plain-text probes: beginnings of texts about the micro-world, each with the right ending and wrong ones.

They contain no instructions and use no templates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from flantune.demo import text_life as life
from flantune.demo import world
from flantune.demo.catalogs import CAUSES, MOODS, NEEDS, PURPOSES, REMEDIES, REWORDINGS, TOPICS, tools_besides, unlike
from flantune.demo.names import MEN, PEOPLE, TOWNS, WOMEN
from flantune.demo.reference_shapes import person_facts, thing_facts
from flantune.demo.scenes import draw_claim, draw_count, draw_review, draw_scene
from flantune.demo.world import capitalized


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A beginning and its possible endings, with the right one first."""

    beginning: str
    endings: tuple[str, ...]


def _verification(rng: Random) -> Item:
    scene = draw_scene(rng, size=2)
    verdict = rng.choice(("true", "false"))
    claim = draw_claim(scene, rng, verdict=verdict).text
    told = " ".join(scene.sentences(rng))
    name = rng.choice(PEOPLE)
    if rng.random() < 0.5:
        beginning, pair = f"{told} {name} said that {claim}. That was", ("true.", "false.")
    else:
        him = world.person(name).him
        beginning, pair = f"{told} {name} asked if {claim}. They told {him}:", ("yes.", "no.")
    return Item(beginning=beginning, endings=pair if verdict == "true" else pair[::-1])


def _not_known(rng: Random) -> Item:
    scene = draw_scene(rng, size=2)
    verdict = rng.choice(("true", "false", "unknown"))
    claim = capitalized(draw_claim(scene, rng, verdict=verdict).text)
    endings = {"true": "true.", "false": "false.", "unknown": "not known."}
    right = endings.pop(verdict)
    return Item(beginning=f"{' '.join(scene.sentences(rng))} {claim}: that is", endings=(right, *endings.values()))


def _recall(rng: Random) -> Item:
    scene = draw_scene(rng, size=3)
    one, *others = rng.sample(scene.holdings, 3)
    told = " ".join(scene.sentences(rng))
    question, field = rng.choice(
        (
            (f"The one with the {one.thing} was", "name"),
            (f"Who stood in the {one.place}?", "name"),
            (f"The color of the {one.thing} was", "color"),
            (f"The thing that {one.name} had was the", "thing"),
            (f"Where did they find {one.name}? In the", "place"),
            (f"Where did they see the {one.thing}? In the", "place"),
        )
    )
    return Item(beginning=f"{told} {question}", endings=tuple(f"{getattr(x, field)}." for x in (one, *others)))


def _sentiment(rng: Random) -> Item:
    person = life.any_person(rng)
    told = draw_review(rng, person=person, sentences=2)
    question, *pair = rng.choice(
        (
            ("The review was", "positive.", "negative."),
            ("It was a", f"good {told.kind}.", f"bad {told.kind}."),
            (f"{person.name} was", "happy with it.", "unhappy with it."),
        )
    )
    return Item(beginning=f"{told.text} {question}", endings=tuple(pair if told.is_positive else pair[::-1]))


def _counting(rng: Random) -> Item:
    told = draw_count(rng)
    wrong = rng.sample([n for n in range(2, 12) if n != told.result], 3)
    return Item(
        beginning=f"{told.story} Now {told.person.he} has",
        endings=tuple(f"{world.NUMBERS[n]} {told.things}." for n in (told.result, *wrong)),
    )


def _who_is_meant(rng: Random) -> Item:
    names = rng.sample(WOMEN if rng.random() < 0.5 else MEN, 2)
    shape, index, reason = rng.choice(person_facts())
    he = world.person(names[0]).he
    told = f"{shape.format(a=names[0], b=names[1])}, because {reason.format(w=he)}. So it was"
    return Item(beginning=told, endings=(names[index], names[1 - index]))


def _what_is_meant(rng: Random) -> Item:
    shape, index, reason, firsts, seconds = rng.choice(thing_facts())
    things = rng.choice(firsts), rng.choice(seconds)
    told = f"{capitalized(shape.format(x=things[0], y=things[1]))}, because {reason}. This was said of the"
    return Item(beginning=told, endings=(f"{things[index]}.", f"{things[1 - index]}."))


def _list_choice(rng: Random) -> Item:
    purpose = rng.choice(PURPOSES)
    tools = [purpose.tool, *rng.sample(tools_besides(purpose), 2)]
    lines = [f"- {tool}" for tool in rng.sample(tools, 3)]
    name = rng.choice(PEOPLE)
    beginning = "\n".join(["On the table lay:", *lines, f"{name} wanted to {purpose.goal} and took the"])
    return Item(beginning=beginning, endings=tuple(f"{tool}." for tool in tools))


def _effect(rng: Random) -> Item:
    one = rng.choice(CAUSES)
    other = rng.choice(unlike(one))
    person = life.any_person(rng)
    return Item(
        beginning=capitalized(life.happened(one.cause, person)) + ", so",
        endings=tuple(f"{life.fill(x.effect, person)}." for x in (one, other)),
    )


def _cause(rng: Random) -> Item:
    one = rng.choice(CAUSES)
    other = rng.choice(unlike(one))
    person = life.any_person(rng)
    return Item(
        beginning=f"Why was it that {life.happened(one.effect, person)}?",
        endings=tuple(f"{capitalized(life.happened(x.cause, person))}." for x in (one, other)),
    )


def _matter(rng: Random) -> Item:
    told, (right, wrong) = _made_of(rng)
    return Item(beginning=f"{told} It", endings=(f"{right}.", f"{wrong}."))


def _matter_verified(rng: Random) -> Item:
    told, (right, wrong) = _made_of(rng)
    is_true = rng.random() < 0.5
    pair = ("yes.", "no.")
    return Item(
        beginning=f"{told} People say it {right if is_true else wrong}:", endings=pair if is_true else pair[::-1]
    )


def _made_of(rng: Random) -> tuple[str, tuple[str, str]]:
    deed = rng.randrange(len(world.DEEDS))
    happened = rng.choice(world.DEEDS[deed][1])
    material = rng.choice([name for name, outcomes in world.MATERIALS.items() if outcomes[deed] == happened])
    thing, name = rng.choice(world.MADE_THINGS), rng.choice(PEOPLE)
    told = f"The {thing} was made of {material}. {name} {world.DEEDS[deed][0].format(t=thing)}."
    return told, world.outcome(material, deed)


def _purpose(rng: Random) -> Item:
    purpose = rng.choice(PURPOSES)
    others = rng.sample(tools_besides(purpose), 3)
    return Item(
        beginning=f"To {purpose.goal}, {rng.choice(PEOPLE)} used",
        endings=tuple(f"{world.a(tool)}." for tool in (purpose.tool, *others)),
    )


def _feeling(rng: Random) -> Item:
    mood, *others = rng.sample(tuple(MOODS), 4)
    person = life.any_person(rng)
    told = capitalized(life.happened(rng.choice(MOODS[mood]), person))
    return Item(beginning=f"{told}. {capitalized(person.he)} was", endings=tuple(f"{x}." for x in (mood, *others)))


def _next_deed(rng: Random) -> Item:
    mood, other = rng.sample(tuple(MOODS), 2)
    person = life.any_person(rng)
    told = capitalized(life.happened(rng.choice(MOODS[mood]), person))
    return Item(beginning=f"{told}. Then {person.name}", endings=tuple(f"{REMEDIES[x]}." for x in (mood, other)))


def _facts(rng: Random) -> Item:
    one = life.any_person(rng)
    shape, right, values = rng.choice(
        (
            (f"{one.name} lives in", one.town, TOWNS),
            (f"The job of {one.name} is", one.job, tuple(world.JOBS)),
            (f"The pet of {one.name} is a", one.pet, world.ANIMALS),
            (f"The favorite color of {one.name} is", one.color, world.COLORS),
            (f"The favorite food of {one.name} is", one.food, world.FOODS),
        )
    )
    wrong = rng.sample([value for value in values if value != right], 3)
    return Item(beginning=shape, endings=tuple(f"{value}." for value in (right, *wrong)))


def _kinds(rng: Random) -> Item:
    kind, other = rng.sample(tuple(world.CATEGORIES), 2)
    members = rng.sample(world.CATEGORIES[kind], 3)
    stranger = rng.choice(world.CATEGORIES[other])
    four = rng.sample([*members, stranger], 4)
    beginning = f"{rng.choice(PEOPLE)} wrote down {four[0]}, {four[1]}, {four[2]} and {four[3]}. Only"
    return Item(beginning=beginning, endings=tuple(f"{x} did not belong" for x in (stranger, *members)))


def _translation(rng: Random) -> Item:
    subject, wrong = rng.sample(world.MOKU_ANIMALS, 2)
    thing, verb = rng.choice(world.MOKU_THINGS), rng.choice(world.MOKU_VERBS)
    beginning = f"The {subject} {verb} the {thing}. In Moku:"
    other_thing = rng.choice([x for x in world.MOKU_THINGS if x != thing])
    return Item(
        beginning=beginning,
        endings=tuple(
            f"{world.moku(s, verb, t)}." for s, t in ((subject, thing), (wrong, thing), (subject, other_thing))
        ),
    )


def _titles(rng: Random) -> Item:
    person = life.any_person(rng)
    title, story = life.event(rng, person)
    wrong = title
    while wrong == title:
        wrong = life.event(rng, person)[0]
    return Item(beginning=f"{story} The story is called:", endings=(f"{title}.", f"{wrong}."))


def _grammar(rng: Random) -> Item:
    sentence, is_good = life.plain_sentence(rng), rng.random() < 0.5
    written = sentence if is_good else life.broken(sentence, rng)
    pair = ("right order.", "wrong order.")
    return Item(
        beginning=f"{rng.choice(PEOPLE)} wrote: {written}. The words were in the",
        endings=pair if is_good else pair[::-1],
    )


def _rewording(rng: Random) -> Item:
    first, same, other = rng.choice(REWORDINGS)
    one, two = rng.sample(PEOPLE, 2)
    words = {"a": one, "b": two, "t": rng.choice(world.THINGS)}
    is_same = rng.random() < 0.5
    pair = ("the same.", "different.")
    second = same if is_same else other
    return Item(
        beginning=f"{first.format(**words)}. {second.format(**words)}. The meaning is",
        endings=pair if is_same else pair[::-1],
    )


def _talk(rng: Random) -> Item:
    (said, reply), (_, wrong) = rng.sample(NEEDS, 2)
    one, two = rng.sample(PEOPLE, 2)
    return Item(beginning=f"{one} said: {said}. {two} said:", endings=(f"{reply}.", f"{wrong}."))


def _topic(rng: Random) -> Item:
    name, *others = rng.sample(tuple(TOPICS), 4)
    text = " ".join(f"{capitalized(x)}." for x in rng.sample(TOPICS[name], 2))
    return Item(beginning=f"{text} This was about", endings=tuple(f"{x}." for x in (name, *others)))


PROBES: dict[str, Callable[[Random], Item]] = {
    "verification": _verification,
    "not known": _not_known,
    "recall": _recall,
    "sentiment": _sentiment,
    "who is meant": _who_is_meant,
    "what is meant": _what_is_meant,
    "effect": _effect,
    "cause": _cause,
    "matter": _matter,
    "matter, verified": _matter_verified,
    "purpose": _purpose,
    "choice from a list": _list_choice,
    "feeling": _feeling,
    "next deed": _next_deed,
    "facts": _facts,
    "counting": _counting,
    "kinds": _kinds,
    "translation": _translation,
    "titles": _titles,
    "grammar": _grammar,
    "rewording": _rewording,
    "talk": _talk,
    "topic": _topic,
}


def items(skill: str, *, count: int, seed: int = 0) -> list[Item]:
    """The first ``count`` items of a skill; the same for the same seed.

    >>> items("talk", count=1) == items("talk", count=1)
    True
    """
    return [PROBES[skill](Random(f"probe/{skill}/{seed}/{number}")) for number in range(count)]


def chance(skill: str) -> float:
    """The share of right answers by guessing."""
    return 1 / len(items(skill, count=1)[0].endings)
