"""What a token budget costs is said before tuning and after measuring."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.training.small import Prompts, tokenizer

from flantune.commands.budget_notes import measured_notes, training_notes
from flantune.errors import PackingError
from flantune.evaluation.asking.ask import Answered
from flantune.evaluation.samples import Origin
from flantune.packing.encode import Codec
from flantune.packing.packs import Counts
from flantune.prompts.layout import Layout
from flantune.settings.config import PackingSettings


class Cycle(Prompts):
    cycle = 120


def notes(*, inputs: int, targets: int) -> list[str]:
    packing = PackingSettings(max_input_tokens=inputs, max_target_tokens=targets)
    codec = Codec(
        tokenizer=tokenizer(),
        family="decoder-only",
        layout=Layout(),
        max_input_tokens=inputs,
        max_target_tokens=targets,
    )
    return training_notes(Cycle(), codec, packing)


def test_a_budget_that_fits_says_nothing():
    assert notes(inputs=200, targets=100) == []


def test_shortened_inputs_and_lost_targets_are_told_with_their_share():
    (shortened,) = notes(inputs=2, targets=100)
    assert "100% are shortened to 2 input tokens" in shortened
    assert "packing.max_input_tokens" in shortened
    (dropped,) = notes(inputs=200, targets=4)
    assert "are left out" in dropped
    assert "packing.max_target_tokens" in dropped


def test_a_budget_in_which_nothing_fits_is_an_error():
    with pytest.raises(PackingError, match="not one of the first 120"):
        notes(inputs=200, targets=1)


def measured(name: str, **counts: int) -> Answered:
    origin = Origin(fingerprint="", samples=1, sha256="", counts=Counts(**counts), seconds=0.0)
    return Answered(exam=SimpleNamespace(key=name), path=Path(name), origin=origin, is_reused=False)


def test_tasks_that_were_cut_while_measured_are_named():
    fine = measured("fine", prompts=100, inputs_shortened=3)
    cut = measured("cut", prompts=100, inputs_shortened=100)
    lost = measured("lost", prompts=90, prompts_dropped=10)
    assert list(measured_notes([fine])) == []
    shortened, dropped = measured_notes([fine, cut, lost])
    assert "cut (100%)" in shortened
    assert "lost (10%)" in dropped
    assert "fine" not in shortened + dropped


def test_nothing_measured_says_nothing():
    assert list(measured_notes([])) == []
