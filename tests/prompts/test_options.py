"""Options in another layout or order: the answer stays the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from flantune.prompts.exemplars import draw_exemplars
from flantune.prompts.options import letter, shown_order
from flantune.prompts.render import render
from flantune.prompts.styles import Style
from flantune.settings.config import PromptSettings
from flantune.types import Example, Prompt, Task, Template

from .conftest import a_task

LETTERED = Style(options="lettered")
SHUFFLED = Style(shuffle_options=True)
BOTH = Style(options="lettered", shuffle_options=True)
NAMES = ("instruction", "inputs_only", "dataset_name")


def one_of(options: list[str], *, answer: int, row: int = 0) -> Example:
    return Example(
        row=row,
        fields={"text": f"text {row}"},
        options=tuple(options),
        answer=answer,
        references=(options[answer],),
    )


def shown(prompt: Prompt) -> list[str]:
    """The lines of the options block, without dash or letter."""
    lines = prompt.inputs.rsplit("OPTIONS:\n", 1)[1].split("\n")
    return [line.split(" ", 1)[1] for line in lines]


CHOICE = Template(name="choose", inputs="{text}\n\n{options}")


@given(data=st.data(), key=st.integers(0, 2**64 - 1), row=st.integers(0, 2**31), name=st.sampled_from(NAMES))
@settings(max_examples=50)
def test_shuffling_preserves_the_gold_text(data, key: int, row: int, name: str) -> None:
    options = data.draw(st.lists(st.text("abc xyz", min_size=1).map(lambda t: f"o{t}o"), min_size=2, max_size=30))
    example = one_of(options, answer=data.draw(st.integers(0, len(options) - 1)), row=row)
    for layout in ("listed", "lettered"):
        style = Style(name=name, options=layout, shuffle_options=True)
        prompt = render(a_task(CHOICE), example, CHOICE, split="test", style=style, options_key=key)
        assert prompt.answer is not None
        # Doubles among the options are told apart by index: the very option that is gold stays gold.
        assert prompt.order[prompt.answer] == example.answer
        assert shown(prompt) == [options[index] for index in prompt.order]
        assert sorted(prompt.order) == list(range(len(options)))
        assert prompt.targets == prompt.options[prompt.answer] == prompt.references[0]
        if layout == "listed":
            assert prompt.targets == example.references[0]
            assert list(prompt.options) == shown(prompt)


@given(data=st.data(), key=st.integers(0, 2**64 - 1), is_shuffled=st.booleans())
@settings(max_examples=50)
def test_lettered_answers_map_back(data, key: int, is_shuffled: bool) -> None:
    options = [f"option {n}" for n in range(data.draw(st.integers(2, 60)))]
    example = one_of(options, answer=data.draw(st.integers(0, len(options) - 1)))
    style = Style(options="lettered", shuffle_options=is_shuffled)
    prompt = render(a_task(CHOICE), example, CHOICE, split="test", style=style, options_key=key)
    block = dict(line.split(" ", 1) for line in prompt.inputs.rsplit("OPTIONS:\n", 1)[1].split("\n"))
    assert list(block) == list(prompt.options)
    assert block[prompt.targets] == example.references[0]


def test_a_lettered_prompt_by_hand(make_task: Callable[..., Task], examples) -> None:
    task = make_task()
    prompt = render(task, examples[1], task.templates[0], split="test", style=LETTERED)
    assert prompt.inputs == (
        "A baker opened her shop at four.\nSo is it true that: The shop never opened.\n\nOPTIONS:\n(A) yes\n(B) no"
    )
    assert (prompt.targets, prompt.options, prompt.answer, prompt.references) == ("(B)", ("(A)", "(B)"), 1, ("(B)",))
    assert type(prompt) is Prompt  # in the example's order: nothing to note
    plain = render(task, examples[1], task.templates[0], split="test", style=replace(LETTERED, name="dataset_name"))
    assert plain.inputs.endswith("\nOPTIONS:\n(A) yes\n(B) no") and plain.targets == "(B)"


def test_the_answer_is_no_letter_where_no_letters_are_shown(make_task: Callable[..., Task], examples) -> None:
    task = make_task()
    for template, style in (
        (task.templates[1], LETTERED),
        (task.templates[0], replace(LETTERED, show_options=False)),
        (task.templates[0], replace(LETTERED, show_options=False, name="inputs_only")),
    ):
        prompt = render(task, examples[1], template, split="test", style=style)
        assert "(B)" not in prompt.inputs
        assert (prompt.targets, prompt.options, prompt.references) == ("no", ("yes", "no"), ("no",))


def test_an_inverted_template_speaks_of_the_answer_itself(make_task: Callable[..., Task], examples) -> None:
    inverted = Template(
        name="w", inputs="{options}\nA claim with answer {answer}?", targets="{answer}: {premise}", is_inverted=True
    )
    prompt = render(make_task(inverted), examples[1], inverted, split="train", style=LETTERED)
    assert prompt.inputs == "OPTIONS:\n(A) yes\n(B) no\nA claim with answer no?"
    assert prompt.targets == "no: A baker opened her shop at four."
    assert (prompt.options, prompt.answer) == ((), None)


@pytest.mark.parametrize("style", [LETTERED, SHUFFLED, BOTH])
def test_a_task_without_options_is_asked_as_ever(make_task: Callable[..., Task], style: Style) -> None:
    template = Template(name="t", inputs="{text}?")
    example = Example(row=5, fields={"text": "x"}, references=("y", "z"))
    prompt = render(make_task(template, kind="generation"), example, template, split="test", style=style)
    assert (prompt.inputs, prompt.targets, prompt.options, prompt.references) == ("x?", "y", (), ("y", "z"))
    assert prompt.order == ()


def test_by_default_options_are_as_the_paper_has_them(make_task: Callable[..., Task], examples) -> None:
    assert Style.from_settings(PromptSettings()) == Style() == Style(options="listed", shuffle_options=False)
    task = make_task()
    prompts = [render(task, examples[0], task.templates[0], split="test", options_key=key) for key in range(20)]
    assert len(set(map(repr, prompts))) == 1
    assert prompts[0].order == ()


def test_settings_reach_the_style() -> None:
    settings = PromptSettings(options_layout="lettered", shuffle_options=True, show_options=False, style="inputs_only")
    expected = Style(name="inputs_only", show_options=False, options="lettered", shuffle_options=True)
    assert Style.from_settings(settings) == expected


def test_letters_go_on_after_z() -> None:
    letters = [letter(place) for place in range(26 * 27 + 1)]
    assert letters[25:28] == ["(Z)", "(AA)", "(AB)"]
    assert letters[-1] == "(AAA)"
    assert len(set(letters)) == len(letters)


def test_every_order_is_equally_likely_and_each_row_has_its_own() -> None:
    example = one_of(["a", "b", "c"], answer=0)
    counts = Counter(shown_order(example, SHUFFLED, key=key) for key in range(3_000))
    assert len(counts) == 6
    assert chisquare(list(counts.values())).pvalue > 1e-3
    assert len({shown_order(replace(example, row=row), SHUFFLED, key=1) for row in range(60)}) == 6


def test_the_order_is_pinned_so_that_a_stream_stays_what_it_is() -> None:
    example = one_of(list("abcd"), answer=0)
    assert [shown_order(replace(example, row=row), SHUFFLED, key=7) for row in range(3)] == ORDERS


def test_exemplars_are_laid_out_as_the_query_and_each_shuffled_alone(make_task: Callable[..., Task], examples) -> None:
    task = make_task()
    template = task.templates[0]
    drawn = {
        style: draw_exemplars(
            task, examples, query=examples[0], split="train", template=template, shots=7, key=3, style=style,
            options_key=11,
        )
        for style in (Style(), BOTH)
    }  # fmt: skip
    assert [e.row for e in drawn[BOTH]] == [e.row for e in drawn[Style()]]
    for exemplar in drawn[BOTH]:
        alone = render(task, examples[exemplar.row], template, split="train", style=BOTH, options_key=11)
        assert (exemplar.inputs, exemplar.targets) == (alone.inputs, alone.targets)
    assert len({exemplar.inputs.split("OPTIONS:")[1] for exemplar in drawn[BOTH]}) == 2


def test_trap_04_another_order_of_options_makes_no_other_question(make_task: Callable[..., Task], examples) -> None:
    task = make_task(Template(name="t", inputs="{hypothesis} {options}"))
    twins = tuple(
        replace(examples[0], row=row, fields={**examples[0].fields, "premise": f"{row}."}) for row in range(50, 60)
    )
    rows = [
        exemplar.row
        for exemplar in draw_exemplars(
            task, (*examples, *twins), query=examples[0], split="train", template=task.templates[0], shots=20, key=1,
            style=SHUFFLED, options_key=5,
        )
    ]  # fmt: skip
    assert sorted(rows) == list(range(1, 8))


ORDERS = [(1, 3, 0, 2), (0, 1, 3, 2), (3, 0, 1, 2)]
