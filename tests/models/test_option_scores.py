"""All scoring layouts compared with plain rows, for models of many kinds; and the layout found for each kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from tests.models.plain import plain_mask

from flantune.models.forms.reading_form import scoring_mode
from flantune.models.language_model import LanguageModel
from flantune.models.scoring import check as scoring_check
from flantune.models.scoring.check import scoring_layout
from flantune.models.scoring.option_scorer import OptionScorer
from flantune.models.scoring.plan import plan_scoring, shares_starts
from flantune.models.scoring.targets import read_prefix
from flantune.models.scratch import build_model
from flantune.packing.packs import EncodedPrompt
from flantune.settings.config import ScratchSettings

SMALL = {"vocab_size": 320, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
GATED = {**SMALL, "intermediate_size": 64}
OTHERS = {
    "mistral": ("Mistral", {**GATED, "num_key_value_heads": 1, "sliding_window": 8}, "line"),
    # Eager attention cannot be exchanged.
    "gemma2": ("Gemma2", {**GATED, "num_key_value_heads": 1, "head_dim": 16, "sliding_window": 8}, "prefix"),
    "qwen3": ("Qwen3", {**GATED, "num_key_value_heads": 1, "head_dim": 16}, "line"),
    "opt": ("OPT", {**SMALL, "ffn_dim": 64, "word_embed_proj_dim": 32}, "line"),
    # Their biases depend on the distance in the row; position ids are ignored.
    "bloom": ("Bloom", {"vocab_size": 320, "hidden_size": 32, "n_layer": 2, "n_head": 2}, "cache"),
    "mpt": ("Mpt", {"vocab_size": 320, "d_model": 32, "n_layers": 2, "n_heads": 2}, "cache"),
    # There are no keys and values.
    "mamba": ("Mamba", {"vocab_size": 320, "hidden_size": 32, "num_hidden_layers": 2}, "rows"),
}


def make(name: str, tokenizer) -> LanguageModel:
    family, settings, _ = OTHERS[name]
    eager = {"attn_implementation": "eager"} if name == "gemma2" else {}
    config = getattr(transformers, f"{family}Config")(**settings, **eager)
    torch.manual_seed(0)
    model = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    for weight_name, weight in model.named_parameters():
        if weight.ndim > 1 and "norm" not in weight_name:
            # Attention far from uniform, so that a leak would show.
            weight.data.mul_(3.0)
    return LanguageModel(model=model, tokenizer=tokenizer, family="decoder-only", device=torch.device("cpu"))


def requests(count: int, *, shared: int = 14) -> list[EncodedPrompt]:
    rng = np.random.default_rng(3)

    def ids(size: int) -> np.ndarray:
        return rng.integers(10, 270, size).astype(np.int32)

    start = ids(shared)
    return [
        EncodedPrompt(
            inputs=np.concatenate([start, ids(int(rng.integers(1, 12)))]),
            targets=tuple(ids(int(rng.integers(1, 6))) for _ in range(int(rng.integers(1, 5)))),
        )
        for _ in range(count)
    ]


def scores(lm, units, layout, *, batch_tokens=200) -> tuple[np.ndarray, np.ndarray]:
    """For each option, in order: its score, and whether it is the greedy answer."""
    sums, greedy = {}, {}
    with scoring_mode(lm):
        scorer = OptionScorer(lm)
        plan = plan_scoring(
            units, family=lm.family, layout=layout, batch_tokens=batch_tokens, pass_cost=2,
            shares_starts=shares_starts(lm),
        )  # fmt: skip
        for batch in plan:
            found, at = scorer.score(units, batch), 0
            for unit in batch.units:
                for option in range(len(units[unit].targets)):
                    sums[unit, option], greedy[unit, option] = found.sums[at], found.greedy[at]
                    at += 1
    order = sorted(sums)
    return np.array([sums[key] for key in order]), np.array([greedy[key] for key in order])


def test_a_prefix_lm_shares_no_start_and_reads_lines(tokenizer):
    lm = replace(build_model(ScratchSettings(hidden_size=32, layers=2, heads=2), tokenizer, seed=1), attention="prefix")
    assert scoring_layout(lm).layout == "line"
    plan = plan_scoring(
        requests(20), family=lm.family, layout="line", batch_tokens=200, shares_starts=shares_starts(lm)
    )
    assert not any(len(batch.prefix) for batch in plan)
    # The same weights with causal attention are another model.
    assert scoring_layout(replace(lm, attention="causal")) is not scoring_layout(lm)


def one_by_one(units) -> list[EncodedPrompt]:
    return [EncodedPrompt(inputs=unit.inputs, targets=(target,)) for unit in units for target in unit.targets]


def by_hand(lm, units) -> tuple[np.ndarray, np.ndarray]:
    sums, greedy = [], []
    for unit in units:
        for target in unit.targets:
            tokens = torch.from_numpy(target).long()
            context = torch.from_numpy(unit.inputs).long()
            with torch.no_grad():
                if lm.family == "decoder-only":
                    whole = torch.cat([context, tokens])[None]
                    mask = plain_mask(lm, len(context), whole.shape[1])
                    logits = lm.model(input_ids=whole, **mask).logits[0, len(context) - 1 : -1]
                else:
                    logits = lm.model(input_ids=context[None], labels=tokens[None]).logits[0]
            logprobs = torch.log_softmax(logits.double(), dim=-1)
            sums.append(float(logprobs[torch.arange(len(tokens)), tokens].sum()))
            greedy.append(logits.argmax(-1).tolist() == target.tolist())
    return np.array(sums), np.array(greedy)


@pytest.mark.parametrize("layout", ["prefix", "line", "tree", "cache", "rows"])
def test_every_layout_gives_the_scores_of_each_option_alone(lm, layout):
    if layout in ("prefix", "cache") and not shares_starts(lm):
        pytest.skip("nothing that two contexts start with is read once")
    units = requests(9)
    sums, greedy = scores(lm, one_by_one(units) if layout == "rows" else units, layout)
    expected, first = by_hand(lm, units)
    np.testing.assert_allclose(sums, expected, rtol=1e-5, atol=2e-4)
    assert (greedy == first).all()


def test_prefixes_are_used_where_the_plan_says_so(lm):
    if not shares_starts(lm):
        pytest.skip("prefix attention shares no starts")
    for layout in ("prefix", "line"):
        plan = plan_scoring(requests(20), family=lm.family, layout=layout, batch_tokens=200, pass_cost=2)
        assert all(len(batch.prefix) >= 14 for batch in plan)
    assert scoring_layout(lm).layout == "line"


def test_a_shared_prefix_is_one_copy_whatever_the_rows(lm):
    if not shares_starts(lm):
        pytest.skip("prefix attention shares no starts")
    with scoring_mode(lm):
        states = read_prefix(lm, np.arange(10, 30, dtype=np.int32))
    assert all(keys.shape[0] == 1 and keys.shape[2] == 20 for keys, _ in states.layers)


@pytest.mark.parametrize("name", OTHERS)
def test_the_ladder_finds_what_a_model_allows(name, tokenizer):
    lm = make(name, tokenizer)
    report = scoring_layout(lm)
    assert report.layout == OTHERS[name][2], report.refused
    units = requests(6)
    expected, first = by_hand(lm, units)
    sums, greedy = scores(lm, one_by_one(units) if report.layout == "rows" else units, report.layout)
    np.testing.assert_allclose(sums, expected, rtol=1e-5, atol=5e-4)
    assert (greedy == first).all()


def test_another_attention_chosen_later_is_tried_anew(tokenizer):
    lm = make("qwen3", tokenizer)
    assert scoring_layout(lm).layout == "line"
    lm.model.set_attn_implementation("eager")
    assert scoring_layout(lm).layout == "prefix"


def test_what_is_refused_says_why(tokenizer):
    report = scoring_layout(make("mpt", tokenizer))
    assert [reason.split(":")[0] for reason in report.refused] == ["line", "prefix", "tree"]
    assert "differs by" in report.refused[1]


def test_a_model_is_tried_once(tokenizer, monkeypatch):
    lm = make("qwen3", tokenizer)
    first = scoring_layout(lm)
    monkeypatch.setattr(scoring_check, "_problem", lambda *_: pytest.fail("tried again"))
    assert scoring_layout(lm) is first


def test_scoring_leaves_modes_and_modules_as_they_were(tokenizer):
    lm = make("mistral", tokenizer)
    lm.model.train()
    frozen = lm.model.get_input_embeddings()
    frozen.eval()
    before = {name: (type(module), module.training) for name, module in lm.model.named_modules()}
    with scoring_mode(lm):
        assert not any(module.training for module in lm.model.modules())
        assert not torch.is_grad_enabled()
    assert {name: (type(module), module.training) for name, module in lm.model.named_modules()} == before


def test_a_context_beyond_the_positions_names_the_setting(lm):
    limit = getattr(lm.model.config, "max_position_embeddings", None)
    if not limit or lm.family == "encoder-decoder":
        pytest.skip("no such limit")
    unit = EncodedPrompt(inputs=np.full(limit + 1, 11, dtype=np.int32), targets=(np.array([12], dtype=np.int32),))
    with pytest.raises(Exception, match="max_input_tokens"):
        scores(lm, [unit], "tree", batch_tokens=10_000)
