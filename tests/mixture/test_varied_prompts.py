"""Varied layouts and formats in the stream of training prompts."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable

from flantune.mixture.mixture import Mixture
from flantune.settings.config import PromptSettings

VARIED = PromptSettings(options_layout="varied", exemplar_format="varied", train_shots=(0, 2))


def test_fault_05_two_mixtures_write_the_same_and_every_prompt_has_a_format_of_its_own(ready: Callable) -> None:
    one, other = (Mixture([ready("a", 40)], seed=0, prompts=VARIED) for _ in range(2))
    assert [one[index] for index in range(60)] == [other[index] for index in reversed(range(60))][::-1]
    framed = [prompt for prompt in (one[index] for index in range(200)) if prompt.exemplars]
    ends = {prompt.inputs[len(prompt.inputs) - (prompt.frame or (0, 0))[1] :] for prompt in framed}
    gaps = {re.sub(r"^[\w ]+", "", prompt.exemplars[0].targets) for prompt in framed}
    assert len(ends) > 10 and len(gaps) >= 8


def test_adding_a_task_moves_no_other_tasks_formats(ready: Callable) -> None:
    alone = Mixture([ready("a", 40)], seed=0, prompts=VARIED)
    beside = Mixture([ready("b", 30), ready("a", 40)], seed=0, prompts=VARIED)
    by_visit = {alone.draw(index).visit: alone[index] for index in range(40)}
    draws = [beside.draw(index) for index in range(70)]
    shared = [(by_visit[d.visit], beside.prompt(d)) for d in draws if beside.task_names[d.task] == "a"]
    assert len(shared) == 40 and all(one == two for one, two in shared)


def test_what_is_drawn_stays_what_it_was(ready: Callable) -> None:
    plain = Mixture([ready("a", 40)], seed=3, prompts=PromptSettings(train_shots=(0, 2)))
    varied = Mixture([ready("a", 40)], seed=3, prompts=VARIED)
    for index in range(60):
        assert plain.draw(index) == varied.draw(index)
        rows = [[one.row for one in mixture[index].exemplars] for mixture in (plain, varied)]
        assert rows[0] == rows[1]


def test_fault_10_a_row_meets_all_templates_whatever_its_place(ready: Callable) -> None:
    mixture = Mixture([ready("a", 7, templates=5, inverted=0)], seed=0)
    seen = defaultdict(set)
    for index in range(7 * 60):
        seen[mixture[index].row].add(mixture[index].template)
    assert {row: len(templates) for row, templates in seen.items()} == dict.fromkeys(range(7), 5)
    first = [mixture[index].template for index in range(7)]
    assert any(mixture[index + 7].template != first[index % 7] for index in range(7))
