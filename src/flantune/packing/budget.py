"""Cuts inputs that are too long: exemplars first, then turns, then as the protocol says; never targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flantune.packing.encoded import FittedInputs, Laid, Truncation
from flantune.prompts.conversations import most_dropped, with_fewer_turns

if TYPE_CHECKING:
    from flantune.types import Prompt

Encode = Callable[[Sequence["Prompt"]], list[Laid]]
HEAD_SHARE = 1 / 3
"""Share of a shortened input that is kept from its start; the rest is kept from its end. The instruction may be at
either end; the question and the options are at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How long inputs and targets may be, and what is cut from longer ones.

    Attributes:
        max_input_tokens: Longest inputs, with everything around them.
        max_target_tokens: Longest target, with its end.
        max_row_tokens: Longest inputs with one target; None: the sum of the two above.
        prefix_tokens: Number of virtual tokens before all inputs.
        template_tokens: Number of tokens that a chat template writes at both ends of inputs.
        drops_exemplars: Overlong inputs lose exemplars first, then the oldest turns of a conversation.
        truncation: What is cut from inputs that are still too long.
    """

    max_input_tokens: int
    max_target_tokens: int
    max_row_tokens: int | None
    prefix_tokens: int
    template_tokens: int
    drops_exemplars: bool
    truncation: Truncation

    def room(self, longest_target: int) -> int:
        """Tokens left for inputs beside their targets; 0 or less if the prompt must be dropped."""
        if longest_target > self.max_target_tokens:
            return 0
        whole = self.max_input_tokens
        if self.max_row_tokens is not None:
            whole = min(whole, self.max_row_tokens - longest_target)
        return whole - self.prefix_tokens - self.template_tokens

    def fit(
        self,
        prompts: Sequence[Prompt],
        target_sizes: Sequence[Sequence[int]],
        *,
        encode: Encode,
        encode_apart: Encode,
    ) -> list[FittedInputs | None]:
        """Each prompt's inputs, cut to the room that its targets leave; None if the prompt must be dropped.

        Args:
            prompts: The prompts.
            target_sizes: Number of target tokens of each.
            encode: Prompts → their inputs as ids.
            encode_apart: The same for overlong prompts with a frame, which is kept at both ends.
        """
        rooms = [self.room(max(sizes, default=0)) for sizes in target_sizes]
        kept = [at for at, room in enumerate(rooms) if room > 0]
        limits = [rooms[at] + self.template_tokens for at in kept]
        inputs = self._within([prompts[at] for at in kept], limits, encode=encode, encode_apart=encode_apart)
        found = dict(zip(kept, inputs, strict=True))
        return [found.get(at) for at in range(len(prompts))]

    def _within(
        self, prompts: Sequence[Prompt], limits: Sequence[int], *, encode: Encode, encode_apart: Encode
    ) -> list[FittedInputs | None]:
        """Each prompt's inputs within its limit: exemplars are cut first, then turns, then what ``truncation`` says."""
        shots = [len(prompt.exemplars) for prompt in prompts]
        laid = encode(prompts)
        while self.drops_exemplars and (over := [at for at, one in enumerate(laid)
                                                 if len(one) > limits[at] and shots[at] > 0]):  # fmt: skip
            for at in over:
                shots[at] -= 1
            fewer = [replace(prompts[at], exemplars=prompts[at].exemplars[: shots[at]]) for at in over]
            for at, one in zip(over, encode(fewer), strict=True):
                laid[at] = one
        # Cut in its middle, a chat would lose what a template writes between turns.
        drops_turns = self.drops_exemplars or self.template_tokens > 0
        alone = [at for at, left in enumerate(shots) if not left and drops_turns]
        is_shorter = self._drop_turns(alone, prompts, laid, limits, encode=encode)
        framed = [
            at
            for at, one in enumerate(laid)
            if len(one) > limits[at] and not shots[at] and prompts[at].frame is not None
        ]
        is_lost = [False] * len(prompts)
        for at, one in zip(framed, encode_apart([replace(prompts[at], exemplars=()) for at in framed]), strict=True):
            laid[at] = one
            is_lost[at] = len(one.before) + len(one.after) > limits[at]
        return [
            FittedInputs(
                tokens=self._cut_laid(one, limit),
                shots=left,
                exemplars_dropped=len(prompt.exemplars) - left,
                is_shortened=len(one) > limit or at in is_shorter,
            )
            if len(one) <= limit or (self.truncation != "drop" and not lost)
            else None
            for at, (prompt, one, limit, left, lost) in enumerate(
                zip(prompts, laid, limits, shots, is_lost, strict=True)
            )
        ]

    def _drop_turns(
        self,
        places: Sequence[int],
        prompts: Sequence[Prompt],
        laid: list[Laid],
        limits: Sequence[int],
        *,
        encode: Encode,
    ) -> set[int]:
        """Removes the oldest turns of overlong conversations, as few as possible; returns which prompts changed."""
        over = [at for at in places if len(laid[at]) > limits[at] and prompts[at].conversation is not None]
        plain = {at: replace(prompts[at], exemplars=()) for at in over}
        # Bisection between too few turns and enough of them (or all).
        few = dict.fromkeys(over, 0)
        enough = {at: most_dropped(one.conversation) for at, one in plain.items() if one.conversation is not None}
        fitting = self._put_in(laid, {at: with_fewer_turns(plain[at], enough[at]) for at in over}, encode=encode)
        while open_ := [at for at in fitting if enough[at] - few[at] > 1]:
            middle = {at: (few[at] + enough[at]) // 2 for at in open_}
            tried = encode([with_fewer_turns(plain[at], middle[at]) for at in open_])
            for at, one in zip(open_, tried, strict=True):
                if len(one) <= limits[at]:
                    enough[at], laid[at] = middle[at], one
                else:
                    few[at] = middle[at]
        return {at for at in over if enough[at]}

    @staticmethod
    def _put_in(laid: list[Laid], prompts: Mapping[int, Prompt], *, encode: Encode) -> tuple[int, ...]:
        """Replaces the inputs of some prompts; returns their places."""
        for at, one in zip(prompts, encode([*prompts.values()]), strict=True):
            laid[at] = one
        return tuple(prompts)

    def _cut_laid(self, laid: Laid, max_tokens: int) -> list[int]:
        """All ids of inputs within a limit; the tokens of a chat template at either end are never cut."""
        room = max_tokens - len(laid.before) - len(laid.after)
        return [*laid.before, *self.cut(laid.inner, max(room, 0)), *laid.after]

    def cut(self, tokens: Sequence[int], max_tokens: int) -> list[int]:
        """Tokens of inputs cut to the limit."""
        if self.truncation == "left":
            return list(tokens[max(len(tokens) - max_tokens, 0) :])
        return cut_middle(tokens, max_tokens)


def cut_middle(tokens: Sequence[int], max_tokens: int) -> list[int]:
    """Tokens without a run in the middle, so that the start and the end are kept.

    A third of the kept tokens are from the start (often the instruction), the rest from the end (the question, the
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
