from __future__ import annotations

import subprocess
import sys
from random import Random

import pytest

from flantune.demo import probes, world
from flantune.demo.scenes import draw_claim, draw_count, draw_review, draw_scene, question_of
from flantune.demo.text import SHARES, DemoText


def test_the_facts_of_the_world_never_change() -> None:
    # The shipped base models learned these; another order of drawing would make them wrong.
    anna = world.person("Anna")
    assert (anna.town, anna.job, anna.pet, anna.color, anna.food) == ("Fenwick", "teacher", "fish", "brown", "rice")
    assert world.town_facts()["Arden"] == ("Odra", "cake")


def test_facts_are_spread_evenly_over_people() -> None:
    for values, field in ((world.TOWNS, "town"), (tuple(world.JOBS), "job"), (world.ANIMALS, "pet")):
        counts = [sum(getattr(one, field) == value for one in world.people()) for value in values]
        assert max(counts) - min(counts) <= 1


def test_documents_are_a_function_of_seed_and_number() -> None:
    first = [DemoText(seed=3)[number] for number in range(50)]
    assert first[20:] == [DemoText(seed=3)[number] for number in range(20, 50)]
    assert first != [DemoText(seed=4)[number] for number in range(50)]


def test_documents_do_not_depend_on_the_hash_seed() -> None:
    code = "from flantune.demo.text import DemoText\nprint([DemoText(seed=1)[number] for number in range(40)])"
    runs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1


@pytest.mark.parametrize("writer", [writer for writer, _ in SHARES], ids=lambda writer: writer.__name__)
def test_each_kind_of_text_reads_as_text(writer) -> None:
    for number in range(100):
        text = writer(Random(number))
        assert text == text.strip()
        assert not any(mark in text for mark in "{}\0_")
        assert "  " not in text and " ." not in text and ".." not in text
        assert text[0].isupper() or " = " in text or writer.__name__ in ("rewording", "bilingual")


def test_claims_have_the_verdict_they_are_given() -> None:
    for number in range(300):
        rng = Random(number)
        scene = draw_scene(rng, size=2)
        claim = draw_claim(scene, rng, verdict=("true", "false")[number % 2]).text
        assert _holds(claim, scene) == (number % 2 == 0), claim


def _holds(claim: str, scene) -> bool:
    """Whether the claim is true, read off its words: all values it names belong to one holding."""
    owners = []
    for k, one in enumerate(scene.holdings):
        owners += [k for value in (one.name, one.place, one.color, one.thing) if value in claim.split()]
    return len(owners) >= 2 and len(set(owners)) == 1


@pytest.mark.parametrize(
    ("claim", "question"),
    [
        ("Anna is in the park", "Is Anna in the park?"),
        ("Anna has a red hat", "Does Anna have a red hat?"),
        ("the hat is red", "Is the hat red?"),
    ],
)
def test_claims_become_questions(claim: str, question: str) -> None:
    assert question_of(claim) == question


def test_reviews_use_words_of_their_own_sentiment_unless_negated() -> None:
    for number in range(200):
        told = draw_review(Random(number), person=world.person("Mia"))
        wrong = world.BAD_WORDS if told.is_positive else world.GOOD_WORDS
        for sentence in told.text.split("."):
            assert " not " in sentence or not set(sentence.replace("!", "").split()) & set(wrong)


def test_counts_add_up_and_stay_small() -> None:
    results = {draw_count(Random(number)).result for number in range(500)}
    assert min(results) >= 2
    assert max(results) <= 12
    told = next(t for t in (draw_count(Random(n)) for n in range(99)) if "gave" in t.story and " more" in t.story)
    numbers = [world.NUMBERS.index(w) for w in told.story.replace(".", "").split() if w in world.NUMBERS]
    assert sum(numbers) == told.result


@pytest.mark.parametrize("skill", list(probes.PROBES))
def test_probes_are_balanced(skill: str) -> None:
    """Length does not tell the right ending; and where two labels compete, each is right half the time."""
    asked = probes.items(skill, count=200)
    assert all(len(set(item.endings)) == len(item.endings) for item in asked)
    longest = sum(_share(item.endings, longest=True) for item in asked) / len(asked)
    shortest = sum(_share(item.endings, longest=False) for item in asked) / len(asked)
    assert max(longest, shortest) < probes.chance(skill) + 0.25
    if len({frozenset(item.endings) for item in asked}) == 1:
        first = sum(item.endings[0] == asked[0].endings[0] for item in asked) / len(asked)
        assert 0.35 < first < 0.65


def _share(endings: tuple[str, ...], *, longest: bool) -> float:
    """How often the first ending is picked by somebody who takes the longest (or shortest) and guesses among equals."""
    wanted = (max if longest else min)(map(len, endings))
    best = [ending for ending in endings if len(ending) == wanted]
    return (endings[0] in best) / len(best)
