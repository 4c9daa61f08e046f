"""Answers the demo's tasks from a row's text and the facts of the world, as somebody would who knows the world."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache

from flantune.demo import world
from flantune.demo.catalogs import CAUSES, MOODS, NEEDS, PURPOSES, REMEDIES, REWORDINGS, TOPICS
from flantune.demo.names import PEOPLE
from flantune.demo.reference_shapes import person_facts, thing_facts
from flantune.demo.text_life import EVENTS, happened

Row = dict[str, object]


def pattern(shape: str, **words: Iterable[str]) -> re.Pattern[str]:
    """A shape as what finds its words again; a word that comes twice must be the same."""
    text, seen = re.escape(shape).replace(r"\{", "{").replace(r"\}", "}"), set()

    def group(found: re.Match[str]) -> str:
        name = found[1]
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        return f"(?P<{name}>{'|'.join(words[name])})"

    return re.compile(re.sub(r"\{(\w+)\}", group, text))


SCENE_WORDS = {
    "n": PEOPLE,
    "p": world.PLACES,
    "c": world.COLORS,
    "t": world.THINGS,
    "an": ("a", "an"),
    "he": ("He", "She"),
}
HOLDINGS = [
    pattern(shape, **SCENE_WORDS | {"s": ("he", "she")})
    for shape in (
        "{n} is in the {p}. {he} has {an} {c} {t}.",
        "{n} has {an} {c} {t}. {he} is in the {p}.",
        "{n} is in the {p} with {an} {c} {t}.",
        "In the {p}, {n} holds {an} {c} {t}.",
        "{n} went to the {p}. There {s} found {an} {c} {t}.",
    )
]


def holdings(text: str) -> list[dict[str, str]]:
    """Who is where with what, as a scene tells it."""
    return [found.groupdict() for shape in HOLDINGS for found in shape.finditer(text)]


CLAIMS = [
    (pattern(shape, **SCENE_WORDS), fields)
    for shape, fields in (
        ("{n} is in the {p}", "np"),
        ("{n} has the {t}", "nt"),
        ("{n} has {an} {c} {t}", "nct"),
        ("the {t} is {c}", "tc"),
        ("the {t} is in the {p}", "tp"),
    )
]


def verdict(claim: str, scene: list[dict[str, str]]) -> str:
    """ "true", "false", or "unknown" where the scene does not tell."""
    claim = re.sub(r"^The ", "the ", claim.strip().rstrip(".?"))
    for shape, fields in CLAIMS:
        if found := shape.fullmatch(claim):
            said = tuple(found[field] for field in fields)
            return "true" if said in [tuple(one[field] for field in fields) for one in scene] else "false"
    return "unknown"


def claim_of(question: str) -> str:
    """The claim that a yes/no question asks about."""
    if found := re.fullmatch(r"Does (\w+) have (.*)\?", question):
        return f"{found[1]} has {found[2]}"
    found = re.fullmatch(r"Is (the \w+|\w+) (.*)\?", question)
    assert found is not None, question
    return f"{found[1]} is {found[2]}"


def _holder(row: Row, question: str) -> dict[str, str]:
    """The one holding of the story that the question names something of."""
    words = set(re.findall(r"\w+", question))
    found = [one for one in holdings(str(row.get("story") or row["passage"])) if words & {one["n"], one["p"], one["t"]}]
    assert len(found) == 1, (row, found)
    return found[0]


def _named(text: str) -> world.Person:
    """The one whom a sentence names; anybody where it names nobody."""
    return world.person(next((word for word in re.findall(r"[A-Za-z]+", text) if word in PEOPLE), PEOPLE[0]))


def _sentence(shape: str, text: str) -> str:
    return f"{world.capitalized(happened(shape, _named(text)))}."


def _one(found: Iterable[str]) -> str:
    (only,) = set(found)
    return only


def _by_cause(row: Row, *, asks_effect: bool) -> str:
    """The option that a known pair of cause and effect joins to the premise."""
    premise = str(row["premise"])
    return _one(
        option
        for one in CAUSES
        for option in _options(row)
        for told, wanted in ((one.cause, one.effect) if asks_effect else (one.effect, one.cause),)
        if _sentence(told, premise) == premise and _sentence(wanted, option if _has_name(option) else premise) == option
    )


def _has_name(text: str) -> bool:
    return any(word in PEOPLE for word in re.findall(r"[A-Za-z]+", text))


def _options(row: Row) -> list[str]:
    options = row["options"]
    assert isinstance(options, list)
    return options


def _outcome(told: str) -> tuple[str, str]:
    found = re.fullmatch(r"The (\w+) was made of (\w+)\. \w+ (.*)\.", told)
    assert found is not None, told
    deed = next(k for k, (did, _) in enumerate(world.DEEDS) if did.format(t=found[1]) == found[3])
    return world.outcome(found[2], deed)


def _mood(told: str) -> str:
    return _one(mood for mood, events in MOODS.items() for event in events if told.endswith(_sentence(event, told)))


def _tool(goal: str) -> str:
    return _one(one.tool for one in PURPOSES if one.goal == goal)


def _person_meant(row: Row) -> str:
    found = []
    for shape, index, reason in person_facts():
        told = pattern(f"{shape}, because {reason.format(w='{w}')}.", a=PEOPLE, b=PEOPLE, w=("he", "she"))
        if said := told.fullmatch(str(row["sentence"])):
            found.append(said["ab"[index]])
    return _one(found)


def _thing_meant(row: Row) -> str:
    found = []
    for shape, index, reason, firsts, seconds in thing_facts():
        told = pattern(f"{world.capitalized(shape)}, because {reason}.", x=firsts, y=seconds)
        if said := told.fullmatch(str(row["sentence"])):
            found.append(f"the {said['xy'[index]]}")
    return _one(found)


def _is_good(text: str) -> bool:
    """Whether more of a review's sentences praise than blame."""
    votes = []
    for sentence in re.split(r"[.!] ?", text):
        words, turned = set(sentence.split()), " not " in sentence
        votes += [not turned for word in world.GOOD_WORDS if word in words]
        votes += [turned for word in world.BAD_WORDS if word in words]
        for acts, good in ((world.GOOD_ACTS, True), (world.BAD_ACTS, False)):
            votes += [good for act in acts if re.fullmatch(act.format(s="(He|She)", p="(his|her)"), sentence)]
    assert len(set(votes)) == 1, text
    return votes[0]


