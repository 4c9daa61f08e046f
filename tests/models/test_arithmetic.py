"""float32 or bfloat16: what "auto" means on a device, and where bfloat16 is called slow."""

from __future__ import annotations

import pytest
import torch
from tests.end_to_end.small_world import write_small_world

from flantune.commands.run import run
from flantune.models.arithmetic import arithmetic, dtype_name, has_bfloat16, slow_arithmetic
from flantune.models.load import load_model, save_model
from flantune.models.scratch import build_model
from flantune.runs.files import read_training
from flantune.runs.folder import RunFolder
from flantune.settings.config import ModelSettings, ScratchSettings
from flantune.settings.run_file import load_run_file
from flantune.system.progress import Silent

CPU = torch.device("cpu")
META = torch.device("meta")
"""A device of which nothing is known."""


@pytest.fixture(params=["avx512_bf16", "amx_bf16", "avx2"])
def unit(request, monkeypatch):
    """The best unit of an x86 processor."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, request.param: True})
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    return request.param


def test_auto_is_what_the_processor_has(unit):
    has_it = unit != "avx2"
    assert has_bfloat16(CPU) is has_it
    assert arithmetic("auto", CPU) == (torch.bfloat16 if has_it else torch.float32)


def test_a_named_arithmetic_is_taken_anywhere(unit):
    assert arithmetic("bfloat16", CPU) == torch.bfloat16
    assert arithmetic("float32", CPU) == torch.float32


def test_slow_arithmetic_is_told_where_it_is_slow(unit):
    told = slow_arithmetic(torch.bfloat16, CPU)
    assert bool(told) is (unit == "avx2")
    assert not told or '"auto"' in told
    assert not slow_arithmetic(torch.float32, CPU)


def test_nothing_is_claimed_of_what_is_unknown(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    for device in (CPU, META):
        assert arithmetic("auto", device) == torch.float32
        assert not slow_arithmetic(torch.bfloat16, device)


def test_a_pytorch_that_does_not_tell_means_float32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert arithmetic("auto", CPU) == torch.float32


@pytest.mark.parametrize("unit", ["avx512_bf16", "avx2"], indirect=True)
def test_a_model_is_loaded_with_it(unit, tokenizer, tmp_path):
    lm = build_model(ScratchSettings(hidden_size=32, layers=1, heads=2), tokenizer, seed=1)
    save_model(lm, tmp_path / "model", card="")
    loaded = load_model(ModelSettings(path=str(tmp_path / "model"), dtype="auto", device="cpu"))
    assert loaded.compute_dtype == (torch.float32 if unit == "avx2" else torch.bfloat16)
    assert {weight.dtype for weight in loaded.model.parameters()} == {torch.float32}


def test_a_run_says_and_records_what_auto_meant(tmp_path):
    heard = Silent()
    heard.note = (notes := []).append
    write_small_world(tmp_path, rows=20)
    small = ('model.dtype="auto"', 'model.device="cpu"', 'holdout.folds=[["sentiment"]]', "training.steps=1")
    file = load_run_file(tmp_path / "run.toml", overrides=(*small, "evaluation.max_examples=4"))
    run(file, out=tmp_path / "out", reporter=heard)
    meant = dtype_name(arithmetic("auto", CPU))
    assert f"the arithmetic is {meant}" in notes
    assert read_training(RunFolder(tmp_path / "out").fold_named("sentiment")).arithmetic == meant
