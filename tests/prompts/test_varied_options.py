"""Options in varied words and marks: one layout a prompt, drawn by key, and an answer that the prompt asks for."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flantune.prompts.exemplars import draw_exemplars
from flantune.prompts.options import LETTERED, LISTED, capital, drawn_layout, roman
from flantune.prompts.render import render
from flantune.prompts.styles import Style, forward_templates, speaks_of_options, usable_templates
from flantune.tasks.taskfile import load_task_file
from flantune.types import Example, Task, Template

from .conftest import a_task

VARIED = Style(options="varied")
CHOICE = Template(name="choose", inputs="{text}\n\n{options}")
SHIPPED = sorted((Path(__file__).parents[2] / "src/flantune/shipped").glob("*/*.toml"))


def one_of(count: int, *, answer: int = 0, row: int = 0) -> Example:
    options = tuple(f"thing {number}" for number in range(count))
    return Example(row=row, fields={"text": "Which?"}, options=options, answer=answer, references=(options[answer],))


@given(key=st.integers(0, 2**64 - 1), count=st.integers(2, 80), data=st.data(), is_shuffled=st.booleans())
@settings(max_examples=150)
def test_fault_06_every_option_has_a_mark_of_its_own_and_the_answer_is_bare(
    key: int, count: int, data: st.DataObject, is_shuffled: bool
) -> None:
    example = one_of(count, answer=data.draw(st.integers(0, count - 1)))
    style = replace(VARIED, shuffle_options=is_shuffled)
    prompt = render(a_task(CHOICE), example, CHOICE, split="train", style=style, options_key=key)
    assert prompt.answer is not None and len(set(prompt.options)) == count
    assert prompt.targets == prompt.options[prompt.answer] == prompt.references[0]
    assert prompt.is_marked == (prompt.targets != example.references[0])
    for text in example.options:
        assert text in prompt.inputs
    if prompt.is_marked:
        assert re.fullmatch(r"[A-Za-z]+|\d+", prompt.targets)  # never "(B)" or "B."
        assert re.search(rf"(?<!\w){prompt.targets}\W+{example.references[0]}(?!\w)", prompt.inputs)
        assert re.search(r"\b(letter|number)\b", prompt.inputs)


def test_marks_go_on_beyond_the_alphabet() -> None:
    assert [capital(place) for place in (25, 26, 51, 52, 701, 702)] == ["Z", "AA", "AZ", "BA", "ZZ", "AAA"]
    assert [roman(place) for place in (3, 8, 13, 1993)] == ["IV", "IX", "XIV", "MCMXCIV"]
    assert len({roman(place) for place in range(3_000)}) == 3_000


def test_many_layouts_are_drawn_and_each_says_what_answers() -> None:
    layouts = [drawn_layout(key) for key in range(4_000)]
    assert len(set(layouts)) > 500
    wants_mark = [one for one in layouts if one.answer == "mark"]
    assert 0.45 < len(wants_mark) / len(layouts) < 0.55
    assert all(one.series and ("letter" in one.opening or "number" in one.opening) for one in wants_mark)
    assert not any("{" in one.opening for one in layouts)
    texts = [one for one in layouts if one.answer == "text"]
    assert any(one.series for one in texts) and any(not one.series for one in texts)
    assert LISTED.answer == "text" and LETTERED.answers(2) == ("(A)", "(B)")


def test_a_layout_is_the_templates_and_the_keys_and_no_rows(make_task: Callable[..., Task], examples) -> None:
    task = make_task()
    keyed = {key: render(task, examples[0], task.templates[0], split="train", style=VARIED, options_key=key).inputs
             for key in range(30)}  # fmt: skip
    assert len(set(keyed.values())) > 15
    again = [render(task, examples[0], task.templates[0], split="train", style=VARIED, options_key=key).inputs
             for key in range(30)]  # fmt: skip
    assert again == list(keyed.values())
    for key in range(30):
        prompts = [
            render(task, one, task.templates[0], split="test", style=VARIED, options_key=key) for one in examples
        ]
        blocks = {prompt.inputs.rsplit("\n\n")[-1] for prompt in prompts}
        assert len(blocks) == 1


@pytest.mark.parametrize("key", range(12))
def test_exemplars_are_written_as_their_query_is(make_task: Callable[..., Task], examples, key: int) -> None:
    task = make_task()
    template = task.templates[0]
    prompt = render(task, examples[0], template, split="train", style=VARIED, options_key=key)
    block = prompt.inputs.rsplit("\n\n", 1)[1]
    shown = draw_exemplars(
        task, examples, query=examples[0], split="train", template=template, shots=3, key=5, style=VARIED,
        options_key=key,
    )  # fmt: skip
    assert len(shown) == 3
    for one in shown:
        assert one.inputs.endswith(block) and one.targets in prompt.options


def test_texts_stay_where_no_options_are_shown(make_task: Callable[..., Task], examples) -> None:
    task = make_task()
    for key in range(20):
        for template, style in ((task.templates[1], VARIED), (task.templates[0], replace(VARIED, show_options=False))):
            prompt = render(task, examples[1], template, split="test", style=style, options_key=key)
            assert (prompt.targets, prompt.options, prompt.is_marked) == ("no", ("yes", "no"), False)


@pytest.mark.parametrize("layout", ["listed", "lettered", "varied"])
def test_fault_09_hidden_options_are_neither_listed_nor_spoken_of(layout: str) -> None:
    style = Style(options=layout, show_options=False)
    differing = 0
    for path in SHIPPED:
        task = load_task_file(path)
        if task.kind != "classification":
            continue
        kept = usable_templates(task, style=style)
        assert kept
        for template in kept:
            assert not speaks_of_options(template), f"{task.name}/{template.name}"
            fields = dict.fromkeys(slots(template), "…")
            example = Example(row=0, fields=fields, options=("zq", "xw"), answer=0, references=("zq",))
            bare, full = (
                render(task, example, template, split="train", style=replace(style, show_options=shown)).inputs
                for shown in (False, True)
            )
            assert "zq" not in bare and "xw" not in bare
            differing += bare != full
        assert set(kept) <= set(forward_templates(task))
    assert differing > 200


def slots(template: Template) -> tuple[str, ...]:
    from flantune.prompts.compiled import slots_of

    return tuple(slot for slot in slots_of(template) if slot not in ("options", "answer"))
