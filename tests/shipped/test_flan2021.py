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
from flantune.tasks.rows import check_example
from flantune.tasks.taskfile import load_task_file
from flantune.types import Example, Task

COLLECTIONS = Path(__file__).parents[2] / "src/flantune/shipped"
FILES = {path.stem: path for path in sorted(COLLECTIONS.glob("*/*.toml"))}
NAMES = list(FILES)
FLAN = [name for name, path in FILES.items() if path.parent.name == "flan2021"]

# What the paper counts as one dataset, we keep as several tasks. Paper: FLAN 2021, figure 3 and appendix.
COUNTED_ONCE = (
    {"anli_r1", "anli_r2", "anli_r3"},
    {"mnli", "mnli_mismatched"},
    {"arc_easy", "arc_challenge"},
    {"squad_v1", "squad_v2"},
)
# In the public code's collection but not among the paper's 62: WSC stands there beside WSC273.
BEYOND_THE_PAPER = {"wsc", "true_case", "word_segment"}

# METHOD of FLAN: PAWS shows the options in nine of ten templates, Winogrande in five.
WITHOUT_OPTIONS = {"paws": 1, "winogrande": 5}
# IMDB's hub splits are sorted by label, so no slice of them is a dev split; WSC273 is a test set.
MISSING_ROLES = {"wsc273": {"train", "dev"}}
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
    "text formatting",
    "chain of thought",
    "dialogue",
    "program synthesis",
}


# How many datasets of each cluster the paper counts (figure 3).
DATASETS_IN = {
    "natural language inference": 7,
    "commonsense": 4,
    "sentiment": 4,
    "paraphrase": 4,
    "closed-book qa": 3,
    "struct to text": 4,
    "reading comprehension": 5,
    "reading comprehension with commonsense": 2,
    "coreference": 3,
    "translation": 8,
    "summarization": 11,
    "miscellaneous": 7,
}


def load(name: str) -> Task:
    return load_task_file(FILES[name])


def shipped_rows(name: str) -> list[dict]:
    return [json.loads(line) for line in (FILES[name].parent / "rows" / f"{name}.jsonl").read_text().splitlines()]


def examples(task: Task) -> list[Example]:
    adapted = [task.adapter(row) for row in shipped_rows(task.name)]
    # Of a conversation the last reply is asked for, the one that its references are of.
    return [replace(one, row=number, replies=one.replies[-1:]) for number, one in enumerate(adapted) if one is not None]


def words(text: str) -> str:
    """A template's words without slots, case or punctuation."""
    return " ".join(re.findall(r"\w+", re.sub(r"\{\w+\}", " ", text.lower())))


def test_all_clusters_are_there() -> None:
    assert {cluster for name in NAMES for cluster in load(name).clusters} == CLUSTERS


def test_the_papers_62_datasets_in_its_12_clusters() -> None:
    """Paper: FLAN 2021, figure 3: 7+4+4+4+3+4+5+2+3+8+11+7 datasets."""
    counted = Counter()
    for name in FLAN:
        if name in BEYOND_THE_PAPER or any(name in group and name != min(group) for group in COUNTED_ONCE):
            continue
        counted[load(name).clusters[0]] += 1
    assert counted == DATASETS_IN
    assert sum(counted.values()) == 62


@pytest.mark.parametrize("name", NAMES)
def test_file_is_named_after_its_task_and_says_where_the_data_are_from(name: str) -> None:
    task = load(name)
    assert task.name == name
    assert task.source_family and task.licence and task.citation and task.description
    assert set(task.splits) == {"train", "dev", "test"} - MISSING_ROLES.get(name, set())


@pytest.mark.parametrize("name", NAMES)
def test_splits_do_not_overlap_however_long_the_source_split_is(name: str) -> None:
    from flantune.tasks.sources.slices import parse_slice

    slices = [parse_slice(text) for text in load(name).splits.values()]
    for rows in (10, 100, 1_000, 100_000):
        taken = Counter()
        for part in slices:
            taken.update((part.source_split, row) for start, stop in part.bounds(rows) for row in range(start, stop))
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
    seen: dict[str, tuple[str, str]] = {}
    for name in NAMES:
        group = min(next((group for group in COUNTED_ONCE if name in group), {name}))
        for template in load(name).templates:
            if template.inputs == "{conversation}":  # a task whose words are all its own
                continue
            key = words(template.inputs) or template.inputs  # copa's question is a slot
            other = seen.setdefault(key, (group, f"{name}/{template.name}"))
            assert other[0] == group, f"{name}/{template.name} says the same as {other[1]}"


@pytest.mark.parametrize("name", [name for name in NAMES if load(name).kind == "classification"])
def test_every_forward_template_ends_with_the_options(name: str) -> None:
    templates = forward_templates(load(name))
    without = [template.name for template in templates if not template.inputs.endswith("\n{options}")]
    assert len(without) == WITHOUT_OPTIONS.get(name, 0), without
    assert {template.targets for template in templates} == {"{answer}"}


@pytest.mark.parametrize("name", NAMES)
def test_every_template_renders_every_shipped_row(name: str) -> None:
    task = load(name)
    for example in examples(task):
        for template in task.templates:
            prompt = render(task, example, template, split="train")
            assert prompt.inputs == prompt.inputs.strip() and prompt.targets
            assert not re.search(r"\{\w+\}", prompt.inputs + prompt.targets)
            if not template.is_inverted:
                before, after = prompt.answer_marks or ("", "")
                assert f"{before}{example.references[0]}{after}" in prompt.targets
                assert bool(prompt.answer_marks) == (prompt.targets != example.references[0])
                assert prompt.options == example.options


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_left_over_when_options_are_hidden(name: str) -> None:
    task = load(name)
    for template in task.templates:
        inputs = render(task, examples(task)[0], template, split="train", style=Style(show_options=False)).inputs
        assert "OPTIONS:" not in inputs
        assert inputs == inputs.strip()


@pytest.mark.parametrize("name", NAMES)
def test_template_files_have_no_white_space_at_line_ends(name: str) -> None:
    text = FILES[name].read_text()
    assert not re.search(r"[ \t]+$", text, flags=re.MULTILINE)
    assert all(len(line) <= 170 for line in text.splitlines())
    tomllib.loads(text)


def test_every_shipped_row_file_belongs_to_a_task() -> None:
    assert sorted(path.stem for path in COLLECTIONS.glob("*/rows/*.jsonl")) == sorted(NAMES)
