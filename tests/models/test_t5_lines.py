"""Options of encoder-decoders in lines: the scores of each option alone, and no token read twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers

from flantune.errors import ModelError
from flantune.models.forms.reading_form import scoring_mode
from flantune.models.language_model import LanguageModel
from flantune.models.scoring import t5_lines as option_lines
from flantune.models.scoring.check import scoring_layout
from flantune.models.scoring.option_scorer import OptionScorer
from flantune.models.scoring.plan import plan_scoring
from flantune.packing.packs import EncodedPrompt

SIZES = {"vocab_size": 320, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
KINDS = {
    "t5": ("T5", {}),
    "t5 v1.1": ("T5", {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}),
    # With a table of biases in each layer.
    "umt5": ("UMT5", {"feed_forward_proj": "gated-gelu"}),
}


def make(kind: str, tokenizer) -> LanguageModel:
    family, more = KINDS[kind]
    config = getattr(transformers, f"{family}Config")(**SIZES, **more, decoder_start_token_id=0, pad_token_id=0)
    torch.manual_seed(0)
    model = getattr(transformers, f"{family}ForConditionalGeneration")(config).eval()
    for name, weight in model.named_parameters():
        if weight.ndim > 1 and "shared" not in name and "lm_head" not in name:
            # Attention far from uniform, so that a leak would show.
            weight.data.mul_(2.0)
    return LanguageModel(model=model, tokenizer=tokenizer, family="encoder-decoder", device=torch.device("cpu"))


def requests(*, longest: int, options: int) -> list[EncodedPrompt]:
    rng = np.random.default_rng(5)

    def ids(size: int) -> np.ndarray:
        return rng.integers(10, 270, size).astype(np.int32)

    found = []
    for _ in range(8):
        shared = ids(2)
        targets = [ids(int(rng.integers(1, longest))) for _ in range(options)]
        targets[1:] = [np.concatenate([shared, target]) for target in targets[1:]]
        found.append(EncodedPrompt(inputs=ids(int(rng.integers(3, 40))), targets=tuple(targets)))
    return [*found, EncodedPrompt(inputs=ids(9), targets=(ids(1), ids(1)))]


def by_hand(lm: LanguageModel, unit: EncodedPrompt) -> list[float]:
    sums = []
    for target in unit.targets:
        tokens, context = torch.from_numpy(target).long(), torch.from_numpy(unit.inputs).long()
        shifted = torch.cat([tokens.new_zeros(1), tokens[:-1]])[None]
        with torch.no_grad():
            logits = lm.model(input_ids=context[None], decoder_input_ids=shifted, use_cache=False).logits[0]
        logprobs = torch.log_softmax(logits.double(), dim=-1)
        sums.append(float(logprobs[torch.arange(len(tokens)), tokens].sum()))
    return sums


def scores(lm: LanguageModel, units: list[EncodedPrompt], *, batch_tokens: int) -> list[list[float]]:
    found: dict[int, list[float]] = {}
    with scoring_mode(lm):
        scorer = OptionScorer(lm)
        for batch in plan_scoring(units, family=lm.family, layout="line", batch_tokens=batch_tokens):
            sums = iter(scorer.score(units, batch).sums.tolist())
            found |= {at: [next(sums) for _ in units[at].targets] for at in batch.units}
    return [found[at] for at in range(len(units))]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("longest", "options", "absorbs"), [(4, 3, True), (30, 9, False)])
def test_lines_give_the_scores_of_each_option_alone(kind, longest, options, absorbs, tokenizer, monkeypatch):
    lm, units = make(kind, tokenizer), requests(longest=longest, options=options)
    chosen = []
    decide = option_lines._is_absorbed
    monkeypatch.setattr(option_lines, "_is_absorbed", lambda *given: chosen.append(decide(*given)) or chosen[-1])
    found = scores(lm, units, batch_tokens=100_000)
    assert set(chosen) == {absorbs}
    for one, unit in zip(found, units, strict=True):
        np.testing.assert_allclose(one, by_hand(lm, unit), rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_lines_are_found_right_for_t5_and_its_kin(kind, tokenizer):
    assert scoring_layout(make(kind, tokenizer)).layout == "line"


def test_a_model_without_a_start_token_is_an_error(tokenizer):
    made = make("t5", tokenizer)
    made.model.config.decoder_start_token_id = None
    with pytest.raises(ModelError, match="decoder_start_token_id"):
        scoring_layout(made)


def test_other_arithmetic_keeps_to_padded_rows(tokenizer):
    plain = make("t5", tokenizer)
    mixed = replace(plain, compute_dtype=torch.bfloat16)
    assert scoring_layout(plain).layout == "line"
    report = scoring_layout(mixed)
    assert report.layout == "tree"
    assert "float32" in report.refused[0]


def test_batches_do_not_change_what_is_found(tokenizer):
    lm, units = make("t5 v1.1", tokenizer), requests(longest=6, options=4)
    one, many = (scores(lm, units, batch_tokens=size) for size in (1, 10_000))
    np.testing.assert_allclose(np.concatenate(one), np.concatenate(many), atol=2e-5)


def test_what_options_start_with_is_fed_once_and_nothing_is_padded(tokenizer):
    lm, fed = make("t5", tokenizer), []
    unit = EncodedPrompt(
        inputs=np.arange(10, 17, dtype=np.int32),
        targets=tuple(np.array(target, dtype=np.int32) for target in ([20, 21, 1], [20, 21, 22, 1], [20], [30, 1])),
    )
    short = EncodedPrompt(inputs=np.array([40, 1], dtype=np.int32), targets=(np.array([50], dtype=np.int32),))
    for side in (lm.model.get_encoder(), lm.model.get_decoder()):
        side.get_input_embeddings().register_forward_hook(lambda _, inputs, __: fed.append(inputs[0].tolist()))
    scores(lm, [unit, short], batch_tokens=1_000)
    # Trials use batches of one row; a line ends in a little padding.
    lines = [line for line in fed if len(line) > 1]
    assert [line[:9] for line in lines] == [[*range(10, 17), 40, 1], [0, 20, 21, 22, 30, 0, 0, 0, 0]]
    assert {len(line) for line in lines} == {16}
