"""Prompts as token ids: inputs and targets apart, special tokens exactly once, targets never cut."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from flantune.errors import ModelError
from flantune.prompts.layout import EOS_WORD, Layout, inputs_text
from flantune.types import Counts, EncodedPrompt, Family, Int32, Prompt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from transformers import PreTrainedTokenizerBase

Continuations = Literal["target", "options", "none"]

EOS_MARK = "\ue000eos\ue000"
"""Stands for the end-of-sequence token in a text until it is tokenized; private-use characters no data set has, so
that the word "<eos>" in data stays a word."""

HEAD_SHARE = 1 / 3
"""Share of a shortened input that is kept from its start; the rest is kept from its end. The instruction may stand at
either end, the question and the options stand at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """Prompts as token ids, and what was left out to make them fit.

    Attributes:
        prompts: One entry a prompt, in order; None where the prompt was dropped because a target is too long.
        each: What happened to each prompt, parallel to ``prompts``. ``positions`` is zero until it is laid out.
    """

    prompts: tuple[EncodedPrompt | None, ...]
    each: tuple[Counts, ...]

    @property
    def counts(self) -> Counts:
        """What happened to all of them together."""
        return sum(self.each, Counts())

    def __len__(self) -> int:
        return len(self.prompts)

    def __iter__(self) -> Iterator[EncodedPrompt | None]:
        return iter(self.prompts)

    def __getitem__(self, index: int) -> EncodedPrompt | None:
        return self.prompts[index]


