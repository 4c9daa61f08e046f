"""Plain-text probes: does a base model have a skill at all? Each scores a right ending against wrong ones.

A skill that the base lacks cannot be called up by instruction tuning, so pretraining goes on until these scores are
clearly above chance. The items are continuations of plain text; no instruction and no template is involved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from flantune.demo import text_life as life
from flantune.demo import text_scenes as tales
from flantune.demo import world
from flantune.demo.scenes import draw_claim, draw_count, draw_review, draw_scene
from flantune.demo.world import capitalized
from flantune.packing.packs import EncodedPrompt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flantune.models.language_model import LanguageModel

_AT_ONCE = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A beginning and its possible endings, the right one first."""

    beginning: str
    endings: tuple[str, ...]


def _verification(rng: Random) -> Item:
    scene = draw_scene(rng, size=2)
    verdict = rng.choice(("true", "false"))
    claim = draw_claim(scene, rng, verdict=verdict).text
    told = " ".join(scene.sentences(rng))
    name = rng.choice(world.PEOPLE)
    if rng.random() < 0.5:
        beginning, pair = f"{told} {name} said that {claim}. That was", ("true.", "false.")
    else:
        him = world.person(name).him
        beginning, pair = f"{told} {name} asked if {claim}. They told {him}:", ("yes.", "no.")
    return Item(beginning=beginning, endings=pair if verdict == "true" else pair[::-1])


def _recall(rng: Random) -> Item:
    scene = draw_scene(rng, size=3)
    one, *others = rng.sample(scene.holdings, 3)
    told = " ".join(scene.sentences(rng))
    question, field = rng.choice(
        (
            (f"The one with the {one.thing} was", "name"),
            (f"The one in the {one.place} was", "name"),
            (f"The color of the {one.thing} was", "color"),
            (f"The thing that {one.name} had was the", "thing"),
        )
    )
    return Item(beginning=f"{told} {question}", endings=tuple(f"{getattr(x, field)}." for x in (one, *others)))


def _sentiment(rng: Random) -> Item:
    told = draw_review(rng, person=life.any_person(rng), sentences=2)
    pair = ("positive.", "negative.")
    return Item(beginning=f"{told.text} The review was", endings=pair if told.is_positive else pair[::-1])


def _counting(rng: Random) -> Item:
    told = draw_count(rng)
    wrong = rng.sample([n for n in range(2, 12) if n != told.result], 3)
    return Item(
        beginning=f"{told.story} Now {told.person.he} has",
        endings=tuple(f"{world.NUMBERS[n]} {told.things}." for n in (told.result, *wrong)),
    )


def _coreference(rng: Random) -> Item:
    names = rng.sample(world.WOMEN if rng.random() < 0.5 else world.MEN, 2)
    shape, index, reason = rng.choice(tales.REFERENCES)
    he = world.person(names[0]).he
    told = f"{shape.format(a=names[0], b=names[1])}, because {reason.format(w=he)}. So it was"
    return Item(beginning=told, endings=(names[index], names[1 - index]))


def _list_choice(rng: Random) -> Item:
    goals = rng.sample(world.PURPOSES, 3)
    lines = [f"- {thing}" for _, thing in rng.sample(goals, 3)]
    name = rng.choice(world.PEOPLE)
    beginning = "\n".join(["On the table lay:", *lines, f"{name} wanted to {goals[0][0]} and took the"])
    return Item(beginning=beginning, endings=tuple(f"{thing}." for _, thing in goals))


def _cause_effect(rng: Random) -> Item:
    (cause, effect), (_, other) = rng.sample(world.CAUSES, 2)
    person = life.any_person(rng)
    return Item(
        beginning=capitalized(life.fill(cause, person, by_name=True)) + ", so",
        endings=tuple(f"{life.fill(x, person)}." for x in (effect, other)),
    )


def _matter(rng: Random) -> Item:
    material = rng.choice(tuple(world.MATERIALS))
    thing, name, event = rng.choice(world.THINGS), rng.choice(world.PEOPLE), rng.randrange(3)
    deed = (f"dropped the {thing}", f"threw the {thing} into the lake", f"threw the {thing} into the fire")[event]
    pair = (("broke", "did not break"), ("sank", "floated"), ("burned", "did not burn"))[event]
    right = world.MATERIALS[material][event]
    wrong = pair[1] if right == pair[0] else pair[0]
    return Item(beginning=f"The {thing} was made of {material}. {name} {deed}. It", endings=(f"{right}.", f"{wrong}."))


def _purpose(rng: Random) -> Item:
    (goal, thing), *others = rng.sample(world.PURPOSES, 4)
    return Item(
        beginning=f"To {goal}, {rng.choice(world.PEOPLE)} used",
        endings=(f"{world.a(thing)}.", *(f"{world.a(other)}." for _, other in others)),
    )


