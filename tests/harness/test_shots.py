"""Exemplars of task files: those the harness draws, but never a question before itself with its answer."""

from __future__ import annotations

import json
from random import Random

import pytest

from flantune.errors import TaskError
from flantune.harness.read import harness_exams
from flantune.suites.suite import SuiteData

BASE = """
task: birds
dataset_path: json
output_type: multiple_choice
doc_to_text: "Can a {{bird}} swim?"
doc_to_choice: ["no", "yes"]
doc_to_target: label
num_fewshot: 3
"""
BIRDS = ("duck", "eagle", "finch", "goose", "heron", "ibis", "jay", "kite")


def row(n: int, **more):
    return {"bird": BIRDS[n % len(BIRDS)], "label": n % 2, **more}


@pytest.fixture
def ask(tmp_path):
    def asked(settings: str, shots=None, **splits):
        for split, rows in splits.items():
            (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
        files = ", ".join(f"{split}: {split}.jsonl" for split in splits)
        (tmp_path / "birds.yaml").write_text(f"{BASE}dataset_kwargs: {{data_files: {{{files}}}}}\n{settings}")
        (found,) = harness_exams([tmp_path / "birds.yaml"], SuiteData(shots=shots))
        return tuple(found.exam.prompts)

    return asked


def shown(prompt) -> list[str]:
    return [one.inputs for one in prompt.exemplars]


def asked_of(rows) -> list[str]:
    return [f"Can a {one['bird']} swim?" for one in rows]


EVERY_POOL = {
    "no fewshot_split, test alone": ("test_split: test\n", "test"),
    "no fewshot_split, validation alone": ("validation_split: validation\n", "validation"),
    "fewshot_split is test": ("test_split: test\nfewshot_split: test\n", "test"),
    "fewshot_split is the validation asked": (
        "validation_split: validation\nfewshot_split: validation\n",
        "validation",
    ),
    "the split is in fewshot_config": ("test_split: test\nfewshot_config: {split: test}\n", "test"),
    "the first rows": ("test_split: test\nfewshot_config: {sampler: first_n}\n", "test"),
}


@pytest.mark.parametrize("settings", EVERY_POOL, ids=list(EVERY_POOL))
def test_no_pool_shows_a_question_itself(ask, settings):
    text, split = EVERY_POOL[settings]
    prompts = ask(text, **{split: [row(n) for n in range(8)]})
    for prompt in prompts:
        assert prompt.inputs not in shown(prompt) and len(set(shown(prompt))) == 3


def test_copies_of_a_question_in_another_split_are_not_shown_before_it(ask):
    # The same questions under other numbers: rows that differ, questions that do not.
    train = [row(n, id=100 + n) for n in range(8)]
    prompts = ask("training_split: train\ntest_split: test\nfewshot_split: train\n", train=train,
                  test=[row(n, id=n) for n in range(8)])  # fmt: skip
    assert all(prompt.inputs not in shown(prompt) and len(shown(prompt)) == 3 for prompt in prompts)


VARIANTS = {
    "a blank at the end": lambda one: {**one, "bird": f"{one['bird']}  "},
    "capitals": lambda one: {**one, "bird": one["bird"].upper()},
    "line ends and wide blanks": lambda one: {**one, "bird": f"\n\u00a0{one['bird']}"},
    "the other answer": lambda one: {**one, "label": 1 - one["label"]},
    "choices in another order": lambda one: {**one, "way": ["yes", "no"], "label": 1 - one["label"]},
}


@pytest.mark.parametrize("variant", VARIANTS, ids=list(VARIANTS))
@pytest.mark.parametrize(
    "more", ["", "fewshot_config: {doc_to_text: 'A {{bird}}?'}\n", "fewshot_config: {sampler: first_n}\n"]
)
@pytest.mark.parametrize("kind", ["multiple_choice", "generate_until"])
def test_no_variant_of_a_question_is_shown_before_it(ask, variant, more, kind):
    rows = [row(n, id=n, way=["no", "yes"]) for n in range(8)]
    train = [VARIANTS[variant]({**one, "id": 100 + n}) for n, one in enumerate(rows)]
    own = f"doc_to_choice: way\noutput_type: {kind}\n"
    settings = f"training_split: train\ntest_split: test\nfewshot_split: train\n{own}{more}"
    for prompt in ask(settings, train=train, test=rows):
        bird = " ".join(prompt.inputs.casefold().split()).split(" ")[2]
        assert len(shown(prompt)) == 3 and not any(bird in text.casefold() for text in shown(prompt))


def test_questions_that_were_not_drawn_for_themselves_keep_the_harness_exemplars(ask):
    rows = [row(n) for n in range(8)]
    prompts, drawn, changed = ask("test_split: test\n", test=rows), Random(1234), 0
    for prompt in prompts:
        expected = asked_of(drawn.sample(rows, 3))
        places = [at for at, text in enumerate(expected) if text != prompt.inputs]
        assert [shown(prompt)[at] for at in places] == [expected[at] for at in places]
        changed += len(places) < 3
    assert 0 < changed < len(prompts)


def test_one_question_for_all_rows_does_not_tell_them_apart(ask):
    settings = 'test_split: test\ndoc_to_text: "Can it swim?"\n'
    prompts = ask(settings, test=[row(n) for n in range(6)])
    assert all(len(prompt.exemplars) == 3 for prompt in prompts)


def test_a_pool_of_nothing_but_the_question_is_refused(ask):
    with pytest.raises(TaskError, match="3 exemplars wanted from 0 rows that are not the question itself"):
        ask("training_split: train\ntest_split: test\n", train=[row(1)] * 5, test=[row(1)])


def test_a_file_that_says_no_exemplars_gets_none_whatever_the_command_says(ask):
    rows = [row(n) for n in range(8)]
    assert len(ask("test_split: test\n", shots=2, test=rows)[0].exemplars) == 2
    assert ask("test_split: test\nnum_fewshot: 0\n", shots=2, test=rows)[0].exemplars == ()
    assert ask("test_split: test\nnum_fewshot: 2\n", shots=0, test=rows)[0].exemplars == ()
