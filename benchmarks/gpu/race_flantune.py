"""flantune's side of a race: the real ``tune``, with packing in the background."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.made_up import MAX_INPUT_TOKENS, MAX_TARGET_TOKENS, ROW_TOKENS, MadeUpStream, model, prompts
from benchmarks.gpu.racing import PROMPTS, Watch, batch_tokens, micro_batch_tokens, shape_of, steps
from benchmarks.gpu.timing import EnoughError, Task
from benchmarks.training.counted import Counted
from benchmarks.training.floor import flops_a_token
from flantune.models.attention.lines import reads_lines
from flantune.packing.batches import Batches
from flantune.settings.config import PackingSettings, TrainingSettings
from flantune.training.loop import tune


def measure(task: Task) -> dict[str, Any]:
    """Useful tokens a second of some optimizer steps, and their share of the rate of matrix products."""
    shape = shape_of(task)
    lm = model(shape, task.device, dtype="bfloat16")
    made = prompts(shape.vocabulary, PROMPTS)
    packing = PackingSettings(
        max_input_tokens=MAX_INPUT_TOKENS,
        max_target_tokens=MAX_TARGET_TOKENS,
        row_tokens=ROW_TOKENS,
        batch_tokens=batch_tokens(task),
    )
    stream = MadeUpStream(prompts=made, family=lm.family)
    batches = Counted(
        Batches(stream, packing, micro_batch_tokens=micro_batch_tokens(task), is_padded=not reads_lines(lm))
    )
    watch = Watch(task=task, tokens=lambda: batches.tokens)
    flops = flops_a_token(lm, made[:2_000])

    def progress(now: Any) -> None:
        watch.mark()
        if now.step == steps(task):
            raise EnoughError

    settings = TrainingSettings(
        steps=10_000,
        optimizer="adamw",
        learning_rate=1e-4,
        max_grad_norm=1.0,
        checkpoint_every=10_000,
        log_every=1,
        micro_batch_tokens=micro_batch_tokens(task),
        compile=task.settings.get("compile", False),
    )
    if task.is_small:
        # Everything but the writing of the program, which would take longer than all else.
        torch.compile = partial(torch.compile, backend="aot_eager")
    watch.mark()
    with tempfile.TemporaryDirectory() as folder, suppress(EnoughError):
        tune(lm, batches, settings, folder=Path(folder), seed=0, fingerprint="gpu_day", progress=progress)
    figures = watch.figures()
    share = figures["tokens_per_second"] * flops / (task.rate * 1e9) if task.rate else 0.0
    return {
        "weights": sum(weight.numel() for weight in lm.model.parameters()),
        "reads_lines": reads_lines(lm),
        "mflop_a_token": round(flops / 1e6, 1),
        "share_of_the_matrix_rate": round(share, 3),
        **figures,
    }
