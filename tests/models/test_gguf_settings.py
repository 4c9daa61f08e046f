"""GGUF files with settings that transformers does not read: the model equals the stored one, or is refused."""

from __future__ import annotations

import contextlib
import io
import sys

import pytest
import torch
from tests.models.gguf_files import KINDS, Kind, make_gguf

from flantune.errors import ModelError
from flantune.models.load import load_model, save_model
from flantune.models.stored.gguf import write_gguf
from flantune.models.stored.quiet import quiet_library
from flantune.settings.config import ModelSettings


def load(path):
    return load_model(ModelSettings(path=str(path), device="cpu"))


def logits(model, length):
    with torch.no_grad():
        return model(torch.arange(5, 5 + length)[None]).logits


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_says_what_its_model_says_and_so_does_what_is_made_of_it(kind, tmp_path):
    path = tmp_path / "tiny.gguf"
    plain = make_gguf(path, KINDS[kind])
    lm = load(path)
    # Shorter than a window or an original context, and longer.
    for length in (6, 30, 60):
        torch.testing.assert_close(logits(lm.model, length), logits(plain, length), atol=1e-4, rtol=0)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in lm.model.parameters():
            weight += 0.01 * torch.randn_like(weight)
    folder = load(save_model(lm, tmp_path / "model", card=""))
    file = load(write_gguf(lm, tmp_path / "tuned.gguf", like=path, kind="f32"))
    for again in (folder, file):
        torch.testing.assert_close(logits(again.model, 60), logits(lm.model, 60), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"attention.sliding_window": 8}, "attention.sliding_window = 8"),
        ({"rope.scaling.type": "su"}, "rope.scaling.type = su"),
        ({"attn_logit_softcapping": 30.0}, "attn_logit_softcapping = 30.0"),
        ({"final_logit_softcapping": 30.0}, "final_logit_softcapping = 30.0"),
    ],
)
def test_what_the_models_code_cannot_do_is_refused(said, message, tmp_path):
    path = tmp_path / "tiny.gguf"
    make_gguf(path, Kind(architecture="llama", model="LlamaForCausalLM"), also=said)
    with pytest.raises(ModelError, match=message) as told:
        load(path)
    assert told.value.where == str(path) and "Hugging Face form" in told.value.hint


def test_weights_that_nobody_would_read_are_refused(tmp_path):
    path = tmp_path / "tiny.gguf"
    make_gguf(path, Kind(architecture="llama", model="LlamaForCausalLM", vectors={"blk.0.attn_q_norm": [1.0] * 16}))
    with pytest.raises(ModelError, match=r"no place for weights in the file, such as blk\.0\.attn_q_norm\.weight"):
        load(path)


def test_one_part_of_several_is_refused(tmp_path):
    import gguf

    path = tmp_path / "part.gguf"
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_uint16("split.count", 3)
    for setting, value in {"block_count": 2, "embedding_length": 64, "attention.head_count": 4}.items():
        writer.add_uint32(f"llama.{setting}", value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelError, match="one of 3 parts") as told:
        load(path)
    assert "--merge" in told.value.hint


def test_an_architecture_that_is_not_known_says_what_to_do(tmp_path):
    import gguf

    path = tmp_path / "other.gguf"
    writer = gguf.GGUFWriter(str(path), "clip")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelError, match="clip is not supported") as told:
        load(path)
    assert "Hugging Face form" in told.value.hint


def test_no_bar_is_drawn_and_nothing_else_is_lost(tmp_path):
    path = tmp_path / "tiny.gguf"
    make_gguf(path, KINDS["qwen3"])
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        load(path)
        with quiet_library():
            print("what somebody has to know", file=sys.stderr)
    assert said.getvalue() == "what somebody has to know\n"


@pytest.mark.parametrize(("kept", "flipped"), [(0, 0), (3, 0), (8, 0), (24, 0), (100, 0), (3000, 0), (None, 1300)])
def test_a_file_with_a_damaged_head_is_one_sentence(kept, flipped, tmp_path):
    path = tmp_path / "tiny.gguf"
    make_gguf(path, KINDS["qwen3"])
    data = bytearray(path.read_bytes())[:kept]
    if flipped:
        data[flipped : flipped + 8] = b"\xff" * 8
    path.write_bytes(bytes(data))
    with pytest.raises(ModelError) as told:
        load(path)
    assert told.value.where == str(path) and told.value.hint
