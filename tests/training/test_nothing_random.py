"""With ``training.dropout = 0`` nothing is random, whatever a model draws in training by itself."""

from __future__ import annotations

import pytest
import torch
import transformers
from tests.training.small import SIZES, make_batches, settings, tokenizer, tune_small, weights_digest

from flantune.errors import ModelError
from flantune.models.forms.training_form import TrainingForm
from flantune.models.forward import target_logprobs
from flantune.models.language_model import LanguageModel
from flantune.models.load import detect_family
from flantune.training.randomness import dropout

_PAIR = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "max_position_embeddings": 256, "decoder_start_token_id": 0,
    "forced_eos_token_id": None,
}  # fmt: skip
_T5 = {
    "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 4, "num_experts": 4,
    "decoder_start_token_id": 0, "expert_capacity": 512, "num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1,
}  # fmt: skip
_LLAMA = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256,
}  # fmt: skip
_OPT = {
    "hidden_size": 32, "ffn_dim": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "word_embed_proj_dim": 32,
    "max_position_embeddings": 256,
}  # fmt: skip
APART = SIZES.model_copy(update={"enabled": False})
_LEFT_OUT = {"encoder_layerdrop": 0.5, "decoder_layerdrop": 0.5}
DRAWING = {
    "layers left out: M2M100": (transformers.M2M100Config, {**_PAIR, **_LEFT_OUT}),
    "layers left out: BART": (transformers.BartConfig, {**_PAIR, **_LEFT_OUT}),
    "layers left out: OPT": (transformers.OPTConfig, {**_OPT, "layerdrop": 0.5}),
    "jitter: Switch": (transformers.SwitchTransformersConfig, {**_T5, "router_jitter_noise": 0.9}),
    "jitter: Mixtral": (
        transformers.MixtralConfig,
        {**_LLAMA, "num_local_experts": 4, "router_jitter_noise": 0.9, "sliding_window": None},
    ),
    "dropped tokens: NLLB-MoE": (
        transformers.NllbMoeConfig,
        {**_PAIR, "num_experts": 4, "expert_capacity": 512, "moe_token_dropout": 0.5, "encoder_sparse_step": 2,
         "decoder_sparse_step": 2},
    ),
    "attention: Llama": (transformers.LlamaConfig, {**_LLAMA, "attention_dropout": 0.5}),
    "embeddings: GPT-2": (transformers.GPT2Config, {"n_embd": 32, "n_layer": 2, "n_head": 4, "embd_pdrop": 0.5}),
}  # fmt: skip


def make(name: str) -> LanguageModel:
    kind, sizes = DRAWING[name]
    torch.manual_seed(0)
    config = kind(vocab_size=len(tokenizer()), pad_token_id=0, eos_token_id=1, bos_token_id=None, **sizes)
    family = detect_family(config)
    auto = transformers.AutoModelForSeq2SeqLM if family == "encoder-decoder" else transformers.AutoModelForCausalLM
    model = auto.from_config(config).eval()
    for weight in model.parameters():
        weight.data.add_(0.1 * torch.randn_like(weight))
    return LanguageModel(model=model, tokenizer=tokenizer(), family=family, device=torch.device("cpu"))


def losses(lm, form, *, seeds: int) -> list[float]:
    pack = make_batches(lm, sizes=APART).batch(0).packs[0]
    found = []
    for seed in range(seeds):
        torch.manual_seed(seed)
        with form.in_place():
            loss = -target_logprobs(lm, pack).logprobs.mean()
            loss.backward()
        found.append(float(loss.detach()))
    return found


@pytest.mark.parametrize("recomputes", [False, True])
@pytest.mark.parametrize("name", DRAWING)
def test_no_seed_changes_anything(name, recomputes):
    lm = make(name)
    form = TrainingForm(lm, keeps_inputs_only=recomputes)
    measured = losses(lm, TrainingForm(lm), seeds=1)
    with dropout(lm.model, None):
        assert len(set(losses(lm, form, seeds=6))) > 1, "the model draws nothing: the test would show nothing"
    with dropout(lm.model, 0.0, recomputes=recomputes):
        found = losses(lm, form, seeds=6)
    assert found == pytest.approx(measured * 6, rel=1e-5)
    assert not any(module.training for module in lm.model.modules())


def test_activations_are_computed_again_without_dropout_too():
    """Layers do it in training mode only."""
    lm = make("layers left out: OPT")
    kept = []
    for recomputes in (False, True):
        form = TrainingForm(lm, keeps_inputs_only=recomputes)
        seen: list[int] = []
        keeping = torch.autograd.graph.saved_tensors_hooks(
            lambda t, seen=seen: (seen.append(t.numel()), t)[1], lambda t: t
        )
        with dropout(lm.model, 0.0, recomputes=recomputes), form.in_place(), keeping:
            target_logprobs(lm, make_batches(lm, sizes=APART).batch(0).packs[0])
        kept.append(sum(seen))
    assert kept[1] < 0.7 * kept[0]


def test_what_still_draws_is_refused_before_the_first_step(tmp_path):
    class Noisy(torch.nn.Module):
        """Draws in every mode."""

        def forward(self, x):
            return x + 0.5 * torch.randn_like(x)

    lm = make("attention: Llama")
    lm.model.model.norm = torch.nn.Sequential(lm.model.model.norm, Noisy())
    with pytest.raises(ModelError, match=r"cannot be tuned here|draws random numbers"):
        tune_small(tmp_path, lm, settings(steps=1, dropout=0.0))


def test_a_run_without_dropout_does_not_depend_on_the_seed(tmp_path):
    digests = set()
    for seed in (1, 2):
        lm = make("layers left out: OPT")
        tune_small(
            tmp_path / str(seed), lm, settings(steps=2, dropout=0.0), seed=seed, batches=make_batches(lm, sizes=APART)
        )
        digests.add(weights_digest(lm))
    assert len(digests) == 1
