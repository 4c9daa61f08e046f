"""The roads of docs/model-families.md, in steps of a second: text, further pretraining, tuning, scores."""

from __future__ import annotations

from pathlib import Path

import pytest

from flantune.commands.pretrain import pretrain
from flantune.commands.run import run
from flantune.models.load import load_model
from flantune.pretraining.marks import sentinels_of
from flantune.settings.run_file import load_run_file

from .small_world import write_small_world

EXAMPLES = Path(__file__).parents[2] / "examples"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("families")
    write_small_world(folder, steps=2, rows=30)
    (folder / "text.txt").write_text("The old mill stood by the river, and the miller was asleep.\n" * 300)
    return folder


def step(world: Path, name: str, *overrides: str) -> Path:
    """Runs an example of pretraining with little text and few steps; the model."""
    small = (f"pretraining.files=['{world / 'text.txt'}']", "pretraining.input_tokens=48", "training.steps=2",
             "packing.row_tokens=128", "packing.batch_tokens=256")  # fmt: skip
    return pretrain(load_run_file(EXAMPLES / f"{name}.toml", overrides=[*small, *overrides]), out=world / name).model


def nothing(size: int = 16) -> list[str]:
    return [f"model.scratch.hidden_size={size}", "model.scratch.layers=1", "model.scratch.vocabulary_size=420"]


def tuned(world: Path, model: Path):
    overrides = ("holdout.folds=[['sentiment']]", f"model={{path='{model}'}}", "evaluation.shots=[0]",
                 "evaluation.max_examples=3", "evaluation.dev_examples=0")  # fmt: skip
    done = run(load_run_file(world / "run.toml", overrides=overrides), out=world / f"tuned-{model.parent.name}")
    assert (done.folder / "report.html").is_file() and {task.name for task in done.results.tasks} == {"mood", "tone"}
    return load_model(done.folder / "folds/sentiment/model")


def test_flan_t5(world):
    base = step(world, "flan_t5_base", *nothing())
    adapted = step(world, "flan_t5_adapted", f"model.path={base}")
    lm = tuned(world, adapted)
    assert lm.family == "encoder-decoder" and len(sentinels_of(lm.tokenizer)) == 100


def test_flan_palm_and_flan_u_palm(world):
    palm = step(world, "flan_palm_base", *nothing())
    assert tuned(world, palm).attention == "causal"
    u_palm = step(world, "flan_u_palm_base", f"model.path={palm}")
    lm = tuned(world, u_palm)
    assert lm.attention == "prefix" and len(sentinels_of(lm.tokenizer)) == 100
