"""What a run would stop at in its first seconds, ``flantune check`` has said before."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.end_to_end.small_world import write_small_world

from flantune.cli.main import cli
from flantune.commands.check import RunCheck, check_run_file
from flantune.commands.run import run
from flantune.errors import FlantuneError
from flantune.models.load import save_model
from flantune.models.scratch import build_model, train_tokenizer
from flantune.runs.folder import open_run_folder, read_kept_settings
from flantune.settings.run_file import load_run_file


def with_model(world: Path, path: str) -> Path:
    text = (world / "run.toml").read_text(encoding="utf-8")
    file = world / f"run-{abs(hash(path))}.toml"
    file.write_text(text.replace(re.search(r"scratch = .*", text)[0], f'path = "{path}"'), encoding="utf-8")
    return file


def check(run_file: Path, *overrides: str, folder: Path | None = None) -> RunCheck:
    loaded = load_run_file(run_file, overrides=overrides)
    return check_run_file(loaded, cache=run_file.parent / "cache", contamination=False, folder=folder)


def errors(found: RunCheck) -> list[str]:
    return [f"{one.text}\n{one.hint}" for one in found.found if one.severity == "error"]


def stops(run_file: Path, *overrides: str, out: Path) -> str:
    """Why the run itself stops."""
    with pytest.raises(FlantuneError) as stopped:
        run(load_run_file(run_file, overrides=overrides), out=out)
    return stopped.value.message


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_that_is_not_there(tmp_path: Path, split: str) -> None:
    write_small_world(tmp_path)
    (tmp_path / f"echo/{split}.jsonl").unlink()
    said = errors(check(tmp_path / "run.toml"))[0]
    assert "echo" in said and split in said and 'data.missing = "skip"' in said
    assert "echo" in stops(tmp_path / "run.toml", out=tmp_path / "out")
    assert errors(check(tmp_path / "run.toml", 'data.missing="skip"')) == []


def test_no_model(world: Path, tmp_path: Path) -> None:
    (said,) = errors(check(with_model(world, "")))
    assert "no model to load" in said
    assert stops(with_model(world, ""), out=tmp_path / "out") == "no model to load"


def test_weights_that_are_not_there_or_pickled_or_cut_off(world: Path, tmp_path: Path) -> None:
    scratch = load_run_file(world / "run.toml").config.model.scratch
    tokenizer = train_tokenizer(["This is a nice cat. Good or bad? Name the animal."], vocabulary_size=400)
    base = save_model(build_model(scratch, tokenizer, seed=0), tmp_path / "base")
    assert errors(check(with_model(world, str(base)))) == []
    weights = base / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    (said,) = errors(check(with_model(world, str(base))))
    assert "damaged or was cut off" in said
    weights.rename(base / "pytorch_model.bin")
    (said,) = errors(check(with_model(world, str(base))))
    assert "*.safetensors" in said and "never unpickles" in said
    (base / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-00001-of-00001.safetensors"}}')
    (said,) = errors(check(with_model(world, str(base))))
    assert "model-00001-of-00001.safetensors" in said


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ('model.device="cuda:7"', 'no device "cuda:7"'),
        ('prompts.template_names=["no_such_template"]', "no_such_template"),
        ('mixture.parts.a.tasks=["no_such_task"]', "no_such_task"),
        ('evaluation.backend="vllm"', "vLLM is not installed"),
    ],
)
def test_names_devices_and_libraries_that_are_not_there(world: Path, tmp_path: Path, override: str, said: str) -> None:
    found = errors(check(world / "run.toml", override))
    assert said in found[0], found


def test_nothing_to_choose_weights_by(tmp_path: Path) -> None:
    write_small_world(tmp_path)
    wanted = ('training.keep="best-dev"', "training.measure_every=1")
    assert errors(check(tmp_path / "run.toml", *wanted)) == []
    for file in tmp_path.glob("*_task.toml"):
        file.write_text(re.sub(r"^dev = .*\n", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE))
    found = errors(check(tmp_path / "run.toml", *wanted))
    assert found and all("no task trained on has dev rows" in one for one in found)


def test_a_folder_of_another_run(world: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    open_run_folder(out, load_run_file(world / "run.toml"))
    (out / "folds").mkdir()
    assert errors(check(world / "run.toml", folder=out)) == []
    (said,) = errors(check(world / "run.toml", "training.steps=3", folder=out))
    assert "this folder holds another run" in said and "training.steps" in said
    result = CliRunner().invoke(
        cli, ["run", str(world / "run.toml"), "--dry-run", "--set", "training.steps=3", "--out", str(out)]
    )
    assert result.exit_code == 1 and "this folder holds another run" in result.stdout


def test_a_setting_that_a_later_version_brought_makes_no_other_run(world: Path, tmp_path: Path) -> None:
    out, file = tmp_path / "out", load_run_file(world / "run.toml")
    folder = open_run_folder(out, file)
    (out / "folds").mkdir()
    kept = json.loads(folder.kept_settings.read_text(encoding="utf-8"))
    del kept["values"]["training"]["z_loss"]
    folder.kept_settings.write_text(json.dumps(kept | {"identity": "of fewer settings"}), encoding="utf-8")
    assert errors(check(world / "run.toml", folder=out)) == []
    assert read_kept_settings(folder, mends="").values == file.config.model_dump(mode="json")
    (said,) = errors(check(world / "run.toml", "training.z_loss=0.1", folder=out))
    assert "training.z_loss: 0.0 there, 0.1 now" in said


def test_one_task_has_and_two_tasks_have_no_data(tmp_path: Path) -> None:
    write_small_world(tmp_path)
    for split in ("train", "dev", "test"):
        (tmp_path / f"echo/{split}.jsonl").unlink()
    (said,) = errors(check(tmp_path / "run.toml"))
    assert said.startswith("1 task has no data")


@pytest.mark.parametrize(("dtype", "is_told"), [("bfloat16", True), ("auto", False), ("float32", False)])
def test_arithmetic_that_is_slow_here(world: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, is_told: bool) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx2": True})
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    found = check(world / "run.toml", f'model.dtype="{dtype}"', 'model.device="cpu"')
    told = [one for one in found.found if "bfloat16 is many times slower" in one.text]
    assert [(one.severity, one.hint) for one in told] == [("warning", 'set model.dtype = "auto"')] * is_told
