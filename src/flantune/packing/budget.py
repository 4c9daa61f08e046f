"""What has to go of inputs that are too long: exemplars first, then what the protocol says; targets never."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from flantune.packing.encoded import Fitted, Laid, Truncation

if TYPE_CHECKING:
    from flantune.types import Prompt

HEAD_SHARE = 1 / 3
"""Share of a shortened input that is kept from its start; the rest is kept from its end. The instruction may stand at
either end, the question and the options stand at the end."""


def fit_inputs(
    prompts: Sequence[Prompt],
    budgets: Sequence[int],
    *,
    encode: Callable[[Sequence[Prompt]], list[Laid]],
    drops_exemplars: bool,
    truncation: Truncation,
) -> list[Fitted | None]:
    """Each prompt's inputs within its budget: exemplars go first, then what ``truncation`` says.

    Args:
        prompts: The prompts.
        budgets: Most ids of each one's inputs.
        encode: Prompts → their inputs as ids.
        drops_exemplars: Too long inputs lose exemplars before anything else.
        truncation: What goes of inputs still too long; None is given for a prompt that is dropped.
    """
    shots = [len(prompt.exemplars) for prompt in prompts]
    laid = encode(prompts)
    while drops_exemplars and (over := [at for at, one in enumerate(laid)
                                        if len(one) > budgets[at] and shots[at] > 0]):  # fmt: skip
        for at in over:
            shots[at] -= 1
        fewer = [replace(prompts[at], exemplars=prompts[at].exemplars[: shots[at]]) for at in over]
        for at, one in zip(over, encode(fewer), strict=True):
            laid[at] = one
    return [
        Fitted(
            tokens=cut_laid(one, budget, truncation=truncation),
            shots=left,
            exemplars_dropped=len(prompt.exemplars) - left,
            is_shortened=len(one) > budget,
        )
        if truncation != "drop" or len(one) <= budget
        else None
        for prompt, one, budget, left in zip(prompts, laid, budgets, shots, strict=True)
    ]


def cut_laid(laid: Laid, max_tokens: int, *, truncation: Truncation) -> list[int]:
    """All ids of inputs within a budget; what a chat template wrote at either end is never cut."""
    room = max_tokens - len(laid.before) - len(laid.after)
    return [*laid.before, *cut(laid.inner, max(room, 0), truncation=truncation), *laid.after]


def cut(tokens: Sequence[int], max_tokens: int, *, truncation: Truncation) -> list[int]:
    """Tokens of inputs without what is too much."""
    if truncation == "left":
        return list(tokens[max(len(tokens) - max_tokens, 0) :])
    return cut_middle(tokens, max_tokens)


def cut_middle(tokens: Sequence[int], max_tokens: int) -> list[int]:
    """Tokens without one run of their middle, so that the start and the end survive.

    A third of what is kept comes from the start (the instruction, often), the rest from the end (the question, the
    options, the separator).

    >>> cut_middle([1, 2, 3, 4, 5, 6, 7, 8, 9], 6)
    [1, 2, 6, 7, 8, 9]
    >>> cut_middle([1, 2, 3], 6)
    [1, 2, 3]
    """
    if len(tokens) <= max_tokens:
        return list(tokens)
    head = int(max_tokens * HEAD_SHARE)
    return [*tokens[:head], *tokens[len(tokens) - (max_tokens - head) :]]
