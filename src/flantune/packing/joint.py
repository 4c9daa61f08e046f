"""Inputs and options tokenized together, as a pretrained model would have met them, and cut into the two again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from flantune.models.scoring.shared_starts import common_length
from flantune.packing.encoded import EOS_MARK, Encoded, Fitted, id_array
from flantune.prompts.layout import EOS_WORD, inputs_text
from flantune.types import Counts, EncodedPrompt

if TYPE_CHECKING:
    from flantune.packing.encode import Codec
    from flantune.types import Prompt


def encode_joint(codec: Codec, prompts: Sequence[Prompt], options: Sequence[Sequence[str]]) -> Encoded:
    """Token ids of prompts whose options are tokenized together with them.

    Spaces at the end of the inputs and the target separator go with the option. What is tokenized together is cut
    where the inputs' own tokens end. Where a token spans that border (counted as ``borders_merged``), the tokens of
    the inputs that changed are scored as part of every option, so that all options stand for the same text; with
    ``joint_cut="length"`` the cut stays at the number of tokens that the inputs have alone.

    Args:
        codec: What tokenizes; decoder-only.
        prompts: The prompts.
        options: The texts that may follow each.
    """
    texts = [separated(codec, *pair) for pair in zip(prompts, options, strict=True)]
    pieces = iter(codec.layout_pieces([text for group in texts for text in group]))
    sizes = [[len(next(pieces)) + len(codec.target_end) for _ in group] for group in texts]
    fitted = codec.fit(prompts, sizes)
    shown = [
        replace(prompt, exemplars=prompt.exemplars[: inputs.shots]) if inputs else prompt
        for prompt, inputs in zip(prompts, fitted, strict=True)
    ]
    contexts = [codec.context_text(prompt) for prompt in shown]
    wholes = iter(codec.layout_pieces([context + text for context, group in zip(contexts, texts, strict=True)
                                       for text in group]))  # fmt: skip
    alone = codec.layout_pieces(contexts)
    joined = [
        _Joined.of(codec, context, [next(wholes) for _ in group]) for context, group in zip(alone, texts, strict=True)
    ]
    made = [_encoded(codec, *pair) for pair in zip(joined, fitted, strict=True)]
    return Encoded(prompts=tuple(prompt for prompt, _ in made), each=tuple(counts for _, counts in made))


def separated(codec: Codec, prompt: Prompt, options: Sequence[str]) -> tuple[str, ...]:
    """The options as they follow the inputs: behind the inputs' own last spaces and the target separator."""
    text = inputs_text(prompt, codec.layout, eos_token=EOS_MARK)
    between = text[len(text.rstrip()) :] + codec.layout.target_separator.replace(EOS_WORD, EOS_MARK)
    return tuple(between + option for option in options)


@dataclass(frozen=True, slots=True)
class _Joined:
    """A prompt's options tokenized together with it, and cut.

    Attributes:
        contexts: Tokens before each option's own.
        targets: Tokens of each option.
        is_merged: Whether a token of some option spans the border.
    """

    contexts: tuple[list[int], ...]
    targets: tuple[list[int], ...]
    is_merged: bool

    @classmethod
    def of(cls, codec: Codec, context: Sequence[int], wholes: Sequence[Sequence[int]]) -> _Joined:
        start = codec.inputs_start
        common = [common_length(context, whole) for whole in wholes]
        is_merged = any(length < len(context) for length in common)
        by_length = codec.joint_cut == "length" and all(len(whole) > len(context) for whole in wholes)
        cut = len(context) if by_length else min(common, default=len(context))
        # Something must stand before the first token that is scored.
        before = start or (() if cut else (codec.first_token,))
        return cls(
            tuple([*before, *whole[:cut]] for whole in wholes),
            tuple([*whole[cut:], *codec.target_end] for whole in wholes),
            is_merged,
        )


def _encoded(codec: Codec, joined: _Joined, fitted: Fitted | None) -> tuple[EncodedPrompt | None, Counts]:
    longest = max(map(len, joined.targets), default=0)
    rooms = [codec.input_budget(len(target)) for target in joined.targets]
    is_long = any(len(context) > room for context, room in zip(joined.contexts, rooms, strict=True))
    if fitted is None or codec.input_budget(longest) <= 0 or (is_long and codec.truncation == "drop"):
        return None, Counts(prompts_dropped=1)
    if codec.truncation == "middle":
        rooms = [min(rooms, default=0)] * len(rooms)
    contexts = [id_array(codec.cut(context, room)) for context, room in zip(joined.contexts, rooms, strict=True)]
    is_shared = all(np.array_equal(contexts[0], context) for context in contexts)
    prompt = EncodedPrompt(
        inputs=contexts[0], targets=tuple(map(id_array, joined.targets)), contexts=() if is_shared else tuple(contexts)
    )
    return prompt, Counts(
        prompts=1,
        input_tokens=len(contexts[0]),
        target_tokens=sum(map(len, joined.targets)),
        exemplars_dropped=fitted.exemplars_dropped,
        inputs_shortened=int(is_long),
        borders_merged=int(joined.is_merged),
    )
