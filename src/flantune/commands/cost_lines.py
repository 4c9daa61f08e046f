"""The cost of a run, in a few lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from flantune.report.numbers import plural

if TYPE_CHECKING:
    from flantune.studies.estimate import Detectable, RunCost, Speed


def cost_lines(cost: RunCost) -> Iterator[tuple[str, str]]:
    """The label of each line, and the line."""
    batch = f"{cost.prompts_a_step:,.1f} prompts a step, {cost.fill:.0%} of its positions filled"
    folds = f" in each of {cost.folds:,} folds" if cost.folds > 1 else ""
    yield "steps", f"{plural(cost.steps, 'step')}{folds}, {batch}: {plural(cost.draws, 'prompt')}{folds and ' each'}"
    part = ""
    if cost.trained < cost.weights:
        part = f", {cost.trained:,} numbers tuned ({cost.trained / cost.weights:.2%})"
    yield "model", f"{cost.weights:,} weights{part}{_memory(cost)}"
    yield "tuning", f"{cost.training.tokens:,} tokens, {_operations(cost.training.flops)}"
    measuring = cost.base.flops + cost.tuned.flops
    written = f"{cost.base.tokens + cost.tuned.tokens:,} tokens at most, {_operations(measuring)}"
    yield "questions", f"{cost.questions:,} to measure the base and the tuned model: {written}"
    if cost.speed is not None:
        yield "time", _time(cost)
        yield "speed", _speed(cost.speed)
    if cost.detectable is not None:
        yield "detectable", _detectable(cost.detectable, "unseen clusters" if cost.holds_out else "tasks")


def _operations(flops: float) -> str:
    return f"{flops:.1e} floating-point operations"


def _memory(cost: RunCost) -> str:
    if cost.memory is None:
        return ""
    with_it = "gradients, optimizer"
    with_it += " and activations" if cost.memory.activations else "; plus activations"
    told = {None: "", True: ", which fits", False: ", which does NOT fit"}[cost.fits]
    return f"; {size_text(cost.memory.total)} a device with {with_it}{told}"


def size_text(size: float) -> str:
    """Bytes in readable form.

    >>> size_text(23_456_789), size_text(1.5e10)
    ('23 MB', '15.0 GB')
    """
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"


def _time(cost: RunCost) -> str:
    tuned = f"the {cost.folds:,} tuned ones" if cost.folds > 1 else "the tuned one"
    measuring = f"measuring the base model {duration(cost.base.seconds)} and {tuned} {duration(cost.tuned.seconds)}"
    total = duration(cost.total.seconds)
    whole = f"{total if total.startswith('under') else f'about {total}'} on {cost.device}"
    return f"{whole}: tuning {duration(cost.training.seconds)}, {measuring}; plus starting and reporting"


def _speed(speed: Speed) -> str:
    rates = f"{speed.training:,.0f} tokens/s tuned, {speed.reading:,.0f} read, {speed.writing:,.0f} written"
    return f"{rates}; {speed.about}"


def duration(seconds: float) -> str:
    """A time in readable form.

    >>> duration(0.02), duration(40), duration(600), duration(216_000)
    ('under 1 s', '40 s', '10 min', '60.0 h')
    """
    if seconds < 1:
        return "under 1 s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:,.1f} h"


def _detectable(found: Detectable, over: str) -> str:
    rows = f"{plural(found.tasks, 'task')}, {plural(found.rows, 'test row')}"
    if found.difference > 1:
        return f"no difference in the mean over {over} could be detected with so few rows ({rows})"
    return (
        f"a true difference of {100 * found.difference:.1f} points in the mean over {over} would be"
        f" detected with 80% power ({rows}; as if the two models answered independently of each other)"
    )
