"""What a run takes here is tried; on devices by name it is reckoned; both before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import transformers
from click.testing import CliRunner

from flantune.cli.main import cli
from flantune.commands import rehearsal
from flantune.commands.estimate import estimate_run
from flantune.errors import ConfigError
from flantune.settings.run_file import load_run_file
from flantune.studies.estimate import RunCost
from flantune.system.progress import Silent


def estimate(world: Path, *overrides: str, device: str = "") -> RunCost:
    file = load_run_file(world / "run.toml", overrides=overrides)
    return estimate_run(file, cache=world / "cache", device=device)


def test_folds_are_tuned_each_and_the_base_model_is_asked_once(world: Path) -> None:
    both, one = estimate(world), estimate(world, 'holdout.folds=[["sentiment"]]')
    assert (both.folds, one.folds) == (2, 1)
    assert both.training.tokens == pytest.approx(2 * one.training.tokens, rel=0.1)
    # "mood" and "tone" in one fold, "animal" in the other: no task is measured in two.
    assert both.questions == 2 * sum(2 * 2 * (12 + 6) for _ in ("mood", "tone", "animal"))
    assert both.base.tokens == both.tuned.tokens > one.base.tokens


def test_devices_by_name_take_the_arithmetic_over_their_speed(world: Path) -> None:
    one, eight = (estimate(world, device=name) for name in ("h100", "h100:8"))
    assert one.speed is not None and one.training.seconds == pytest.approx(one.training.flops / (0.297 * 989e12))
    assert one.training.seconds == pytest.approx(8 * eight.training.seconds)
    assert eight.device == "8 × NVIDIA H100 SXM" and eight.fits is True


def test_a_model_too_large_for_a_device_is_said_not_to_fit(world: Path) -> None:
    large = "model.scratch={architecture='llama', vocabulary_size=400, hidden_size=4096, layers=48, heads=32}"
    found = estimate(world, large, "training.optimizer='adamw'", device="l4")
    assert found.fits is False
    sharded = estimate(world, large, "training.optimizer='adamw'", "training.parallel='sharded'", device="l4:16")
    assert sharded.fits is True


def test_this_machine_is_tried_with_the_runs_own_work(world: Path) -> None:
    found = estimate(world, device="here")
    assert found.speed is not None and found.device == "this machine"
    assert found.memory is not None and found.memory.activations > 0
    for load, speed in ((found.training, found.speed.training), (found.base, found.speed.reading)):
        assert load.seconds == pytest.approx(load.tokens / speed)


class Steps(Silent):
    """Remembers what was reported."""

    def __init__(self) -> None:
        self.shares: list[float] = []
        self.texts: list[str] = []

    def step(self, done: float, total: float, text: str) -> None:
        self.shares.append(done / total)
        self.texts.append(text)


def test_each_part_that_is_tried_is_reported(world: Path) -> None:
    told = Steps()
    deep = "model.scratch={architecture='llama', vocabulary_size=400, hidden_size=32, layers=24, heads=2}"
    file = load_run_file(world / "run.toml", overrides=[deep])
    estimate_run(file, cache=world / "cache", device="here", reporter=told)
    assert told.shares == [number / 10 for number in range(11)]
    assert told.texts[:2] == ["4 layers of 24: make it", "4 layers of 24: find what training keeps in memory"]
    assert told.texts[7] == "1 layer of 24: train" and told.texts[-1] == "all parts tried"


def test_of_a_deep_model_a_few_layers_stand_in(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried, made = [], rehearsal.made_up_model

    def remembered(config: transformers.PretrainedConfig, *rest: object, **own: object) -> object:
        tried.append(config.num_hidden_layers)
        return made(config, *rest, **own)

    monkeypatch.setattr(rehearsal, "made_up_model", remembered)
    deep = "model.scratch={architecture='t5', vocabulary_size=400, hidden_size=32, layers=24, heads=2}"
    found = estimate(world, deep, device="here")
    assert tried == [4, 1]
    shallow = estimate(world, deep.replace("24", "4"), device="here")
    assert found.speed is not None and shallow.speed is not None
    assert found.speed.activation_bytes > 4 * shallow.speed.activation_bytes


def test_a_run_that_measures_no_task_is_tried_too(world: Path) -> None:
    found = estimate(world, 'holdout.benchmarks=["mmlu"]', "holdout.folds=[]", device="here")
    assert found.speed is not None and found.questions == 0 and found.detectable is None
    assert found.speed.reading == pytest.approx(3 * found.speed.training)


def test_lists_of_layers_are_cut_with_the_model() -> None:
    config = transformers.Gemma3TextConfig(num_hidden_layers=6, layer_types=["sliding_attention", "full_attention"] * 3)
    short = rehearsal.shallow(config, 2)
    assert short.num_hidden_layers == 2 and len(short.layer_types) == 2
    assert config.num_hidden_layers == 6


def test_a_model_that_fits_nowhere_here_is_not_tried(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "available_memory_bytes", lambda: 1)
    found = estimate(world, device="here")
    assert found.speed is None and "not measured" in found.notes[0] and found.total.seconds == 0


def test_dry_run_says_what_it_takes_and_makes_no_run(world: Path, tmp_path: Path) -> None:
    command = ["run", str(world / "run.toml"), "--dry-run", "--out", str(tmp_path / "out")]
    said = CliRunner().invoke(cli, [*command, "--on", "tpu-v4:8"])
    assert said.exit_code == 0, said.output
    for word in ("steps", "tuning", "questions", "time", "speed", "detectable", "8 × TPU v4"):
        assert word in said.stdout
    assert not (tmp_path / "out/config.toml").exists()
    told = CliRunner().invoke(cli, [*command, "--on", "tpu-v4:8", "--json"])
    assert json.loads(told.stdout)["cost"]["device"] == "8 × TPU v4"


def test_an_unknown_device_is_refused_before_anything_is_read(world: Path) -> None:
    said = CliRunner().invoke(cli, ["check", str(world / "run.toml"), "--on", "h10"])
    assert isinstance(said.exception, ConfigError) and 'did you mean "h100"?' in said.exception.hint
    without = CliRunner().invoke(cli, ["run", str(world / "run.toml"), "--on", "h100"])
    assert without.exit_code == 2 and "--dry-run" in without.output


def test_auto_counts_rounded_copies_where_there_are_some(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx2": True})
    here, there = (estimate(world, 'model.dtype="auto"', 'model.device="cpu"', device=name) for name in ("", "h100"))
    rounded = estimate(world, 'model.dtype="bfloat16"')
    assert here.memory is not None and there.memory is not None and rounded.memory is not None
    assert here.memory.weights == 4 * here.weights
    assert there.memory.weights == rounded.memory.weights == 6 * here.weights
