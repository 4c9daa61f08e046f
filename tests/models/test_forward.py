from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.models.plain import plain_mask
from transformers import AutoModelForCausalLM, CohereConfig, Gemma2Config, GraniteConfig, MistralConfig, Qwen2Config

import flantune.models.forward as forward
from flantune.errors import ModelError
from flantune.models.forward import target_logprobs
from flantune.models.heads import Head, find_head
from flantune.models.language_model import LanguageModel
from flantune.models.scratch import build_model
from flantune.packing.arrays import pack_decoder_only, pack_encoder_decoder
from flantune.packing.packs import EncodedPrompt
from flantune.settings.config import ScratchSettings


def made_up(vocabulary: int, shapes, *, seed=0) -> list[EncodedPrompt]:
    rng = np.random.default_rng(seed)

    def ids(count):
        return rng.integers(3, vocabulary, count).astype(np.int32)

    return [EncodedPrompt(inputs=ids(n), targets=tuple(ids(m) for m in lengths)) for n, lengths in shapes]


def packed(lm, encoded, rows):
    pack = pack_decoder_only if lm.family == "decoder-only" else pack_encoder_decoder
    return pack(encoded, rows)


def by_item(lm, pack) -> list[torch.Tensor]:
    logprobs = target_logprobs(lm, pack).logprobs
    return [logprobs[torch.from_numpy(pack.targets.item == item)] for item in range(pack.targets.item.max() + 1)]


def by_plain_forward(lm, prompt, target) -> torch.Tensor:
    """Log-probabilities by the transformers model itself, without packing and without flantune's code."""
    inputs, tokens = (torch.from_numpy(array).long() for array in (prompt.inputs, target))
    if lm.family == "decoder-only":
        whole = torch.cat([inputs, tokens])[None]
        mask = plain_mask(lm, len(inputs), whole.shape[1])
        logits = lm.model(input_ids=whole, use_cache=False, **mask).logits[0, len(inputs) - 1 : -1]
    else:
        shifted = torch.cat([torch.tensor([lm.model.config.decoder_start_token_id]), tokens[:-1]])
        logits = lm.model(input_ids=inputs[None], decoder_input_ids=shifted[None]).logits[0]
    return logits.log_softmax(-1).gather(1, tokens[:, None])[:, 0]


def gradients(lm, packs) -> dict[str, torch.Tensor]:
    lm.model.zero_grad(set_to_none=True)
    for pack in packs:
        (-target_logprobs(lm, pack).logprobs.sum() / 7).backward()
    found = {name: weight.grad.clone() for name, weight in lm.model.named_parameters() if weight.grad is not None}
    lm.model.zero_grad(set_to_none=True)
    return found


def assert_same_gradients(left, right):
    assert left.keys() == right.keys() and left
    for name in left:
        scale = left[name].abs().max().clamp(min=1e-3)
        assert (left[name] - right[name]).abs().max() / scale < 2e-4, name


SINGLE = [(12, (3,)), (9, (6,)), (20, (5,)), (4, (1,)), (15, (2,))]
BRANCHED = [(12, (3,)), (9, (2, 4, 3)), (20, (5, 1)), (4, (1, 1, 2, 6))]


def test_packed_equals_the_models_own_forward_on_each_prompt_alone(lm):
    encoded = made_up(len(lm.tokenizer), SINGLE)
    found = by_item(lm, packed(lm, encoded, [[0, 1], [2, 3, 4]]))
    for prompt, logprobs in zip(encoded, found, strict=True):
        expected = by_plain_forward(lm, prompt, prompt.targets[0])
        assert torch.allclose(logprobs, expected, atol=2e-5)
        assert logprobs.dtype == torch.float32


def test_gradients_packed_equal_unpacked(lm):
    encoded = made_up(len(lm.tokenizer), SINGLE)
    together = gradients(lm, [packed(lm, encoded, [[0, 1], [2, 3, 4]])])
    one_a_row = gradients(lm, [packed(lm, encoded, [[0], [1], [2], [3], [4]])])
    one_a_pass = gradients(lm, [packed(lm, [prompt], [[0]]) for prompt in encoded])
    assert_same_gradients(together, one_a_row)
    assert_same_gradients(together, one_a_pass)


def test_gradients_do_not_depend_on_the_micro_batches(lm):
    encoded = made_up(len(lm.tokenizer), SINGLE)
    rows = [[0, 1], [2], [3, 4]]
    assert_same_gradients(
        gradients(lm, [packed(lm, encoded, rows)]), gradients(lm, [packed(lm, encoded, [row]) for row in rows])
    )


