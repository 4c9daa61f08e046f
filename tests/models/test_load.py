from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError
from tests.conftest import HUNG_AFTER_S
from transformers import AutoModelForSeq2SeqLM, T5Config

from flantune.errors import ModelError
from flantune.models.heads import find_head
from flantune.models.language_model import LanguageModel
from flantune.models.load import load_model, load_tokenizer, resolve_device, save_model, stop_at
from flantune.models.scratch import build_model
from flantune.settings.config import ModelSettings, ScratchSettings

STRANGER = """
import json, sys
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer
told = []
for folder in sys.argv[1:]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = torch.tensor([tokenizer("Is the sky blue?").input_ids])
    if folder.endswith("t5"):
        logits = AutoModelForSeq2SeqLM.from_pretrained(folder)(input_ids=ids, decoder_input_ids=ids).logits
    else:
        logits = AutoModelForCausalLM.from_pretrained(folder)(input_ids=ids).logits
    told.append({"logits": logits[0, -1].tolist(), "eos": tokenizer.eos_token_id, "ids": ids[0].tolist()})
assert "flantune" not in sys.modules
print(json.dumps(told))
"""


def logits_of(lm, text="Is the sky blue?"):
    ids = torch.tensor([lm.tokenizer(text).input_ids])
    inputs = {"input_ids": ids} if lm.family == "decoder-only" else {"input_ids": ids, "decoder_input_ids": ids}
    with torch.no_grad():
        return lm.model(**inputs).logits[0, -1]


def test_saved_models_reload_in_a_process_without_flantune(tokenizer, tmp_path, stranger):
    names = ["llama", "gpt_neox", "gpt2", "t5"]
    scratch = [ScratchSettings(architecture=name, hidden_size=32, layers=2, heads=2) for name in names]
    models = [build_model(settings, tokenizer, seed=1) for settings in scratch]
    folders = [save_model(lm, tmp_path / name, card="# A\n") for name, lm in zip(names, models, strict=True)]
    for lm, told in zip(models, json.loads(stranger.run(STRANGER, *map(str, folders))), strict=True):
        assert told["ids"] == tokenizer("Is the sky blue?").input_ids
        assert told["eos"] == tokenizer.eos_token_id
        assert torch.allclose(torch.tensor(told["logits"]), logits_of(lm), atol=1e-4)


def test_what_a_saved_folder_holds(lm, tmp_path):
    folder = save_model(lm, tmp_path / "model", card="# A model\n")
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "README.md"} <= names
    assert not any(name.endswith((".bin", ".pt", ".pkl")) for name in names)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_saved_and_loaded_again_here(lm, tmp_path):
    folder = save_model(lm, tmp_path / "model", card="one")
    save_model(lm, folder, card="two")
    assert (folder / "README.md").read_text() == "two"
    loaded = load_model(ModelSettings(path=str(folder), dtype="bfloat16", device="cpu"))
    assert loaded.family == lm.family
    assert loaded.compute_dtype == torch.bfloat16
    assert {weight.dtype for weight in loaded.model.parameters()} == {torch.float32}
    assert not loaded.model.training
    assert torch.equal(logits_of(loaded), logits_of(lm))
    assert torch.equal(logits_of(load_model(folder)), logits_of(lm))


def test_weights_stored_in_half_precision_load_as_float32(tokenizer, tmp_path):
    lm = build_model(ScratchSettings(hidden_size=32, layers=1, heads=2), tokenizer, seed=1)
    lm.model.half().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = load_model(ModelSettings(path=str(tmp_path)))
    assert {weight.dtype for weight in loaded.model.parameters()} == {torch.float32}


def test_trap_12_float16_is_refused(tokenizer):
    lm = build_model(ScratchSettings(architecture="t5", hidden_size=32, layers=1, heads=2), tokenizer, seed=1)
    with pytest.raises(ModelError, match="bfloat16"):
        replace(lm, compute_dtype=torch.float16)
    with pytest.raises(ModelError, match="float16"):
        LanguageModel(model=lm.model.half(), tokenizer=tokenizer, family="encoder-decoder", device=torch.device("cpu"))
    with pytest.raises(ValidationError):
        ModelSettings(path="x", dtype="float16")


