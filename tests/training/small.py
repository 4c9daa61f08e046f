"""Small models of both families and prompts to tune them on, all real, all made in a second."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from flantune.models.language_model import LanguageModel
from flantune.models.scratch import build_model, train_tokenizer
from flantune.packing.batches import Batches
from flantune.packing.encode import Codec
from flantune.packing.stream import PromptStream
from flantune.prompts.layout import Layout
from flantune.settings.config import PackingSettings, ScratchSettings, TrainingSettings
from flantune.types import Prompt

ARCHITECTURES = ("llama", "t5")
WORDS = ("red", "blue", "green", "tall", "short", "round", "square", "old", "new", "quick", "slow", "warm")
SIZES = PackingSettings(max_input_tokens=96, max_target_tokens=48, row_tokens=128, batch_tokens=512)


def prompt(number: int) -> Prompt:
    """Three tasks with targets of very unlike length, so that a wrong average shows."""
    first, second = WORDS[number % 12], WORDS[(number * 7 + 3) % 12]
    task = ("same", "repeat", "spell")[number % 3]
    inputs = {
        "same": f"Is {first} the same word as {second}?",
        "repeat": f"Repeat these words in turn, three times over: {first}, {second}.",
        "spell": f"Spell {first}.",
    }[task]
    targets = {
        "same": "yes" if first == second else "no",
        "repeat": " ".join([first, second] * 3),
        "spell": "-".join(first),
    }[task]
    return Prompt(task=task, split="train", row=number, template="t", inputs=inputs, targets=targets)


class Prompts:
    """An endless mixture: prompt i is ``prompt(i % count)``."""

    def __init__(self, count: int = 500) -> None:
        self.count = count

    def __getitem__(self, index: int) -> Prompt:
        return prompt(index % self.count)


@cache
def tokenizer():
    return train_tokenizer((prompt(i).inputs + " " + prompt(i).targets for i in range(60)), 300)


def make_lm(architecture: str, *, seed: int = 0, width: int = 32, dtype: torch.dtype = torch.float32) -> LanguageModel:
    scratch = ScratchSettings(architecture=architecture, hidden_size=width, layers=2, heads=2)
    return replace(build_model(scratch, tokenizer(), seed=seed), compute_dtype=dtype)


def make_batches(
    lm: LanguageModel, *, sizes: PackingSettings = SIZES, micro_batch_tokens: int = 0, count: int = 500
) -> Batches:
    codec = Codec(
        tokenizer=lm.tokenizer,
        family=lm.family,
        layout=Layout(),
        max_input_tokens=sizes.max_input_tokens,
        max_target_tokens=sizes.max_target_tokens,
    )
    return Batches(
        PromptStream(Prompts(count), codec, row_tokens=sizes.row_tokens), sizes, micro_batch_tokens=micro_batch_tokens
    )


def settings(**changes: object) -> TrainingSettings:
    values = {"steps": 6, "learning_rate": 1e-2, "checkpoint_every": 2, "log_every": 1, "dropout": 0.1, **changes}
    return TrainingSettings(**values)


def tune_small(folder: Path, lm: LanguageModel, chosen: TrainingSettings, **changes):
    from flantune.training.loop import tune

    values = {"batches": make_batches(lm), "seed": 3, "fingerprint": "small", **changes}
    return tune(lm, values.pop("batches"), chosen, folder=folder, **values)


class StoppedError(Exception):
    """Stands for whatever ends a process; unlike it, it lets the test go on."""


def stop_at(step: int | None, error: type[BaseException] = StoppedError) -> Callable:
    def listen(progress) -> None:
        if progress.step == step:
            raise error

    return listen


def assert_resumed_equals_straight(
    folder: Path, make: Callable[..., LanguageModel], chosen: TrainingSettings, *, stop: int, seed: int = 9, **changes
) -> LanguageModel:
    """To the bit: of a run stopped behind a step and begun again with a model of another seed; gives its model."""
    straight, resumed = make(), make(seed=seed)
    tune_small(folder / "straight", straight, chosen, **changes)
    with pytest.raises(StoppedError):
        tune_small(folder / "resumed", make(), chosen, progress=stop_at(stop), **changes)
    tune_small(folder / "resumed", resumed, chosen, **changes)
    assert weights_digest(resumed) == weights_digest(straight)
    assert timeless_lines(folder / "resumed") == timeless_lines(folder / "straight")
    return resumed


def lines(folder: Path) -> list[dict]:
    return [json.loads(text) for text in (folder / "metrics.jsonl").read_text().splitlines()]


def timeless_lines(folder: Path) -> list[dict]:
    """Without what the clock says."""
    timed = ("seconds", "tokens_per_s", "pipeline_tokens_per_s", "data_wait_share")
    return [{key: value for key, value in line.items() if key not in timed} for line in lines(folder)]


def weights_digest(lm: LanguageModel) -> str:
    """Of every bit of every weight."""
    digest = hashlib.sha256()
    for name, weight in lm.model.named_parameters():
        digest.update(name.encode() + weight.detach().cpu().numpy().tobytes())
    return digest.hexdigest()
