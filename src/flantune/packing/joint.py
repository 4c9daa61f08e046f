"""Inputs and options tokenized together, as in pretraining text, then split again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from flantune.packing.encoded import Encoded, FittedInputs, JointCut, common_length, id_array
from flantune.packing.packs import Counts, EncodedPrompt

if TYPE_CHECKING:
    from flantune.packing.budget import Budget
    from flantune.packing.framing import Framing
    from flantune.types import Prompt


def encode_joint(
    prompts: Sequence[Prompt],
    options: Sequence[Sequence[str]],
    *,
    framing: Framing,
    budget: Budget,
    joint_cut: JointCut,
) -> Encoded:
    """Token ids of prompts whose options are tokenized together with them.

    Spaces at the end of the inputs and the target separator go with the option. The joint tokens are split where the
    inputs' own tokens end. If a token spans that border (counted as ``borders_merged``), the changed input tokens are
    scored as part of every option, so that all options represent the same text; with ``joint_cut="length"`` the split
    stays at the number of tokens that the inputs have alone.

    Args:
        prompts: The prompts.
        options: The possible continuations of each.
        framing: Tokenizes; decoder-only.
        budget: How long inputs and options may be.
        joint_cut: Where the joint tokens are split.
    """
    texts = [framing.separated(*pair) for pair in zip(prompts, options, strict=True)]
    pieces = iter(framing.layout_ids([text for group in texts for text in group]))
    sizes = [[len(next(pieces)) + len(framing.target_end) for _ in group] for group in texts]
    fitted = budget.fit(prompts, sizes, encode=framing.inputs, encode_apart=framing.inputs)
    shown = [
        replace(prompt, exemplars=prompt.exemplars[: inputs.shots]) if inputs else prompt
        for prompt, inputs in zip(prompts, fitted, strict=True)
    ]
    contexts = [framing.context_text(prompt) for prompt in shown]
    wholes = iter(framing.layout_ids([context + text for context, group in zip(contexts, texts, strict=True)
                                       for text in group]))  # fmt: skip
    alone = framing.layout_ids(contexts)
    joined = [
        _Joined.of(context, [next(wholes) for _ in group], framing=framing, joint_cut=joint_cut)
        for context, group in zip(alone, texts, strict=True)
    ]
    made = [_encoded(*pair, budget=budget) for pair in zip(joined, fitted, strict=True)]
    return Encoded(prompts=tuple(prompt for prompt, _ in made), each=tuple(counts for _, counts in made))


@dataclass(frozen=True, slots=True)
class _Joined:
    """A prompt's options tokenized together with it, and split.

    Attributes:
        contexts: Tokens before each option's own.
        targets: Tokens of each option.
        is_merged: Whether a token of some option spans the border.
    """

    contexts: tuple[list[int], ...]
    targets: tuple[list[int], ...]
    is_merged: bool

    @classmethod
    def of(
        cls, context: Sequence[int], wholes: Sequence[Sequence[int]], *, framing: Framing, joint_cut: JointCut
    ) -> _Joined:
        start = framing.inputs_start
        common = [common_length(context, whole) for whole in wholes]
        is_merged = any(length < len(context) for length in common)
        by_length = joint_cut == "length" and all(len(whole) > len(context) for whole in wholes)
        cut = len(context) if by_length else min(common, default=len(context))
        # Something must precede the first token that is scored.
        before = start or (() if cut else (framing.first_token,))
        return cls(
            tuple([*before, *whole[:cut]] for whole in wholes),
            tuple([*whole[cut:], *framing.target_end] for whole in wholes),
            is_merged,
        )


def _encoded(joined: _Joined, fitted: FittedInputs | None, *, budget: Budget) -> tuple[EncodedPrompt | None, Counts]:
    longest = max(map(len, joined.targets), default=0)
    rooms = [budget.room(len(target)) for target in joined.targets]
    is_long = any(len(context) > room for context, room in zip(joined.contexts, rooms, strict=True))
    if fitted is None or budget.room(longest) <= 0 or (is_long and budget.truncation == "drop"):
        return None, Counts(prompts_dropped=1)
    if budget.truncation == "middle":
        rooms = [min(rooms, default=0)] * len(rooms)
    contexts = [id_array(budget.cut(context, room)) for context, room in zip(joined.contexts, rooms, strict=True)]
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
