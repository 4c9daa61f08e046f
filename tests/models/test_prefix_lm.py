"""Prefix LMs: inputs attend in both directions, targets causally, in each form and architecture."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.models.families import DECODERS, ENCODER_DECODERS, build
from tests.models.plain import greedy_by_hand, plain_mask
from tests.models.test_families import batch_of, rows, step
from tests.models.test_forward import gradients, made_up, packed
from tests.models.written import generate
from tests.training.small import make_lm, tokenizer

from flantune.errors import ModelError
from flantune.models.adapters import attach_adapter
from flantune.models.attention.lines import reads_lines
from flantune.models.checks.causality import check_prefix
from flantune.models.checks.isolation import check_isolation, logprobs_alone
from flantune.models.digests import model_fingerprint
from flantune.models.forms.reading_form import scoring_mode
from flantune.models.forms.training_form import TrainingForm
from flantune.models.forward import target_logprobs
from flantune.models.load import load_model, save_model, stored_attention
from flantune.models.scoring.check import scoring_layout
from flantune.models.scoring.option_scorer import OptionScorer
from flantune.models.scoring.plan import plan_scoring
from flantune.models.writing.check import writing_method
from flantune.packing.packs import EncodedPrompt
from flantune.settings.adapter_settings import PromptTuningSettings
from flantune.settings.config import ModelSettings

MASKED = [tried for tried in DECODERS if tried.is_packed]
BLOOM, MPT = (tried for tried in DECODERS if not tried.is_packed)


def named(tried) -> str:
    return tried.name.replace(" ", "-")


def prefix_lm(tried):
    return replace(build(tried, tokenizer()), attention="prefix")


def by_hand(lm, prompt, target) -> float:
    """Log-likelihood of a target by the model's own forward with an explicit mask."""
    whole = torch.from_numpy(np.concatenate([prompt.inputs, target])).long()[None]
    with torch.no_grad():
        mask = plain_mask(lm, len(prompt.inputs), whole.shape[1])
        logits = lm.model(input_ids=whole, use_cache=False, **mask).logits[0, len(prompt.inputs) - 1 : -1]
    return float(logits.log_softmax(-1).gather(1, torch.from_numpy(target).long()[:, None]).sum())


@pytest.mark.parametrize("tried", MASKED, ids=named)
def test_every_architecture_that_takes_masks_is_trained_packed(tried):
    lm = prefix_lm(tried)
    check_prefix(lm)
    assert check_isolation(lm).is_isolated
    together, apart = (batch_of(lm, packed=is_packed) for is_packed in (True, False))
    assert rows(together) < rows(apart)
    (mine, gradient), (theirs, expected) = step(lm, together), step(lm, apart)
    np.testing.assert_allclose(mine.item_nll, theirs.item_nll, rtol=1e-4, atol=1e-4)
    whole = sum(float(tensor.norm()) ** 2 for tensor in expected.values()) ** 0.5
    for name, tensor in gradient.items():
        assert float((tensor - expected[name]).norm()) <= 1e-4 * float(expected[name].norm()) + 1e-6 * whole, name
    causal, _ = step(replace(lm, attention="causal"), apart)
    assert np.abs(causal.item_nll - theirs.item_nll).max() > 1e-2


@pytest.mark.parametrize("tried", MASKED, ids=named)
def test_every_architecture_scores_and_writes_as_its_own_forward_does(tried):
    lm = prefix_lm(tried)
    # Two contexts with a shared start, longer than the sliding windows of the list.
    units = made_up(len(lm.tokenizer), [(21, (3, 1, 4)), (16, (2, 5)), (7, (1, 1))])
    units[1] = replace(units[1], inputs=np.concatenate([units[0].inputs[:13], units[1].inputs[:3]]))
    layout = scoring_layout(lm).layout
    assert layout in ("line", "tree")
    plan = plan_scoring(units, family=lm.family, layout=layout, batch_tokens=60, shares_starts=False)
    found = {}
    with scoring_mode(lm):
        for batch in plan:
            sums = iter(OptionScorer(lm).score(units, batch).sums)
            found.update({(at, option): next(sums) for at in batch.units for option in range(len(units[at].targets))})
    for (at, option), score in found.items():
        assert score == pytest.approx(by_hand(lm, units[at], units[at].targets[option]), rel=1e-4, abs=1e-3)
    assert writing_method(lm) in ("shared", "mixed")
    inputs = [unit.inputs for unit in units]
    ends = {lm.tokenizer.eos_token_id}
    assert generate(lm, inputs, max_new_tokens=4) == [
        greedy_by_hand(lm, torch.from_numpy(ids).long(), 4, ends) for ids in inputs
    ]


