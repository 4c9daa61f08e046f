"""From prompts to requests: unique contexts with options to score after them, identified by their tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flantune.errors import EvaluationError
from flantune.evaluation.asking.score_store import content_key
from flantune.packing.packs import Counts, EncodedPrompt

if TYPE_CHECKING:
    from flantune.packing.encoded import Encoded
    from flantune.types import Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A context and options to score after it.

    Attributes:
        key: Its name, by content.
        unit: Its tokens.
        prompts: The prompts of the group that need it.
    """

    key: str
    unit: EncodedPrompt
    prompts: list[int]


@dataclass(frozen=True, slots=True)
class OptionPart:
    """Options of a prompt that one request answers.

    Attributes:
        request: Index of the request in the group.
        options: Indices of the prompt's options, in the request's order.
    """

    request: int
    options: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptGroup:
    """Prompts scored together, and their requests.

    Attributes:
        counts: What happened to each prompt.
        parts: The requests that answer each; None for a prompt that does not fit.
        requests: Each distinct request once.
    """

    prompts: Sequence[Prompt]
    counts: tuple[Counts, ...]
    parts: tuple[tuple[OptionPart, ...] | None, ...]
    requests: tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class KnownScores:
    """The scores of one request, as stored.

    Attributes:
        sums: Summed log-likelihood of each option.
        greedy: Whether all tokens of the option are the model's most likely ones.
    """

    sums: tuple[float, ...]
    greedy: tuple[bool, ...]


def compile_group(
    prompts: Sequence[Prompt], encoded: Encoded, *, scope: str, is_split: bool = False, first_token: int | None = None
) -> PromptGroup:
    """The requests of prompts, as a pure function of their tokens.

    Args:
        prompts: The prompts.
        encoded: Their tokens.
        scope: What the scores depend on besides the tokens.
        is_split: Whether each option is a separate request, for models that cannot share contexts.
        first_token: Replaces a context without tokens; None: contexts may be empty.

    Raises:
        EvaluationError: An option has no token to score.
    """
    requests: dict[str, int] = {}
    made: list[Request] = []
    parts: list[tuple[OptionPart, ...] | None] = []
    for at, (prompt, tokens) in enumerate(zip(prompts, encoded, strict=True)):
        if tokens is None:
            parts.append(None)
            continue
        _check_options(prompt, tokens)
        own = []
        for unit, options in _units(tokens, is_split=is_split, first_token=first_token):
            key = content_key(scope, unit.inputs, *unit.targets)
            number = requests.setdefault(key, len(made))
            if number == len(made):
                made.append(Request(key=key, unit=unit, prompts=[]))
            if at not in made[number].prompts[-1:]:
                made[number].prompts.append(at)
            own.append(OptionPart(number, options))
        parts.append(tuple(own))
    return PromptGroup(prompts=prompts, counts=encoded.each, parts=tuple(parts), requests=tuple(made))


def _units(
    tokens: EncodedPrompt, *, is_split: bool, first_token: int | None
) -> Iterator[tuple[EncodedPrompt, tuple[int, ...]]]:
    """One request per distinct context, or one per option."""
    together: dict[tuple[int, ...], list[int]] = {}
    for option in range(len(tokens.targets)):
        context = tokens.contexts[option] if tokens.contexts else tokens.inputs
        together.setdefault((*context.tolist(), *((-1, option) if is_split else ())), []).append(option)
    for options in together.values():
        inputs = tokens.contexts[options[0]] if tokens.contexts else tokens.inputs
        if not len(inputs) and first_token is not None:
            inputs = np.array([first_token], dtype=np.int32)
        yield EncodedPrompt(inputs=inputs, targets=tuple(tokens.targets[at] for at in options)), tuple(options)


def _check_options(prompt: Prompt, tokens: EncodedPrompt) -> None:
    if not tokens.targets:
        raise EvaluationError("a prompt without options cannot be ranked", where=f"{prompt.task}/{prompt.template}")
    if not all(map(len, tokens.targets)):
        hint = "set evaluation.score_end_of_sequence = true"
        where = f"{prompt.task}/options"
        raise EvaluationError("an empty option has no log-likelihood without its end", where=where, hint=hint)
