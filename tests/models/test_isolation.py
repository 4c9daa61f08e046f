from __future__ import annotations

import math
from weakref import WeakKeyDictionary

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, BartConfig, BloomConfig, OPTConfig

import flantune.models.forward as forward
import flantune.models.traits as traits
from flantune.models.checks.isolation import check_isolation
from flantune.models.forms.reading_form import scoring_mode
from flantune.models.language_model import LanguageModel
from flantune.models.load import detect_family
from flantune.models.scoring.check import scoring_layout
from flantune.models.scoring.option_scorer import OptionScorer
from flantune.models.scoring.plan import plan_scoring
from flantune.packing.packs import EncodedPrompt


def tiny(config, tokenizer, *, attention="sdpa") -> LanguageModel:
    torch.manual_seed(0)
    family = detect_family(config)
    auto = AutoModelForSeq2SeqLM if family == "encoder-decoder" else AutoModelForCausalLM
    model = auto.from_config(config, attn_implementation=attention).eval()
    return LanguageModel(model=model, tokenizer=tokenizer, family=family, device=torch.device("cpu"))


def special(tokenizer):
    return {"vocab_size": len(tokenizer), "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}


def bloom(tokenizer):
    config = BloomConfig(hidden_size=32, n_layer=2, n_head=2, **special(tokenizer))
    return tiny(config, tokenizer, attention="eager")


def opt(tokenizer):
    sizes = {"hidden_size": 32, "ffn_dim": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    return tiny(OPTConfig(word_embed_proj_dim=32, **sizes, **special(tokenizer)), tokenizer)


def bart(tokenizer):
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
    layers = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "decoder_start_token_id": 1}
    return tiny(BartConfig(**heads, **layers, forced_eos_token_id=None, **special(tokenizer)), tokenizer)


def test_supported_models_are_isolated(lm):
    report = check_isolation(lm)
    assert report.is_isolated and report.max_difference < 1e-4 and not report.reason


def test_eager_attention_is_isolated_too(lm):
    own = lm.model.config._attn_implementation
    lm.model.set_attn_implementation("eager")
    try:
        assert check_isolation(lm).is_isolated
    finally:
        lm.model.set_attn_implementation(own)


@pytest.mark.parametrize("make", [bloom, bart])
def test_models_that_cannot_be_packed_are_reported(make, tokenizer):
    report = check_isolation(make(tokenizer))
    assert not report.is_isolated
    assert report.max_difference > 1e-3
    assert report.reason


def test_opt_is_isolated_by_explicit_masks_and_positions_but_not_without(tokenizer, monkeypatch):
    lm = opt(tokenizer)
    assert check_isolation(lm).is_isolated
    drop = lambda _module, inputs: {name: value for name, value in inputs.items() if name != "position_ids"}  # noqa: E731
    monkeypatch.setattr(forward, "accepted", drop)
    report = check_isolation(lm)
    assert not report.is_isolated
    assert report.max_difference > 1e-3


def test_trap_10_a_mask_that_leaks_is_caught(lm, monkeypatch):
    def leaky(segments, branches):
        return torch.ones(*segments.shape, segments.shape[1], dtype=torch.bool).tril()[:, None]

    monkeypatch.setattr(forward, "decoder_mask", leaky)
    # So that traits found with the leaky mask are not kept for later tests.
    monkeypatch.setattr(traits, "_kept", WeakKeyDictionary())
    report = check_isolation(lm)
    assert not report.is_isolated and report.max_difference > 1e-2


@pytest.mark.parametrize("make", [bloom, bart, opt])
def test_models_that_cannot_be_packed_are_still_scored_right(make, tokenizer):
    lm = make(tokenizer)
    rng = np.random.default_rng(0)

    def ids(count):
        return rng.integers(3, len(tokenizer), count).astype(np.int32)

    encoded = [EncodedPrompt(inputs=ids(n), targets=(ids(3), ids(1))) for n in (9, 14, 5)]
    assert scoring_layout(lm).layout != "rows" or make is bart
    apart = [EncodedPrompt(inputs=one.inputs, targets=(target,)) for one in encoded for target in one.targets]
    with scoring_mode(lm):
        for batch in plan_scoring(apart, family=lm.family, layout="rows", batch_tokens=40):
            found = OptionScorer(lm).score(apart, batch).sums
            for score, unit in zip(found, (apart[at] for at in batch.units), strict=True):
                assert math.isclose(score, alone(lm, unit, unit.targets[0]), abs_tol=1e-4)


def alone(lm, prompt, target) -> float:
    inputs, tokens = (torch.from_numpy(array).long() for array in (prompt.inputs, target))
    with torch.no_grad():
        if lm.family == "decoder-only":
            logits = lm.model(input_ids=torch.cat([inputs, tokens])[None]).logits[0, len(inputs) - 1 : -1]
        else:
            shifted = torch.cat([torch.tensor([lm.model.config.decoder_start_token_id]), tokens[:-1]])
            logits = lm.model(input_ids=inputs[None], decoder_input_ids=shifted[None]).logits[0]
    return float(logits.log_softmax(-1).gather(1, tokens[:, None]).sum())
