"""Prompts as token ids: inputs and targets apart, special tokens exactly once, targets never cut."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from flantune.errors import ModelError
from flantune.packing.framing import framed
from flantune.prompts.layout import EOS_WORD, Layout, inputs_text
from flantune.types import Counts, EncodedPrompt, Family, Int32, Prompt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from transformers import PreTrainedTokenizerBase

    from flantune.packing.chat import ChatTokens

Continuations = Literal["target", "options", "none"]
Tokenization = Literal["separate", "joint"]
Truncation = Literal["middle", "left", "drop"]
JointCut = Literal["common", "length"]

EOS_MARK = "\ue000eos\ue000"
"""Stands for the end-of-sequence token in a text until it is tokenized; private-use characters no data set has, so
that the word "<eos>" in data stays a word."""

REPLY_MARK, TURN_MARK = "\ue000reply\ue000", "\ue000turn\ue000"
"""Stand for what a chat template puts between an exemplar and its answer, and between it and the next, likewise."""

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

    def encode_prompts(self, prompts: Sequence[Prompt], *, continuations: Continuations) -> Encoded:
        """Token ids of each prompt's inputs and of what may follow them.

        Args:
            prompts: The prompts; all are tokenized together.
            continuations: Follow the inputs with the prompt's ``targets``, with each of its ``options``, or with
                nothing (to let the model write).

        Returns:
            The encoded prompts in order, with None for those dropped, and counts.
        """
        encoded = self._encode_plain(prompts, continuations)
        before, after = self._frame
        return framed(encoded, before=before, after=after) if before or after else encoded

    def _encode_plain(self, prompts: Sequence[Prompt], continuations: Continuations) -> Encoded:
        """The same without prefix and chat template."""
        texts = [_continuation_texts(prompt, continuations) for prompt in prompts]
        if self.tokenization == "joint":
            from flantune.packing.joint import encode_joint, separated

            if self.family == "decoder-only" and continuations != "none":
                return encode_joint(self, prompts, texts)
            texts = [separated(self, *pair) for pair in zip(prompts, texts, strict=True)]
        pieces = iter(self._pieces([text for group in texts for text in group]))
        targets = [tuple(_ids([*next(pieces), *self.target_end]) for _ in group) for group in texts]
        fitted = self.fit(prompts, [list(map(len, group)) for group in targets])
        encoded = [
            EncodedPrompt(inputs=_ids(inputs.tokens), targets=group) if inputs else None
            for inputs, group in zip(fitted, targets, strict=True)
        ]
        each = [_counts(inputs, group) for inputs, group in zip(fitted, targets, strict=True)]
        return Encoded(prompts=tuple(encoded), each=tuple(each))

    def fit(self, prompts: Sequence[Prompt], target_sizes: Sequence[Sequence[int]]) -> list[Fitted | None]:
        """Each prompt's inputs within what its targets leave; None where the prompt must be dropped."""
        budgets = [self.input_budget(max(sizes, default=0)) for sizes in target_sizes]
        kept = [at for at, budget in enumerate(budgets) if budget > 0]
        inputs = self._inputs([prompts[at] for at in kept], [budgets[at] for at in kept])
        found = dict(zip(kept, inputs, strict=True))
        return [found.get(at) for at in range(len(prompts))]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of token ids, without special tokens."""
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=True))

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
    def _frame(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Ids before and behind all inputs."""
        return (*self.prefix, *(self.chat.before if self.chat else ())), self.chat.after if self.chat else ()

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
            return self.max_input_tokens - sum(map(len, self._frame))
        return min(self.max_input_tokens, self.max_row_tokens - longest_target) - sum(map(len, self._frame))

    def _inputs(self, prompts: Sequence[Prompt], budgets: Sequence[int]) -> list[Fitted | None]:
        """Each prompt's inputs within its budget: exemplars go first, then what ``truncation`` says."""
        shots = [len(prompt.exemplars) for prompt in prompts]
        tokens = self._encode_inputs(prompts)
        while self.drops_exemplars and (over := [at for at, ids in enumerate(tokens)
                                                 if len(ids) > budgets[at] and shots[at] > 0]):  # fmt: skip
            for at in over:
                shots[at] -= 1
            fewer = [replace(prompts[at], exemplars=prompts[at].exemplars[: shots[at]]) for at in over]
            for at, ids in zip(over, self._encode_inputs(fewer), strict=True):
                tokens[at] = ids
        return [
            Fitted(
                tokens=self.cut(ids, budget),
                shots=left,
                exemplars_dropped=len(prompt.exemplars) - left,
                is_shortened=len(ids) > budget,
            )
            if self.truncation != "drop" or len(ids) <= budget
            else None
            for prompt, ids, budget, left in zip(prompts, tokens, budgets, shots, strict=True)
        ]

    def cut(self, tokens: Sequence[int], max_tokens: int) -> list[int]:
        """Tokens of inputs without what is too much."""
        if self.truncation == "left":
            return list(tokens[max(len(tokens) - max_tokens, 0) :])
        return cut_middle(tokens, max_tokens)

    def _encode_inputs(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        texts = [self.context_text(prompt) for prompt in prompts]
        eos = [self.eos_token] if self.family == "encoder-decoder" and self.inputs_eos else []
        return [[*self.inputs_start, *ids, *eos] for ids in self.layout_pieces(texts)]

    def context_text(self, prompt: Prompt) -> str:
        """What stands before the target, with the layout's "<eos>" marked."""
        layout = self.layout
        if self.chat is not None and self.chat.between is not None:
            # Exemplars are turns of their own: the template's ids stand where the separators would.
            layout = replace(layout, target_separator=REPLY_MARK, exemplar_separator=TURN_MARK)
        text = inputs_text(prompt, layout, eos_token=EOS_MARK)
        if self.tokenization == "joint":
            # The separator and the spaces before it belong to what is scored.
            return text.rstrip()
        is_plain = self.family == "decoder-only" and self.chat is None
        separator = self.layout.target_separator if is_plain else ""
        return text + separator.replace(EOS_WORD, EOS_MARK)

    def layout_pieces(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of texts in which the EOS mark is the EOS token, and the marks of turns the chat template's ids."""
        if self.chat is not None and self.chat.between is not None:
            return self._turn_pieces(texts)
        if EOS_WORD not in self.layout.target_separator + self.layout.exemplar_separator:
            return self._pieces(texts)
        parts = [text.split(EOS_MARK) for text in texts]
        pieces = iter(self._pieces([part for group in parts for part in group]))
        return [_joined([next(pieces) for _ in group], self.eos_token) for group in parts]

    def _turn_pieces(self, texts: Sequence[str]) -> list[list[int]]:
        chat = self.chat
        ids = {REPLY_MARK: chat.after, TURN_MARK: chat.between or ()} if chat else {}
        parts = [re.split(f"({REPLY_MARK}|{TURN_MARK})", text) for text in texts]
        pieces = iter(self._pieces([part for group in parts for part in group if part not in ids]))
        return [[token for part in group for token in (ids[part] if part in ids else next(pieces))] for group in parts]

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
class Fitted:
    """Inputs within their budget.

    Attributes:
        tokens: Their ids.
        shots: Exemplars left.
        exemplars_dropped: Exemplars that had to go.
        is_shortened: Whether tokens had to go, too.
    """

    tokens: list[int]
    shots: int
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


def _ids(tokens: Sequence[int]) -> Int32:
    return np.asarray(tokens, dtype=np.int32)