def test_branches_equal_separate_rows(lm):
    encoded = made_up(len(lm.tokenizer), BRANCHED)
    found = by_item(lm, packed(lm, encoded, [[0, 1], [2, 3]]))
    expected = [by_plain_forward(lm, prompt, target) for prompt in encoded for target in prompt.targets]
    assert len(found) == len(expected) == 10
    for left, right in zip(found, expected, strict=True):
        assert torch.allclose(left, right, atol=2e-5)


def test_trap_10_changing_a_neighbor_changes_nothing(lm):
    encoded = made_up(len(lm.tokenizer), BRANCHED)
    other = [*made_up(len(lm.tokenizer), BRANCHED, seed=9)[:3], encoded[3]]
    rows = [[0, 1, 2, 3]]
    before, after = by_item(lm, packed(lm, encoded, rows)), by_item(lm, packed(lm, other, rows))
    for item in range(6, 10):
        assert torch.allclose(before[item], after[item], atol=1e-6)
    assert not torch.allclose(before[0], after[0], atol=1e-3)


def test_trap_10_gradient_of_one_prompt_reaches_no_other(lm):
    encoded = made_up(len(lm.tokenizer), SINGLE[:3])
    mine = np.arange(3, 15, dtype=np.int32)
    others = [replace(p, inputs=p.inputs % 200 + 50, targets=(p.targets[0] % 200 + 50,)) for p in encoded]
    encoded = [others[0], replace(encoded[1], inputs=mine[:9], targets=(mine[9:],)), others[2]]
    pack = packed(lm, encoded, [[0, 1, 2]])
    embedded = {}
    reader = lm.model if lm.family == "decoder-only" else lm.model.get_encoder()
    hook = reader.get_input_embeddings().register_forward_hook(lambda _m, i, out: embedded.update(ids=i[0], out=out))
    scored = target_logprobs(lm, pack).logprobs
    hook.remove()
    wanted = scored[torch.from_numpy(pack.targets.item == 1)].sum()
    (gradient,) = torch.autograd.grad(wanted, embedded["out"])
    reached, ids = gradient.abs().sum(-1).flatten() > 0, embedded["ids"].flatten()
    assert reached[(ids >= 3) & (ids < 15)].any()
    assert not reached[ids >= 50].any()


def test_a_branch_does_not_see_its_sibling(lm):
    encoded = made_up(len(lm.tokenizer), [(9, (4, 4, 4))])
    changed = [replace(encoded[0], targets=(encoded[0].targets[0], encoded[0].targets[1][::-1], encoded[0].targets[2]))]
    before, after = by_item(lm, packed(lm, encoded, [[0]])), by_item(lm, packed(lm, changed, [[0]]))
    assert torch.allclose(before[0], after[0], atol=1e-6) and torch.allclose(before[2], after[2], atol=1e-6)


def test_padding_is_harmless(lm):
    encoded = made_up(len(lm.tokenizer), [(30, (9,)), (2, (1,)), (3, (2, 2))])
    narrow = by_item(lm, packed(lm, encoded, [[0, 1, 2]]))
    wide = by_item(lm, packed(lm, encoded, [[0], [1], [2]]))
    for left, right in zip(narrow, wide, strict=True):
        assert torch.isfinite(right).all()
        assert torch.allclose(left, right, atol=2e-5)
    assert all(torch.isfinite(g).all() for g in gradients(lm, [packed(lm, encoded, [[0], [1], [2]])]).values())


def test_chunks_change_nothing(lm, monkeypatch):
    encoded = made_up(len(lm.tokenizer), SINGLE)
    pack = packed(lm, encoded, [[0, 1, 2, 3, 4]])
    whole, whole_gradients = target_logprobs(lm, pack), gradients(lm, [pack])
    monkeypatch.setattr(forward, "CHUNK_ELEMENTS", 3 * len(lm.tokenizer))
    assert torch.allclose(target_logprobs(lm, pack).logprobs, whole.logprobs, atol=1e-6)
    assert_same_gradients(gradients(lm, [pack]), whole_gradients)


def test_full_logits_when_no_head_is_found(lm, monkeypatch):
    encoded = made_up(len(lm.tokenizer), BRANCHED)
    pack = packed(lm, encoded, [[0, 1], [2, 3]])
    expected = target_logprobs(lm, pack).logprobs
    monkeypatch.setattr(forward, "find_head", lambda _lm: None)
    assert torch.allclose(target_logprobs(lm, pack).logprobs, expected, atol=1e-5)


