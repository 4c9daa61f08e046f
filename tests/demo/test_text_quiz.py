"""Questions about the world: answered rightly, in many forms, and never with answers to choose from."""

from __future__ import annotations

import re
from random import Random

import pytest

from flantune.demo import text_quiz, world
from flantune.demo.names import PEOPLE
from flantune.demo.text import asked_text
from flantune.demo.text_quiz import KINDS, quiz


@pytest.mark.parametrize("kind", dict.fromkeys(KINDS), ids=lambda kind: kind.__name__)
def test_a_question_has_one_right_answer_in_several_forms(kind) -> None:
    made = [kind(Random(number)) for number in range(200)]
    for one in made:
        assert one.question.endswith("?") and one.answer and one.others and one.answer not in one.others
    assert len({re.sub(rf"\b({'|'.join(PEOPLE)})\b", "_", one.question) for one in made}) >= 3


def test_facts_are_those_of_the_world() -> None:
    fields = {"town": "town", "trade": "job", "work": "job", "pet": "pet", "color": "color", "dish": "food"}
    seen = set()
    for number in range(400):
        one = text_quiz._fact(Random(number))
        (name,) = (word for word in re.findall(r"\w+", one.question) if word in PEOPLE)
        for word, field in fields.items():
            if word in one.question:
                assert one.answer == getattr(world.person(name), field)
                seen.add(word)
    assert seen == set(fields)


def test_a_claim_is_judged_as_the_scene_says() -> None:
    """Of one holding: a claim with its own place, thing and color is true, and any other is not."""
    for number in range(300):
        one = text_quiz._claim(Random(number))
        said = re.findall(r"\w+", one.question.lower())
        names = [name for name in PEOPLE if name in one.told]
        if len(names) > 1:
            continue
        told = set(re.findall(r"\w+", one.told.lower()))
        values = [word for word in said if word in (*world.PLACES, *world.COLORS, *world.THINGS)]
        assert (one.answer in ("yes", "right", "true")) == (set(values) <= told), one


def test_nothing_is_offered_to_choose_from() -> None:
    for number in range(2_000):
        text = quiz(Random(number))
        assert "\n-" not in text and text.strip() == text


def test_the_second_text_is_a_function_of_seed_and_number() -> None:
    assert [asked_text(number) for number in range(50)] == [asked_text(number) for number in range(50)]
    assert any(asked_text(number) != asked_text(number, seed=1) for number in range(50))
