"""Low-rank adapters and virtual tokens: correct under packing, small in checkpoints, usable in other programs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import safetensors
import torch
from pydantic import ValidationError
from tests.training.small import SIZES, make_lm, prompt, settings, tune_small, weights_digest

from flantune.errors import ModelError, TrainingError
from flantune.models.adapters import attach_adapter, merged
from flantune.models.checks.isolation import check_isolation
from flantune.models.forward import target_logprobs
from flantune.models.load import load_config, load_model, load_tokenizer, quantization, save_model
from flantune.packing.batches import Batches
from flantune.packing.encode import Codec
from flantune.packing.stream import PromptStream
from flantune.prompts.layout import Layout
from flantune.settings.adapter_settings import LoraSettings, PromptTuningSettings
from flantune.settings.config import ModelSettings
from flantune.training.loss import accumulate_gradient
from flantune.training.optimizers import build_optimizer, set_learning_rate

pytest.importorskip("peft")
ARCHITECTURES = ("llama", "gpt2", "t5")
KINDS = ("lora", "prompt")
OF_TODAY = LoraSettings(rank_stabilized=True, dora=True, b_rate_factor=16)


@pytest.fixture(scope="module")
def bases(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("bases")
    for architecture in ARCHITECTURES:
        save_model(make_lm(architecture), root / architecture, card="base")
    return root


def chosen(base: Path, kind: str, **changes) -> ModelSettings:
    values = {"path": str(base), "adapter": kind, "prompt": PromptTuningSettings(tokens=5), "device": "cpu", **changes}
    if kind == "of today":
        values |= {"adapter": "lora", "lora": OF_TODAY}
    return ModelSettings(**values)


def adapted(base: Path, kind: str, *, seed: int = 1, **changes):
    model = chosen(base, kind, **changes)
    return attach_adapter(load_model(model), model, seed=seed)


def shaken(lm):
    """A model whose adapter has random weights; a fresh low-rank adapter would change nothing."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in lm.model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn(weight.shape, generator=generator) * 0.3)
    return lm


def batches_of(lm, **changes):
    codec = Codec(
        tokenizer=lm.tokenizer, family=lm.family, layout=Layout(), prefix=lm.prefix_tokens,
        max_input_tokens=SIZES.max_input_tokens, max_target_tokens=SIZES.max_target_tokens,
    )  # fmt: skip
    sizes = SIZES.model_copy(update=changes)
    stream = PromptStream([prompt(i) for i in range(500)], codec, row_tokens=sizes.row_tokens)
    return Batches(stream, sizes, micro_batch_tokens=0)


