from __future__ import annotations

import pytest
import safetensors
from tests.training.small import StoppedError, make_lm, settings, stop_at, tune_small, weights_digest

from flantune.training.freezing import FreezeError, freeze


def frozen(architecture, *patterns):
    return freeze(make_lm(architecture).model, patterns)


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gpt_neox", "t5"])
def test_words_mean_the_same_in_every_architecture(architecture):
    model = make_lm(architecture).model
    names = {name for name, _ in model.named_parameters()}
    embeddings = frozen(architecture, "embeddings")
    assert embeddings and all(any(part in name for part in ("embed", "wte", "wpe", "shared")) for name in embeddings)
    norms = frozen(architecture, "norms")
    assert norms and all("norm" in name or "ln_" in name for name in norms)
    first, both = frozen(architecture, "layers.0"), frozen(architecture, "layers.0-1")
    assert first and first < both
    assert both.isdisjoint(embeddings) and both | embeddings <= names
    assert all(".0." in name for name in first)
    assert frozen(architecture, "layers.0", "layers.1") == both


def test_sides_of_an_encoder_decoder():
    encoder = frozen("t5", "encoder")
    assert encoder and all(name.startswith("encoder.") for name in encoder)
    assert frozen("t5", "encoder.layers.1") == {name for name in encoder if name.startswith("encoder.block.1.")}
    assert frozen("t5", "decoder.layers.0").isdisjoint(encoder)


def test_patterns_are_names_of_weights_or_modules():
    assert frozen("llama", "model.layers.*.mlp.*") == {n for n in frozen("llama", "layers.0-1") if ".mlp." in n}
    assert frozen("llama", "model.norm") == {"model.norm.weight"}


def test_a_head_of_its_own_and_a_head_that_is_the_embedding():
    assert frozen("llama", "head") == {"model.embed_tokens.weight"}


@pytest.mark.parametrize(
    ("pattern", "hint"), [("embedding", 'did you mean "embeddings"'), ("encoder", "called"), ("layers.2-9", "called")]
)
def test_a_pattern_that_means_nothing_is_an_error(pattern, hint):
    with pytest.raises(FreezeError, match=f'"{pattern}" matches no weight of this model') as caught:
        frozen("llama", pattern)
    assert hint in caught.value.hint or "did you mean" in caught.value.hint


def test_freezing_again_changes_nothing():
    """As when a program goes on with the model of a run that it stopped."""
    model = make_lm("llama").model
    once = freeze(model, ["layers.0", "norms"])
    assert (
        freeze(model, ["layers.0", "norms"]) == once == {n for n, w in model.named_parameters() if not w.requires_grad}
    )
    with pytest.raises(FreezeError, match="every weight is frozen"):
        freeze(model, ["layers.1", "embeddings"])


def test_freezing_everything_is_an_error():
    with pytest.raises(FreezeError, match="every weight is frozen"):
        frozen("llama", "*")


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_frozen_weights_stay_and_are_not_stored_and_the_run_resumes(tmp_path, architecture):
    chosen = settings(freeze=("embeddings", "layers.0"), steps=4, checkpoint_every=2)
    before = {name: weight.detach().clone() for name, weight in make_lm(architecture).model.named_parameters()}
    lm = make_lm(architecture)
    tune_small(tmp_path / "one", lm, chosen)
    kept = frozen(architecture, "embeddings", "layers.0")
    for name, weight in lm.model.named_parameters():
        assert bool((weight == before[name]).all()) == (name in kept), name
    with safetensors.safe_open(tmp_path / "one/checkpoints/step-00000004/model.safetensors", "pt") as stored:
        assert set(stored.keys()) == set(before) - kept

    with pytest.raises(StoppedError):
        tune_small(tmp_path / "two", make_lm(architecture), chosen, progress=stop_at(3))
    resumed = make_lm(architecture)
    tune_small(tmp_path / "two", resumed, chosen)
    assert weights_digest(resumed) == weights_digest(lm)


def test_what_does_not_fit_the_model_is_a_mistake_in_the_run_file():
    """Exit code 2, as any other mistake there."""
    assert FreezeError.exit_code == 2
