"""Models whose rotary positions depend on the longest prompt: each prompt gets the same results as alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers
from tests.models.written import generate
from tests.training.small import tokenizer

from flantune.errors import ModelError
from flantune.models.attention.lines import reads_lines
from flantune.models.checks.isolation import check_isolation
from flantune.models.digests import model_fingerprint
from flantune.models.forms.reading_form import scoring_mode
from flantune.models.forward import target_logprobs
from flantune.models.language_model import LanguageModel
from flantune.models.rope import following_ropes, forget_lengths, known_positions, rope_border
from flantune.models.scoring.check import scoring_layout
from flantune.models.scoring.option_scorer import OptionScorer
from flantune.models.scoring.plan import plan_scoring
from flantune.packing.batches import lay_out
from flantune.packing.packs import EncodedPrompt

BORDER = 24
_SIZES = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None,
}  # fmt: skip
_LONG = {
    "rope_type": "longrope", "rope_theta": 10_000.0, "short_factor": [1.0] * 4, "long_factor": [7.0] * 4,
    "original_max_position_embeddings": BORDER,
}  # fmt: skip
_REACH = {"max_position_embeddings": 160, "original_max_position_embeddings": BORDER}
MODELS = {
    "phi3": lambda: transformers.Phi3Config(**_sizes(), **_REACH, sliding_window=None, rope_parameters=dict(_LONG)),
    "llama long": lambda: transformers.LlamaConfig(
        **_sizes(), max_position_embeddings=160, rope_parameters=dict(_LONG)
    ),
    "phimoe": lambda: transformers.PhimoeConfig(
        **_sizes(), **_REACH, num_local_experts=4, rope_parameters={**_LONG, "short_mscale": 1.1, "long_mscale": 1.3}
    ),
    "llama dynamic": lambda: transformers.LlamaConfig(
        **_sizes(),
        max_position_embeddings=BORDER,
        rope_parameters={"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 5.0},
    ),
    "qwen2 dynamic": lambda: transformers.Qwen2Config(
        **_sizes(),
        max_position_embeddings=BORDER,
        rope_parameters={"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 5.0},
    ),
}


def _sizes():
    return {**_SIZES, "vocab_size": len(tokenizer())}


def make(name: str) -> LanguageModel:
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(MODELS[name](), attn_implementation="sdpa").eval()
    for weight in model.parameters():
        weight.data.add_(0.2 * torch.randn_like(weight))
    return LanguageModel(model=model, tokenizer=tokenizer(), family="decoder-only", device=torch.device("cpu"))


@pytest.fixture(params=MODELS, scope="module")
def lm(request):
    return make(request.param)


def ids(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(5, len(tokenizer()), count).astype(np.int32)


# Short, at the border, one beyond it, long.
PROMPTS = [
    EncodedPrompt(inputs=ids(read, at), targets=(ids(written, 100 + at),))
    for at, (read, written) in enumerate([(9, 3), (BORDER - 4, 4), (BORDER - 3, 4), (60, 6), (14, 2), (90, 3)])
]


def alone(lm, prompt: EncodedPrompt, target: np.ndarray, *, reads_last: bool) -> list[float]:
    """Results of a model that has read nothing else before."""
    forget_lengths(lm)
    whole = torch.from_numpy(np.concatenate([prompt.inputs, target if reads_last else target[:-1]])).long()[None]
    with torch.no_grad():
        logits = lm.model(input_ids=whole, use_cache=False).logits[0, len(prompt.inputs) - 1 :][: len(target)]
    return logits.log_softmax(-1)[torch.arange(len(target)), torch.from_numpy(target).long()].tolist()


def test_it_is_found_out_from_which_length_on_they_follow(lm):
    assert len(following_ropes(lm)) == 1 and rope_border(lm) == BORDER
    assert known_positions(lm) == (5 * BORDER if lm.model.config.max_position_embeddings == BORDER else 160)


@pytest.mark.parametrize("kind", ["default", "linear", "yarn", "llama3"])
def test_others_are_left_alone(kind):
    own = {
        "linear": {"factor": 4.0},
        "yarn": {"factor": 4.0, "original_max_position_embeddings": 32},
        "llama3": {
            "factor": 4.0, "original_max_position_embeddings": 32, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        },
    }.get(kind, {})  # fmt: skip
    config = transformers.LlamaConfig(
        **_sizes(),
        max_position_embeddings=128,
        rope_parameters={"rope_type": kind, "rope_theta": 10_000.0, **own},
    )
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    lm = LanguageModel(model=model, tokenizer=tokenizer(), family="decoder-only", device=torch.device("cpu"))
    assert following_ropes(lm) == [] and rope_border(lm) == 0 and known_positions(lm) == 128


def test_the_isolation_test_looks_beyond_the_border(lm, monkeypatch):
    assert check_isolation(lm).is_isolated and reads_lines(lm)
    # The same model without the correction.
    other = make(next(name for name in MODELS if type(MODELS[name]()) is type(lm.model.config)))
    following_ropes.settle(other, [])
    monkeypatch.setattr("flantune.models.trial_lengths.rope_border", lambda _: BORDER)
    monkeypatch.setattr("flantune.models.checks.isolation.rope_border", lambda _: BORDER)
    report = check_isolation(other)
    assert not report.is_isolated and report.max_difference > 1e-2 and not reads_lines(other)


@pytest.mark.parametrize("rows", [[[0, 1, 2, 3, 4, 5]], [[3, 0], [1, 5], [2, 4]], [[at] for at in range(6)]])
@pytest.mark.parametrize("as_lines", [True, False])
def test_each_prompt_is_as_alone_however_it_is_laid(lm, rows, as_lines):
    if not as_lines:
        lm.model.set_attn_implementation("sdpa")
    pack = lay_out(PROMPTS, rows, family="decoder-only")
    with torch.no_grad():
        found = target_logprobs(lm, pack).logprobs.numpy()
    assert reads_lines(lm) == as_lines
    for at, prompt in enumerate(PROMPTS):
        expected = alone(lm, prompt, prompt.targets[0], reads_last=True)
        np.testing.assert_allclose(found[pack.targets.item == at], expected, atol=2e-5)
    lm.model.set_attn_implementation("flantune")


def test_options_on_both_sides_of_the_border_are_scored_each_as_alone(lm):
    units = [
        EncodedPrompt(inputs=ids(BORDER - 3, 7), targets=(ids(2, 1), ids(3, 2), ids(4, 3), ids(9, 4))),
        EncodedPrompt(inputs=np.concatenate([ids(BORDER - 3, 7), ids(5, 8)]), targets=(ids(1, 5), ids(3, 6))),
        EncodedPrompt(inputs=ids(8, 9), targets=(ids(1, 5), ids(4, 6))),
    ]
    expected = [[sum(alone(lm, unit, target, reads_last=False)) for target in unit.targets] for unit in units]
    fastest = scoring_layout(lm).layout
    assert fastest == "line"
    for layout in (fastest, "prefix", "tree"):
        with scoring_mode(lm):
            scorer = OptionScorer(lm)
            for batch in plan_scoring(units, family="decoder-only", layout=layout, batch_tokens=2_048, pass_cost=1):
                sums = scorer.score(units, batch).sums
                np.testing.assert_allclose(sums, [each for at in batch.units for each in expected[at]], atol=1e-4)


def test_continuations_of_one_context_on_both_sides_are_refused_in_training_form(lm):
    prompt = EncodedPrompt(inputs=ids(BORDER - 3, 7), targets=(ids(2, 1), ids(9, 2)))
    with pytest.raises(ModelError, match="on both sides"):
        target_logprobs(lm, lay_out([prompt], [[0]], family="decoder-only"))


def test_writing_is_that_of_generate_up_to_and_across_the_border(lm):
    inputs = [ids(count, count) for count in (5, BORDER - 6, BORDER - 6, BORDER - 1, BORDER, BORDER + 1, 50)]
    written = generate(lm, inputs, max_new_tokens=10)
    for tokens, mine in zip(inputs, written, strict=True):
        forget_lengths(lm)
        row = torch.from_numpy(tokens).long()[None]
        own = lm.model.generate(row, attention_mask=torch.ones_like(row), do_sample=False, max_new_tokens=10)
        answer = own[0, len(tokens) :].tolist()
        assert mine == (answer[: answer.index(1)] if 1 in answer else answer), len(tokens)


def test_a_model_has_one_name_whatever_it_has_read(lm):
    forget_lengths(lm)
    before = model_fingerprint(lm)
    with torch.no_grad():
        lm.model(input_ids=torch.from_numpy(ids(100, 3)).long()[None])
    assert model_fingerprint(lm) == before
