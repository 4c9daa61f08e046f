"""Streams, from which batches are made. Draw i → ids, the same for the same i, regardless of earlier draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from flantune.packing.packs import Counts, EncodedPrompt
from flantune.types import Family, Prompt

if TYPE_CHECKING:
    from flantune.packing.encode import Codec


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A limit on draws; those beyond it are left out.

    Attributes:
        claim: What is true of draws within it, worded to follow "none of the draws".
        where: The setting.
        hint: What to do when all draws are left out.
    """

    claim: str
    where: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedDraw:
    """One draw of a stream.

    Attributes:
        prompt: Its ids; None if it is left out.
        counts: What happened to it during encoding.
        task: The name of its task, for losses by task.
        row: Its number in its source, for messages.
        next: Number of the draw after it. A stream may number its draws with gaps.
        broken: The limit because of which it is left out; None if it is not.
    """

    prompt: EncodedPrompt | None
    counts: Counts
    task: str
    row: int
    next: int
    broken: Limit | None = None


class Stream(Protocol):
    """An endless sequence of draws as ids: the only interface that ``Batches`` uses."""

    @property
    def family(self) -> Family:
        """Kind of model that reads the ids."""

    @property
    def pad_token(self) -> int:
        """Id that fills unused positions."""

    def draws(self, first: int, count: int) -> Sequence[EncodedDraw]:
        """``count`` draws from number ``first`` on, in order; made together, since that is faster."""


class PromptSequence(Protocol):
    """An endless sequence of prompts."""

    def __getitem__(self, index: int) -> Prompt:
        """The prompt of a draw."""


class PromptStream:
    """A mixture of prompts with a codec.

    Args:
        mixture: ``mixture[i]`` is the prompt of draw i.
        codec: Turns prompts into tokens, such that inputs with their target fit into a row.
        row_tokens: Length of a row.

    Attributes:
        limit: The limit that draws are left out for.
    """

    def __init__(self, mixture: PromptSequence, codec: Codec, *, row_tokens: int) -> None:
        self.mixture = mixture
        self.codec = replace(
            codec,
            max_input_tokens=min(codec.max_input_tokens, row_tokens),
            max_target_tokens=min(codec.max_target_tokens, row_tokens),
            max_row_tokens=row_tokens,
        )
        self.limit = Limit(
            claim=f"has a target of at most {self.codec.max_target_tokens} tokens",
            where="packing.max_target_tokens",
            hint="raise packing.max_target_tokens and packing.row_tokens",
        )

    @property
    def family(self) -> Family:
        """The codec's."""
        return self.codec.family

    @property
    def pad_token(self) -> int:
        """The codec's."""
        return self.codec.pad_token

    def draws(self, first: int, count: int) -> list[EncodedDraw]:
        """``count`` draws from number ``first`` on, tokenized together."""
        block: Callable[[int, int], list[Prompt]] | None = getattr(self.mixture, "block", None)
        if block is not None:  # the same, made faster
            prompts = block(first, first + count)
        else:
            prompts = [self.mixture[at] for at in range(first, first + count)]
        encoded = self.codec.encode_prompts(prompts, continuations="target")
        return [
            EncodedDraw(
                prompt=ids,
                counts=counts,
                task=prompt.task,
                row=prompt.row,
                next=at + 1,
                broken=self.limit if ids is None else None,
            )
            for at, (prompt, ids, counts) in enumerate(zip(prompts, encoded.prompts, encoded.each, strict=True), first)
        ]
