"""A very small collection of tasks on disk, for runs that take seconds."""

from __future__ import annotations

import json
import random
from pathlib import Path

_TASK = """
name = "{name}"
clusters = ["{cluster}"]
family = "{name}"
kind = "{kind}"
metrics = ["{metric}"]

[source]
files = {{ train = "{name}/train.jsonl", dev = "{name}/dev.jsonl", test = "{name}/test.jsonl" }}

[splits]
train = "train"
dev = "dev"
test = "test"

[fields]
text = "text"

{options}
[answer]
column = "answer"

[[templates]]
name = "ask"
inputs = '''
{ask} {{text}}{shown}'''

[[templates]]
name = "tell"
inputs = '''
{{text}}
{tell}{shown}'''

[[templates]]
name = "invent"
inputs = '''
Write a text for which the answer is {{answer}}.'''
targets = "{{text}}"
inverted = true
"""

_NOUNS = ("cat", "dog", "bird", "fish", "horse", "cow")
_GOOD, _BAD = ("nice", "kind", "lovely"), ("bad", "mean", "awful")


def write_small_world(folder: Path, *, architecture: str = "llama", steps: int = 6, rows: int = 60) -> Path:
    """Four tasks in three clusters, and a run file that holds two of the clusters out in turn."""
    for name, cluster, kind, ask, tell in (
        ("mood", "sentiment", "classification", "Good or bad?", "Is this good or bad?"),
        ("tone", "sentiment", "classification", "Judge this:", "Which judgment fits?"),
        ("animal", "topic", "classification", "Which animal is meant?", "Name the animal."),
        ("echo", "copying", "generation", "Repeat the last word:", "What is the last word?"),
    ):
        _write_task(folder, name, cluster=cluster, kind=kind, ask=ask, tell=tell, rows=rows)
    (folder / "run.toml").write_text(_RUN.format(architecture=architecture, steps=steps), encoding="utf-8")
    return folder / "run.toml"


_RUN = """
name = "a small world"
seed = 3
[data]
tasks = ["*_task.toml"]
[holdout]
folds = [["sentiment"], ["topic"]]
[packing]
max_input_tokens = 96
max_target_tokens = 24
row_tokens = 128
batch_tokens = 512
[model]
scratch = {{ architecture = "{architecture}", vocabulary_size = 400, hidden_size = 32, layers = 2, heads = 2 }}
[training]
steps = {steps}
learning_rate = 1e-3
checkpoint_every = 2
log_every = 1
[evaluation]
max_examples = 12
dev_examples = 6
max_new_tokens = 6
shots = [0, 1]
"""


def _write_task(folder: Path, name: str, *, cluster: str, kind: str, ask: str, tell: str, rows: int) -> None:
    options = {"sentiment": '[options]\nvalues = ["bad", "good"]\n', "topic": f"[options]\nvalues = {list(_NOUNS)}\n"}
    text = _TASK.format(
        name=name,
        cluster=cluster,
        kind=kind,
        ask=ask,
        tell=tell,
        metric="accuracy" if kind == "classification" else "exact_match",
        options=options.get(cluster, ""),
        shown="\n{options}" if kind == "classification" else "",
    )
    (folder / f"{name}_task.toml").write_text(text, encoding="utf-8")
    for split in ("train", "dev", "test"):
        path = folder / name / f"{split}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        maker = random.Random(f"{name} {split}")
        made = [_row(maker, cluster, number, split) for number in range(rows)]
        path.write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")


def _row(maker: random.Random, cluster: str, number: int, split: str) -> dict[str, str]:
    noun, is_good = maker.choice(_NOUNS), maker.random() < 0.5
    adjective = maker.choice(_GOOD if is_good else _BAD)
    text = f"In {split} story {number} the {noun} was {adjective}."
    answers = {"sentiment": "good" if is_good else "bad", "topic": noun, "copying": adjective}
    return {"text": text, "answer": answers[cluster]}