def test_a_model_that_takes_no_mask_is_refused():
    with pytest.raises(ModelError, match="cannot read its inputs both ways") as caught:
        check_prefix(prefix_lm(BLOOM))
    assert caught.value.where == "model.attention"


def test_a_model_whose_positions_follow_the_row_is_trained_and_scored_one_prompt_a_row():
    lm = prefix_lm(MPT)
    check_prefix(lm)
    assert not check_isolation(lm).is_isolated and scoring_layout(lm).layout == "rows"
    prompts = made_up(len(lm.tokenizer), [(12, (3,)), (9, (6,))])
    found = target_logprobs(lm, packed(lm, prompts, [[0], [1]])).logprobs.detach()
    expected = [by_hand(lm, prompt, prompt.targets[0]) for prompt in prompts]
    assert [float(found[:3].sum()), float(found[3:].sum())] == pytest.approx(expected, rel=1e-4)
    plan = plan_scoring(prompts, family=lm.family, layout="rows", batch_tokens=60, shares_starts=False)
    with scoring_mode(lm):
        scores = {
            at: score
            for one in plan
            for at, score in zip(one.units, OptionScorer(lm).score(prompts, one).sums, strict=True)
        }
    assert [scores[0], scores[1]] == pytest.approx(expected, rel=1e-4)
    ends = {lm.tokenizer.eos_token_id}
    assert generate(lm, [p.inputs for p in prompts], max_new_tokens=4) == [
        greedy_by_hand(lm, torch.from_numpy(p.inputs).long(), 4, ends) for p in prompts
    ]


def test_a_model_that_ignores_its_mask_or_sees_its_targets_is_refused(monkeypatch):
    lm = replace(make_lm("llama"), attention="prefix")
    forward = lm.model.forward
    with monkeypatch.context() as patch:
        patch.setattr(lm.model, "forward", lambda **named: forward(**{**named, "attention_mask": None}))
        with pytest.raises(ModelError, match="does not depend on the next"):
            check_prefix(lm)
    everything = torch.ones(1, 1, 8, 8, dtype=torch.bool)
    monkeypatch.setattr(lm.model, "forward", lambda **named: forward(**{**named, "attention_mask": everything}))
    with pytest.raises(ModelError, match="sees its targets"):
        check_prefix(lm)


def test_an_encoder_decoder_is_refused(tmp_path):
    with pytest.raises(ModelError, match="is for decoder-only models"):
        check_prefix(replace(build(ENCODER_DECODERS[1], tokenizer()), attention="prefix"))


def test_inputs_see_each_other_and_nobody_sees_a_later_target():
    """Checked with gradients: on which embeddings a token's log-probability depends."""
    lm = replace(make_lm("llama"), attention="prefix")
    prompt = EncodedPrompt(inputs=np.arange(10, 16, dtype=np.int32), targets=(np.arange(20, 24, dtype=np.int32),))
    pack = packed(lm, [prompt, prompt], [[0, 1]])
    kept = {}
    lm.model.get_input_embeddings().register_forward_hook(lambda _m, _i, out: kept.update(out=out))
    assert reads_lines(lm)
    for place in range(4):
        scored = target_logprobs(lm, pack).logprobs
        (gradient,) = torch.autograd.grad(scored[place], kept["out"])
        reached = (gradient.abs().sum(-1).flatten() > 0)[:10].tolist()
        assert reached == [True] * (6 + place) + [False] * (4 - place)
    # The order of the inputs still matters.
    other = replace(prompt, inputs=np.array([10, 11, 12, 13, 15, 14], dtype=np.int32))
    assert not torch.allclose(scored[:4], target_logprobs(lm, packed(lm, [other], [[0]])).logprobs, atol=1e-4)