def test_trap_13_pickled_weights_are_refused(tokenizer, tmp_path):
    lm = build_model(ScratchSettings(hidden_size=32, layers=1, heads=2), tokenizer, seed=1)
    save_model(lm, tmp_path / "model", card="")
    weights = tmp_path / "model" / "model.safetensors"
    weights.unlink()
    torch.save(lm.model.state_dict(), weights.with_name("pytorch_model.bin"))
    with pytest.raises(ModelError, match="never unpickles"):
        load_model(ModelSettings(path=str(tmp_path / "model")))


def test_trap_13_remote_code_stays_off_unless_asked_for(tmp_path):
    config = {"model_type": "stranger", "auto_map": {"AutoConfig": "code.StrangerConfig"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "code.py").write_text("raise SystemExit('ran')")
    with pytest.raises(ModelError, match="trust_remote_code"):
        load_model(ModelSettings(path=str(tmp_path)))


def test_missing_weights_are_an_error(tokenizer, tmp_path):
    lm = build_model(ScratchSettings(hidden_size=32, layers=2, heads=2), tokenizer, seed=1)
    save_model(lm, tmp_path / "model", card="")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    config["num_hidden_layers"] = 3
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="weights are missing"):
        load_model(ModelSettings(path=str(tmp_path / "model")))


@pytest.mark.parametrize(
    ("path", "message"), [("", r"model\.path"), ("/no/such/folder", r"^/no/such/folder: no such model")]
)
def test_no_model_there(path, message):
    with pytest.raises(ModelError, match=message):
        load_model(ModelSettings(path=path))
    with pytest.raises(ModelError, match=message):
        load_tokenizer(ModelSettings(path=path))


def test_a_tokenizer_larger_than_the_embeddings_is_refused(tokenizer, tmp_path):
    lm = build_model(ScratchSettings(hidden_size=32, layers=1, heads=2), tokenizer, seed=1)
    save_model(lm, tmp_path / "model", card="")
    bigger = load_tokenizer(ModelSettings(path=str(tmp_path / "model")))
    bigger.add_tokens([f"<new{k}>" for k in range(40)])
    bigger.save_pretrained(tmp_path / "model")
    with pytest.raises(ModelError, match="embeds only"):
        load_model(ModelSettings(path=str(tmp_path / "model")))


def test_untied_t5_keeps_its_head_and_its_scaling(tokenizer, tmp_path):
    config = T5Config(
        vocab_size=len(tokenizer), d_model=32, d_kv=16, d_ff=64, num_layers=1, num_heads=2, tie_word_embeddings=False,
        decoder_start_token_id=0, pad_token_id=0, eos_token_id=1, dropout_rate=0.0,
    )  # fmt: skip
    model = AutoModelForSeq2SeqLM.from_config(config).eval()
    model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.shared.weight))
    lm = LanguageModel(model=model, tokenizer=tokenizer, family="encoder-decoder", device=torch.device("cpu"))
    assert find_head(lm).input_scale == 1.0
    folder = save_model(lm, tmp_path / "model", card="")
    assert json.loads((folder / "config.json").read_text())["tie_word_embeddings"] is False
    assert torch.equal(logits_of(load_model(ModelSettings(path=str(folder)))), logits_of(lm))


def test_an_answer_also_ends_at_another_token(tokenizer, tmp_path):
    lm = build_model(ScratchSettings(hidden_size=32, layers=1, heads=2), tokenizer, seed=1)
    stop_at(lm, tokenizer.eos_token_id)
    assert lm.model.generation_config.eos_token_id == tokenizer.eos_token_id
    stop_at(lm, 9)
    stop_at(lm, 9)
    assert lm.model.generation_config.eos_token_id == [tokenizer.eos_token_id, 9]
    again = load_model(ModelSettings(path=str(save_model(lm, tmp_path / "model", card=""))))
    assert again.model.generation_config.eos_token_id == [tokenizer.eos_token_id, 9]


def test_devices():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type in {"cpu", "cuda"}
    with pytest.raises(ModelError, match="auto"):
        resolve_device("abacus")


def test_importing_the_stage_does_not_import_torch():
    code = "import sys, flantune.models, flantune.packing; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=HUNG_AFTER_S)
