"""Plain text in which people ask each other questions about the world, in many wordings, with the answers.

Tuning cannot elicit a fact in a form in which the model has never seen it. No text lists options as the tasks do, one
per line: that is left to tuning. Some questions about reviews and claims name both answers. No text uses the words of a
task's template.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from flantune.demo import world
from flantune.demo.catalogs import CAUSES, MOODS, PURPOSES, REMEDIES, TOPICS, Cause, tools_besides, unlike
from flantune.demo.names import MEN, PEOPLE, TOWNS, WOMEN
from flantune.demo.reference_shapes import person_facts, thing_facts
from flantune.demo.scenes import draw_claim, draw_count, draw_review, draw_scene, question_of
from flantune.demo.text_life import any_person, happened
from flantune.demo.world import a, capitalized


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiz:
    """A question about the world.

    Attributes:
        told: Context for the question, in sentences; may be empty.
        question: The question, with a question mark.
        answer: The right answer, without a full stop.
        others: Wrong answers.
    """

    told: str
    question: str
    answer: str
    others: tuple[str, ...]


def quiz(rng: Random) -> str:
    """One or two questions with answers, in random wordings."""
    return "\n".join(_asked(rng.choice(KINDS)(rng), rng) for _ in range(rng.choice((1, 1, 2))))


def _asked(one: Quiz, rng: Random) -> str:
    first, second = rng.sample(PEOPLE, 2)
    asked = rng.choice(
        (
            f"{one.told} {one.question}",
            f"{one.told}\n{one.question}",
            f"{one.question} {one.told}",
            f"{one.question}\n{one.told}",
            f"{first} read: {one.told} Then {first} asked {second}: {one.question}",
        )
        if one.told
        else (one.question, f"{first} asked {second}: {one.question}", f"{second}, {one.question}")
    ).strip()
    said = rng.choice(
        (f"{one.answer}", f"{one.answer}.", f"{second} said: {one.answer}.", f"It is this: {one.answer}.")
    )
    if rng.random() < 0.2:
        wrong = rng.choice(one.others)
        return f"{asked} {capitalized(wrong)}? No. {capitalized(one.answer)}? Yes."
    return f"{asked} {said}"


def _fact(rng: Random) -> Quiz:
    person = any_person(rng)
    n = person.name
    question, answer, values = rng.choice(
        (
            (f"Where is {n} at home?", person.town, TOWNS),
            (f"In which town does one find {n}?", person.town, TOWNS),
            (f"{n} comes from where?", person.town, TOWNS),
            (f"What does {n} do all day?", person.job, tuple(world.JOBS)),
            (f"What work does {n} have?", person.job, tuple(world.JOBS)),
            (f"Is {n} known as somebody with a trade?", person.job, tuple(world.JOBS)),
            (f"What animal does {n} have?", person.pet, world.ANIMALS),
            (f"Which pet is {n}'s?", person.pet, world.ANIMALS),
            (f"Who waits at home for {n}?", person.pet, world.ANIMALS),
            (f"What color would {n} take?", person.color, world.COLORS),
            (f"Which color is dear to {n}?", person.color, world.COLORS),
            (f"What would {n} like to eat?", person.food, world.FOODS),
            (f"Which dish makes {n} glad?", person.food, world.FOODS),
        )
    )
    return Quiz(told="", question=question, answer=answer, others=_besides(values, answer))


def _effect(rng: Random) -> Quiz:
    asked = (
        "And then?",
        "What came of it?",
        "How did that end?",
        "What did this lead to?",
        "What was seen after that?",
    )
    return _event(rng, told=lambda one: one.cause, answer=lambda one: one.effect, asked=asked)


def _cause(rng: Random) -> Quiz:
    asked = ("Why?", "How so?", "What had been before?", "Where did that come from?", "How could that be?")
    return _event(rng, told=lambda one: one.effect, answer=lambda one: one.cause, asked=asked)


def _event(
    rng: Random, *, told: Callable[[Cause], str], answer: Callable[[Cause], str], asked: tuple[str, ...]
) -> Quiz:
    """One half of a cause and its effect is told, the other asked for."""
    one, person = rng.choice(CAUSES), any_person(rng)
    others = [capitalized(happened(answer(x), any_person(rng))) for x in rng.sample(unlike(one), 3)]
    return Quiz(
        told=f"{capitalized(happened(told(one), person))}.",
        question=rng.choice(asked),
        answer=capitalized(happened(answer(one), person)),
        others=tuple(others),
    )


def _purpose(rng: Random) -> Quiz:
    one = rng.choice(PURPOSES)
    name = rng.choice(PEOPLE)
    return Quiz(
        told=rng.choice(("", f"{name} wanted to {one.goal}.", f"Today {name} will {one.goal}.")),
        question=rng.choice(
            (
                f"With what can {name} {one.goal}?",
                f"What helps to {one.goal}?",
                f"What should {name} take to {one.goal}?",
            )
        ),
        answer=a(one.tool),
        others=tuple(a(tool) for tool in rng.sample(tools_besides(one), 3)),
    )


def _matter(rng: Random) -> Quiz:
    material, deed = rng.choice(tuple(world.MATERIALS)), rng.randrange(len(world.DEEDS))
    thing, person = rng.choice(world.MADE_THINGS), any_person(rng)
    right, wrong = world.outcome(material, deed)
    return Quiz(
        told=f"The {thing} was of {material}. {person.name} {world.DEEDS[deed][0].format(t=thing)}.",
        question=rng.choice(("What did it do?", f"And the {thing}?", f"What became of the {thing}?", "How did it go?")),
        answer=f"It {right}",
        others=(f"It {wrong}",),
    )


def _opinion(rng: Random) -> Quiz:
    person = any_person(rng)
    told = draw_review(rng, person=person, sentences=rng.randint(1, 3))
    good = told.is_positive
    question, yes, no = rng.choice(
        (
            (f"How did {person.name} find the {told.kind}?", "good", "bad"),
            (f"Was it a good {told.kind} or not?", "it was good", "it was not good"),
            (f"What did {person.name} think of it?", "only the best", "nothing good"),
            (f"Would {person.name} go back?", "gladly", "never"),
            ("Are these kind words or harsh ones?", "kind", "harsh"),
            (f"In what spirit did {person.name} write?", "with love", "with hate"),
            (f"Did {person.name} like the {told.kind}?", "yes", "no"),
            (f"Was {person.name} content?", "content", "not content"),
            ("Praise or blame?", "praise", "blame"),
            ("Is that positive or negative?", "positive", "negative"),
            (f"Was {person.name} happy or unhappy?", "happy", "unhappy"),
        )
    )
    answer, other = (yes, no) if good else (no, yes)
    return Quiz(told=told.text, question=question, answer=answer, others=(other,))


def _feeling(rng: Random) -> Quiz:
    mood, person = rng.choice(tuple(MOODS)), any_person(rng)
    told = f"{capitalized(happened(rng.choice(MOODS[mood]), person))}."
    if rng.random() < 0.4:
        return Quiz(
            told=told,
            question=rng.choice(
                (f"What did {person.name} do?", f"And {person.name}?", f"What was {person.name} seen doing?")
            ),
            answer=f"{capitalized(person.he)} {REMEDIES[mood]}",
            others=tuple(f"{capitalized(person.he)} {REMEDIES[x]}" for x in _besides(tuple(MOODS), mood)),
        )
    return Quiz(
        told=told,
        question=rng.choice(
            (f"How was {person.name}?", f"In what mood was {person.name}?", f"{person.name} felt how?")
        ),
        answer=mood,
        others=_besides(tuple(MOODS), mood),
    )


def _person_meant(rng: Random) -> Quiz:
    names = rng.sample(WOMEN if rng.random() < 0.5 else MEN, 2)
    shape, index, reason = rng.choice(person_facts())
    he = world.person(names[0]).he
    return Quiz(
        told=f"{shape.format(a=names[0], b=names[1])}, because {reason.format(w=he)}.",
        question=rng.choice(
            (
                "Of whom is the end told?",
                f"Whose name could stand there for {he}?",
                f"Which of them is {he}?",
                "Of the two, who?",
            )
        ),
        answer=names[index],
        others=(names[1 - index],),
    )


def _thing_meant(rng: Random) -> Quiz:
    shape, index, reason, firsts, seconds = rng.choice(thing_facts())
    things = rng.choice(firsts), rng.choice(seconds)
    return Quiz(
        told=f"{capitalized(shape.format(x=things[0], y=things[1]))}, because {reason}.",
        question=rng.choice(
            ("Which thing is it?", "Of which is the end told?", "What could stand there for it?", "Of the two, which?")
        ),
        answer=f"the {things[index]}",
        others=(f"the {things[1 - index]}",),
    )


def _scene(rng: Random) -> Quiz:
    scene = draw_scene(rng, size=rng.choice((2, 3, 3)))
    one = rng.choice(scene.holdings)
    field, question = rng.choice(
        (
            ("name", f"Who of them had the {one.thing}?"),
            ("name", f"Whom would one meet in the {one.place}?"),
            ("place", f"To which place must one go for {one.name}?"),
            ("place", f"Where would one look for the {one.thing}?"),
            ("thing", f"Which thing was with {one.name}?"),
            ("thing", f"What could one see in the {one.place}?"),
            ("color", f"How was the {one.thing} painted?"),
        )
    )
    answer = str(getattr(one, field))
    return Quiz(
        told=" ".join(scene.sentences(rng)),
        question=question,
        answer=answer,
        others=tuple(str(getattr(x, field)) for x in scene.holdings if x is not one),
    )


def _claim(rng: Random) -> Quiz:
    scene = draw_scene(rng, size=rng.choice((1, 2, 2)))
    verdict = rng.choice(("true", "false"))
    claim = draw_claim(scene, rng, verdict=verdict, mixes_up=len(scene.holdings) > 1 and rng.random() < 0.6)
    yes, no = rng.choice((("yes", "no"), ("right", "wrong"), ("true", "false")))
    answer, other = (yes, no) if verdict == "true" else (no, yes)
    question = question_of(claim.text) if yes == "yes" else f"Somebody says that {claim.text}: {yes} or {no}?"
    return Quiz(told=" ".join(scene.sentences(rng)), question=question, answer=answer, others=(other,))


def _count(rng: Random) -> Quiz:
    told = draw_count(rng)
    others = [world.NUMBERS[k] for k in range(11) if k != told.result and abs(k - told.result) < 4]
    return Quiz(
        told=told.story,
        question=rng.choice((f"And now {told.person.name} has what?", "What is the sum?", "Which number comes out?")),
        answer=world.NUMBERS[told.result],
        others=tuple(others),
    )


def _topic(rng: Random) -> Quiz:
    topic = rng.choice(tuple(TOPICS))
    told = ". ".join(capitalized(x) for x in rng.sample(TOPICS[topic], 2))
    return Quiz(
        told=f"{told}.",
        question=rng.choice(("Of what is this?", "What was the talk of?", "What do these lines deal with?")),
        answer=topic,
        others=_besides(tuple(TOPICS), topic),
    )


def _kind(rng: Random) -> Quiz:
    kind = rng.choice(tuple(world.CATEGORIES))
    return Quiz(
        told="",
        question=rng.choice(("{m} is what?", "What sort of thing is {m}?", "Among what does {m} count?")).format(
            m=rng.choice(world.CATEGORIES[kind])
        ),
        answer=a(kind),
        others=tuple(a(x) for x in _besides(tuple(world.CATEGORIES), kind)),
    )


def _besides(values: Sequence[str], answer: str) -> tuple[str, ...]:
    return tuple(value for value in values if value != answer)


KINDS: tuple[Callable[[Random], Quiz], ...] = (
    _fact,
    _fact,
    _effect,
    _cause,
    _purpose,
    _matter,
    _opinion,
    _opinion,
    _feeling,
    _person_meant,
    _thing_meant,
    _scene,
    _scene,
    _claim,
    _claim,
    _count,
    _topic,
    _kind,
)