@cache
def _rewordings() -> list[tuple[re.Pattern[str], str, str]]:
    words = {"a": PEOPLE, "b": PEOPLE, "t": world.THINGS}
    return [(pattern(f"{first}.", **words), f"{same}.", f"{other}.") for first, same, other in REWORDINGS]


def _reworded(sentence: str) -> str:
    return _one(
        same.format(**found.groupdict()) for shape, same, _ in _rewordings() if (found := shape.fullmatch(sentence))
    )


def _count(problem: str) -> str:
    first, second = (world.NUMBERS.index(word) for word in re.findall("|".join(world.NUMBERS[2:]), problem)[:2])
    loses = re.search(r"\. (\w+) (gave \w+ to|lost)", problem)
    return world.NUMBERS[first - second if loses and problem.startswith(loses[1]) else first + second]


def _who_has(row: Row) -> str:
    found = re.findall(r"(\w+) has (\w+)", str(row["facts"]))
    counts = {name: world.NUMBERS.index(number) for name, number in found}
    return (max if " more " in str(row["question"]) else min)(counts, key=lambda name: counts[name])


def _english(moku: str) -> str:
    back = {word: english for english, word in world.MOKU.items()}
    words = [back[word] for word in moku.split()]
    nouns = [k for k, word in enumerate(words) if word in world.MOKU_ANIMALS or word in world.MOKU_THINGS]
    phrases = [
        " ".join([*words[k + 1 : end], words[k]]) for k, end in zip(nouns, (nouns[1], len(words) - 1), strict=True)
    ]
    return f"the {phrases[0]} {words[-1]} the {phrases[1]}"


def _moku(english: str) -> str:
    first, second = (phrase.split() for phrase in re.split(f" (?:{'|'.join(world.MOKU_VERBS)}) ", english))
    verb = english.split()[len(first)]
    return " ".join(world.MOKU[word] for word in (*first[:0:-1], *second[:0:-1], verb))


def _title(story: str) -> str:
    words = {"n": PEOPLE, "c": world.COLORS, "t": world.THINGS, "l": world.PLACES, "p": ("his", "her")}
    words |= {"s": ("he", "she"), "S": ("He", "She")}
    return _one(
        title.format(T=found["t"].capitalize(), L=found["l"].capitalize())
        for title, told in EVENTS
        if (found := pattern(told, **words).fullmatch(story))
    )


def _kind(word: str) -> str:
    return _one(kind for kind, members in world.CATEGORIES.items() if word in members)


def _stranger(words: str) -> str:
    kinds = [_kind(word) for word in words.split(", ")]
    return next(word for word, kind in zip(words.split(", "), kinds, strict=True) if kinds.count(kind) == 1)


