from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from flantune.prompts.exemplars import draw_exemplars
from flantune.prompts.layout import Layout, inputs_text
from flantune.prompts.render import render
from flantune.prompts.styles import Style
from flantune.system.keyed_random import shuffled
from flantune.types import Example, Exemplar, Prompt, Task, Template


def rows_of(exemplars: tuple[Exemplar, ...]) -> list[int]:
    return [exemplar.row for exemplar in exemplars]


def draw(task: Task, store, *, query: Example, key: int = 1, shots: int = 3, split="train", number: int = 0, **more):
    template = task.templates[number]
    return draw_exemplars(task, store, query=query, split=split, template=template, shots=shots, key=key, **more)


def test_exemplars_are_solved_in_the_words_of_the_query(make_task: Callable[..., Task], examples) -> None:
    task = make_task()
    for exemplar in draw(task, examples, query=examples[0], number=1):
        alone = render(task, examples[exemplar.row], task.templates[1], split="train")
        assert (exemplar.inputs, exemplar.targets) == (alone.inputs, alone.targets)
    plain = draw(task, examples, query=examples[0], style=Style(name="dataset_name", show_options=False))
    assert all(exemplar.inputs.startswith("[pairs] ") and "OPTIONS" not in exemplar.inputs for exemplar in plain)


def test_trap_04_query_among_its_own_exemplars(make_task: Callable[..., Task], examples) -> None:
    task = make_task()
    for query in examples:
        for key in range(60):
            exemplars = draw(task, examples, query=query, key=key, shots=len(examples))
            assert sorted(rows_of(exemplars)) == [row for row in range(len(examples)) if row != query.row]


def test_trap_04_a_copy_of_the_query_in_another_row_or_split_is_no_exemplar(
    make_task: Callable[..., Task], examples
) -> None:
    task = make_task()
    copy = replace(examples[0], row=99, fields={k: f"  {v.upper()}\n" for k, v in examples[0].fields.items()})
    store = (*examples[1:], copy, replace(copy, row=100))
    for key in range(60):
        for split in ("train", "dev", "test"):
            rows = rows_of(draw(task, store, query=examples[0], split=split, key=key, shots=20))
            assert sorted(rows) == list(range(1, 8))


def test_trap_04_an_exemplar_that_reads_like_the_query_is_left_out_even_if_hidden_fields_differ(
    make_task: Callable[..., Task], examples
) -> None:
    task = make_task(Template(name="t", inputs="{hypothesis} {options}"))
    twin = replace(examples[0], row=50, fields={**examples[0].fields, "premise": "Something else."}, answer=1)
    assert 50 not in rows_of(draw(task, (*examples, twin), query=examples[0], shots=20))


def test_the_row_of_the_query_is_no_bar_in_another_split(make_task: Callable[..., Task], examples) -> None:
    task = make_task()
    query = replace(examples[0], fields={"premise": "A new text.", "hypothesis": "A new claim."})
    assert sorted(rows_of(draw(task, examples, query=query, split="test", shots=20))) == list(range(8))


def test_no_two_exemplars_say_the_same(make_task: Callable[..., Task], examples) -> None:
    task = make_task()
    store = tuple(replace(example, row=row) for row, example in enumerate(examples * 5))
    for key in range(40):
        exemplars = draw(task, store, query=examples[0], split="test", key=key, shots=12)
        assert len(exemplars) == 7
        assert len({exemplar.inputs for exemplar in exemplars}) == 7


def test_inverted_templates_may_ask_different_examples_in_the_same_words(
    make_task: Callable[..., Task], examples
) -> None:
    inverted = Template(name="w", inputs="Write a text that goes with {answer}.", targets="{premise}", is_inverted=True)
    assert len(draw(make_task(inverted), examples, query=examples[0], shots=20)) == 7


@pytest.mark.parametrize("size", [0, 1, 2, 5])
def test_a_split_smaller_than_the_shots_gives_what_it_has(make_task: Callable[..., Task], examples, size: int) -> None:
    task = make_task()
    drawn = draw(task, examples[:size], query=examples[7], split="train", shots=16)
    assert sorted(rows_of(drawn)) == list(range(size))


def test_a_split_of_one_text_repeated_does_not_stall(make_task: Callable[..., Task], examples) -> None:
    looks = []

    class Repeated:
        def __len__(self) -> int:
            return 1_000_000

        def __getitem__(self, index: int) -> Example:
            looks.append(index)
            return replace(examples[1], row=index)

    assert len(draw(make_task(), Repeated(), query=examples[0], split="test", shots=5)) == 1
    assert len(looks) <= 5 * 16


def test_trap_03_exemplars_depend_on_the_key_alone(make_task: Callable[..., Task], examples) -> None:
    import random

    import numpy as np

    task = make_task()
    random.seed(1), np.random.seed(1)
    first = [draw(task, examples, query=examples[0], key=key) for key in range(20)]
    random.seed(2), np.random.seed(2)
    again = [draw(task, examples, query=examples[0], key=key) for key in reversed(range(20))][::-1]
    assert first == again
    assert len(set(first)) > 10


def test_each_example_is_drawn_equally_often(make_task: Callable[..., Task], examples) -> None:
    task = make_task()
    counts = Counter(
        row for key in range(1_500) for row in rows_of(draw(task, examples, query=examples[0], key=key, shots=2))
    )
    assert chisquare([counts[row] for row in range(1, 8)]).pvalue > 1e-3


@given(size=st.integers(0, 300), limit=st.integers(0, 400), key=st.integers(0, 2**64 - 1))
@settings(max_examples=50)
def test_the_shuffle_never_repeats_and_a_longer_one_begins_alike(size: int, limit: int, key: int) -> None:
    part = list(shuffled(size, key=key, limit=limit))
    whole = list(shuffled(size, key=key))
    assert sorted(whole) == list(range(size))
    assert part == whole[:limit]


def test_layout_puts_the_same_separators_everywhere() -> None:
    exemplars = (Exemplar(row=1, inputs="q1", targets="a1"), Exemplar(row=2, inputs="q2", targets="a2"))
    prompt = Prompt(task="t", split="test", row=0, template="t", inputs="q", targets="a", exemplars=exemplars)
    assert inputs_text(prompt, Layout()) == "q1\na1\n\nq2\na2\n\nq"
    marked = Layout(target_separator="<eos>", exemplar_separator="\n")
    assert inputs_text(prompt, marked) == "q1<eos>a1\nq2<eos>a2\nq"
    assert inputs_text(prompt, marked, eos_token="</s>") == "q1</s>a1\nq2</s>a2\nq"
    assert inputs_text(replace(prompt, exemplars=()), Layout()) == "q"
