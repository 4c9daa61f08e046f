"""The shipped task files: they load, adapt the rows they ship, and ask ten different questions each."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from flantune.prompts.lint import lint_task
from flantune.prompts.render import render
from flantune.prompts.styles import Style, forward_templates
from flantune.tasks.load import load_task_file
from flantune.tasks.rows import check_example
from flantune.types import Example, Task

COLLECTION = Path(__file__).parents[2] / "src/flantune/collections/flan2021"
FILES = sorted(COLLECTION.glob("*.toml"))
NAMES = [path.stem for path in FILES]
CLUSTERS = {
    "natural language inference",
    "commonsense",
    "sentiment",
    "paraphrase",
    "closed-book qa",
    "struct to text",
    "reading comprehension",
    "reading comprehension with commonsense",
    "coreference",
    "translation",
    "summarization",
    "miscellaneous",
    "chain of thought",
}


def load(name: str) -> Task:
    return load_task_file(COLLECTION / f"{name}.toml")


def shipped_rows(name: str) -> list[dict]:
    return [json.loads(line) for line in (COLLECTION / "rows" / f"{name}.jsonl").read_text().splitlines()]


def examples(task: Task) -> list[Example]:
    adapted = [task.adapter(row) for row in shipped_rows(task.name)]
    return [replace(example, row=number) for number, example in enumerate(adapted) if example is not None]


def words(text: str) -> str:
    """A template's words without slots, case or punctuation."""
    return " ".join(re.findall(r"\w+", re.sub(r"\{\w+\}", " ", text.lower())))


def test_all_thirteen_clusters_are_there() -> None:
    assert {cluster for name in NAMES for cluster in load(name).clusters} == CLUSTERS
    assert len(NAMES) == 19


@pytest.mark.parametrize("name", NAMES)
def test_file_is_named_after_its_task_and_says_where_the_data_are_from(name: str) -> None:
    task = load(name)
    assert task.name == name
    assert task.family and task.licence and task.citation and task.description
    assert set(task.splits) == {"train", "dev", "test"}


@pytest.mark.parametrize("name", NAMES)
def test_splits_do_not_overlap_however_long_the_source_split_is(name: str) -> None:
    from flantune.tasks.slices import parse_slice

    slices = [parse_slice(text) for text in load(name).splits.values()]
    for rows in (10, 100, 1_000, 100_000):
        taken = Counter()
        for part in slices:
            taken.update((part.split, row) for row in range(*part.bounds(rows)))
        # The last rows of a short split can only be dev rows: never also training or test rows.
        assert not [place for place, times in taken.items() if times > 1]


@pytest.mark.parametrize("name", NAMES)
def test_shipped_rows_become_sound_examples(name: str) -> None:
    task = load(name)
    adapted = examples(task)
    assert len(adapted) == 3
    for example in adapted:
        check_example(example, task.kind)
        assert all(text == text.strip() and text for text in (*example.fields.values(), *example.references))


@pytest.mark.parametrize("name", NAMES)
def test_ten_templates_at_most_three_inverted(name: str) -> None:
    task = load(name)
    assert len(task.templates) == 10
    assert len(forward_templates(task)) >= 7


@pytest.mark.parametrize("name", NAMES)
def test_templates_are_clean(name: str) -> None:
    task = load(name)
    assert lint_task(task, examples(task)) == ()


def test_trap_05_no_wording_is_used_twice() -> None:
    seen: dict[str, str] = {}
    for name in NAMES:
        for template in load(name).templates:
            key = words(template.inputs) or template.inputs  # copa's question is a slot
            assert key not in seen, f"{name}/{template.name} says the same as {seen.get(key)}"
            seen[key] = f"{name}/{template.name}"


@pytest.mark.parametrize("name", [name for name in NAMES if load(name).kind == "classification"])
def test_every_forward_template_ends_with_the_options(name: str) -> None:
    for template in forward_templates(load(name)):
        assert template.inputs.endswith("\n{options}"), template.name
        assert template.targets == "{answer}"


@pytest.mark.parametrize("name", NAMES)
def test_every_template_renders_every_shipped_row(name: str) -> None:
    task = load(name)
    for example in examples(task):
        for template in task.templates:
            prompt = render(task, example, template, split="train")
            assert prompt.inputs == prompt.inputs.strip() and prompt.targets
            assert not re.search(r"\{\w+\}", prompt.inputs + prompt.targets)
            if not template.is_inverted:
                assert prompt.options == example.options and prompt.targets == example.references[0]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_left_over_when_options_are_hidden(name: str) -> None:
    task = load(name)
    for template in task.templates:
        inputs = render(task, examples(task)[0], template, split="train", style=Style(show_options=False)).inputs
        assert "OPTIONS:" not in inputs
        assert inputs == inputs.strip()


@pytest.mark.parametrize("name", NAMES)
def test_template_files_have_no_white_space_at_line_ends(name: str) -> None:
    text = (COLLECTION / f"{name}.toml").read_text()
    assert not re.search(r"[ \t]+$", text, flags=re.MULTILINE)
    assert all(len(line) <= 170 for line in text.splitlines())
    tomllib.loads(text)


def test_every_shipped_row_file_belongs_to_a_task() -> None:
    assert sorted(path.stem for path in (COLLECTION / "rows").glob("*.jsonl")) == NAMES
