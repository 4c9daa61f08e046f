"""The whole line on a small world: every product, for both families; resuming; what a user does wrong."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from flantune.errors import ConfigError, FlantuneError
from flantune.evaluation.samples import read_samples
from flantune.settings.run_file import load_run_file
from tests.conftest import HUNG_AFTER_S
from tests.end_to_end.small_world import write_small_world
from tests.processes import run_command, start_command

pytestmark = pytest.mark.slow


def run_here(run_file: Path, out: Path):
    from flantune.commands.run import run

    return run(load_run_file(run_file), out=out)


LOADS: dict[str, int] = {}
"""How often each run of this module loaded a model."""


@pytest.fixture(scope="module", params=["llama", "t5"])
def finished(request, tmp_path_factory):
    from flantune.commands import run as command

    folder = tmp_path_factory.mktemp(request.param)
    run_file = write_small_world(folder, architecture=request.param)
    usual = command.load_model

    def counted(*args, **names):
        LOADS[request.param] = LOADS.get(request.param, 0) + 1
        return usual(*args, **names)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "load_model", counted)
        return run_file, run_here(run_file, folder / "out")


def test_the_model_that_was_checked_is_the_one_that_is_tuned_first(finished, request):
    # For the first of two folds, for the second, and to measure the base model.
    assert LOADS[request.node.callspec.params["finished"]] == 3


def test_every_product_is_there(finished):
    _, run = finished
    for name in ("config.toml", "config.json", "data.json", "manifest.json", "results.json", "report.html"):
        assert (run.folder / name).stat().st_size > 100, name
    for fold in ("sentiment", "topic"):
        base = run.folder / "folds" / fold
        for name in ("mixture.json", "metrics.jsonl", "training.json", "model/model.safetensors", "model/README.md"):
            assert (base / name).stat().st_size > 100, name
    assert {p.name for p in (run.folder / "folds/sentiment/tuned/samples").iterdir()} == {
        "mood.parquet",
        "tone.parquet",
    }


def test_only_unseen_tasks_make_the_verdict(finished):
    _, run = finished
    assert {task.name for task in run.results.tasks} == {"mood", "tone", "animal"}
    assert run.results.verdict.tasks == 3
    models = run.results.models
    assert [(one.name, one.fold) for one in models] == [("base", ""), ("tuned", "sentiment"), ("tuned", "topic")]
    assert len({one.fingerprint for one in models}) == 3, "samples say which model they are of"
    for fold, held_out in (("sentiment", {"mood", "tone"}), ("topic", {"animal"})):
        mixture = json.loads((run.folder / "folds" / fold / "mixture.json").read_text())
        assert not held_out & set(mixture["train"])
        assert held_out == set(mixture["unseen"])


def test_positions_are_well_filled(finished):
    _, run = finished
    training = json.loads((run.folder / "folds/sentiment/training.json").read_text())
    assert training["fill"] > 0.85  # tiny rows; the demo and the real run are held to 0.95


def test_base_and_tuned_answer_the_same_prompts(finished):
    _, run = finished

    def prompts(folder: Path) -> list[tuple[object, ...]]:
        found = read_samples(folder / "samples" / "mood.parquet")
        return [(sample.row, sample.template, sample.shots, sample.inputs) for sample in found]

    assert prompts(run.folder / "base") == prompts(run.folder / "folds/sentiment/tuned")


def test_the_tuned_model_loads_without_flantune(finished, stranger):
    _, run = finished
    folder = run.folder / "folds/topic/model"
    program = (
        "import sys, transformers\n"
        "from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer\n"
        "path = sys.argv[1]; config = AutoConfig.from_pretrained(path)\n"
        "auto = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM\n"
        "model = auto.from_pretrained(path); tokenizer = AutoTokenizer.from_pretrained(path)\n"
        "out = model.generate(**{k: v for k, v in tokenizer('Name the animal.', return_tensors='pt').items()"
        " if k != 'token_type_ids'}, max_new_tokens=3)\n"
        "assert 'flantune' not in sys.modules; print(out.shape)"
    )
    assert stranger.run(program, str(folder)).startswith("torch.Size")


def test_the_same_command_again_changes_nothing(finished):
    run_file, run = finished
    before = (run.folder / "results.json").read_bytes()
    weights = (run.folder / "folds/topic/model/model.safetensors").stat().st_mtime_ns
    # What a kill right after the end of the tuning leaves.
    left = run.folder / "folds/topic/checkpoints/step-00000002"
    left.mkdir(parents=True)
    again = run_here(run_file, run.folder)
    assert not left.parent.exists()
    assert (again.folder / "results.json").read_bytes() == before
    assert (run.folder / "folds/topic/model/model.safetensors").stat().st_mtime_ns == weights


def test_rescoring_needs_no_model(finished):
    _, run = finished
    before = (run.folder / "results.json").read_bytes()
    program = (
        "import sys\nfrom pathlib import Path\nfrom flantune.commands.rescore import rescore_run\n"
        "rescore_run(Path(sys.argv[1]))\nassert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, str(run.folder)], check=True)
    assert (run.folder / "results.json").read_bytes() == before


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_a_killed_run_ends_with_the_same_weights(tmp_path, architecture, finished):
    straight_file, straight = finished
    if straight_file.read_text().count(architecture) == 0:
        pytest.skip("the other family")
    run_file = write_small_world(tmp_path, architecture=architecture)
    out = tmp_path / "out"
    arguments = ["run", str(run_file), "--out", str(out)]
    moment = random.Random(architecture)
    for _ in range(3):
        process = start_command(tmp_path / "told", *arguments).process
        deadline = time.monotonic() + HUNG_AFTER_S
        while process.is_alive() and time.monotonic() < deadline and not (out / "folds").exists():
            time.sleep(0.02)
        time.sleep(moment.random() * 1.5)
        process.kill()
        process.join()
    code, _, told = run_command(tmp_path / "told", *arguments)
    assert code == 0, told
    for fold in ("sentiment", "topic"):
        ours = load_file(out / "folds" / fold / "model/model.safetensors")
        theirs = load_file(straight.folder / "folds" / fold / "model/model.safetensors")
        assert ours.keys() == theirs.keys()
        for name in ours:
            assert ours[name].tobytes() == theirs[name].tobytes(), name
    ours, theirs = (json.loads((f / "results.json").read_text()) for f in (out, straight.folder))
    assert ours["tasks"] == theirs["tasks"]


def test_a_changed_setting_is_refused_in_the_same_folder(finished):
    run_file, run = finished
    with pytest.raises(ConfigError, match="another run"):
        from flantune.commands.run import run as start

        start(load_run_file(run_file, overrides=["training.learning_rate=1e-4"]), out=run.folder)


def test_trap_02_a_changed_template_is_never_answered_from_a_cache(tmp_path):
    run_file = write_small_world(tmp_path, steps=1)
    run_here(run_file, tmp_path / "out")
    task = tmp_path / "mood_task.toml"
    task.write_text(task.read_text().replace("Good or bad?", "Fine or poor?"), encoding="utf-8")
    with pytest.raises(FlantuneError, match=r"changed|another run"):
        run_here(run_file, tmp_path / "out")


def test_an_unknown_cluster_is_suggested(tmp_path):
    run_file = write_small_world(tmp_path)
    file = load_run_file(run_file, overrides=['holdout.folds=[["sentimant"]]'])
    from flantune.commands.run import run

    with pytest.raises(ConfigError, match='did you mean "sentiment"'):
        run(file, out=tmp_path / "out")


def test_an_unwritable_folder_is_a_message(tmp_path):
    run_file = write_small_world(tmp_path)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FlantuneError, match="cannot be written"):
        run_here(run_file, tmp_path / "file" / "out")


def test_trap_08_tuning_never_looks_at_held_out_tasks(finished):
    _, run = finished
    for fold in ("sentiment", "topic"):
        training = json.loads((run.folder / "folds" / fold / "training.json").read_text())
        assert training["steps"] == 6  # the last step is the result, whatever any score says
        assert not list((run.folder / "folds" / fold).glob("**/best*"))
