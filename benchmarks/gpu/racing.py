"""What the sides of a race share: the shapes, the steps, and what is told of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from benchmarks.gpu.made_up import LARGE, ROW_TOKENS, TINY, Shape, prompts
from benchmarks.gpu.timing import Task, peak_gib, waited

PROMPTS = 6_000
WARM_UP, STEPS = 2, 6


def shape_of(task: Task) -> Shape:
    """The model that is trained."""
    return (TINY if task.is_small else LARGE)[task.settings["architecture"]]


def batch_tokens(task: Task) -> int:
    """Tokens of an optimizer step."""
    return 2_048 if task.is_small else 65_536


def micro_batch_tokens(task: Task) -> int:
    """Array positions of a pass."""
    return 1_024 if task.is_small else 32_768


def rows_of(task: Task) -> list[dict[str, list[int]]]:
    """The prompts as trainers of transformers take them: decoder-only, or inputs and labels apart."""
    made = prompts(shape_of(task).vocabulary, 200 if task.is_small else PROMPTS)
    if task.settings["architecture"] == "t5":
        return [{"input_ids": p.inputs.tolist(), "labels": p.targets[0].tolist()} for p in made]
    return [
        {
            "input_ids": [*p.inputs.tolist(), *p.targets[0].tolist()],
            "labels": [-100] * len(p.inputs) + p.targets[0].tolist(),
        }
        for p in made
    ]


def arguments(task: Task, folder: str) -> dict[str, Any]:
    """A trainer's arguments: AdamW, clipping and logs as flantune has them, no checkpoints on either side."""
    rows = batch_tokens(task) // ROW_TOKENS
    passes = batch_tokens(task) // micro_batch_tokens(task)
    return {
        "output_dir": folder,
        "bf16": True,
        "max_steps": steps(task),
        "learning_rate": 1e-4,
        "lr_scheduler_type": "constant",
        "max_grad_norm": 1.0,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "gradient_checkpointing": False,
        "use_cpu": task.device.type == "cpu",
        "dataloader_pin_memory": task.device.type != "cpu",
        "dataloader_num_workers": 0 if task.device.type == "cpu" else 4,
        "per_device_train_batch_size": rows // passes,
        "gradient_accumulation_steps": passes,
        "optim": "adamw_torch_fused",
    }


def steps(task: Task) -> int:
    """Optimizer steps, those that warm up among them."""
    return 3 if task.is_small else WARM_UP + STEPS


@dataclass(slots=True, kw_only=True)
class Watch:
    """When each step was done, and the useful tokens so far.

    Attributes:
        task: The part's.
        tokens: Useful tokens up to now, counted by the side.
        marks: Time and tokens at the beginning and after each step.
    """

    task: Task
    tokens: Callable[[], int]
    marks: list[tuple[float, int]] = field(default_factory=list)

    def mark(self) -> None:
        """A step is done; waits until the device has done it."""
        self.marks.append((waited(self.task.device), self.tokens()))

    def figures(self) -> dict[str, Any]:
        """Useful tokens a second and seconds a step of the steps that count, and the peak of memory."""
        warm_up = 1 if self.task.is_small else WARM_UP
        pairs = [(after[0] - before[0], after[1] - before[1]) for before, after in pairwise(self.marks[warm_up:])]
        speeds = [count / took for took, count in pairs]
        return {
            "tokens_per_second": round(statistics.median(speeds)),
            "least_and_most": [round(min(speeds)), round(max(speeds))],
            "overall": round(sum(count for _, count in pairs) / sum(took for took, _ in pairs)),
            "tokens_a_step": round(statistics.mean(count for _, count in pairs)),
            "seconds_before_the_first_step": round(self.marks[1][0] - self.marks[0][0], 1),
            "peak_gib": peak_gib(self.task.device),
            "steps": len(pairs),
        }


def taking_time(watch: Watch) -> Any:
    """A callback of transformers' trainers that marks each step."""
    from transformers import TrainerCallback

    class Timed(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            watch.mark()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            watch.mark()

    return Timed()
