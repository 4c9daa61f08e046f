"""The number of steps of a run whose length is given in epochs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flantune.mixture.mixture import Mixture
    from flantune.packing.batches import Batches
    from flantune.settings.config import PackingSettings, TrainingSettings
    from flantune.training.tuning_summary import TuningSummary

FEW_STEPS = 30
"""With fewer steps, the optimizer and its schedule hardly begin."""
_ENOUGH_STEPS = 50
_MUCH_LONGER = 1.2
_COUNTED = 4_096
"""Up to this many prompts, steps are counted exactly; beyond, they are extrapolated."""


def planned(
    settings: TrainingSettings, mixture: Mixture | None = None, batches: Batches | None = None
) -> TrainingSettings:
    """The settings with the steps and warm-up that result from `epochs` and `warmup_share`.

    Args:
        settings: The run file's.
        mixture: The prompts; None if there are none to count, as in pretraining.
        batches: The same in batches.
    """
    steps = settings.steps
    if settings.epochs and mixture is not None and batches is not None:
        steps = min(steps, steps_of(batches, draws=draws_of(mixture, epochs=settings.epochs)))
    warmup = round(settings.warmup_share * steps) if settings.warmup_share else settings.warmup_steps
    return settings.model_copy(update={"steps": steps, "warmup_steps": warmup})


def length_notes(wanted: TrainingSettings, planned: TrainingSettings, summary: TuningSummary) -> Iterator[str]:
    """Notes on a run that was shorter than some setting says."""
    if wanted.epochs and planned.steps == wanted.steps:
        yield f"training.steps = {wanted.steps:,} ended tuning before {wanted.epochs:g} epochs: raise it"
    if summary.steps < planned.steps:
        yield (
            f"tuning ended after {summary.steps:,} of {planned.steps:,} steps: {planned.patience} measurements"
            " in a row found no lower loss on dev questions (training.patience)"
        )


def few_steps(
    wanted: TrainingSettings, planned: TrainingSettings, mixture: Mixture, batches: Batches, packing: PackingSettings
) -> Iterator[tuple[str, str]]:
    """What is wrong with a run whose rows fill few steps, and what to do; only where `epochs` gives its length."""
    if not wanted.epochs or planned.steps >= min(wanted.steps, FEW_STEPS):
        return
    cursor = 0
    for _ in range(planned.steps):
        cursor = batches.batch(cursor).next_cursor
    draws = draws_of(mixture, epochs=wanted.epochs)
    smaller = max(1, round(packing.batch_tokens * planned.steps / cursor * draws / _ENOUGH_STEPS))
    hint = f"packing.batch_tokens = {smaller:,} would make about {_ENOUGH_STEPS} steps"
    if smaller < packing.row_tokens:
        hint += "; it cannot be less than row_tokens, so lower that too, and with it max_input_tokens and"
        hint += " max_target_tokens, as far as your prompts allow"
    took = f"{planned.steps:,} optimizer step{'s' * (planned.steps != 1)}"
    yield f"the training rows fill only {took}, which teach little", hint
    if cursor > _MUCH_LONGER * draws:
        longer = wanted.epochs * cursor / draws
        yield (
            f"training.epochs = {wanted.epochs:g} becomes {longer:,.1f}, since the last step is filled up",
            hint,
        )


def draws_of(mixture: Mixture, *, epochs: float) -> int:
    """The number of prompts for these epochs over the rows in use; a task's rows in several parts count once."""
    return max(1, math.ceil(epochs * rows_in_use((one.task.name, one.capped) for one in mixture.portions)))


def rows_in_use(portions: Iterable[tuple[str, int]]) -> int:
    """The training rows of all tasks, as far as caps leave them.

    >>> rows_in_use([("rte", 100), ("snli", 30_000), ("rte", 60)])
    30100
    """
    most: dict[str, int] = {}
    for name, capped in portions:
        most[name] = max(most.get(name, 0), capped)
    return sum(most.values())


def steps_of(batches: Batches, *, draws: int) -> int:
    """The number of steps for these draws, the last of which may take a few more; extrapolated if there are many."""
    cursor = steps = 0
    while cursor < min(draws, _COUNTED):
        cursor, steps = batches.batch(cursor).next_cursor, steps + 1
    return steps if cursor >= draws else math.ceil(steps * draws / cursor)
