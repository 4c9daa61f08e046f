"""A new architecture needs no line of flantune: its traits are found by trying, and each decides how it is used."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.training.small import tokenizer
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutput

from flantune.models.checks.isolation import check_isolation, logprobs_alone
from flantune.models.checks.tuning import check_tuning
from flantune.models.forms.reading_form import scoring_mode
from flantune.models.heads import find_head
from flantune.models.load import load_model
from flantune.models.scoring.check import scoring_layout
from flantune.models.scoring.option_scorer import OptionScorer
from flantune.models.scoring.plan import plan_scoring
from flantune.models.writing.check import writing_method
from flantune.packing.packs import EncodedPrompt


class ToyConfig(PretrainedConfig):
    model_type = "flantune_toy"

    def __init__(self, vocab_size: int = 300, hidden_size: int = 16, **more) -> None:
        self.vocab_size, self.hidden_size = vocab_size, hidden_size
        super().__init__(**more)


class ToyPreTrained(PreTrainedModel):
    config_class = ToyConfig
    base_model_prefix = "toy"


class ToyModel(ToyPreTrained):
    """Each token is mixed with the mean of all before it in its row: no attention, no masks, no positions, no cache."""

    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.words = nn.Embedding(config.vocab_size, config.hidden_size)
        self.mix = nn.Linear(config.hidden_size, config.hidden_size)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.words

    def forward(self, input_ids: torch.Tensor, **_: object) -> BaseModelOutput:
        words = self.words(input_ids) * 20
        counts = torch.arange(1, words.shape[1] + 1)[:, None]
        return BaseModelOutput(last_hidden_state=torch.tanh(self.mix(words + words.cumsum(1) / counts) * 20))


class ToyForCausalLM(ToyPreTrained, GenerationMixin):
    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.toy = ToyModel(config)
        self.head = nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.toy.words

    def get_output_embeddings(self) -> nn.Module:
        return self.head

    def forward(self, input_ids: torch.Tensor, **more: object) -> CausalLMOutput:
        return CausalLMOutput(logits=self.head(self.toy(input_ids, **more).last_hidden_state) * 20)


@pytest.fixture(scope="module")
def lm(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    AutoConfig.register(ToyConfig.model_type, ToyConfig, exist_ok=True)
    AutoModelForCausalLM.register(ToyConfig, ToyForCausalLM, exist_ok=True)
    torch.manual_seed(0)
    ToyForCausalLM(ToyConfig(vocab_size=len(tokenizer()), eos_token_id=1)).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return load_model(folder)


def test_it_is_never_packed_and_tuned_one_prompt_a_row(lm):
    report = check_isolation(lm)
    assert not report.is_isolated and "differ by" in report.reason
    check_tuning(lm)


def test_options_are_scored_in_plain_rows_and_right(lm):
    assert scoring_layout(lm).layout == "rows"
    # Its logits are scaled in a way that no known head has: the model's own are read.
    assert find_head(lm) is None
    drawn = np.random.default_rng(0)
    ids = lambda count: drawn.integers(3, 250, count).astype(np.int32)  # noqa: E731
    units = [EncodedPrompt(inputs=ids(9), targets=(ids(3),)), EncodedPrompt(inputs=ids(5), targets=(ids(1),))]
    with scoring_mode(lm):
        for batch in plan_scoring(units, family=lm.family, layout="rows", batch_tokens=64):
            expected = [logprobs_alone(lm, units[at], units[at].targets[0]).sum().item() for at in batch.units]
            assert OptionScorer(lm).score(units, batch).sums == pytest.approx(expected, abs=1e-4)


def test_answers_are_written_without_a_cache(lm):
    assert writing_method(lm) == "uncached"
