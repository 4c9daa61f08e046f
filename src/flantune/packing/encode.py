"""Prompts as token ids: inputs and targets separately, special tokens exactly once, targets never cut."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from flantune.errors import ModelError
from flantune.packing.budget import Budget
from flantune.packing.encoded import Continuations, Encoded, FittedInputs, JointCut, Tokenization, Truncation, id_array
from flantune.packing.framing import Framing, prefixed
from flantune.packing.joint import encode_joint
from flantune.packing.packs import Counts, EncodedPrompt
from flantune.packing.unwritable import unknown_token, with_unwritable
from flantune.types import Family, Int32, Prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedTokenizerBase

    from flantune.packing.chat import ChatTokens
    from flantune.prompts.layout import Layout


@dataclass(frozen=True, kw_only=True)
class Codec:
    """Turns prompts into token ids for one tokenizer and one family of models.

    Inputs and targets are tokenized separately. BOS occurs once, at the start of decoder-only inputs, if the tokenizer
    itself would add it; EOS once at each target's end, and at the end of encoder-decoder inputs. Text in the data that
    looks like a special token stays text.

    Overlong inputs lose exemplars first, from the end, then their middle. Targets are never cut: a prompt with a
    target beyond ``max_target_tokens`` is left out and counted. All this is the default; scoring protocols choose
    differently, from ``score_eos`` to ``joint_cut``.

    Attributes:
        tokenizer: A tokenizer of the transformers library; never changed.
        family: Kind of model that reads the tokens.
        layout: Separators between a query, its answer and its exemplars.
        max_input_tokens: Longest inputs, special tokens and separator included.
        max_target_tokens: Longest target, EOS included.
        max_row_tokens: Longest inputs with one target (decoder-only); None: the sum of the two above.
        score_eos: Targets end with EOS.
        inputs_eos: Encoder-decoder inputs end with EOS.
        drops_exemplars: Overlong inputs lose exemplars before anything else.
        truncation: What is cut from inputs that are still too long: their middle, their left end, or the whole prompt
            (counted).
        tokenization: "joint": the target separator and what follows it are tokenized together with the inputs
            (decoder-only; see ``flantune.packing.joint``).
        joint_cut: Where jointly tokenized inputs end: where they first differ from the inputs' own tokens, or after the
            number of tokens that the inputs have alone.
        prefix: Ids before all inputs, never cut: a model's virtual tokens (``LanguageModel.prefix_tokens``).
        chat: Ids of a chat template around the inputs, never cut; its end of a turn ends the targets (decoder-only).
            It determines BOS, and replaces the target separator.
    """

    tokenizer: PreTrainedTokenizerBase
    family: Family
    layout: Layout
    max_input_tokens: int
    max_target_tokens: int
    max_row_tokens: int | None = None
    score_eos: bool = True
    inputs_eos: bool = True
    drops_exemplars: bool = True
    truncation: Truncation = "middle"
    tokenization: Tokenization = "separate"
    joint_cut: JointCut = "common"
    prefix: tuple[int, ...] = ()
    chat: ChatTokens | None = None

    def __post_init__(self) -> None:
        if self.chat is not None and (self.family == "encoder-decoder" or self.tokenization == "joint"):
            hint = 'set prompts.chat = false, or evaluation.tokenization = "separate" for a decoder-only model'
            message = "a chat template needs a decoder-only model and separately tokenized targets"
            raise ModelError(message, where="prompts.chat", hint=hint)

    @cached_property
    def framing(self) -> Framing:
        """Turns texts into ids, with everything around them."""
        return Framing(
            tokenizer=self.tokenizer,
            family=self.family,
            layout=self.layout,
            score_eos=self.score_eos,
            inputs_eos=self.inputs_eos,
            tokenization=self.tokenization,
            chat=self.chat,
        )

    @cached_property
    def budget(self) -> Budget:
        """How long inputs and targets may be, and what is cut from longer ones."""
        return Budget(
            max_input_tokens=self.max_input_tokens,
            max_target_tokens=self.max_target_tokens,
            max_row_tokens=self.max_row_tokens if self.family == "decoder-only" else None,
            prefix_tokens=len(self.prefix),
            template_tokens=len(self.chat.before) + len(self.chat.after) if self.chat else 0,
            drops_exemplars=self.drops_exemplars,
            truncation=self.truncation,
        )

    @property
    def eos_token(self) -> int:
        """Id of the token that ends a target: the end of the sequence or, in a chat, of a turn."""
        return self.framing.eos_token

    @property
    def pad_token(self) -> int:
        """Id that fills unused positions; no token ever attends to it."""
        token = self.tokenizer.pad_token_id
        return int(self.eos_token if token is None else token)

    def encode_prompts(self, prompts: Sequence[Prompt], *, continuations: Continuations) -> Encoded:
        """Token ids of each prompt's inputs and continuations.

        Args:
            prompts: The prompts; all are tokenized together.
            continuations: The prompt's ``targets``, each of its ``options``, or nothing (for generation).

        Returns:
            The encoded prompts in order, with None for those dropped, and counts.
        """
        texts = [_continuation_texts(prompt, continuations) for prompt in prompts]
        encoded = with_unwritable(self._encode(prompts, texts), texts, unknown=unknown_token(self.tokenizer))
        return prefixed(encoded, self.prefix) if self.prefix else encoded

    def _encode(self, prompts: Sequence[Prompt], texts: Sequence[tuple[str, ...]]) -> Encoded:
        """Encodes prompts with their continuations, without prefix."""
        framing = self.framing
        if self.tokenization == "joint":
            if self.family == "decoder-only" and any(texts):
                return encode_joint(prompts, texts, framing=framing, budget=self.budget, joint_cut=self.joint_cut)
            texts = [framing.separated(*pair) for pair in zip(prompts, texts, strict=True)]
        replies = iter(framing.targets([text for group in texts for text in group]))
        targets = [tuple(id_array(next(replies)) for _ in group) for group in texts]
        fitted = self.budget.fit(
            prompts,
            [list(map(len, group)) for group in targets],
            encode=framing.inputs,
            encode_apart=framing.inputs_apart,
        )
        encoded = [
            EncodedPrompt(inputs=id_array(inputs.tokens), targets=group) if inputs else None
            for inputs, group in zip(fitted, targets, strict=True)
        ]
        each = [_counts(inputs, group) for inputs, group in zip(fitted, targets, strict=True)]
        return Encoded(prompts=tuple(encoded), each=tuple(each))


def border_mismatches(codec: Codec, prompts: Sequence[Prompt]) -> float:
    """Share of prompts whose inputs and targets have other tokens if tokenized together than if separately.

    Separate tokenization makes one prompt usable by both families, and a target's tokens independent of its prompt. A
    high share means that a pretrained decoder-only model gets answers in a form it has rarely seen; a separator that
    ends in a line break keeps it near zero for byte-level tokenizers.
    """
    if not prompts:
        return 0.0
    framing, targets = codec.framing, [prompt.targets for prompt in prompts]
    if framing.chat_encoder is not None:
        framing.chat_encoder.replies(targets, with_end=True)
        return sum(target in framing.chat_encoder.apart for target in targets) / len(prompts)
    inputs = [framing.context_text(prompt) for prompt in prompts]
    together = framing.layout_ids([left + right for left, right in zip(inputs, targets, strict=True)])
    apart = zip(framing.layout_ids(inputs), framing.text_ids(targets), strict=True)
    return sum(joint != [*left, *right] for joint, (left, right) in zip(together, apart, strict=True)) / len(prompts)


def _continuation_texts(prompt: Prompt, continuations: Continuations) -> tuple[str, ...]:
    if continuations == "options":
        return prompt.options
    return (prompt.targets,) if continuations == "target" else ()


def _counts(fitted: FittedInputs | None, targets: tuple[Int32, ...]) -> Counts:
    if fitted is None:
        return Counts(prompts_dropped=1)
    return Counts(
        prompts=1,
        input_tokens=len(fitted.tokens),
        target_tokens=sum(map(len, targets)),
        exemplars_dropped=fitted.exemplars_dropped,
        inputs_shortened=int(fitted.is_shortened),
    )
