"""A whole run on a folder of Natural-Instructions: six made-up tasks, both families."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flantune.evaluation.samples import read_samples
from flantune.settings.run_file import load_run_file

pytestmark = pytest.mark.slow

TASKS = {  # name → category, source, what is asked, the answer to number k
    "task1_next": ("Counting", "numbers", "Say the number after it.", lambda k: str(k + 1)),
    "task2_before": ("Counting", "numbers", "Say the number before it", lambda k: str(k - 1)),
    "task3_even": ("Judging", "parity", "Is it even?", lambda k: "no" if k % 2 else "yes"),
    "task4_last": ("Copying", "digits", "Say its last digit.", lambda k: str(k % 10)),
    "task5_entails": ("Textual Entailment", "pairs", "Is it more than forty?", lambda k: "yes" if k > 40 else "no"),
    "task6_kin": ("Copying", "pairs", "Say it again.", str),
}

RUN = """
name = "six tasks"
[data]
cache = "cache"
[data.natural_instructions]
folder = "ni"
[holdout]
folds = [["Textual Entailment"]]
[mixture]
max_examples = 20
[packing]
max_input_tokens = 128
max_target_tokens = 16
row_tokens = 160
batch_tokens = 640
[model]
scratch = {{ architecture = "{architecture}", vocabulary_size = 400, hidden_size = 32, layers = 1, heads = 2 }}
[training]
steps = 3
optimizer = "adamw"
log_every = 1
[evaluation]
max_examples = 6
dev_examples = 0
max_new_tokens = 4
"""


def write_folder(home: Path) -> None:
    (home / "tasks").mkdir(parents=True)
    (home / "splits/default").mkdir(parents=True)
    for name, (category, source, definition, answer) in TASKS.items():
        made = [{"input": f"number {k}", "output": answer(k), "explanation": "So it is."} for k in range(1, 5)]
        tree = {
            "Categories": [category],
            "Source": [source],
            "Definition": [definition],
            "Input_language": ["English"],
            "Output_language": ["English"],
            "Instance License": ["CC0"],
            "Positive Examples": made[:2],
            "Negative Examples": made[2:],
            "Instances": [{"id": str(k), "input": f"number {k}", "output": [answer(k)]} for k in range(1, 61)],
        }
        (home / "tasks" / f"{name}.json").write_text(json.dumps(tree), encoding="utf-8")
    for part, names in {"train": [*TASKS][:4], "test": ["task5_entails"], "excluded": ["task6_kin"]}.items():
        (home / f"splits/default/{part}_tasks.txt").write_text("\n".join(names), encoding="utf-8")


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_six_tasks_to_the_report(tmp_path: Path, architecture: str):
    from flantune.commands.run import run

    write_folder(tmp_path / "ni")
    (tmp_path / "run.toml").write_text(RUN.format(architecture=architecture), encoding="utf-8")
    done = run(load_run_file(tmp_path / "run.toml"), out=tmp_path / "out")
    assert (done.folder / "report.html").stat().st_size > 1_000
    assert {task.name for task in done.results.tasks} == {"task5_entails"}
    mixture = json.loads((done.folder / "folds/textual-entailment/mixture.json").read_text(encoding="utf-8"))
    assert all(name in json.dumps(mixture) for name in [*TASKS][:4]) and "task6" not in json.dumps(mixture)
    samples = list(read_samples(done.folder / "folds/textual-entailment/tuned/samples/task5_entails.parquet"))
    assert len(samples) == 6 * 5
    for sample in samples:
        assert sample.inputs.endswith(f"number {sample.row + 1}.\nAnswer:\n")
        shown = sample.inputs.split("Now do this one:")[0]
        assert ("What to do: Is it more than forty?" in shown) == sample.template.startswith("definition")
        assert f"number {sample.row + 1}." not in shown
