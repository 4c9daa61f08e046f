"""A tuned model as one folder: its adapter merged, in half the size where wanted, with card and record."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from tests.training.small import make_lm

from flantune.cli.main import cli
from flantune.commands.export_model import export_model
from flantune.errors import FlantuneError, ModelError
from flantune.models.adapters import attach_adapter
from flantune.models.load import load_model, save_model
from flantune.settings.config import ModelSettings

CARD = """---
library_name: peft
---
# A model

## To load it

With peft.

## To reproduce it

Run it.
"""


def logits(lm) -> torch.Tensor:
    with torch.no_grad():
        return lm.model(input_ids=torch.tensor([[20, 30, 40, 50]]), use_cache=False).logits[0]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A whole model, and an adapter of it that changes something."""
    pytest.importorskip("peft")
    root = tmp_path_factory.mktemp("models")
    base = save_model(make_lm("llama"), root / "base", card="# Base\n")
    model = ModelSettings(path=str(base), adapter="lora", device="cpu")
    lm = attach_adapter(load_model(model), model, seed=1)
    with torch.no_grad():
        for weight in lm.model.parameters():
            if weight.requires_grad:
                weight.add_(0.1)
    adapter = save_model(lm, root / "adapter", card=CARD)
    for name in ("flantune.json", "training_rows.npz"):
        (adapter / name).write_text("record")
    return base, adapter


def test_an_adapter_becomes_part_of_the_weights(folders, tmp_path: Path) -> None:
    base, adapter = folders
    out = export_model(adapter, tmp_path / "out")
    assert not (out / "adapter_config.json").exists()
    whole, apart = (load_model(ModelSettings(path=str(path), device="cpu")) for path in (out, adapter))
    assert torch.allclose(logits(whole), logits(apart), atol=1e-4)
    assert not torch.allclose(logits(whole), logits(load_model(ModelSettings(path=str(base)))), atol=1e-2)
    card = (out / "README.md").read_text()
    assert "library_name: transformers" in card and "With peft" not in card and "## To reproduce it" in card
    assert (out / "flantune.json").read_text() == (out / "training_rows.npz").read_text() == "record"


def test_in_bfloat16_it_takes_half_the_room(folders, tmp_path: Path) -> None:
    base, _ = folders
    out = export_model(base, tmp_path / "out", dtype="bfloat16")
    assert {tensor.dtype for tensor in load_file(out / "model.safetensors").values()} == {torch.bfloat16}
    assert "bfloat16" in json.dumps(json.loads((out / "config.json").read_text()))
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (out, base)]
    assert sizes[0] < 0.6 * sizes[1]


def test_nothing_is_written_over(folders, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ModelError, match="already exists"):
        export_model(folders[0], tmp_path)


def test_without_its_record_there_is_no_folder_either(folders, tmp_path: Path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(FlantuneError, match="No space left"):
        export_model(folders[1], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_prints_the_folder(folders, tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["export", "model", str(folders[1]), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(tmp_path / "out") and "next: flantune chat" in result.stderr
