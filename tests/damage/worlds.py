"""Small whole worlds of files to be damaged: how each is made, what reads it, how many damages it is due."""

from __future__ import annotations

import gzip
import json
import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import zstandard

from flantune.commands.run import run
from flantune.packing.packs import Counts
from flantune.settings.json_file import write_value
from flantune.settings.run_file import load_run_file
from flantune.training.state import TuningState
from tests.damage import readers
from tests.end_to_end.small_world import write_small_world

ROWS = [
    {
        "text": f"the {'kettle' if k % 2 else 'river'} sang for the {k}th time, “quietly”",
        "label": k % 2,
        "who": f"w{k // 3}",
    }
    for k in range(40)
]

RUN = """# every kind of value that a run file has
name = "a run"
seed = 3
[data]
tasks = ["*_task.toml"]
include = ["mood", "tone", "animal", "echo"]
clusters = "grouping.toml"
clean = "clean.json"
max_bad_share = 0.5
missing = "skip"
[holdout]
folds = [["sentiment"], ["topic"]]
taxonomy = "taxonomy.toml"
[prompts]
train_shots = [0, 0, 2]
target_separator = "\\n"
[mixture]
rates = "equal"
max_rate = 100
[packing]
max_input_tokens = 96
batch_tokens = 2048
[model]
scratch = { architecture = "llama", vocabulary_size = 400, hidden_size = 32, layers = 2, heads = 2 }
dtype = "float32"
[training]
steps = 6
learning_rate = 1e-3
weight_decay = 0.1
freeze = ["embeddings"]
[training.adam]
betas = [0.9, 0.95]
[evaluation]
shots = [0, 1]
confidence = 0.9
content_free = ["N/A", ""]
"""
GROUPING = """description = "another order"
[clusters]
"sentiment" = ["mood", "tone"]
"topic" = ["animal"]
"copying" = ["echo"]
"""
TAXONOMY = """extends_shipped = true
[aliases]
"sentiment" = ["feeling", "mood"]
[[overlap]]
evaluating = "topic"
removes = ["naming"]
because = "they are near"
[[kin]]
name = "the same stories"
members = ["mood", "stories"]
because = "one was made from the other"
"""
TASK = """name = "{name}"
clusters = ["weather", "kitchens"]
kind = "classification"
family = "sounds"
metrics = ["accuracy", "f1"]
[source]
files = {{ train = "{file}" }}
{more}
[splits]
train = "train[:20]"
dev = "train[20:25] + train[26:30]"
test = "train[30:]"
[fields]
text = "text"
who = "who"
[options]
values = ["a river", "a kettle"]
[answer]
column = "label"
drop = [-1]
group = ["who"]
[[templates]]
name = "ask"
inputs = "What sang? {{text}}\\n\\n{{options}}"
[[templates]]
inputs = "Write a line about {{answer}}."
targets = "{{text}}"
inverted = true
"""


def choose(folder: Path, draw: random.Random) -> Path:
    """A file of a world; of many that are called the same, such as stores of rows, no more often than of one."""
    named: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in readers.PASSED_OVER:
            named.setdefault(path.name, []).append(path)
    return draw.choice(named[draw.choice(sorted(named))])


def make_run_file(folder: Path) -> None:
    folder.mkdir(parents=True)
    write_small_world(folder, rows=8)
    for name, text in (("run.toml", RUN), ("grouping.toml", GROUPING), ("taxonomy.toml", TAXONOMY)):
        (folder / name).write_text(text, encoding="utf-8")
    folds = [{"held_out": [name], "train": {"mood": [1, 2]}, "test": {}} for name in ("sentiment", "topic")]
    (folder / "clean.json").write_text(json.dumps({"schema": 1, "name": "a", "folds": folds}), encoding="utf-8")


def _tasks(suffix: str, write: Callable[[Path], None], more: str = "") -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "task.toml").write_text(TASK.format(name="sounds", file=f"rows{suffix}", more=more), encoding="utf-8")
        write(folder / f"rows{suffix}")

    return make


def _json_lines() -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()


def _table(delimiter: str) -> bytes:
    lines = [delimiter.join(ROWS[0]), *(delimiter.join([f'"{r["text"]}"', str(r["label"]), r["who"]]) for r in ROWS)]
    return ("\n".join(lines) + "\n").encode()


def _parquet(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=10)


def _aligned(folder: Path) -> None:
    folder.mkdir(parents=True)
    text = TASK.format(name="sounds", file="", more="").replace('{ train = "" }', _ALIGNED)
    text = text.replace("drop = [-1]", 'map = { "0" = "a river", "1" = "a kettle" }')
    (folder / "task.toml").write_text(text, encoding="utf-8")
    for column in ROWS[0]:
        (folder / f"rows.{column}").write_text("".join(f"{row[column]}\n" for row in ROWS), encoding="utf-8")


_ALIGNED = '{ train = { text = "rows.text", label = "rows.label", who = "rows.who" } }'


def _zstd() -> bytes:
    return zstandard.ZstdCompressor().compress(_json_lines())


