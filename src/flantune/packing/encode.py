"""Prompts as token ids: inputs and targets apart, special tokens exactly once, targets never cut."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from flantune.errors import ModelError
from flantune.packing.budget import cut, fit_inputs
from flantune.packing.conversation import ChatEncoder
from flantune.packing.encoded import (
    EOS_MARK,
    Continuations,
    Encoded,
    Fitted,
    JointCut,
    Laid,
    Tokenization,
    Truncation,
    id_array,
)
from flantune.packing.framing import prefixed
from flantune.packing.tokenize import TextTokenizer, decode, text_tokenizer
from flantune.packing.unwritable import unknown_token, with_unwritable
from flantune.prompts.layout import EOS_WORD, Layout, inputs_text
from flantune.types import Counts, EncodedPrompt, Family, Int32, Prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedTokenizerBase

    from flantune.packing.chat import ChatTokens


@dataclass(frozen=True, kw_only=True)
class Codec:
    """Turns prompts into token ids for one tokenizer and one family of models.

    Inputs and targets are tokenized apart. BOS stands once, at the start of decoder-only inputs, where the tokenizer
    itself would put it; EOS once at each target's end, and at the end of encoder-decoder inputs. Words of the data
    that look like special tokens stay words.

    Too long inputs lose exemplars first, from the end, then their middle. Targets are never cut: a prompt with a
    target beyond ``max_target_tokens`` is left out and counted. All this is the default; scoring protocols choose
    otherwise, from ``score_eos`` to ``joint_cut``.

    Attributes:
        tokenizer: A tokenizer of the transformers library; never changed.
        family: Of the model that reads the tokens.
        layout: Separators between a query, its answer and its exemplars.
        max_input_tokens: Longest inputs, special tokens and separator included.
        max_target_tokens: Longest target, EOS included.
        max_row_tokens: Longest inputs with one target (decoder-only); None: the sum of the two above.
        score_eos: Targets end with EOS.
        inputs_eos: Encoder-decoder inputs end with EOS.
        drops_exemplars: Too long inputs lose exemplars before anything else.
        truncation: What goes of inputs still too long: their middle, their left end, or the prompt (counted).
        tokenization: "joint": the target separator and what follows it are tokenized together with the inputs
            (decoder-only; see ``flantune.packing.joint``).
        joint_cut: Where jointly tokenized inputs end: where they first differ from the inputs' own tokens, or after
            as many tokens as the inputs have alone, whatever they are.
        prefix: Ids before all inputs, never cut: a model's virtual tokens (``LanguageModel.prefix_tokens``).
        chat: Ids of a chat template around the inputs, never cut; its end of a turn ends the targets (decoder-only).
            It has the last word on BOS, and takes the place of the target separator.
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
            message = "a chat template needs a decoder-only model and targets tokenized apart"
            raise ModelError(message, where="prompts.chat", hint=hint)

    def count_tokens(self, text: str) -> int:
        """Number of tokens of a text, without special tokens."""
        return len(self._pieces([text])[0])

    def text_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of texts of the data, without anything around them."""
        return self._pieces(texts)

    def encode_prompts(self, prompts: Sequence[Prompt], *, continuations: Continuations) -> Encoded:
        """Token ids of each prompt's inputs and of what may follow them.

        Args:
            prompts: The prompts; all are tokenized together.
            continuations: Follow the inputs with the prompt's ``targets``, with each of its ``options``, or with
                nothing (to let the model write).

        Returns:
            The encoded prompts in order, with None for those dropped, and counts.
        """
        texts = [_continuation_texts(prompt, continuations) for prompt in prompts]
        encoded = with_unwritable(self._encode(prompts, texts), texts, unknown=unknown_token(self.tokenizer))
        return prefixed(encoded, self.prefix) if self.prefix else encoded

    def _encode(self, prompts: Sequence[Prompt], texts: Sequence[tuple[str, ...]]) -> Encoded:
        """Prompts, each with the texts that may follow it, without prefix."""
        if self.tokenization == "joint":
            from flantune.packing.joint import encode_joint, separated

            if self.family == "decoder-only" and any(texts):
                return encode_joint(self, prompts, texts)
            texts = [separated(self, *pair) for pair in zip(prompts, texts, strict=True)]
        replies = iter(self._targets([text for group in texts for text in group]))
        targets = [tuple(id_array(next(replies)) for _ in group) for group in texts]
        fitted = self.fit(prompts, [list(map(len, group)) for group in targets])
        encoded = [
            EncodedPrompt(inputs=id_array(inputs.tokens), targets=group) if inputs else None
            for inputs, group in zip(fitted, targets, strict=True)
        ]
        each = [_counts(inputs, group) for inputs, group in zip(fitted, targets, strict=True)]
        return Encoded(prompts=tuple(encoded), each=tuple(each))

    def _targets(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of what follows inputs, with what ends it."""
        if self.chat_encoder is not None:
            return self.chat_encoder.replies(texts, with_end=self.score_eos)
        return [[*ids, *self.target_end] for ids in self._pieces(texts)]

    def fit(self, prompts: Sequence[Prompt], target_sizes: Sequence[Sequence[int]]) -> list[Fitted | None]:
        """Each prompt's inputs within what its targets leave; None where the prompt must be dropped."""
        budgets = [self.input_budget(max(sizes, default=0)) for sizes in target_sizes]
        kept = [at for at, budget in enumerate(budgets) if budget > 0]
        around = len(self._around) - len(self.prefix)
        inputs = fit_inputs(
            [prompts[at] for at in kept],
            [budgets[at] + around for at in kept],
            encode=self._encode_inputs,
            drops_exemplars=self.drops_exemplars,
            truncation=self.truncation,
        )
        found = dict(zip(kept, inputs, strict=True))
        return [found.get(at) for at in range(len(prompts))]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of token ids, without special tokens."""
        return decode(self.tokenizer, tokens)

    def decode_all(self, tokens: Sequence[int]) -> str:
        """The text of token ids, special tokens shown."""
        return decode(self.tokenizer, tokens, shows_special=True)

    @cached_property
    def eos_token(self) -> int:
        """Id of the end-of-sequence token; of a chat, of the token that ends a turn.

        Raises:
            ModelError: The tokenizer has none.
        """
        token = self.tokenizer.eos_token_id if self.chat is None else self.chat.end
        if token is None:
            raise ModelError(
                "the tokenizer has no end-of-sequence token, so a target could not end",
                where=str(self.tokenizer.name_or_path),
                hint='set "eos_token" in its tokenizer_config.json',
            )
        return int(token)

    @cached_property
    def pad_token(self) -> int:
        """Id that fills unused positions; no token ever attends to it."""
        token = self.tokenizer.pad_token_id
        return int(self.eos_token if token is None else token)

    @cached_property
    def adds_bos(self) -> bool:
        """Whether the tokenizer, left alone, starts a text with BOS (found by trying)."""
        bos = self.tokenizer.bos_token_id
        return bos is not None and list(self.tokenizer("a")["input_ids"])[:1] == [bos]

    @cached_property
    def adds_eos(self) -> bool:
        """Whether the tokenizer, left alone, ends a text with EOS (found by trying)."""
        return list(self.tokenizer("a")["input_ids"])[-1:] == [self.eos_token]

    @cached_property
    def inputs_start(self) -> tuple[int, ...]:
        """BOS where decoder-only inputs start with it; a chat template brings its own."""
        bos = self.tokenizer.bos_token_id
        is_wanted = self.family == "decoder-only" and self.chat is None and self.adds_bos
        return (int(bos),) if is_wanted and bos is not None else ()

    @cached_property
    def _around(self) -> tuple[int, ...]:
        """Ids of all inputs that are never cut, wherever they stand."""
        return (*self.prefix, *((*self.chat.before, *self.chat.after) if self.chat else ()))

    @cached_property
    def first_token(self) -> int:
        """What stands before a text without any context: BOS, or EOS for want of it."""
        bos = self.tokenizer.bos_token_id
        return self.eos_token if bos is None else int(bos)

    @property
    def target_end(self) -> tuple[int, ...]:
        """EOS where targets end with it."""
        return (self.eos_token,) if self.score_eos else ()

    def input_budget(self, longest_target: int) -> int:
        """Tokens that inputs may have beside their targets; at most 0 when the prompt must be dropped."""
        if longest_target > self.max_target_tokens:
            return 0
        if self.family == "encoder-decoder" or self.max_row_tokens is None:
            return self.max_input_tokens - len(self._around)
        return min(self.max_input_tokens, self.max_row_tokens - longest_target) - len(self._around)

    def cut(self, tokens: Sequence[int], max_tokens: int) -> list[int]:
        """Tokens of inputs without what is too much."""
        return cut(tokens, max_tokens, truncation=self.truncation)

    def _encode_inputs(self, prompts: Sequence[Prompt]) -> list[Laid]:
        if self.chat_encoder is not None:
            return self.chat_encoder.inputs(prompts, self.layout)
        texts = [self.context_text(prompt) for prompt in prompts]
        eos = [self.eos_token] if self.family == "encoder-decoder" and self.inputs_eos else []
        return [Laid(inner=[*self.inputs_start, *ids, *eos]) for ids in self.layout_pieces(texts)]

    def context_text(self, prompt: Prompt) -> str:
        """What stands before the target, with the layout's "<eos>" marked; without chat template."""
        text = inputs_text(prompt, self.layout, eos_token=EOS_MARK)
        if self.tokenization == "joint":
            # The separator and the spaces before it belong to what is scored.
            return text.rstrip()
        is_plain = self.family == "decoder-only" and self.chat is None
        separator = self.layout.target_separator if is_plain else ""
        return text + separator.replace(EOS_WORD, EOS_MARK)

    def layout_pieces(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of texts in which the EOS mark is the EOS token."""
        if EOS_WORD not in self.layout.target_separator + self.layout.exemplar_separator:
            return self._pieces(texts)
        parts = [text.split(EOS_MARK) for text in texts]
        pieces = iter(self._pieces([part for group in parts for part in group]))
        return [_joined([next(pieces) for _ in group], self.eos_token) for group in parts]

    def _pieces(self, texts: Sequence[str]) -> list[list[int]]:
        """Plain token ids, no special tokens."""
        return self._text.data(texts)

    @cached_property
    def _text(self) -> TextTokenizer:
        return text_tokenizer(self.tokenizer)

    @cached_property
    def chat_encoder(self) -> ChatEncoder | None:
        """What makes prompts and replies of a chat; None without one."""
        return ChatEncoder(self.tokenizer, self.chat) if self.chat is not None else None


def border_mismatches(codec: Codec, prompts: Sequence[Prompt]) -> float:
    """Share of prompts whose inputs and targets tokenized together give other tokens than tokenized apart.

    Tokenizing apart is what makes one prompt serve both families and a target's tokens independent of its prompt. A
    high share says that a pretrained decoder-only model meets answers in a form it seldom saw; a separator that ends
    in a line break keeps it near zero for byte-level tokenizers.
    """
    if not prompts:
        return 0.0
    if codec.chat_encoder is not None:
        codec.chat_encoder.replies([prompt.targets for prompt in prompts], with_end=True)
        return sum(prompt.targets in codec.chat_encoder.apart for prompt in prompts) / len(prompts)
    inputs = [codec.context_text(prompt) for prompt in prompts]
    targets = [prompt.targets for prompt in prompts]
    together = codec.layout_pieces([left + right for left, right in zip(inputs, targets, strict=True)])
    apart = zip(codec.layout_pieces(inputs), codec._pieces(targets), strict=True)
    return sum(joint != [*left, *right] for joint, (left, right) in zip(together, apart, strict=True)) / len(prompts)


def _continuation_texts(prompt: Prompt, continuations: Continuations) -> tuple[str, ...]:
    if continuations == "options":
        return prompt.options
    return (prompt.targets,) if continuations == "target" else ()


def _counts(fitted: Fitted | None, targets: tuple[Int32, ...]) -> Counts:
    if fitted is None:
        return Counts(prompts_dropped=1)
    return Counts(
        prompts=1,
        input_tokens=len(fitted.tokens),
        target_tokens=sum(map(len, targets)),
        exemplars_dropped=fitted.exemplars_dropped,
        inputs_shortened=int(fitted.is_shortened),
    )


def _joined(pieces: Sequence[list[int]], separator: int) -> list[int]:
    joined = list(pieces[0])
    for piece in pieces[1:]:
        joined += [separator, *piece]
    return joined
