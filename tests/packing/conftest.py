from __future__ import annotations

import pytest

from flantune.models.scratch import train_tokenizer
from flantune.types import Exemplar, Prompt

TEXTS = ["Is the sky blue? yes", "Does the premise entail the hypothesis? no", "sort these words: b a c"] * 5


@pytest.fixture(scope="session")
def tokenizer():
    return train_tokenizer(TEXTS, 320)


@pytest.fixture(scope="session")
def make_prompt():
    def make(inputs="Is the sky blue?", targets="yes", *, options=(), shots=0, row=0, task="sky") -> Prompt:
        exemplars = tuple(Exemplar(row=k, inputs=f"Is {k} odd?", targets="no") for k in range(shots))
        return Prompt(
            task=task, split="train", row=row, template="t", inputs=inputs, targets=targets, options=options,
            exemplars=exemplars,
        )  # fmt: skip

    return make
