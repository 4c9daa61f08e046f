"""The effect of a token budget: how many prompts are shortened or left out, and what to change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from flantune.errors import PackingError

if TYPE_CHECKING:
    from flantune.evaluation.asking.ask import Answered
    from flantune.mixture.mixture import Mixture
    from flantune.packing.encode import Codec
    from flantune.settings.config import PackingSettings
    from flantune.types import Prompt

_PROBE = 256
# Shares of prompts from which on the user should be told.
MUCH_SHORTENED = 0.25
MUCH_DROPPED = 0.01


def training_notes(mixture: Mixture, codec: Codec, packing: PackingSettings) -> list[str]:
    """Warnings about what happens to the first prompts of a mixture.

    Raises:
        PackingError: None of them can be trained on.
    """
    count = min(_PROBE, mixture.cycle)
    prompts = list(islice((mixture[index] for index in range(count)), count))
    encoded = codec.encode_prompts(prompts, continuations="target")
    counts = encoded.counts
    if counts.prompts_dropped == count:
        raise PackingError(
            f"not one of the first {count:,} training prompts fits: targets have more than "
            f"{packing.max_target_tokens} tokens, or leave no room for inputs",
            where="packing.max_target_tokens",
            hint="raise packing.max_target_tokens and packing.row_tokens",
        )
    notes = []
    if counts.prompts_dropped > MUCH_DROPPED * count:
        notes.append(
            f"of the first {count:,} training prompts {counts.prompts_dropped / count:.0%} are left out, since their"
            f" targets have more than {packing.max_target_tokens} tokens{_or_definition(prompts)}: raise"
            " packing.max_target_tokens"
        )
    if counts.inputs_shortened > MUCH_SHORTENED * count:
        notes.append(
            f"of the first {count:,} training prompts {counts.inputs_shortened / count:.0%} are shortened to"
            f" {packing.max_input_tokens} input tokens: the model learns from what is left; raise"
            " packing.max_input_tokens and packing.row_tokens"
        )
    return notes


def _or_definition(prompts: Sequence[Prompt]) -> str:
    """The other reason to leave a prompt out, if there are such prompts."""
    is_framed = any(prompt.frame is not None for prompt in prompts)
    return ", or their definitions leave no room (packing.max_input_tokens)" if is_framed else ""


def measured_notes(measured: Sequence[Answered]) -> Iterator[str]:
    """Exams whose questions were often shortened or left out."""
    shortened = [one for one in measured if one.counts.inputs_shortened > MUCH_SHORTENED * max(1, _prompts(one))]
    dropped = [one for one in measured if one.counts.prompts_dropped > MUCH_DROPPED * _prompts(one)]
    if shortened:
        names = ", ".join(f"{one.exam.key} ({one.counts.inputs_shortened / _prompts(one):.0%})" for one in shortened)
        yield f"questions were shortened to the token budget, which may hide what decides: {names}"
    if dropped:
        names = ", ".join(f"{one.exam.key} ({one.counts.prompts_dropped / _prompts(one):.0%})" for one in dropped)
        yield f"questions were left out, since they or their options do not fit the token budget: {names}"


def _prompts(one: Answered) -> int:
    """All requested prompts, including those left out."""
    return one.counts.prompts + one.counts.prompts_dropped