@dataclass(frozen=True, kw_only=True)
class Codec:
    """Turns prompts into token ids for one tokenizer and one family of models.

    Inputs and targets are tokenized apart. BOS stands once, at the start of decoder-only inputs, where the tokenizer
    itself would put it; EOS once at each target's end, and at the end of encoder-decoder inputs. Words of the data
    that look like special tokens stay words.

    Too long inputs lose exemplars first, from the end, then their middle. Targets are never cut: a prompt with a
    target beyond ``max_target_tokens`` is left out and counted.

    Attributes:
        tokenizer: A tokenizer of the transformers library; never changed.
        family: Of the model that reads the tokens.
        layout: Separators between a query, its answer and its exemplars.
        max_input_tokens: Longest inputs, special tokens and separator included.
        max_target_tokens: Longest target, EOS included.
        max_row_tokens: Longest inputs and targets together (decoder-only); None: the sum of the two above.
    """

    tokenizer: PreTrainedTokenizerBase
    family: Family
    layout: Layout
    max_input_tokens: int
    max_target_tokens: int
    max_row_tokens: int | None = None

    def count_tokens(self, text: str) -> int:
        """Number of tokens of a text, without special tokens."""
        return len(self._pieces([text])[0])

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
        pieces = iter(self._pieces([text for group in texts for text in group]))
        targets = [tuple(_ids([*next(pieces), self.eos_token]) for _ in group) for group in texts]
        longest = [max((len(target) for target in group), default=0) for group in targets]
        budgets = [self._input_budget(tokens, used=sum(map(len, group)))
                   for tokens, group in zip(longest, targets, strict=True)]  # fmt: skip
        kept = [at for at, budget in enumerate(budgets) if budget > 0]
        inputs = dict(zip(kept, self._inputs([prompts[at] for at in kept], [budgets[at] for at in kept]), strict=True))
        encoded, counts = [], []
        for at, group in enumerate(targets):
            fitted = inputs.get(at)
            encoded.append(EncodedPrompt(inputs=fitted.tokens, targets=group) if fitted else None)
            counts.append(_counts(fitted, group))
        return Encoded(prompts=tuple(encoded), each=tuple(counts))

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of token ids, without special tokens."""
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=True))

    @cached_property
    def eos_token(self) -> int:
        """Id of the end-of-sequence token.

        Raises:
            ModelError: The tokenizer has none.
        """
        token = self.tokenizer.eos_token_id
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

    def _input_budget(self, longest_target: int, *, used: int) -> int:
        """Tokens that inputs may have beside their targets; at most 0 when the prompt must be dropped."""
        if longest_target > self.max_target_tokens:
            return 0
        if self.family == "encoder-decoder" or self.max_row_tokens is None:
            return self.max_input_tokens
        return min(self.max_input_tokens, self.max_row_tokens - used)

    def _inputs(self, prompts: Sequence[Prompt], budgets: Sequence[int]) -> list[_Fitted]:
        """Each prompt's inputs within its budget: exemplars go first, then the middle."""
        shots = [len(prompt.exemplars) for prompt in prompts]
        tokens = self._encode_inputs(prompts)
        while over := [at for at, ids in enumerate(tokens) if len(ids) > budgets[at] and shots[at] > 0]:
            for at in over:
                shots[at] -= 1
            fewer = [replace(prompts[at], exemplars=prompts[at].exemplars[: shots[at]]) for at in over]
            for at, ids in zip(over, self._encode_inputs(fewer), strict=True):
                tokens[at] = ids
        return [
            _Fitted(
                tokens=_ids(cut_middle(ids, budget)),
                exemplars_dropped=len(prompt.exemplars) - left,
                is_shortened=len(ids) > budget,
            )
            for prompt, ids, budget, left in zip(prompts, tokens, budgets, shots, strict=True)
        ]

    def _encode_inputs(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        is_decoder_only = self.family == "decoder-only"
        texts = [self._inputs_text(prompt) for prompt in prompts]
        bos = [int(self.tokenizer.bos_token_id)] if is_decoder_only and self.adds_bos else []
        eos = [] if is_decoder_only else [self.eos_token]
        return [[*bos, *ids, *eos] for ids in self._layout_pieces(texts)]

    def _inputs_text(self, prompt: Prompt) -> str:
        """What stands before the target, with the layout's "<eos>" marked."""
        text = inputs_text(prompt, self.layout, eos_token=EOS_MARK)
        separator = self.layout.target_separator if self.family == "decoder-only" else ""
        return text + separator.replace(EOS_WORD, EOS_MARK)

    def _layout_pieces(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of texts in which the EOS mark is the EOS token."""
        if EOS_WORD not in self.layout.target_separator + self.layout.exemplar_separator:
            return self._pieces(texts)
        parts = [text.split(EOS_MARK) for text in texts]
        pieces = iter(self._pieces([part for group in parts for part in group]))
        return [_joined([next(pieces) for _ in group], self.eos_token) for group in parts]

    def _pieces(self, texts: Sequence[str]) -> list[list[int]]:
        """Plain token ids, no special tokens."""
        if self._backend is not None:
            return [encoding.ids for encoding in self._backend.encode_batch_fast(list(texts), add_special_tokens=False)]
        if not texts:
            return []
        encoded = self.tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True)
        return [list(ids) for ids in encoded["input_ids"]]

    @cached_property
    def _backend(self) -> Any:
        """A private copy of the Rust tokenizer: no truncation, no padding, special words taken as words."""
        shared = getattr(self.tokenizer, "backend_tokenizer", None)
        if shared is None:
            return None
        backend = copy.deepcopy(shared)
        backend.no_truncation()
        backend.no_padding()
        backend.encode_special_tokens = True
        return backend


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fitted:
    tokens: Int32
    exemplars_dropped: int
    is_shortened: bool


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


def border_mismatches(codec: Codec, prompts: Sequence[Prompt]) -> float:
    """Share of prompts whose inputs and targets tokenized together give other tokens than tokenized apart.

    Tokenizing apart is what makes one prompt serve both families and a target's tokens independent of its prompt. A
    high share says that a pretrained decoder-only model meets answers in a form it seldom saw; a separator that ends
    in a line break keeps it near zero for byte-level tokenizers.
    """
    if not prompts:
        return 0.0
    inputs = [codec._inputs_text(prompt) for prompt in prompts]
    targets = [prompt.targets for prompt in prompts]
    together = codec._layout_pieces([left + right for left, right in zip(inputs, targets, strict=True)])
    apart = zip(codec._layout_pieces(inputs), codec._pieces(targets), strict=True)
    return sum(joint != [*left, *right] for joint, (left, right) in zip(together, apart, strict=True)) / len(prompts)


def _continuation_texts(prompt: Prompt, continuations: Continuations) -> tuple[str, ...]:
    if continuations == "options":
        return prompt.options
    return (prompt.targets,) if continuations == "target" else ()


def _counts(fitted: _Fitted | None, targets: tuple[Int32, ...]) -> Counts:
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


def _ids(tokens: Sequence[int]) -> Int32:
    return np.asarray(tokens, dtype=np.int32)
