"""What the sides that run a trainer of transformers share: one list of arguments, and a callback that takes turns."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmarks.training.lockstep import CHECKPOINT_EVERY, Turn

if TYPE_CHECKING:
    from transformers import TrainerCallback

PROMPTS = 6_000


def arguments(settings: dict[str, Any], *, own: str) -> dict[str, Any]:
    """A trainer's arguments: arithmetic, checkpoints, logs, clipping as flantune has them; the side's ``own`` last."""
    import torch

    from flantune.models.arithmetic import has_bfloat16

    return {
        "output_dir": tempfile.mkdtemp(dir=settings["cache"]),
        "bf16": has_bfloat16(torch.device(settings["device"])),
        "max_steps": 10_000,
        "learning_rate": 1e-4,
        "lr_scheduler_type": "constant",
        "max_grad_norm": 1.0,
        "logging_steps": 1,
        "save_steps": CHECKPOINT_EVERY,
        "save_total_limit": 2,
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": settings["device"] == "cpu",
        "dataloader_pin_memory": settings["device"] != "cpu",
        **settings[own],
    }


def taking_turns(turn: Turn, tokens: Callable[[], int]) -> TrainerCallback:
    """A callback that waits for the other sides after each step; ``tokens``: the useful ones so far."""
    from transformers import TrainerCallback

    class Lockstep(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            turn.step(0)

        def on_step_end(self, *_: Any, **__: Any) -> None:
            turn.step(tokens())

    return Lockstep()
