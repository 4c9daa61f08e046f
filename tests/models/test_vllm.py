"""The arguments passed to vLLM, recorded by a stand-in, since the library needs a GPU."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from flantune.errors import ModelError
from flantune.models.load import load_tokenizer
from flantune.models.scratch import build_model
from flantune.models.writing.decoding import Decoding
from flantune.models.writing.vllm import _free_share, vllm_writer
from flantune.settings.config import ScratchSettings

INPUTS = [np.array([5, 6, 7], dtype=np.int32), np.array([8], dtype=np.int32)]


@pytest.fixture
def lm(tokenizer):
    return build_model(ScratchSettings(architecture="llama", hidden_size=16, layers=1, heads=2), tokenizer, seed=1)


@pytest.fixture
def seen(monkeypatch, lm):
    seen = SimpleNamespace()
    eos = lm.tokenizer.eos_token_id

    class LLM:
        def __init__(self, **named):
            seen.engine = named
            # The folder must exist while the engine loads.
            from flantune.settings.config import ModelSettings

            seen.vocabulary = len(load_tokenizer(ModelSettings(path=named["model"])))

        def generate(self, prompts, parameters, *, use_tqdm):
            seen.prompts, seen.parameters = prompts, parameters
            ends = [([9, eos], "stop", None), ([9, 10], "length", None), ([9, 13], "stop", "\n\n")]
            for at, _ in enumerate(prompts):
                outputs = [
                    SimpleNamespace(token_ids=ids, text=f"t{at}", finish_reason=reason, stop_reason=stop)
                    for ids, reason, stop in ends[: parameters.n]
                ]
                yield SimpleNamespace(outputs=outputs)

    module = ModuleType("vllm")
    module.LLM, module.SamplingParams = LLM, lambda **named: SimpleNamespace(**named)
    monkeypatch.setitem(sys.modules, "vllm", module)
    return seen


def test_settings_arrive_under_vllms_names(lm, seen):
    decoding = Decoding(max_new_tokens=7, temperature=0.5, seed=3, stop=("\n\n",), end_tokens=(11,))
    lm.model.generation_config.eos_token_id = [12, lm.tokenizer.eos_token_id]
    found = list(vllm_writer(lm)(lm, INPUTS, decoding, samples=3, batch_tokens=100))
    assert seen.engine["dtype"] == "float32"
    assert seen.vocabulary == len(lm.tokenizer)
    assert seen.prompts == [{"prompt_token_ids": [5, 6, 7]}, {"prompt_token_ids": [8]}]
    assert vars(seen.parameters) == {
        "n": 3, "temperature": 0.5, "max_tokens": 7, "stop": ["\n\n"],
        "stop_token_ids": sorted([lm.tokenizer.eos_token_id, 11, 12]), "seed": 3, "skip_special_tokens": True,
    }  # fmt: skip
    assert [(one.index, one.sample, one.finish, one.tokens) for one in found[:3]] == [
        (0, 0, "eos", (9,)), (0, 1, "length", (9, 10)), (0, 2, "stop", (9, 13)),
    ]  # fmt: skip


def test_vllm_takes_only_what_the_model_beside_it_leaves_free(lm, monkeypatch):
    """vLLM refuses to start if less memory is free than the share that it is told to take."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (30, 100))
    assert _free_share(torch.device("cuda")) == pytest.approx(0.27)
    assert _free_share(lm.device) == 0.9


def test_greedy_asks_for_one_answer_and_gives_it_to_every_sample(lm, seen):
    found = list(vllm_writer(lm)(lm, INPUTS, Decoding(max_new_tokens=2), samples=2, batch_tokens=100))
    assert seen.parameters.n == 1
    assert [(one.index, one.sample) for one in found] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert {one.tokens for one in found} == {(9,)}


def test_where_some_stop_texts_are_spared_what_vllm_wrote_is_cut_afterwards(lm, seen):
    """vLLM ends at the first stop string, so none is passed to it."""
    decoding = Decoding(max_new_tokens=9, stop=("0",), spared=1)
    found = list(vllm_writer(lm)(lm, INPUTS[:1] * 11, decoding, samples=1, batch_tokens=100))
    assert seen.parameters.stop is None
    assert [one.text for one in found if one.index in (0, 10)] == ["t0", "t10"]
    assert [(one.text, one.finish) for one in vllm_writer(lm)(
        lm, INPUTS[:1] * 101, decoding, samples=1, batch_tokens=100)][100] == ("t10", "stop")  # fmt: skip


def test_without_vllm_the_error_says_how_to_get_it(lm, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ModelError, match=r"pip install -e '\.\[vllm\]'"):
        vllm_writer(lm)


def test_encoder_decoders_are_refused(tokenizer, seen):
    scratch = ScratchSettings(architecture="t5", hidden_size=16, layers=1, heads=2)
    with pytest.raises(ModelError, match="decoder-only"):
        vllm_writer(build_model(scratch, tokenizer, seed=1))
