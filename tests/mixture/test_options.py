"""Options in another layout or order, in the stream of training prompts."""

from __future__ import annotations

from collections.abc import Callable

from flantune.mixture.mixture import Mixture
from flantune.settings.config import PromptSettings
from flantune.types import Prompt

BOTH = PromptSettings(options_layout="lettered", shuffle_options=True)


def forward(mixture: Mixture, stop: int) -> list[tuple[int, Prompt]]:
    """Draws of forward templates, by index."""
    return [(index, prompt) for index in range(stop) if (prompt := mixture[index]).options]


def gold(prompt: Prompt) -> str:
    block = prompt.inputs.rsplit("OPTIONS:\n", 1)[1]
    return dict(line.split(" ", 1) for line in block.split("\n"))[prompt.targets]


def test_neither_setting_changes_what_is_drawn(ready: Callable) -> None:
    plain, other = Mixture([ready("a", 40)], seed=3), Mixture([ready("a", 40)], seed=3, prompts=BOTH)
    for index in range(60):
        assert plain.draw(index) == other.draw(index)
        one, two = plain[index], other[index]
        assert (one.row, one.template, one.inputs.split("\n")[0]) == (two.row, two.template, two.inputs.split("\n")[0])


def test_the_letter_trained_on_stands_before_the_gold_text(ready: Callable) -> None:
    prompts = forward(Mixture([ready("a", 40)], seed=0, prompts=BOTH), 200)
    assert {prompt.targets for _, prompt in prompts} == {"(A)", "(B)"}
    for _, prompt in prompts:
        assert gold(prompt) == ("even", "odd")[prompt.row % 2]


def test_each_visit_to_a_row_has_an_order_of_its_own(ready: Callable) -> None:
    prompts = forward(Mixture([ready("a", 5)], seed=0, prompts=PromptSettings(shuffle_options=True)), 300)
    for row in range(5):
        orders = [prompt.options for _, prompt in prompts if prompt.row == row]
        share = orders.count(("even", "odd")) / len(orders)
        assert 0.2 < share < 0.8


def test_the_order_is_reproducible_and_hangs_on_the_seed_and_the_tasks_own_visits(ready: Callable) -> None:
    settings = PromptSettings(shuffle_options=True, train_shots=(0, 2))
    alone = Mixture([ready("a", 40)], seed=0, prompts=settings)
    again = Mixture([ready("a", 40)], seed=0, prompts=settings)
    assert [alone[index] for index in range(80)] == [again[index] for index in reversed(range(80))][::-1]
    other = Mixture([ready("a", 40)], seed=1, prompts=settings)
    assert [p.options for _, p in forward(alone, 80)] != [p.options for _, p in forward(other, 80)]
    beside = Mixture([ready("b", 30), ready("a", 40)], seed=0, prompts=settings)
    by_visit = {alone.draw(index).visit: alone[index] for index in range(40)}
    draws = [beside.draw(index) for index in range(70)]
    shared = [(by_visit[d.visit], beside.prompt(d)) for d in draws if beside.task_names[d.task] == "a"]
    assert len(shared) == 40
    assert all(one == two for one, two in shared)


def test_exemplars_answer_by_letter_too(ready: Callable) -> None:
    settings = PromptSettings(options_layout="lettered", shuffle_options=True, train_shots=(3,))
    for _, prompt in forward(Mixture([ready("a", 40)], seed=0, prompts=settings), 60):
        assert len(prompt.exemplars) == 3
        for exemplar in prompt.exemplars:
            block = exemplar.inputs.rsplit("OPTIONS:\n", 1)[1]
            shown = dict(line.split(" ", 1) for line in block.split("\n"))
            assert shown[exemplar.targets] == ("even", "odd")[exemplar.row % 2]
