"""Scoring protocols: frozen, fingerprinted, and overridden by what the user sets beside them."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest
from pydantic import ValidationError
from tests.evaluation.made import make_model

from flantune.evaluation.asking.option_scores import scoring_codec
from flantune.packing.encode import Codec
from flantune.prompts.layout import Layout
from flantune.settings.config import EvaluationSettings, RunConfig
from flantune.settings.protocols import PRESETS
from flantune.settings.run_file import load_run_file


def test_the_default_protocol_scores_as_the_settings_always_did():
    protocol = EvaluationSettings().scoring
    assert (protocol.name, protocol.normalization, protocol.score_eos) == ("flan2021", "sum", True)
    assert (protocol.tokenization, protocol.truncation, protocol.ties) == ("separate", "middle", "first")
    assert protocol.inputs_eos is True and protocol.target_delimiter is None
    codec = Codec(tokenizer=make_model().tokenizer, family="decoder-only", layout=Layout(), max_input_tokens=9,
                  max_target_tokens=8)  # fmt: skip
    assert scoring_codec(codec, protocol) == codec


@pytest.mark.parametrize("name", PRESETS)
def test_what_is_not_set_is_the_presets(name):
    assert EvaluationSettings(protocol=name).scoring == PRESETS[name]


def test_what_is_set_wins_over_the_preset(tmp_path):
    settings = EvaluationSettings(protocol="lm_eval", score_end_of_sequence=True, ties="expected", truncation="middle")
    protocol = settings.scoring
    assert protocol == replace(PRESETS["lm_eval"], score_eos=True, ties="expected", truncation="middle")
    (tmp_path / "run.toml").write_text('[evaluation]\nprotocol = "lm_eval"\nnormalization = "byte"\n')
    loaded = load_run_file(tmp_path / "run.toml").config.evaluation
    assert (loaded.normalization, loaded.score_end_of_sequence) == ("byte", False)


def test_a_config_written_down_and_read_again_is_the_same():
    config = RunConfig(evaluation=EvaluationSettings(protocol="t0", ties="expected"))
    assert RunConfig.model_validate(config.model_dump(mode="json")) == config


def test_every_choice_changes_the_fingerprint_and_the_name_does_not():
    base = PRESETS["flan2021"]
    changed = [
        replace(base, normalization="token"), replace(base, score_eos=False), replace(base, inputs_eos=False),
        replace(base, tokenization="joint"), replace(base, drops_exemplars=False), replace(base, truncation="left"),
        replace(base, ties="expected"), replace(base, target_delimiter=" "), replace(base, exemplar_separator="\n"),
        replace(base, summary="median"), replace(base, max_input_tokens=9), replace(base, max_target_tokens=9),
    ]  # fmt: skip
    assert len({one.fingerprint for one in (base, *changed)}) == 13
    assert replace(base, name="mine").fingerprint == base.fingerprint
    assert len({one.fingerprint for one in PRESETS.values()}) == len(PRESETS)


def test_presets_cannot_be_changed_in_place():
    with pytest.raises(FrozenInstanceError):
        PRESETS["t0"].ties = "expected"


def test_an_unknown_protocol_is_refused():
    with pytest.raises(ValidationError, match="flan2021"):
        EvaluationSettings(protocol="flan")
