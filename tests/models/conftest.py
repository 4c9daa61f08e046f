from __future__ import annotations

from dataclasses import replace

import pytest

from flantune.models.attention import door
from flantune.models.language_model import LanguageModel
from flantune.models.scratch import build_model, train_tokenizer
from flantune.settings.config import ScratchSettings

TEXTS = ["Is the sky blue? yes", "Does the premise entail the hypothesis? no", "sort these words: b a c"] * 5


@pytest.fixture(scope="session")
def tokenizer():
    return train_tokenizer(TEXTS, 320)


@pytest.fixture(scope="session", params=["llama", "gpt_neox", "gpt2", "t5", "llama, prefix"])
def lm(request, tokenizer) -> LanguageModel:
    """Decoder-only models, encoder-decoders and prefix LMs."""
    architecture, _, attention = request.param.partition(", ")
    scratch = ScratchSettings(architecture=architecture, hidden_size=32, layers=2, heads=2)
    made = replace(build_model(scratch, tokenizer, seed=1), attention=attention or "causal")
    # Larger weights than a fresh model's make attention far from uniform, so that a leak would show.
    for name, weight in made.model.named_parameters():
        if weight.ndim > 1 and "layer_norm" not in name:
            weight.data.mul_(3.0 if made.family == "decoder-only" else 1.5)
    return made


@pytest.fixture
def row_program():
    """Puts the program's operations on rows in use while a test runs."""
    if door.find_program().compiled is None:
        pytest.skip(door.find_program().why_not)
    with door.only_rows_in_use():
        yield