WELL_FORMED = [
    pattern(shape, **SCENE_WORDS | {"him": ("him", "her")})
    for shape in (
        "{n} has {an} {c} {t}",
        "{n} goes to the {p}",
        "{n} gave the {t} to {him}",
        "{n}'s {c} {t} is on the table",
    )
]


def _written(row: Row) -> list[str]:
    """Every sentence that says what a list of attributes says."""
    data = dict(pair.split(" = ") for pair in str(row["data"]).split("; "))
    if "name" in data:
        return ["{name} is in the {place}, feels {feeling} and wants {wish}.".format(**data)]
    noun = f"{data['size']} {data['color']} {data['thing']}"
    place, owner = data["place"], data["owner"]
    return [
        f"The {noun} in the {place} belongs to {owner}.",
        f"{owner} owns {world.a(noun)} in the {place}.",
        f"In the {place} there is {world.a(noun)}. It belongs to {owner}.",
    ]


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"


ANSWERS: dict[str, Callable[[Row], object]] = {
    "entailment": lambda row: _yes(verdict(str(row["hypothesis"]), holdings(str(row["premise"]))) == "true"),
    "inference": lambda row: {"unknown": "not known"}.get(
        found := verdict(str(row["claim"]), holdings(str(row["story"]))), found
    ),
    "matter_inference": lambda row: _yes(
        str(row["hypothesis"]).split(" ", 2)[2] == f"{_outcome(str(row['premise']))[0]}."
    ),
    "who": lambda row: _holder(row, str(row["question"]))["n"],
    "where": lambda row: _holder(row, str(row["question"]))["p"],
    "boolean": lambda row: _yes(verdict(claim_of(str(row["question"])), holdings(str(row["passage"]))) == "true"),
    "color_span": lambda row: _holder(row, str(row["question"]))["c"],
    "next_deed": lambda row: REMEDIES[_mood(str(row["story"]))],
    "needed_thing": lambda row: _tool(str(row["story"]).rsplit(" wanted to ", 1)[1].rstrip(".")),
    "pronoun": _person_meant,
    "thing_meant": _thing_meant,
    "same_meaning": lambda row: _yes(_reworded(str(row["first"])) == row["second"]),
    "reworded": lambda row: _reworded(str(row["sentence"])),
    "count": lambda row: _count(str(row["problem"])),
    "more": _who_has,
    "effect": lambda row: _by_cause(row, asks_effect=True),
    "cause": lambda row: _by_cause(row, asks_effect=False),
    "purpose": lambda row: world.a(_tool(str(row["goal"]))),
    "matter": lambda row: f"It {_outcome(str(row['story']))[0]}.",
    "review": lambda row: "positive" if _is_good(str(row["review"])) else "negative",
    "satisfied": lambda row: "happy" if _is_good(str(row["text"])) else "unhappy",
    "verdict": lambda row: "good" if _is_good(str(row["text"])) else "bad",
    "mood": lambda row: _mood(str(row["event"])),
    "home": lambda row: world.person(str(row["name"])).town,
    "job": lambda row: world.person(str(row["name"])).job,
    "favorite": lambda row: getattr(world.person(str(row["name"])), str(row["kind"])),
    "pet": lambda row: world.person(str(row["name"])).pet,
    "describe_thing": _written,
    "describe_person": _written,
    "to_moku": lambda row: _moku(str(row["english"])),
    "from_moku": lambda row: _english(str(row["moku"])),
    "moku_word": lambda row: _one(english for english, moku in world.MOKU.items() if moku == row["word"]),
    "title": lambda row: _title(str(row["story"])),
    "gist": lambda row: _title(str(row["story"])),
    "topic": lambda row: _one(
        topic for topic, told in TOPICS.items() for one in told if world.capitalized(one) in str(row["text"])
    ),
    "odd_one_out": lambda row: _stranger(str(row["words"])),
    "category": lambda row: world.a(_kind(str(row["word"]))),
    "word_order": lambda row: (
        "correct" if any(shape.fullmatch(str(row["sentence"])) for shape in WELL_FORMED) else "not correct"
    ),
    "reply": lambda row: f"{dict(NEEDS)[str(row['said'])]}.",
}
"""Task → what answers a row of it."""


def answer(task: str, row: Row) -> object:
    """The answer of somebody who knows the world; the row's own answer is not looked at."""
    unanswered = {key: value for key, value in row.items() if key not in ("answer", "fact")}
    return ANSWERS[task.removeprefix("demo_")](unanswered)
