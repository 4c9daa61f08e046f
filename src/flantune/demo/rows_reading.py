"""Rows of tasks about a short text: inference, reading comprehension, coreference, paraphrase, counting."""

from __future__ import annotations

from flantune.demo import text_life as life
from flantune.demo import world
from flantune.demo.cast import Cast, Row
from flantune.demo.catalogs import MOODS, PURPOSES, REMEDIES, REWORDINGS, Purpose, tools_besides
from flantune.demo.reference_shapes import person_facts, thing_facts
from flantune.demo.scenes import Scene, draw_claim, draw_count, draw_scene, question_of
from flantune.demo.world import capitalized


def _scene(cast: Cast, size: int) -> tuple[Scene, str]:
    scene = draw_scene(cast.rng, size=size, people=cast.people)
    return scene, " ".join(scene.sentences(cast.rng))


def _sentence(text: str) -> str:
    return f"{capitalized(text)}."


def entailment(cast: Cast) -> Row:
    """Does the premise entail the hypothesis? Yes or no."""
    scene, told = _scene(cast, 2)
    verdict, answer = cast.turn((("true", "yes"), ("false", "no")))
    return {
        "premise": told,
        "hypothesis": _sentence(draw_claim(scene, cast.rng, verdict=verdict).text),
        "answer": answer,
    }


def inference(cast: Cast) -> Row:
    """Given the story, is the claim true, false or not known?"""
    scene, told = _scene(cast, 2)
    verdict, answer = cast.turn((("true", "true"), ("false", "false"), ("unknown", "not known")))
    return {"story": told, "claim": _sentence(draw_claim(scene, cast.rng, verdict=verdict).text), "answer": answer}


