"""A GGUF file is evaluated, named, compared and held to its training record like a model's folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from flantune.cli.main import cli
from flantune.commands.evaluate import evaluate
from flantune.commands.evaluation_request import EvaluationRequest
from flantune.contamination.record_files import copy_record, write_record
from flantune.contamination.training_record import TrainedTask, TrainingRecord, make_index
from flantune.contamination.training_record import _one_corpus as one_corpus
from flantune.errors import LeakError, ModelError
from flantune.settings.config import DataSettings
from tests.models.gguf_files import Kind, make_gguf

TASK = """
name = "colors"
clusters = ["colors"]
family = "colors"
kind = "classification"
metrics = ["accuracy"]

[source]
files = { all = "colors.jsonl" }

[splits]
test = "all"

[fields]
text = "text"

[options]
values = ["no", "yes"]

[answer]
column = "label"

[[templates]]
name = "ask"
inputs = "{text}?"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("gguf")
    for name, stored in (("plain.gguf", "F32"), ("small.Q8_0.gguf", "Q8_0")):
        make_gguf(root / name, Kind(architecture="llama", model="LlamaForCausalLM"), stored=stored)
    rows = ({"text": f"The {n} sat", "label": n % 2} for n in range(8))
    (root / "colors.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (root / "colors.toml").write_text(TASK)
    return root


def request(folder: Path, out: Path, *names: str) -> EvaluationRequest:
    data = DataSettings(tasks=(str(folder / "colors.toml"),))
    return EvaluationRequest(models=tuple(str(folder / name) for name in names), out=out, data=data)


def test_two_files_are_measured_and_compared(folder: Path, tmp_path: Path) -> None:
    results = evaluate(request(folder, tmp_path, "plain.gguf", "small.Q8_0.gguf"))
    assert results.names == ("plain.gguf", "small.Q8_0.gguf")
    (task,) = results.tasks
    assert {one.examples for one in task.scores.values()} == {8}
    assert "small.Q8_0.gguf" in (tmp_path / "report.html").read_text()
    done = CliRunner().invoke(cli, ["compare", f"{tmp_path}:plain.gguf", f"{tmp_path}:small.Q8_0.gguf", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["second"] == "small.Q8_0.gguf"


def test_what_the_file_was_trained_on_is_not_called_unseen(folder: Path, tmp_path: Path) -> None:
    task = TrainedTask(name="colors", clusters=("colors",), family="colors", hub="", source="", rows=8)
    model = tmp_path / "model"
    model.mkdir()
    write_record(model, TrainingRecord(tasks=(task,), held_out=(), base=""), make_index(one_corpus([])))
    file = tmp_path / "tuned.gguf"
    file.symlink_to(folder / "plain.gguf")
    copy_record(model, file)
    with pytest.raises(LeakError, match='trained on the task "colors"'):
        evaluate(request(folder, tmp_path / "out", str(file)))
    done = CliRunner().invoke(cli, ["seen", str(file), str(results_file(tmp_path, "colors"))])
    assert done.exit_code == 1 and "trained on" in done.output


def results_file(folder: Path, task: str) -> Path:
    path = folder / "results_1.json"
    path.write_text(json.dumps({"results": {task: {"acc,none": 0.5}}, "configs": {task: {}}}))
    return path


def test_a_missing_file_is_found_missing_before_anything_is_read(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such GGUF file"):
        evaluate(request(folder, tmp_path / "out", "none.gguf"))
