"""Models from GGUF files: dequantized exactly, tuned and saved like any other, and written back."""

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from tests.models.gguf_files import Kind, make_gguf
from transformers import AutoConfig

from flantune.cli import export
from flantune.commands.export_model import export_gguf
from flantune.errors import ModelError
from flantune.mixture.tree import MixtureTree
from flantune.models.load import detect_family, load_config, load_model, save_model
from flantune.models.stored.gguf import gguf_origin, write_gguf
from flantune.report.card import model_card
from flantune.runs.products import FoldMixture
from flantune.settings.config import ModelSettings, RunConfig

TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
PLAIN = {
    "llama": Kind(architecture="llama", model="LlamaForCausalLM"),
    "qwen2": Kind(architecture="qwen2", model="Qwen2ForCausalLM"),
}


def make_file(path: Path, *, architecture: str = "llama", kind: str = "Q8_0") -> torch.nn.Module:
    """A small model with random weights; returns the plain one."""
    return make_gguf(path, PLAIN[architecture], stored=kind, template=TEMPLATE)


def load(path: Path):
    return load_model(ModelSettings(path=str(path), device="cpu"))


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_a_file_is_the_model_that_was_put_into_it(tmp_path, architecture):
    path = tmp_path / "tiny.F32.gguf"
    plain = make_file(path, architecture=architecture, kind="F32")
    lm = load(path)
    assert detect_family(load_config(ModelSettings(path=str(path)))) == lm.family == "decoder-only"
    ids = torch.tensor([[5, 7, 11, 30, 60]])
    with torch.no_grad():
        torch.testing.assert_close(lm.model(ids).logits, plain(ids).logits, atol=1e-5, rtol=0)
    assert {p.dtype for p in lm.model.parameters()} == {torch.float32}
    text = "the cat, the lamp"
    assert lm.tokenizer.decode(lm.tokenizer(text).input_ids) == text
    assert lm.tokenizer.eos_token == "<|im_end|>"
    assert "<|im_start|>" in lm.tokenizer.chat_template


def test_quantized_weights_come_back_as_the_library_dequantizes_them_and_can_be_tuned_and_saved(tmp_path):
    path = tmp_path / "tiny.Q8_0.gguf"
    make_file(path)
    stored = {tensor.name: tensor for tensor in gguf.GGUFReader(str(path)).tensors}["blk.1.ffn_up.weight"]
    lm = load(path)
    weight = lm.model.model.layers[1].mlp.up_proj.weight
    expected = gguf.quants.dequantize(stored.data, stored.tensor_type)
    np.testing.assert_array_equal(weight.detach().numpy(), expected)
    lm.model(torch.tensor([[5, 7, 11]])).logits.sum().backward()
    assert weight.grad is not None and weight.grad.abs().sum() > 0
    folder = save_model(lm, tmp_path / "model", card="# A card")
    assert not hasattr(AutoConfig.from_pretrained(folder), "quantization_config")
    ids = torch.tensor([[5, 7, 11, 30, 60]])
    with torch.no_grad():
        assert torch.equal(lm.model(ids).logits, load(folder).model(ids).logits)
    assert load(folder).tokenizer.chat_template == lm.tokenizer.chat_template


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
@pytest.mark.parametrize(("kind", "tolerance"), [("f32", 0.0), ("f16", 2**-10), ("bf16", 2**-8), ("q8_0", 2**-6)])
def test_a_tuned_model_goes_back_into_a_file(tmp_path, architecture, kind, tolerance):
    path = tmp_path / "tiny.gguf"
    make_file(path, architecture=architecture, kind="F16")
    lm = load(path)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in lm.model.parameters():
            weight += 0.01 * torch.randn_like(weight)
    written = write_gguf(lm, tmp_path / "out" / "tuned.gguf", like=path, kind=kind)
    again = load(written)
    for name, weight in lm.model.state_dict().items():
        assert (again.model.state_dict()[name] - weight).abs().max() <= tolerance * weight.abs().max(), name
    assert again.tokenizer.chat_template == lm.tokenizer.chat_template
    assert again.tokenizer("the cat").input_ids == lm.tokenizer("the cat").input_ids
    assert [file.name for file in written.parent.iterdir()] == ["tuned.gguf"]