def made_of(cast: Cast) -> tuple[str, str, tuple[str, str]]:
    """What a thing was made of and what was done with it; the fact; what it then did and what it did not do.

    In half of the rows the thing breaks, sinks, burns or melts, so that the word "not" is not informative.
    """
    index = cast.number // 2 % 2
    facts = [
        (material, deed)
        for deed, (_, ends) in enumerate(world.DEEDS)
        for material, outcomes in world.MATERIALS.items()
        if outcomes[deed] == ends[index]
    ]
    material, deed = cast.fact(facts, turn=cast.number // 4 * 2 + cast.number % 2)
    thing, person = cast.rng.choice(world.MADE_THINGS), cast.person()
    told = f"The {thing} was made of {material}. {person.name} {world.DEEDS[deed][0].format(t=thing)}."
    right, wrong = world.outcome(material, deed)
    return told, f"{material} {right}", (right, wrong)


def matter_inference(cast: Cast) -> Row:
    """Given its material, does it follow that the thing broke, sank, burned or melted? Yes or no."""
    told, fact, (right, wrong) = made_of(cast)
    answer = cast.turn(("yes", "no"))
    thing = told.split()[1]
    hypothesis = f"The {thing} {right if answer == 'yes' else wrong}."
    return {"premise": told, "hypothesis": hypothesis, "fact": fact, "answer": answer}


def who(cast: Cast) -> Row:
    """Who in the story has something or is somewhere? The options are the people of the story."""
    scene, told = _scene(cast, 3)
    one, *others = cast.rng.sample(scene.holdings, 3)
    question = cast.rng.choice(
        (
            f"Who has the {one.thing}?",
            f"Who is in the {one.place}?",
            f"Who has the {one.color} {one.thing}?",
        )
    )
    return {"story": told, "question": question, **cast.choice(one.name, [x.name for x in others])}


def where(cast: Cast) -> Row:
    """Where is somebody or something? The options are the places of the story."""
    scene, told = _scene(cast, 3)
    one, *others = cast.rng.sample(scene.holdings, 3)
    question = cast.rng.choice((f"Where is {one.name}?", f"Where is the {one.thing}?"))
    return {"story": told, "question": question, **cast.choice(one.place, [x.place for x in others])}


def boolean(cast: Cast) -> Row:
    """A yes/no question about the story."""
    scene, told = _scene(cast, 2)
    verdict, answer = cast.turn((("true", "yes"), ("false", "no")))
    claim = draw_claim(scene, cast.rng, verdict=verdict).text
    return {"passage": told, "question": question_of(claim), "answer": answer}


def color_span(cast: Cast) -> Row:
    """What color is something in the story? Answered in free text."""
    scene, told = _scene(cast, 2)
    one = cast.rng.choice(scene.holdings)
    question = cast.rng.choice(
        (f"What color is the {one.thing}?", f"What is the color of the thing that {one.name} has?")
    )
    return {"passage": told, "question": question, "answer": one.color}


def next_deed(cast: Cast) -> Row:
    """What did somebody most likely do after an event?"""
    mood, event = cast.fact([(mood, event) for mood, events in MOODS.items() for event in events])
    other = cast.rng.choice([one for one in MOODS if one != mood])
    person = cast.person_in(event)
    return {
        "story": _sentence(life.happened(event, person)),
        "question": f"What did {person.name} do then?",
        "fact": event,
        **cast.choice(REMEDIES[mood], [REMEDIES[other]]),
    }


def needed_thing(cast: Cast) -> Row:
    """Which of the things lying around does somebody need?"""
    purpose = cast.fact(PURPOSES)
    wrong = other_tools(cast, purpose, 2)
    person = cast.person()
    lying = [world.a(tool) for tool in cast.rng.sample([purpose.tool, *wrong], 3)]
    return {
        "story": f"In the {cast.rng.choice(world.PLACES)} {person.name} saw {lying[0]}, {lying[1]} and {lying[2]}. "
        f"{capitalized(person.he)} wanted to {purpose.goal}.",
        "question": f"What did {person.name} take?",
        "fact": purpose.goal,
        **cast.choice(purpose.tool, wrong),
    }


def other_tools(cast: Cast, purpose: Purpose, count: int) -> list[str]:
    """Tools for other goals."""
    return cast.rng.sample(tools_besides(purpose), count)


def pronoun(cast: Cast) -> Row:
    """Whom does "he" or "she" mean?"""
    names = cast.namesakes()
    shape, index, reason = cast.fact(person_facts())
    he = world.person(names[0]).he
    told = f"{shape.format(a=names[0], b=names[1])}, because {reason.format(w=he)}."
    return {
        "sentence": told,
        "pronoun": he,
        "fact": f"{shape}: {reason}",
        **_either(cast, names[index], names[1 - index]),
    }


def thing_meant(cast: Cast) -> Row:
    """Which thing does "it" mean?"""
    shape, index, reason, firsts, seconds = cast.fact(thing_facts())
    things = cast.rng.choice(firsts), cast.rng.choice(seconds)
    told = f"{capitalized(shape.format(x=things[0], y=things[1]))}, because {reason}."
    return {
        "sentence": told,
        "fact": f"{shape}: {reason}",
        **_either(cast, f"the {things[index]}", f"the {things[1 - index]}"),
    }


def _either(cast: Cast, right: str, wrong: str) -> Row:
    """Two options, in an order that does not depend on the parity of the row's number."""
    options = [right, wrong] if cast.number // 2 % 2 == 0 else [wrong, right]
    return {"options": options, "answer": right}


def same_meaning(cast: Cast) -> Row:
    """Do two sentences have the same meaning? Yes or no."""
    first, same, other = cast.fact(REWORDINGS)
    words = _words(cast)
    answer = cast.turn(("yes", "no"))
    second = same if answer == "yes" else other
    return {
        "first": _sentence_of(first, words),
        "second": _sentence_of(second, words),
        "fact": first,
        "answer": answer,
    }


def reworded(cast: Cast) -> Row:
    """Which of two sentences has the same meaning as a given one?"""
    first, same, other = cast.fact(REWORDINGS)
    words = _words(cast)
    return {
        "sentence": _sentence_of(first, words),
        "fact": first,
        **cast.choice(_sentence_of(same, words), [_sentence_of(other, words)]),
    }


def _words(cast: Cast) -> dict[str, str]:
    one, two = cast.couple()
    return {"a": one.name, "b": two.name, "t": cast.rng.choice(world.THINGS)}


def _sentence_of(shape: str, words: dict[str, str]) -> str:
    return f"{shape.format(**words)}."


def count(cast: Cast) -> Row:
    """How many are there at the end?"""
    told = draw_count(cast.rng, names=cast.people)
    near = [n for n in range(1, 13) if n != told.result]
    wrong = cast.rng.sample(near, 3)
    return {
        "problem": told.story,
        "question": f"How many {told.things} does {told.person.name} have now?",
        **cast.choice(world.NUMBERS[told.result], [world.NUMBERS[n] for n in wrong]),
    }


def more(cast: Cast) -> Row:
    """Who has more, or fewer?"""
    one, two = cast.couple()
    things = cast.rng.choice(("apples", "coins", "books", "eggs"))
    many, few = sorted(cast.rng.sample(range(2, 11), 2), reverse=True)
    word, richer = cast.rng.choice((("more", True), ("fewer", False)))
    asked_first = cast.number // 2 % 2 == 0
    numbers = (many, few) if asked_first == richer else (few, many)
    right, wrong = (one, two) if asked_first else (two, one)
    return {
        "facts": f"{one.name} has {world.NUMBERS[numbers[0]]} {things} and {two.name} has "
        f"{world.NUMBERS[numbers[1]]} {things}.",
        "question": f"Who has {word} {things}?",
        **cast.choice(right.name, [wrong.name]),
    }