def logits(lm) -> torch.Tensor:
    ids = torch.tensor([[*lm.prefix_tokens, 20, 30, 40, 50]])
    with torch.no_grad():
        if lm.family == "decoder-only":
            return lm.model(input_ids=ids, use_cache=False).logits[0, -4:]
        return lm.model(input_ids=ids, decoder_input_ids=torch.tensor([[0, 60, 70]]), use_cache=False).logits[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_only_the_adapter_can_change(bases, architecture, kind):
    base = load_model(ModelSettings(path=str(bases / architecture)))
    total = sum(weight.numel() for weight in base.model.parameters())
    lm = adapted(bases / architecture, kind)
    free = {name: weight.numel() for name, weight in lm.model.named_parameters() if weight.requires_grad}
    assert free and all("lora_" in name or name.endswith(".vectors") for name in free)
    assert sum(weight.numel() for weight in lm.model.parameters()) == total + sum(free.values())
    if kind == "prompt":
        assert sum(free.values()) == 5 * 32
    else:
        assert torch.allclose(logits(lm), logits(base), atol=1e-5)


@pytest.mark.parametrize("kind", [*KINDS, "of today"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_packed_equals_unpacked_with_an_adapter(bases, architecture, kind):
    """Each packed prompt has its own virtual tokens; log-probabilities and the adapter's gradient are the same."""
    lm = shaken(adapted(bases / architecture, kind))
    assert check_isolation(lm).is_isolated
    found = {}
    for packed in (True, False):
        lm.model.zero_grad()
        batch = batches_of(lm, enabled=packed).batch(0)
        step = accumulate_gradient(batch, lambda pack: target_logprobs(lm, pack), device=lm.device)
        gradient = {n: w.grad.clone() for n, w in lm.model.named_parameters() if w.grad is not None}
        found[packed] = (
            step.item_nll,
            gradient,
            sum(pack.targets.row.max() + 1 for pack in batch.packs),
            len(batch.rows),
        )
    assert found[True][3] == found[False][3] == found[False][2] > found[True][2]
    assert found[True][0] == pytest.approx(found[False][0], rel=1e-4)
    assert found[True][1].keys() == found[False][1].keys()
    for name, gradient in found[True][1].items():
        assert float((gradient - found[False][1][name]).norm()) <= 1e-3 * float(gradient.norm()), name


def test_virtual_tokens_stand_before_every_prompt_and_are_never_cut(bases):
    lm = adapted(bases / "llama", "prompt")
    codec = Codec(tokenizer=lm.tokenizer, family=lm.family, layout=Layout(), prefix=lm.prefix_tokens,
                  max_input_tokens=12, max_target_tokens=48)  # fmt: skip
    plain = Codec(tokenizer=lm.tokenizer, family=lm.family, layout=Layout(), max_input_tokens=7, max_target_tokens=48)
    prompts = [prompt(i) for i in range(3)]
    encoded, without = (one.encode_prompts(prompts, continuations="target") for one in (codec, plain))
    for mine, theirs in zip(encoded, without, strict=True):
        assert mine.inputs.tolist() == [*lm.prefix_tokens, *theirs.inputs.tolist()]
    assert encoded.counts.input_tokens == without.counts.input_tokens + 3 * 5
    assert encoded.counts.inputs_shortened == without.counts.inputs_shortened > 0


@pytest.mark.parametrize("kind", [*KINDS, "of today"])
@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_tuning_moves_the_adapter_alone_and_resumes_to_the_bit(bases, tmp_path, architecture, kind):
    plan = settings(steps=4, checkpoint_every=2, learning_rate=0.05, dropout=0.0)
    base = {
        name: weight.detach().clone() for name, weight in adapted(bases / architecture, kind).model.named_parameters()
    }
    straight = adapted(bases / architecture, kind)
    summary = tune_small(tmp_path / "one", straight, plan, batches=batches_of(straight))
    changed = {n for n, weight in straight.model.named_parameters() if not torch.equal(weight, base[n])}
    assert changed == {name for name, weight in straight.model.named_parameters() if weight.requires_grad}
    assert summary.last_loss < summary.first_loss
    stored = safetensors.safe_open(tmp_path / "one/checkpoints/step-00000004/model.safetensors", "pt")
    assert set(stored.keys()) == changed

    class StoppedError(Exception):
        pass

    def stop(progress):
        if progress.step == 3:
            raise StoppedError

    stopped = adapted(bases / architecture, kind)
    with pytest.raises(StoppedError):
        tune_small(tmp_path / "two", stopped, plan, batches=batches_of(stopped), progress=stop)
    resumed = adapted(bases / architecture, kind)
    tune_small(tmp_path / "two", resumed, plan, batches=batches_of(resumed))
    assert weights_digest(resumed) == weights_digest(straight)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_adapters_folder_loads_as_a_model(bases, tmp_path, architecture, kind):
    lm = shaken(adapted(bases / architecture, kind))
    folder = save_model(lm, tmp_path / "model", card="a card")
    assert {path.name for path in folder.iterdir()} >= {"adapter_config.json", "adapter_model.safetensors", "README.md"}
    assert not (folder / "model.safetensors").exists()
    assert (folder / "README.md").read_text() == "a card"
    again = load_model(ModelSettings(path=str(folder), device="cpu"))
    assert again.family == lm.family and again.prefix_tokens == lm.prefix_tokens
    assert torch.equal(logits(again), logits(lm))
    assert load_config(ModelSettings(path=str(folder))).vocab_size == lm.model.config.vocab_size
    assert len(load_tokenizer(ModelSettings(path=str(folder)))) == len(lm.tokenizer)


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_beside_another_base_is_an_error(tmp_path, kind):
    """If the base model was tuned further or replaced under the same name, the adapter would be noise."""
    base = save_model(make_lm("llama"), tmp_path / "base", card="")
    folder = save_model(adapted(base, kind), tmp_path / "adapter", card="")
    model = ModelSettings(path=str(folder), device="cpu")
    digest = load_model(model).adapter.base
    assert json.loads((folder / "adapter_base.json").read_text())["weights"] == digest != ""
    # The same weights under another name are the same base; the digest is kept when the adapter is saved again.
    base = base.rename(tmp_path / "moved")
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": str(base)}))
    again = save_model(load_model(model), tmp_path / "again", card="")
    assert json.loads((again / "adapter_base.json").read_text())["weights"] == digest
    other = make_lm("llama")
    with torch.no_grad():
        next(other.model.parameters()).view(-1)[0] += 1e-3
    save_model(other, base, card="")
    with pytest.raises(ModelError, match="trained with other weights than the base model has now") as caught:
        merged(load_model(model)) if kind == "lora" else load_model(model)
    assert str(folder) in str(caught.value) and '"base_model_name_or_path"' in caught.value.hint
    # Adapters made by other programs have no digest.
    (folder / "adapter_base.json").unlink()
    assert load_model(model).adapter.base != digest


@pytest.mark.parametrize("kind", KINDS)
def test_resuming_beside_another_base_is_an_error(bases, tmp_path, kind):
    plan = settings(steps=4, checkpoint_every=2, dropout=0.0)
    lm = adapted(bases / "llama", kind)
    tune_small(tmp_path, lm, plan.model_copy(update={"steps": 2}), batches=batches_of(lm), fingerprint="two")
    other = adapted(save_model(make_lm("llama", seed=7), tmp_path / "other", card=""), kind)
    with pytest.raises(TrainingError, match="what differs: the frozen weights of the base model"):
        tune_small(tmp_path, other, plan.model_copy(update={"steps": 2}), batches=batches_of(other), fingerprint="two")


@pytest.mark.parametrize("kind", ["lora", "of today"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_merged_is_one_ordinary_model_with_the_same_answers(bases, tmp_path, architecture, kind):
    lm = shaken(adapted(bases / architecture, kind))
    before = logits(lm)
    whole = merged(lm)
    assert torch.allclose(logits(whole), before, atol=1e-4)
    folder = save_model(whole, tmp_path / "model", card="")
    assert (folder / "model.safetensors").exists() and not (folder / "adapter_config.json").exists()
    again = load_model(ModelSettings(path=str(folder), device="cpu"))
    assert torch.equal(logits(again), logits(whole))
    names = {name for name, _ in load_model(ModelSettings(path=str(bases / architecture))).model.named_parameters()}
    assert {name for name, _ in again.model.named_parameters()} == names


STRANGER = """
import json, sys, torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer
from peft import AutoPeftModelForCausalLM, AutoPeftModelForSeq2SeqLM
told = {}
for folder in sys.argv[1:]:
    is_t5, is_peft = "t5" in folder, not folder.endswith("merged")
    autos = (AutoPeftModelForSeq2SeqLM if is_t5 else AutoPeftModelForCausalLM,) if is_peft else ()
    if not folder.endswith(("prompt", "of-today")):
        autos += (AutoModelForSeq2SeqLM if is_t5 else AutoModelForCausalLM,)
    found = []
    for auto in autos:
        model = auto.from_pretrained(folder).eval()
        inputs = {"input_ids": torch.tensor([[20, 30, 40, 50]])}
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        if is_t5:
            inputs["decoder_input_ids"] = torch.tensor([[0, 60, 70]])
        with torch.no_grad():
            found.append(model(**inputs).logits[0, -4:].tolist())
    told[folder] = {"logits": found, "eos": AutoTokenizer.from_pretrained(folder).eos_token_id}
assert not any(name.split(".")[0] == "flantune" for name in sys.modules)
print(json.dumps(told))
"""


def test_other_programs_load_adapters_and_merged_models(bases, tmp_path, stranger):
    """peft gives the same logits; so does AutoModel of transformers, for low-rank adapters and merged models.

    AutoModel does not read the scales of DoRA (a known gap of transformers), and reports it.
    """
    expected = {}
    for architecture in ("llama", "t5"):
        for kind in (*KINDS, "of today"):
            lm = shaken(adapted(bases / architecture, kind))
            folder = save_model(lm, tmp_path / f"{architecture}-{kind}".replace(" ", "-"), card="")
            expected[str(folder)] = (logits(lm), 2 if kind == "lora" else 1)
            if kind == "lora":
                whole = merged(lm)
                expected[str(save_model(whole, tmp_path / f"{architecture}-merged", card=""))] = (logits(whole), 1)
    told = json.loads(stranger.run(STRANGER, *expected))
    for folder, (mine, ways) in expected.items():
        assert len(told[folder]["logits"]) == ways
        for found in told[folder]["logits"]:
            assert torch.allclose(torch.tensor(found), mine, atol=1e-4), folder
        assert told[folder]["eos"] == 1


def test_the_same_seed_gives_the_same_adapter_and_leaves_the_global_state(bases):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    digests = [weights_digest(adapted(bases / "llama", kind, seed=seed)) for kind in KINDS for seed in (1, 1, 2)]
    assert torch.equal(before, torch.get_rng_state())
    assert digests[0] == digests[1] != digests[2]
    assert digests[3] == digests[4] != digests[5]


def test_targets_are_a_setting_and_wrong_ones_an_error(bases):
    lm = adapted(bases / "llama", "lora", lora=LoraSettings(targets=("q_proj", "v_proj"), rank=2))
    free = [name for name, weight in lm.model.named_parameters() if weight.requires_grad]
    assert len(free) == 2 * 2 * 2 and all("q_proj" in name or "v_proj" in name for name in free)
    with pytest.raises(ModelError, match=r"model\.lora\.targets") as caught:
        adapted(bases / "llama", "lora", lora=LoraSettings(targets=("query",)))
    assert "q_proj" in caught.value.hint


def first_step(base: Path, folder: Path, **own) -> dict[str, torch.Tensor]:
    """How far Adam's first step, learning rate times the sign of the gradient, moves each weight of the adapters."""
    lm = adapted(base, "lora", lora=LoraSettings(rank=4, alpha=8.0, **own))
    before = {name: weight.detach().clone() for name, weight in lm.model.named_parameters() if weight.requires_grad}
    plan = settings(steps=1, optimizer="adamw", learning_rate=1e-3, weight_decay=0.0, max_grad_norm=0.0)
    tune_small(folder, lm, plan, batches=batches_of(lm))
    return {name: weight.detach() - before[name] for name, weight in lm.model.named_parameters() if name in before}


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor", "adamw8bit"])
def test_second_matrices_learn_as_much_faster_as_asked(bases, optimizer):
    """LoRA+: they are a parameter group whose learning rate is a multiple of the schedule's."""
    lm = adapted(bases / "llama", "lora", lora=LoraSettings(b_rate_factor=16))
    made = build_optimizer(lm.model, settings(optimizer=optimizer), rate_factors=lm.rate_factors)
    set_learning_rate(made, 1e-3)
    rates = {id(weight): group["lr"] for group in made.param_groups for weight in group["params"]}
    found = {name: rates[id(weight)] for name, weight in lm.model.named_parameters() if weight.requires_grad}
    assert {rate for name, rate in found.items() if "lora_B" in name} == {16e-3}
    assert {rate for name, rate in found.items() if "lora_B" not in name} == {1e-3}


def test_the_factor_reaches_the_steps_of_a_run(bases, tmp_path):
    """Adam's first step is the rate times the gradient's sign. As the second matrices start at zero, only they move."""
    slow, fast = (first_step(bases / "llama", tmp_path / str(by), b_rate_factor=by) for by in (1.0, 16.0))
    seconds = [name for name in slow if "lora_B" in name]
    assert seconds and all(float(slow[name].abs().max()) == pytest.approx(1e-3, rel=0.01) for name in seconds)
    assert all(torch.allclose(fast[name], 16 * slow[name], rtol=1e-3, atol=1e-6) for name in seconds)


def test_rank_stabilized_adapters_are_scaled_by_the_root_of_the_rank(bases):
    for stabilized, scale in ((False, 8 / 4), (True, 8 / 4**0.5)):
        lm = adapted(bases / "llama", "lora", lora=LoraSettings(rank=4, alpha=8.0, rank_stabilized=stabilized))
        found = [part.scaling["default"] for part in lm.model.modules() if hasattr(part, "lora_A")]
        assert found == pytest.approx([scale] * 14)


def test_more_virtual_tokens_than_words_is_an_error(bases):
    with pytest.raises(ModelError, match=r"model\.prompt\.tokens"):
        adapted(bases / "llama", "prompt", prompt=PromptTuningSettings(tokens=5_000))


def test_virtual_tokens_cannot_be_merged_and_adapters_not_stacked(bases):
    lm = adapted(bases / "llama", "prompt")
    with pytest.raises(ModelError, match="only low-rank adapters can be merged"):
        merged(lm)
    with pytest.raises(ModelError, match="has an adapter already"):
        attach_adapter(lm, chosen(bases / "llama", "lora"), seed=1)


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(ValidationError, match="4 bits cannot be trained"):
        ModelSettings(path="x", quantize="4bit")
    with pytest.raises(ValidationError, match="only low-rank adapters can be merged"):
        ModelSettings(path="x", adapter="prompt", merge_adapter=True)


def test_four_bits_without_a_gpu_is_an_error():
    with pytest.raises(ModelError, match="need a GPU; the device is cpu"):
        quantization(ModelSettings(path="x", adapter="lora", quantize="4bit"), torch.device("cpu"))
    found = quantization(ModelSettings(path="x", adapter="lora", quantize="4bit"), torch.device("cuda:0"))
    config = found["quantization_config"]
    assert (config.load_in_4bit, config.bnb_4bit_quant_type, found["device_map"]) == (True, "nf4", {"": "cuda:0"})


def test_without_peft_the_error_says_what_to_install(bases, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ModelError, match=r"pip install -e '\.\[peft\]'"):
        adapted(bases / "llama", "lora")


def test_an_adapter_without_a_base_says_so(tmp_path):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    with pytest.raises(ModelError, match="does not say what its base model is"):
        load_model(ModelSettings(path=str(tmp_path)))
