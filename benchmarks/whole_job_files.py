"""What the sides of ``whole_job`` are given: a model, finished training text, and questions as files of lm-eval."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml

from flantune.evaluation.metrics.rank_classification import best_options
from flantune.evaluation.samples import read_samples
from flantune.types import Sample

TAG = "whole_job"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A prompt that flantune asked both models, and whether each chose the right option.

    Attributes:
        name: Of its task and template.
    """

    task: str
    name: str
    inputs: str
    options: tuple[str, ...]
    answer: int
    base_is_right: bool
    tuned_is_right: bool


def make_model(run_file: Path, scratch: dict[str, Any], folder: Path, *, settings: Sequence[str]) -> Path:
    """A random model with a tokenizer learned from the tasks' own prompts, in Hugging Face form."""
    from flantune.commands.plan import make_tokenizer, prepare_tasks
    from flantune.models.load import save_model
    from flantune.models.scratch import build_model
    from flantune.settings.config import ScratchSettings
    from flantune.settings.run_file import load_run_file

    file = load_run_file(run_file, overrides=[*settings, "model.path=unused"])
    prepared, _ = prepare_tasks(file.config, root=file.root, cache=folder.with_name("rows"))
    shape = ScratchSettings.model_validate(scratch)
    with_scratch = file.config.model.model_copy(update={"path": "", "scratch": shape})
    tokenizer, _ = make_tokenizer(file.config.model_copy(update={"model": with_scratch}), prepared)
    save_model(build_model(shape, tokenizer, seed=0), folder, card="random\n")
    return folder


def write_training_text(run_file: Path, out: Path, path: Path, *, settings: Sequence[str]) -> int:
    """The prompts that a run in ``out`` was tuned on, as prompt and completion; returns how many."""
    from flantune.commands.export import export
    from flantune.settings.run_file import load_run_file

    (training,) = (json.loads(one.read_text(encoding="utf-8")) for one in out.glob("folds/*/training.json"))
    file = load_run_file(run_file, overrides=[*settings, "model.path=unused"])
    rows = path.with_name("export.jsonl")
    export(file, path=rows, count=training["cursor"], cache=out / "data")
    separator = file.config.prompts.target_separator
    with rows.open(encoding="utf-8") as lines, path.open("w", encoding="utf-8") as handle:
        for row in map(json.loads, lines):
            pair = {"prompt": row["inputs"], "completion": separator + row["targets"]}
            handle.write(json.dumps(pair, ensure_ascii=False) + "\n")
    return int(training["cursor"])


def asked(out: Path) -> list[Question]:
    """What a run asked the base and the tuned model, by task, template and row."""
    (tuned,) = out.glob("folds/*/tuned/samples")
    return [
        _question(before, after)
        for path in sorted((out / "base/samples").glob("*.parquet"))
        for before, after in zip(read_samples(path), read_samples(tuned / path.name), strict=True)
    ]


def _question(before: Sample, after: Sample) -> Question:
    assert (before.inputs, before.options, before.answer) == (after.inputs, after.options, after.answer)
    assert before.answer is not None
    return Question(
        task=before.task,
        name=f"{TAG}_{before.task}_{before.template}".replace("/", "_").replace(" ", "_"),
        inputs=before.inputs,
        options=before.options,
        answer=before.answer,
        base_is_right=best_options(before.scores)[0] == before.answer,
        tuned_is_right=best_options(after.scores)[0] == after.answer,
    )


def write_questions(questions: Sequence[Question], folder: Path) -> None:
    """A data file for each task and a task file for each of its templates, under one tag."""
    folder.mkdir()
    for task, members in groupby(questions, key=lambda question: question.task):
        templates = [[*found] for _, found in groupby(members, key=lambda question: question.name)]
        data = folder / f"{task}.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in _rows(templates)), encoding="utf-8")
        for number, found in enumerate(templates):
            told = {
                "task": found[0].name,
                "tag": TAG,
                "dataset_path": "json",
                "dataset_kwargs": {"data_files": {"test": str(data)}},
                "test_split": "test",
                "output_type": "multiple_choice",
                "doc_to_text": f"inputs_{number}",
                "doc_to_choice": f"options_{number}",
                "doc_to_target": f"answer_{number}",
                "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
            }
            (folder / f"{found[0].name}.yaml").write_text(yaml.safe_dump(told), encoding="utf-8")


def _rows(templates: Iterable[Sequence[Question]]) -> Iterator[dict[str, Any]]:
    """A row of a data file has the columns of each template."""
    for same_row in zip(*templates, strict=True):
        row: dict[str, Any] = {}
        for number, question in enumerate(same_row):
            row |= {
                f"inputs_{number}": question.inputs,
                f"options_{number}": list(question.options),
                f"answer_{number}": question.answer,
            }
        yield row