def test_bfloat16_and_the_program_in_c_are_near(monkeypatch):
    exact = replace(make_lm("llama", width=64), attention="prefix")
    pack = packed(exact, made_up(len(exact.tokenizer), [(40, (6,)), (9, (3,)), (90, (20,))]), [[0, 1, 2]])
    expected = gradients(exact, [pack])
    lm = replace(exact, compute_dtype=torch.bfloat16)
    form = TrainingForm(lm)
    with form.in_place():
        (-target_logprobs(lm, pack).logprobs.sum() / 7).backward()
    found = {name: weight.grad for name, weight in lm.model.named_parameters() if weight.grad is not None}
    difference = sum(float((found[name] - expected[name]).norm()) ** 2 for name in expected) ** 0.5
    assert difference < 0.05 * sum(float(tensor.norm()) ** 2 for tensor in expected.values()) ** 0.5


def test_virtual_tokens_are_inputs_among_the_others():
    pytest.importorskip("peft")
    settings = ModelSettings(path="-", adapter="prompt", prompt=PromptTuningSettings(tokens=5))
    lm = attach_adapter(replace(make_lm("llama"), attention="prefix"), settings, seed=0)
    virtual = np.array(lm.prefix_tokens, dtype=np.int32)
    prompts = [replace(p, inputs=np.concatenate([virtual, p.inputs])) for p in made_up(250, [(9, (3, 2)), (4, (2, 2))])]
    found = target_logprobs(lm, packed(lm, prompts, [[0, 1]])).logprobs.detach()
    expected = torch.cat([logprobs_alone(lm, prompt, target) for prompt in prompts for target in prompt.targets])
    assert torch.allclose(found, expected.detach(), atol=1e-4)
    assert found.sum() == pytest.approx(sum(by_hand(lm, p, target) for p in prompts for target in p.targets), abs=1e-3)


# --- the folder remembers -------------------------------------------------------------------------------------------


def stored(folder) -> dict:
    return json.loads((folder / "config.json").read_text())


def test_the_folder_says_how_inputs_are_read(tmp_path):
    lm = replace(make_lm("llama"), attention="prefix")
    folder = save_model(lm, tmp_path / "prefix")
    assert stored(folder)["flantune_attention"] == "prefix"
    again = load_model(folder)
    assert again.attention == "prefix" == stored_attention(ModelSettings(path=str(folder)))
    assert model_fingerprint(again) == model_fingerprint(lm)
    pack = packed(lm, made_up(250, [(9, (3,)), (14, (2,))]), [[0, 1]])
    assert torch.equal(target_logprobs(lm, pack).logprobs, target_logprobs(again, pack).logprobs)
    causal = load_model(ModelSettings(path=str(folder), attention="causal"))
    assert causal.attention == "causal" and model_fingerprint(causal) != model_fingerprint(lm)
    back = save_model(causal, tmp_path / "causal")
    assert "flantune_attention" not in stored(back) and load_model(back).attention == "causal"
    # The fingerprint depends on the attention in use, not on a leftover entry of the config.
    assert model_fingerprint(causal) == model_fingerprint(load_model(back)) == model_fingerprint(make_lm("llama"))


def test_a_causal_folder_is_read_both_ways_when_told_to(tmp_path):
    folder = save_model(make_lm("llama"), tmp_path / "model")
    assert "flantune_attention" not in stored(folder)
    assert load_model(ModelSettings(path=str(folder), attention="prefix")).attention == "prefix"


def test_another_word_in_the_folder_is_told(tmp_path):
    folder = save_model(make_lm("llama"), tmp_path / "model")
    (folder / "config.json").write_text(json.dumps({**stored(folder), "flantune_attention": "sideways"}))
    with pytest.raises(ModelError, match="attention 'sideways'"):
        load_model(folder)


@pytest.mark.parametrize("kind", ["lora", "prompt"])
def test_an_adapter_remembers_it_beside_a_causal_base(kind, tmp_path):
    pytest.importorskip("peft")
    base = save_model(make_lm("llama"), tmp_path / "base")
    settings = ModelSettings(path=str(base), attention="prefix", adapter=kind, prompt=PromptTuningSettings(tokens=3))
    lm = attach_adapter(load_model(settings), settings, seed=0)
    folder = save_model(lm, tmp_path / "adapter")
    again = load_model(folder)
    assert again.attention == "prefix" == stored_attention(ModelSettings(path=str(folder)))
    assert load_model(base).attention == "causal"
    prompts = made_up(250, [(9, (3,))])
    assert torch.allclose(target_logprobs(again, packed(again, prompts, [[0]])).logprobs,
                          target_logprobs(lm, packed(lm, prompts, [[0]])).logprobs)  # fmt: skip