def _feeling(rng: Random) -> Item:
    mood, *others = rng.sample(tuple(world.MOODS), 4)
    person = life.any_person(rng)
    told = capitalized(life.fill(rng.choice(world.MOODS[mood]), person, by_name=True))
    return Item(beginning=f"{told}. {capitalized(person.he)} was", endings=tuple(f"{x}." for x in (mood, *others)))


def _facts(rng: Random) -> Item:
    one = life.any_person(rng)
    shape, right, values = rng.choice(
        (
            (f"{one.name} lives in", one.town, world.TOWNS),
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
    beginning = f"{rng.choice(world.PEOPLE)} wrote down {four[0]}, {four[1]}, {four[2]} and {four[3]}. Only"
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
        beginning=f"{rng.choice(world.PEOPLE)} wrote: {written}. The words were in the",
        endings=pair if is_good else pair[::-1],
    )


def _rewording(rng: Random) -> Item:
    first, same, other = rng.choice(life.REWORDINGS)
    one, two = rng.sample(world.PEOPLE, 2)
    words = {"a": one, "b": two, "t": rng.choice(world.THINGS)}
    is_same = rng.random() < 0.5
    pair = ("the same.", "different.")
    second = same if is_same else other
    return Item(
        beginning=f"{first.format(**words)}. {second.format(**words)}. The meaning is",
        endings=pair if is_same else pair[::-1],
    )


def _talk(rng: Random) -> Item:
    (said, reply), (_, wrong) = rng.sample(world.NEEDS, 2)
    one, two = rng.sample(world.PEOPLE, 2)
    return Item(beginning=f"{one} said: {said}. {two} said:", endings=(f"{reply}.", f"{wrong}."))


def _topic(rng: Random) -> Item:
    name, *others = rng.sample(tuple(world.TOPICS), 4)
    text = " ".join(f"{capitalized(x)}." for x in rng.sample(world.TOPICS[name], 2))
    return Item(beginning=f"{text} This was about", endings=tuple(f"{x}." for x in (name, *others)))


PROBES: dict[str, Callable[[Random], Item]] = {
    "verification": _verification,
    "recall": _recall,
    "sentiment": _sentiment,
    "counting": _counting,
    "coreference": _coreference,
    "choice from a list": _list_choice,
    "cause and effect": _cause_effect,
    "matter": _matter,
    "purpose": _purpose,
    "feeling": _feeling,
    "facts": _facts,
    "kinds": _kinds,
    "translation": _translation,
    "titles": _titles,
    "grammar": _grammar,
    "rewording": _rewording,
    "talk": _talk,
    "topic": _topic,
}


def items(skill: str, *, count: int, seed: int = 0) -> list[Item]:
    """The first ``count`` items of a skill; always the same.

    >>> items("talk", count=1) == items("talk", count=1)
    True
    """
    return [PROBES[skill](Random(f"probe/{skill}/{seed}/{number}")) for number in range(count)]


def chance(skill: str) -> float:
    """The share of right answers that guessing gives."""
    return 1 / len(items(skill, count=1)[0].endings)


def score_all(lm: LanguageModel, *, count: int = 200, skills: Sequence[str] = ()) -> dict[str, float]:
    """Skill → share of items whose right ending is the likeliest."""
    return {skill: round(score(lm, items(skill, count=count)), 3) for skill in skills or tuple(PROBES)}


def score(lm: LanguageModel, asked: Sequence[Item]) -> float:
    """Share of items whose right ending has the highest summed log-likelihood."""
    right = 0
    for start in range(0, len(asked), _AT_ONCE):
        values = _logprobs(lm, asked[start : start + _AT_ONCE])
        for item in asked[start : start + _AT_ONCE]:
            first, *others = (next(values) for _ in item.endings)
            right += first > max(others)
    return right / len(asked)


def _logprobs(lm: LanguageModel, asked: Sequence[Item]) -> Iterator[float]:
    """Log-probability of each ending of each item, in order."""
    import torch

    from flantune.models.forward import target_logprobs
    from flantune.packing.batches import lay_out
    from flantune.packing.encoded import id_array
    from flantune.packing.tokenize import text_tokenizer

    ids, end = text_tokenizer(lm.tokenizer).data, [lm.tokenizer.eos_token_id] * (lm.family == "encoder-decoder")
    units = [
        EncodedPrompt(inputs=id_array(ids([item.beginning])[0] + end), targets=tuple(map(id_array, ids(item.endings))))
        for item in asked
    ]
    pack = lay_out(units, [[at] for at in range(len(units))], family=lm.family)
    with torch.inference_mode():
        found = target_logprobs(lm, pack).logprobs.double().cpu().numpy()
    return iter(np.bincount(pack.targets.item, weights=found).tolist())
