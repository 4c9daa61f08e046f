"""Folders and weights that cannot be used give an error that says what is wrong and what to do, never a traceback."""

from __future__ import annotations

import json
import os
import shutil
import stat

import pytest
import torch
import transformers
from tests.models.written import generate
from tests.training.small import make_lm, settings, tokenizer, tune_small

from flantune.errors import ModelError
from flantune.models.load import load_model, save_model
from flantune.settings.config import ModelSettings
from flantune.system.files import write_json

_SIZES = {
    "vocab_size": 300, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48,
    "max_position_embeddings": 64, "pad_token_id": 0,
}  # fmt: skip


@pytest.fixture(scope="module", params=["llama", "t5"])
def saved(request, tmp_path_factory):
    return save_model(make_lm(request.param), tmp_path_factory.mktemp("saved") / request.param, card="")


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "copy")


def load(path, **values):
    return load_model(ModelSettings(path=str(path), device="cpu", **values))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers_are_named(folder, bad):
    lm = load(folder)
    name, weight = list(lm.model.named_parameters())[-2]
    weight.data.view(-1)[-1] = bad
    with pytest.raises(ModelError, match=r"not finite numbers .*\nhint: ") as error:
        load(save_model(lm, folder.parent / "bad", card=""))
    assert name in str(error.value) and "bad" in error.value.where


def test_nothing_is_written_with_numbers_that_are_none():
    lm = make_lm("llama")
    dict(lm.model.named_parameters())["model.layers.1.mlp.down_proj.weight"].data[0, 0] = float("nan")
    with pytest.raises(ModelError, match=r"model\.layers\.1\.mlp\.down_proj\.weight"):
        generate(lm, [torch.tensor([5, 6, 7], dtype=torch.int32).numpy()], max_new_tokens=3)


@pytest.mark.parametrize("kept", [0, 4, 100, 20_000])
def test_a_file_that_was_cut_off_is_named(folder, kept):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(ModelError, match=r"damaged or was cut off: it has [\d,]+ bytes") as error:
        load(folder)
    assert error.value.where == str(file) and "again" in error.value.hint


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("text", ["", "{", "[1]", '{"a"'])
def test_damaged_settings_are_an_error(folder, name, text):
    (folder / name).write_text(text)
    with pytest.raises(ModelError, match="cannot load"):
        load(folder)


@pytest.mark.parametrize(
    "config",
    [
        transformers.BertConfig(**_SIZES),
        transformers.RobertaConfig(**_SIZES),
        transformers.XLMRobertaConfig(**_SIZES),
        transformers.ElectraConfig(**_SIZES, embedding_size=32),
        transformers.Gemma3TextConfig(**_SIZES, head_dim=8, num_key_value_heads=2, use_bidirectional_attention=True),
    ],
    ids=lambda config: config.model_type,
)
def test_a_model_that_fills_gaps_is_no_decoder_only_model(config, tmp_path):
    model = transformers.AutoModelForCausalLM.from_config(config)
    for weight in model.parameters():
        weight.data.add_(0.1 * torch.randn_like(weight))
    model.save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="not a decoder-only model: its output at a token depends on later tokens"):
        load(tmp_path)


def test_the_same_as_a_decoder_is_one(tmp_path):
    model = transformers.AutoModelForCausalLM.from_config(transformers.BertConfig(**_SIZES, is_decoder=True))
    model.save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    assert load(tmp_path).family == "decoder-only"


def test_wrong_folders_are_told_from_hub_ids(folder, tmp_path):
    (tmp_path / "run/folds/one").mkdir(parents=True)
    shutil.copytree(folder, tmp_path / "run/folds/one/model")
    for path, message, hint in (
        (tmp_path / "absent", "no such model folder", "a .gguf file, or a hub id"),
        (tmp_path / "run", "no config.json in it", f'did you mean "{tmp_path}/run/folds/one/model"'),
        (tmp_path / "run/folds", "no config.json in it", f'did you mean "{tmp_path}/run/folds/one/model"'),
        (folder / "model.safetensors", "a file, expected a model's folder", str(folder)),
    ):
        with pytest.raises(ModelError, match=message) as error:
            load(path)
        assert error.value.where == str(path) and hint in error.value.hint


def test_an_adapter_without_its_base_or_its_weights(folder, tmp_path):
    own = {"peft_type": "PROMPT_TUNING", "base_model_name_or_path": str(tmp_path / "gone")}
    adapter = shutil.copytree(folder, tmp_path / "adapter", ignore=shutil.ignore_patterns("model.*", "config.json"))
    for base, message in (
        (tmp_path / "gone", "the adapter's base model is missing"),
        (adapter, "names itself as its base"),
        (folder, "cannot read the adapter"),
    ):
        write_json(adapter / "adapter_config.json", {**own, "base_model_name_or_path": str(base)})
        with pytest.raises(ModelError, match=message) as error:
            load(adapter)
        assert error.value.where == str(adapter) and "adapter_config.json" in error.value.hint
    (adapter / "adapter_model.safetensors").write_bytes(b"half")
    with pytest.raises(ModelError, match="damaged or was cut off"):
        load(adapter)


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077, 0o002])
def test_every_file_has_the_rights_of_a_new_file(mask, tmp_path):
    before = os.umask(mask)
    try:
        lm = make_lm("llama")
        tune_small(tmp_path / "run", lm, settings(steps=2))
        save_model(lm, tmp_path / "model", card="card")
        write_json(tmp_path / "values.json", {"a": 1})
        (tmp_path / "plain").write_text("")
    finally:
        os.umask(before)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"model.safetensors", "optimizer.safetensors", "values.json"} <= {path.name for path in files}
    modes = {str(path.relative_to(tmp_path)): oct(stat.S_IMODE(path.stat().st_mode)) for path in files}
    assert set(modes.values()) == {modes["plain"]}, modes


def test_a_config_that_fits_no_weights(folder):
    config = json.loads((folder / "config.json").read_text())
    size = "hidden_size" if "hidden_size" in config else "d_model"
    (folder / "config.json").write_text(json.dumps({**config, size: 64, "num_layers": 3, "num_hidden_layers": 3}))
    with pytest.raises(ModelError, match="weights"):
        load(folder)
