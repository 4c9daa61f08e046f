"""Compiled layers give the same gradients and are not compiled again for each new length."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from tests.models.test_forward import made_up, packed
from tests.models.test_training_form import distance, gradients, pack_of

from flantune.models.forms.compiled import blocks_of, why_not_compiled
from flantune.models.forms.training_form import TrainingForm
from flantune.models.scratch import build_model
from flantune.settings.config import ScratchSettings


def made_small(architecture, tokenizer):
    settings = ScratchSettings(architecture=architecture, hidden_size=32, layers=2, heads=2)
    return build_model(settings, tokenizer, seed=1)


# The compiler takes long, so one of them goes through all of it except code generation.
@pytest.mark.parametrize(
    ("architecture", "attention", "backend"),
    [("llama", "causal", "inductor"), ("t5", "causal", "aot_eager"), ("llama", "prefix", "aot_eager")],
)
def test_compiled_equals_eager_on_any_length_without_another_compilation(
    architecture, attention, backend, tokenizer, monkeypatch
):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    made = replace(made_small(architecture, tokenizer), attention=attention)
    if reason := why_not_compiled(made):
        pytest.skip(reason)
    torch._dynamo.reset()
    form, eager = TrainingForm(made, is_compiled=True), TrainingForm(made, is_lean=False)
    first = pack_of(made)
    assert distance(gradients(made, form, [first]), gradients(made, eager, [first])) < 1e-5
    compiled = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    for lengths in ([(100, (40,)), (33, (3,))], [(7, (2,))] * 20, [(180, (9,)), (60, (50,))]):
        rows = [list(range(len(lengths)))]
        pack = packed(made, made_up(len(tokenizer), lengths), rows)
        assert distance(gradients(made, form, [pack]), gradients(made, eager, [pack])) < 1e-5
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == compiled
    assert all("forward" not in vars(block) for block in blocks_of(made.model))