def make_run(folder: Path, *, strips: bool = True) -> None:
    """A finished run, and the results of one with another seed; without what only a model's loader reads."""
    folder.mkdir(parents=True)
    path = write_small_world(folder, steps=1, rows=16)
    changes = {
        '[["sentiment"], ["topic"]]': '[["topic"]]',
        "max_examples = 12": "max_examples = 5",
        "dev_examples = 6": "dev_examples = 2",
        "hidden_size = 32, layers = 2": "hidden_size = 8, layers = 1",
    }
    text = path.read_text(encoding="utf-8")
    for old, new in changes.items():
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    made = run(load_run_file(path), out=folder / "run")
    write_value(folder / "other" / "results.json", made.results.model_copy(update={"seed": 4}))
    for name in () if not strips else ("tensorboard", "tokenizer.json", "model.safetensors"):
        for found in folder.rglob(name):
            _remove(found)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _bytes(raw: Callable[[], bytes]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(raw())

    return write


def make_checkpoints(folder: Path) -> None:
    """Three checkpoints of a model of one layer."""
    checkpoints, model, optimizer = readers.checkpoints(folder)
    model(torch.ones(4)).sum().backward()
    for step in (1, 2, 3):
        optimizer.step()
        checkpoints.save(model, optimizer, TuningState(step=step, cursor=8 * step, counts=Counts(prompts=step)))


def make_judged(folder: Path) -> None:
    """Prompts, two models' answers to them and what a rater said."""
    folder.mkdir(parents=True)
    prompts = [{"id": f"p{k}", "prompt": f"Which way to {k}?"} for k in range(6)]
    answers = [
        {"id": one["id"], "prompt": one["prompt"], "model": model, "answer": "left", "tokens": 3}
        for one in prompts
        for model in ("a", "b")
    ]
    ratings = [
        {
            "comparison": f"c{k}",
            "prompt": f"p{k}",
            "left": "a",
            "right": "b",
            "choice": "left",
            "rater": "Ada",
            "seconds": 1.5,
            "time": "2026-01-01T00:00:00+00:00",
        }
        for k in range(6)
    ]
    (folder / "prompts.txt").write_text("Where?\nWhen?\n", encoding="utf-8")
    for name, rows in (("prompts", prompts), ("answers", answers), ("answers.ratings", ratings)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")


HARNESS = """task: sounds
dataset_path: json
dataset_kwargs:
  data_files: {test: rows.jsonl}
test_split: test
num_fewshot: 2
doc_to_text: "What sang? {{text}}"
doc_to_target: label
doc_to_choice: ["a river", "a kettle"]
output_type: multiple_choice
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
generation_kwargs:
  until: ["\\n"]
"""


def make_harness(folder: Path) -> None:
    """A task file of lm-evaluation-harness and one that it includes."""
    folder.mkdir(parents=True)
    (folder / "task.yaml").write_text(f"include: common.yaml\n{HARNESS}", encoding="utf-8")
    (folder / "common.yaml").write_text("metadata:\n  version: 1.0\ntest_split: test\n", encoding="utf-8")


def make_mirror(folder: Path) -> None:
    """A task on a mirror of the hub, and the note of what was fetched into it."""
    home = folder / "hub/some/where/default"
    home.mkdir(parents=True)
    (home / "train.jsonl").write_bytes(_json_lines())
    note = {"rows": len(ROWS), "is_whole": True, "revision": None, "commit": "0a1b2c3"}
    (home / "fetched.json").write_text(json.dumps({"splits": {"train": note}}, indent=1), encoding="utf-8")
    text = TASK.format(name="sounds", file="x", more="").replace('files = { train = "x" }', 'hub = "some/where"')
    (folder / "task.toml").write_text(text, encoding="utf-8")


Reader = Callable[[Path, Path | None], None]

WORLDS: Mapping[str, tuple[Callable[[Path], None], Reader, int]] = {
    "run file": (make_run_file, readers.read_run_file, 520),
    "jsonl": (_tasks(".jsonl", _bytes(_json_lines)), readers.read_tasks, 240),
    "json": (_tasks(".json", _bytes(lambda: json.dumps({"rows": ROWS}).encode())), readers.read_tasks, 180),
    "csv": (_tasks(".csv", _bytes(lambda: _table(","))), readers.read_tasks, 180),
    "tsv": (_tasks(".tsv", _bytes(lambda: _table("\t")), 'quoting = "standard"'), readers.read_tasks, 120),
    "plain tsv": (_tasks(".tsv", _bytes(lambda: _table("\t"))), readers.read_tasks, 60),
    "gzip": (_tasks(".jsonl.gz", _bytes(lambda: gzip.compress(_json_lines()))), readers.read_tasks, 120),
    "zstd": (_tasks(".jsonl.zst", _bytes(_zstd)), readers.read_tasks, 120),
    "parquet": (_tasks(".parquet", _parquet), readers.read_tasks, 220),
    "aligned": (_aligned, readers.read_tasks, 60),
    "judged": (make_judged, readers.read_judged, 160),
    "harness": (make_harness, readers.read_harness, 200),
    "mirror": (make_mirror, readers.read_mirror, 80),
    "checkpoints": (make_checkpoints, readers.read_checkpoints, 60),
    "run folder": (make_run, readers.read_run, 120),
}