def test_another_model_is_not_written_into_the_file(tmp_path):
    path, other = tmp_path / "tiny.gguf", tmp_path / "qwen.gguf"
    make_file(path)
    make_file(other, architecture="qwen2")
    with pytest.raises(ModelError, match=r"attn_q\.bias is not there"):
        write_gguf(load(path), tmp_path / "out.gguf", like=other)
    assert not (tmp_path / "out.gguf").exists()
    folder = save_model(load(path), tmp_path / "model", card="")
    (folder / "flantune.json").write_text("{}")
    with pytest.raises(ModelError, match=r"attn_q\.bias is not there"):
        export_gguf(folder, tmp_path / "out.gguf", like=other)
    assert not [*tmp_path.glob("out.gguf*")]


def test_what_a_file_says_of_itself_stands_in_the_card(tmp_path):
    path = tmp_path / "tiny.Q8_0.gguf"
    make_file(path)
    origin = gguf_origin(path)
    assert (origin.name, origin.architecture, origin.licence) == ("Tiny", "llama", "apache-2.0")
    assert dict(origin.weights) == {"Q8_0": 15, "F32": 5}
    tree = MixtureTree(seed=0, cycle=0, clusters=())
    names = dict.fromkeys(("held_out", "clusters", "breaks", "train", "unseen", "measured_seen", "excluded"), ())
    mixture = FoldMixture(draws=0, tree=tree, **names)
    card = model_card(RunConfig(model=ModelSettings(path=str(path))), None, mixture, "fold", origin=str(origin))
    assert origin.sha256 in card and "Q8\\_0 (15)" in card


@pytest.mark.parametrize("damage", ["cut", "no magic", "empty"])
def test_a_damaged_file_is_one_sentence(tmp_path, damage):
    path = tmp_path / "tiny.gguf"
    make_file(path)
    data = path.read_bytes()
    path.write_bytes({"cut": data[: len(data) // 2], "no magic": b"\0" * 64 + data[64:], "empty": b""}[damage])
    for read in (gguf_origin, load):
        with pytest.raises(ModelError) as told:
            read(path)
        assert str(path) in str(told.value) and told.value.hint


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(ModelError, match="no such GGUF file"):
        load(tmp_path / "none.gguf")


def test_the_command_writes_a_file_and_no_bars(tmp_path):
    path = tmp_path / "tiny.gguf"
    make_file(path)
    save_model(load(path), tmp_path / "model", card="")
    (tmp_path / "model" / "flantune.json").write_text("{}")
    out = tmp_path / "tuned.gguf"
    asked = ["gguf", str(tmp_path / "model"), "--like", str(path), "--out", str(out), "--type", "q8_0"]
    done = CliRunner().invoke(export.command, asked, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert dict(gguf_origin(out).weights) == {"Q8_0": 15, "F32": 5}
    assert "it/s" not in done.output
    assert (tmp_path / "tuned.gguf.flantune.json").read_text() == "{}"  # what it was trained on goes with it
    before = {one: one.read_bytes() for one in (path, out)}
    for other in (path, out):  # nothing is overwritten, not even what it is made like
        again = CliRunner().invoke(export.command, [*asked[:5], str(other)])
        assert isinstance(again.exception, ModelError) and "nothing is overwritten" in str(again.exception)
        with pytest.raises(ModelError, match="nothing is overwritten"):
            write_gguf(load(path), other, like=path)
    assert before == {one: one.read_bytes() for one in (path, out)}
    wrong = CliRunner().invoke(export.command, [*asked[:5], str(tmp_path / "tuned.bin")])
    assert isinstance(wrong.exception, ModelError) and "ends in .gguf" in wrong.exception.hint
