"""Templates of promptsource: one text gives inputs, targets and choices, and it is what its authors' program makes."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.no_source import NoSource
from tests.tasks.conftest import REAL_DATA

from flantune.errors import NotAskedError, TemplateError
from flantune.packing.encode import Codec
from flantune.prompts.exemplars import draw_exemplars
from flantune.prompts.layout import Layout
from flantune.prompts.lint import lint_task
from flantune.prompts.promptsource import fields_of, fixed_choices, keyed, render_parts, row_of, truncated
from flantune.prompts.render import render
from flantune.prompts.spans import render_spans
from flantune.prompts.styles import Style, usable_templates
from flantune.tasks.prepare import prepare_task
from flantune.tasks.sources.promptsource import FILE, read_template_file
from flantune.tasks.taskfile import load_task_file
from flantune.types import Example, Task, Template

REAL = REAL_DATA / "flan2022"
needs_real_files = pytest.mark.skipif(not REAL.is_dir(), reason="no real data here")


def template(text: str, choices: str = "no ||| yes", *, name: str = "t", is_inverted: bool = False) -> Template:
    return Template(
        name=name, inputs=text, targets=text, is_inverted=is_inverted, language="promptsource", answer_choices=choices
    )


def task_of(*templates: Template, kind: str = "classification") -> Task:
    return Task(
        name="facts", clusters=("truth",), source_family="facts", kind=kind, source=NoSource(), adapter=None,
        splits={"train": "train"}, templates=templates, metrics=("accuracy",),
    )  # fmt: skip


def example(row: int, **values: object) -> Example:
    return Example(row=row, fields=fields_of(values), options=("no", "yes"), answer=0, references=("no",))


IS_TRUE = template("Is it true?\n{{ claim }}\n{{ answer_choices | join(', ') }} ||| {{ answer_choices[label] }}")
SAYING = "{% if label == 1 %}Say what is true. ||| {{ claim }}{% endif %}"
ONLY_TRUE = template(SAYING, "", name="say", is_inverted=True)
ROWS = tuple(
    example(at, claim=claim, label=label)
    for at, (claim, label) in enumerate((("Ice melts.", 1), ("Fish fly.", 0), ("Day ends.", 1), ("Iron swims.", 0)))
)


def test_one_text_gives_inputs_targets_options_and_answer():
    prompt = render(task_of(IS_TRUE), ROWS[0], IS_TRUE, split="test")
    assert (prompt.inputs, prompt.targets) == ("Is it true?\nIce melts.\nno, yes", "yes")
    assert (prompt.options, prompt.answer, prompt.references) == (("no", "yes"), 1, ("yes",))
    open_ended = render(task_of(IS_TRUE, kind="generation"), ROWS[0], IS_TRUE, split="test")
    assert (open_ended.options, open_ended.answer, open_ended.references) == ((), None, ("yes",))


def test_a_template_that_says_nothing_of_a_row_does_not_ask_it():
    task = task_of(IS_TRUE, ONLY_TRUE)
    assert render(task, ROWS[0], ONLY_TRUE, split="train").targets == "Ice melts."
    with pytest.raises(NotAskedError) as caught:
        render(task, ROWS[1], ONLY_TRUE, split="train")
    assert caught.value.where == "facts/say/row 1"


def test_fault_13_an_empty_target_is_never_given_a_word_in_its_place():
    for text in ("{{ claim }} ||| {{ answer }}", "{{ answer }} ||| {{ claim }}", "{{ claim }}", "a ||| b ||| c"):
        with pytest.raises(NotAskedError):
            render(task_of(kind="generation"), example(0, claim="Ice melts.", answer=""), template(text), split="train")


def test_fault_02_a_target_that_is_none_of_the_choices_is_not_asked():
    for label in (2, 7):
        with pytest.raises(NotAskedError):
            render(task_of(IS_TRUE), example(0, claim="Ice melts.", label=label), IS_TRUE, split="test")


def test_exemplars_are_of_rows_that_the_template_asks():
    drawn = draw_exemplars(
        task_of(IS_TRUE, ONLY_TRUE), ROWS, query=ROWS[0], split="test", template=ONLY_TRUE, shots=3, key=5
    )
    assert [one.targets for one in drawn] == ["Day ends."]


def test_a_row_is_written_down_and_read_back_as_it_was():
    row = {"text": "json:[1]", "empty": None, "list": [{"a": "ü"}], "number": 1.5, "truth": True, "plain": "Ice."}
    assert row_of(fields_of(row)) == row
    assert fields_of(row)["plain"] == "Ice."


def test_a_template_may_change_its_lists_and_never_the_next_prompt():
    text = "{% set _ = words.append('more') %}{{ words | join(' ') }} ||| {{ words | length }}"
    one = example(0, words=["a", "b"])
    prompts = [render(task_of(kind="generation"), one, template(text, ""), split="train") for _ in range(2)]
    assert prompts[0] == prompts[1] and prompts[0].inputs == "a b more"


def test_fault_15_bars_in_data_split_nothing_however_deep_they_lie():
    row = {"text": "a ||| b", "many": [{"one": "c|||d"}, "||||"], "choices": ["x ||| y", "z"]}
    text = "{{ text }} {{ many[0].one }} {{ many[1] }} ||| {{ answer_choices[0] }}"
    parts, options = render_parts(text, "{{ choices | join('|||') }}", row, choose=min)
    assert parts == ("a ||| b c|||d ||||", "x ||| y")
    assert options == ("x ||| y", "z")


def test_a_text_that_looks_for_its_authors_guard_finds_the_bars():
    guard = "0123456789abcdef" * 2
    text = f"{{% for one in text.split('{guard}||') %}}[{{{{ one }}}}]{{% endfor %}} ||| {{{{ text }}}}"
    parts, _ = render_parts(text, "", {"text": "a ||||| b"}, choose=min)
    assert parts == ("[a ][ b]", "a ||||| b")


def test_fault_14_a_cut_is_never_made_unasked_and_then_reaches_all_that_is_printed():
    long = "word " * 600
    text = "{{ first if label else second }} / {{ first or second }} / {{ first + second }} ||| {{ claim }}"
    row = {"first": long, "second": long, "label": 1, "claim": "It is."}
    whole, _ = render_parts(text, "", row, choose=min)
    assert len(whole[0]) > 4 * 2_900
    cut, _ = render_parts(truncated(text, "expressions"), "", row, choose=min)
    assert [len(one) <= 2_053 for one in cut[0].split(" / ")] == [True, True, True]
    theirs, _ = render_parts(truncated(text, "promptsource"), "", row, choose=min)
    assert [len(one) <= 2_053 for one in theirs[0].split(" / ")] == [False, False, False]


def test_fault_16_what_is_drawn_follows_from_key_and_row_alone():
    text = template(
        "{{ ['Is it so?', 'True?', 'Right?', 'Well?'] | choice }} {{ claim }} ||| {{ answer_choices[label] }}"
    )
    task = task_of(text)
    random.seed(1)
    drawn = [render(task, one, text, split="train", options_key=key).inputs for one in ROWS for key in range(20)]
    before = random.getstate()
    again = [render(task, one, text, split="train", options_key=key).inputs for one in ROWS for key in range(20)]
    assert drawn == again and random.getstate() == before
    assert len(set(drawn)) == 16
    assert [keyed(3)(100) for _ in range(2)] == [keyed(3)(100)] * 2


def test_fixed_choices_are_those_that_no_row_changes():
    assert fixed_choices("A ||| B") == ("A", "B") and fixed_choices("{{ a }} ||| B") == () == fixed_choices("")


def test_a_row_with_choices_of_its_own_is_refused():
    with pytest.raises(TemplateError, match='a column "answer_choices"'):
        render_parts("{{ a }} ||| b", "", {"answer_choices": ["a"]}, choose=min)


def test_it_is_shown_in_pieces_and_linted():
    task = task_of(IS_TRUE, replace(IS_TRUE, name="broken", inputs="{% if %}", targets="{% if %}"))
    assert render_spans(task, ROWS[0], IS_TRUE).targets[0].text == "yes"
    found = [one.rule for one in lint_task(task, ROWS) if one.template == "broken"]
    assert found == ["broken-braces", "broken-braces"]


def test_a_task_file_may_be_written_in_it(tmp_path: Path):
    (tmp_path / "rows.csv").write_text("claim,verdict\nIce melts.,yes\nFish fly.,no\n", encoding="utf-8")
    (tmp_path / "facts.toml").write_text(
        """
