"""Flan's chain-of-thought files as tasks: made-up lines here, the authors' where they are at hand."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from flantune.errors import MissingDataError
from flantune.mixture.mixture import Mixture
from flantune.prompts.render import render
from flantune.settings.chain_of_thought import ChainOfThoughtSettings
from flantune.settings.config import DataSettings, PromptSettings
from flantune.tasks.chain_of_thought import adapt_line, load_chain_of_thought
from flantune.tasks.load import load_tasks
from flantune.tasks.prepare import prepare_task
from flantune.tasks.rows import NOT_AN_OPTION, BadRow, check_example
from flantune.tasks.taskfile import load_task_file
from flantune.types import Task

from .conftest import REAL_DATA

REAL = (REAL_DATA / "files/chain_of_thought", REAL_DATA / "flan2022/chain_of_thought")
REAL_FILES = sorted(path for folder in REAL for path in folder.glob("*_train.tsv"))
SETS = {"aqua", "creak", "ecqa", "esnli", "gsm8k", "qasc", "qed", "sensemaking", "strategyqa"}
LINES = (
    "How many legs have 3 cats?\t12\tA cat has 4 legs.\\n3 * 4 = 12",
    'What is "2 + 2"?\t4\tTwo and two\\nare four.',
    "How many days have 2 weeks?\t14\tA week has 7 days, so 14.",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = tmp_path / "cot_data"
    home.mkdir()
    (home / "gsm8k_train.tsv").write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return home


def loaded(folder: Path, name: str = "cot_gsm8k", **settings: object) -> Task:
    section = ChainOfThoughtSettings(folder=folder, **settings)
    return next(task for task in load_chain_of_thought(section, root=Path()) if task.name == name)


def test_nine_sets_have_the_words_of_the_collection(folder: Path) -> None:
    tasks = load_chain_of_thought(ChainOfThoughtSettings(folder=folder), root=Path())
    assert {task.source_family for task in tasks} == SETS
    shipped = load_tasks(DataSettings(collection="cot"), root=Path())
    assert [task.templates for task in tasks] == [task.templates for task in shipped]
    assert all(dict(task.splits) == {"train": "train"} for task in tasks)
    assert all(len(task.templates) == 10 for task in tasks)


def test_fault_01_line_breaks_stay_in_inputs_and_targets(folder: Path) -> None:
    task = loaded(folder)
    rows = [task.adapter(row) for row in task.source.rows("train")]
    assert rows[0].fields["rationale"] == "A cat has 4 legs.\n3 * 4 = 12"
    for example in rows:
        for template in task.templates:
            prompt = render(task, example, template, split="train")
            for text, side in ((template.targets, prompt.targets), (template.inputs, prompt.inputs)):
                if "{rationale}" in text:
                    assert example.fields["rationale"] in side
            assert "\\n" not in prompt.inputs + prompt.targets


@pytest.mark.parametrize(
    ("options", "answer"),
    [("- yes\n- no", "perhaps"), ("(A) 3\n(B) 4", "(C)"), ("- (A) 3\n- (B) 4", "C"), ("- yes\n- no", "ye")],
)
def test_fault_02_an_answer_that_is_no_option_is_a_bad_row(options: str, answer: str) -> None:
    row = {"question": f"Which?\nOptions:\n{options}", "answer": answer, "rationale": "Since."}
    with pytest.raises(BadRow) as error:
        adapt_line(row)
    assert error.value.reason == NOT_AN_OPTION


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ("- yes\n- no", "no"),
        ("(A) 3\n(B) 4", "(B)"),
        ("- (A) 3\n- (B) 4", "(A)"),
        ('- Sentence A: "It is."\n- Sentence B: "It was."', "Sentence B"),
        ("- a cup: the big one\n- a jug", "a cup: the big one"),
    ],
)
def test_an_answer_is_an_option_by_its_text_or_its_mark(options: str, answer: str) -> None:
    row = {"question": f"Which?\nOptions:\n{options}", "answer": answer, "rationale": "Since."}
    assert adapt_line(row).references == (answer,)


def test_the_last_rows_are_measured_where_wanted(folder: Path) -> None:
    assert dict(loaded(folder, test_examples=1).splits) == {"train": "train[:-1]", "test": "train[-1:]"}


def test_a_folder_without_the_files_says_what_is_wanted(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(MissingDataError, match=r"none of Flan's"):
        loaded(tmp_path)
    with pytest.raises(MissingDataError, match="no such folder"):
        loaded(tmp_path / "nowhere")
    with pytest.raises(MissingDataError, match="creak_train"):
        list(loaded(folder, "cot_creak").source.rows("train"))


def test_the_folder_takes_the_place_of_the_collection(folder: Path) -> None:
    settings = DataSettings(collection=("cot", "more"), chain_of_thought=ChainOfThoughtSettings(folder=folder))
    tasks = load_tasks(settings, root=Path())
    mine = [task for task in tasks if task.name.startswith("cot_")]
    assert len(mine) == 9 and all(task.collection == "cot" and task.source.hub is None for task in mine)
    assert {"gsm8k"} < {task.name for task in tasks}


def test_a_task_file_reads_the_form_too(folder: Path) -> None:
    path = folder / "own.toml"
    path.write_text(
        """
name = "own"
clusters = ["arithmetic"]
kind = "generation"
metrics = ["number_match"]
[source]
files = { train = "gsm8k_train.tsv" }
columns = ["question", "answer", "rationale"]
written_line_breaks = true
[splits]
train = "train"
[fields]
question = "question"
rationale = "rationale"
[answer]
column = "answer"
[[templates]]
inputs = "{question}"
targets = "{rationale}\\nThe answer is {answer}."
"""
    )
    task = load_task_file(path)
    example = task.adapter(next(iter(task.source.rows("train"))))
    prompt = render(task, example, task.templates[0], split="train")
    assert prompt.targets == "A cat has 4 legs.\n3 * 4 = 12\nThe answer is 12."
    assert prompt.answer_marks == ("\nThe answer is ", ".")


def test_prompts_with_and_without_reasons_and_exemplars_come_out_of_the_mixture(folder: Path, tmp_path: Path) -> None:
    prepared = prepare_task(loaded(folder), cache=tmp_path / "cache")
    settings = PromptSettings(train_shots=(0, 2), trigger="Step by step.", exemplar_format="varied")
    mixture = Mixture([prepared], seed=0, prompts=settings)
    prompts = [mixture[index] for index in range(200)]
    kinds = Counter((bool(one.answer_marks), bool(one.exemplars)) for one in prompts)
    assert len(kinds) == 4
    for one in prompts:
        if one.answer_marks and not one.exemplars:
            assert one.inputs.endswith("\nStep by step.")
        else:
            assert "Step by step." not in one.inputs
        if one.answer_marks and one.exemplars:
            assert all(shown.row != one.row for shown in one.exemplars)
            assert all(one.answer_marks[0].strip() in shown.targets for shown in one.exemplars)


@pytest.mark.skipif(not REAL_FILES, reason="no real data here")
@pytest.mark.parametrize("path", REAL_FILES, ids=lambda path: path.stem)
def test_every_line_of_the_authors_files_is_an_example(path: Path) -> None:
    task = loaded(path.parent, f"cot_{path.stem.removesuffix('_train')}")
    count = 0
    for row in task.source.rows("train"):
        check_example(task.adapter(row), task.kind)
        count += 1
    expected = {"gsm8k": 7_473, "strategyqa": 2_061, "creak": 6_915, "qasc": 1_084, "ecqa": 7_112}
    expected |= {"sensemaking": 6_070, "aqua": 2_728}
    assert count == expected[task.source_family]
