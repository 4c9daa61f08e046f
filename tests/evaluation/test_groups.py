"""A question's name travels from the raw row to the results, so that its candidate answers stay together."""

from __future__ import annotations

from dataclasses import replace

from flantune.evaluation.run_samples import FoldInput
from flantune.evaluation.samples import read_samples
from flantune.prompts.render import render
from flantune.prompts.styles import Style
from flantune.tasks.prepare import prepare_task
from flantune.tasks.taskfile import load_task_file

from .made import color_examples, info, make_model, make_task, run, summarize

FILE = """
name = "questions"
clusters = ["reading"]
kind = "classification"
[source]
files = { test = "rows.jsonl" }
[splits]
test = "test"
[fields]
question = "q"
candidate = "a"
[options]
values = ["no", "yes"]
[answer]
column = "label"
group = ["idx.text", "idx.question"]
[[templates]]
inputs = "{question} {candidate} {options}"
"""


def test_columns_name_the_group_and_the_store_keeps_it(tmp_path):
    rows = [(0, 0, 1), (0, 0, 0), (0, 1, 1), (1, 0, 0)]
    (tmp_path / "rows.jsonl").write_text(
        "".join(
            f'{{"q": "Q?", "a": "A{at}", "label": {label}, "idx": {{"text": {text}, "question": {question}}}}}\n'
            for at, (text, question, label) in enumerate(rows)
        )
    )
    (tmp_path / "questions.toml").write_text(FILE)
    task = load_task_file(tmp_path / "questions.toml")
    stored = prepare_task(task, cache=tmp_path / "cache").stores["test"]
    assert [example.group for example in stored] == ["0/0", "0/0", "0/1", "1/0"]
    assert render(task, stored[2], task.templates[0], split="test").group == "0/1"


def test_rows_of_a_generation_task_may_belong_together_too(tmp_path):
    text = FILE.replace('"classification"', '"generation"').replace('[options]\nvalues = ["no", "yes"]\n', "")
    (tmp_path / "questions.toml").write_text(text.replace("{options}", ""))
    adapter = load_task_file(tmp_path / "questions.toml").adapter
    row = {"q": "Q?", "a": "A", "label": "yes", "idx": {"text": 3, "question": 1}}
    assert adapter(row).group == "3/1"


def test_the_group_reaches_samples_and_results(tmp_path):
    examples = tuple(replace(one, group=f"q{one.row // 2}") for one in color_examples(8, options=2))
    prepared = make_task({"test": examples}, metrics=("group_exact_match", "accuracy"))
    lm = make_model()
    for folder in (tmp_path / "base", tmp_path / "folds" / "f" / "tuned"):
        (measured,) = run(lm, prepared, folder)
    samples = list(read_samples(measured.path))
    assert {sample.row: sample.group for sample in samples} == {row: f"q{row // 2}" for row in range(8)}
    fold = FoldInput(name="f", clusters=("c",), unseen=("colors",))
    tasks = [info("colors", metrics=("group_exact_match", "accuracy"))]
    results = summarize(tmp_path, folds=[fold], tasks=tasks, seed=0)
    (task,) = results["tasks"]
    assert (task["scores"]["tuned"]["examples"], task["groups"]) == (8, 4)
    assert task["chance"] == 0.25
    scores = task["scores"]["base"]["metrics"]
    assert scores["group_exact_match"] <= scores["accuracy"]


def test_every_right_option_is_a_reference_in_letters_too():
    (one,) = color_examples(1, options=3)
    example = replace(one, answer=0, references=(one.options[0], one.options[2]))
    prepared = make_task({"test": (example,)})
    template = prepared.task.templates[0]
    lettered = render(prepared.task, example, template, split="test", style=Style(options="lettered"))
    assert (lettered.options, lettered.references) == (("(A)", "(B)", "(C)"), ("(A)", "(C)"))
    assert render(prepared.task, example, template, split="test").references == example.references