def test_greedy_flags_agree_with_the_models_argmax(lm):
    prompt = made_up(len(lm.tokenizer), [(9, (4,))])[0]
    first = int(by_logits(lm, prompt)[0].argmax())
    chosen = replace(prompt, targets=(np.array([first, *prompt.targets[0][1:]], dtype=np.int32),))
    scores = target_logprobs(lm, packed(lm, [chosen], [[0]]), with_greedy=True)
    assert bool(scores.is_greedy[0])
    other = replace(prompt, targets=(np.array([(first + 1) % 300, 5], dtype=np.int32),))
    assert not target_logprobs(lm, packed(lm, [other], [[0]]), with_greedy=True).is_greedy[0]
    assert target_logprobs(lm, packed(lm, [other], [[0]])).is_greedy is None


def by_logits(lm, prompt) -> torch.Tensor:
    inputs = torch.from_numpy(prompt.inputs).long()[None]
    if lm.family == "decoder-only":
        return lm.model(input_ids=inputs, **plain_mask(lm, inputs.shape[1], inputs.shape[1])).logits[0, -1:]
    start = torch.tensor([[lm.model.config.decoder_start_token_id]])
    return lm.model(input_ids=inputs, decoder_input_ids=start).logits[0]


def test_bfloat16_is_near_and_differentiable(lm):
    encoded = made_up(len(lm.tokenizer), SINGLE)
    pack = packed(lm, encoded, [[0, 1], [2, 3, 4]])
    exact = target_logprobs(lm, pack).logprobs
    rough = target_logprobs(replace(lm, compute_dtype=torch.bfloat16), pack).logprobs
    assert rough.dtype == torch.float32
    assert (rough - exact).abs().mean() < 0.2
    assert all(torch.isfinite(g).all() for g in gradients(replace(lm, compute_dtype=torch.bfloat16), [pack]).values())


def test_finding_the_head_leaves_modes_and_random_numbers_alone(tokenizer):
    lm = build_model(ScratchSettings(hidden_size=32, layers=1, heads=2), tokenizer, seed=2)
    lm.model.train()
    lm.model.lm_head.eval()
    state = torch.get_rng_state()
    find_head(lm)
    assert lm.model.training and not lm.model.lm_head.training
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (CohereConfig(logit_scale=0.25), Head(output_scale=0.25)),
        (GraniteConfig(logits_scaling=4.0), Head(output_scale=0.25)),
        (Gemma2Config(final_logit_softcapping=2.0, head_dim=16), Head(softcap=2.0)),
    ],
)
def test_heads_with_scaling_and_soft_capping(config, expected, tokenizer):
    lm = tiny(config, tokenizer, attention="eager")
    assert find_head(lm) == expected
    encoded = made_up(len(tokenizer), BRANCHED)
    found = by_item(lm, packed(lm, encoded, [[0, 1], [2, 3]]))
    wanted = [by_plain_forward(lm, prompt, target) for prompt in encoded for target in prompt.targets]
    assert all(torch.allclose(left, right, atol=2e-5) for left, right in zip(found, wanted, strict=True))


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize(
    "config",
    [
        MistralConfig(sliding_window=6),
        Qwen2Config(use_sliding_window=True, sliding_window=6, max_window_layers=1),
    ],
)
def test_prompts_beyond_a_sliding_window(config, attention, tokenizer):
    lm = tiny(config, tokenizer, attention=attention)
    encoded = made_up(len(tokenizer), BRANCHED)
    found = by_item(lm, packed(lm, encoded, [[0, 1], [2, 3]]))
    wanted = [by_plain_forward(lm, prompt, target) for prompt in encoded for target in prompt.targets]
    assert all(torch.allclose(left, right, atol=2e-5) for left, right in zip(found, wanted, strict=True))


def tiny(config, tokenizer, *, attention) -> LanguageModel:
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "pad_token_id": 0, "eos_token_id": 1}
    for name, value in (sizes | heads).items():
        setattr(config, name, value)
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:2]
        if "sliding_attention" in config.layer_types or getattr(config, "use_sliding_window", False):
            config.layer_types = ["full_attention", "sliding_attention"]
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention).eval()
    return LanguageModel(model=model, tokenizer=tokenizer, family="decoder-only", device=torch.device("cpu"))


def test_the_other_familys_pack_is_refused(lm):
    encoded = made_up(len(lm.tokenizer), SINGLE)
    other = pack_encoder_decoder if lm.family == "decoder-only" else pack_decoder_only
    with pytest.raises(ModelError, match="family"):
        target_logprobs(lm, other(encoded, [[0]]))


def test_prompts_beyond_the_positions_are_refused(tokenizer):
    lm = build_model(ScratchSettings(architecture="gpt2", hidden_size=32, layers=1, heads=2), tokenizer, seed=1)
    long = made_up(len(tokenizer), [(2050, (3,))])
    with pytest.raises(ModelError, match="2048 positions"):
        target_logprobs(lm, pack_decoder_only(long, [[0]]))