name = "facts"
clusters = ["truth"]
kind = "classification"
source.files.train = "rows.csv"
splits.train = "train"
fields = { claim = "claim", verdict = "verdict" }
options.values = ["no", "yes"]
answer.column = "verdict"
[[templates]]
inputs = "{{ ['Is it so', 'Is that true'] | choice }}: {{ claim }} ||| {{ verdict }}"
answer_choices = "no ||| yes"
language = "promptsource"
""",
        encoding="utf-8",
    )
    task = load_task_file(tmp_path / "facts.toml")
    store = prepare_task(task, cache=tmp_path / "cache").stores["train"]
    prompt = render(task, store[0], task.templates[0], split="test")
    assert prompt.inputs.endswith(": Ice melts.") and (prompt.options, prompt.answer) == (("no", "yes"), 1)


def test_a_style_without_templates_is_refused():
    with pytest.raises(TemplateError, match="only templates tell question from answer"):
        usable_templates(task_of(IS_TRUE), style=Style(name="inputs_only"))


def test_fault_09_without_options_no_template_that_shows_them_is_used():
    shown, hidden = replace(IS_TRUE, name="shown", shows_options=True), replace(IS_TRUE, name="hidden")
    style = Style(show_options=False)
    task = task_of(shown, hidden, replace(shown, name="turned", is_inverted=True))
    assert usable_templates(task, style=style, include_inverted=True) == (hidden,)
    assert usable_templates(task) == (shown, hidden)
    assert usable_templates(task_of(shown), style=style) == (shown,)


def references() -> list[dict]:
    path = REAL / "reference/promptsource_reference.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def texts_of(found: dict) -> tuple[str, str]:
    folder = REAL / "promptsource/templates" / found["dataset"] / (found["config"] or "")
    one = next(one for one in read_template_file(folder / FILE) if one.name == found["template"])
    return one.jinja, one.answer_choices


def renderings(
    text: str, choices: str, row: dict, *, most: int = 5_000
) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """What a template can make of a row, one sequence of draws after another."""
    todo: list[list[int]] = [[]]
    for _ in range(most):
        if not todo:
            return
        wanted = todo.pop()
        drawn: list[int] = []

        def choose(count: int, wanted: list[int] = wanted, drawn: list[int] = drawn) -> int:
            taken = wanted[len(drawn)] if len(drawn) < len(wanted) else 0
            if len(drawn) >= len(wanted):
                todo.extend([*drawn, other] for other in range(1, count))
            drawn.append(taken)
            return taken

        yield render_parts(text, choices, row, choose=choose)[0]


@needs_real_files
@pytest.mark.parametrize("cut", ["whole", "truncated"])
def test_every_rendering_is_its_authors_to_the_byte(cut: str):
    how = "promptsource" if cut == "truncated" else "none"
    checked = 0
    for found in references():
        text, choices = texts_of(found)
        made = renderings(truncated(text, how), choices, found["row"])
        assert any(list(parts) == found[cut]["value"] for parts in made), (found["dataset"], found["template"])
        checked += 1
    assert checked > 300


@needs_real_files
def test_answer_choices_are_their_authors():
    for found in references():
        text, choices = texts_of(found)
        _, options = render_parts(text, choices, found["row"], choose=lambda _: 0)
        assert (list(options) or None) == found["answer_choices"]["value"], found["template"]
        assert (list(fixed_choices(choices)) or None) == found["fixed_answer_choices"]["value"], found["template"]


@pytest.mark.parametrize("family", ["decoder-only", "encoder-decoder"])
def test_fault_13_a_prompt_that_is_too_long_keeps_its_question_and_choices(family: str):
    from flantune.models.scratch import train_tokenizer

    tokenizer = train_tokenizer(["A story: word word. Which color? red or blue"] * 5, 300)
    text = "A story: {{ story }} Which color? {{ answer_choices | join(' or ') }} ||| {{ answer_choices[label] }}"
    one = example(0, story="word " * 600, label=0)
    prompt = render(task_of(), one, template(text, "red ||| blue"), split="test")
    codec = Codec(tokenizer=tokenizer, family=family, layout=Layout(), max_input_tokens=100, max_target_tokens=20)
    encoded = codec.encode_prompts([prompt], continuations="target")
    kept = tokenizer.decode(encoded.prompts[0].inputs, skip_special_tokens=True)
    assert encoded.counts.inputs_shortened == 1 and len(encoded.prompts[0].inputs) <= 100
    assert kept.startswith("A story: word") and kept.rstrip().endswith("Which color? red or blue")
