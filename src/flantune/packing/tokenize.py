r"""Text to token ids, such that text of the data is never a control token and that of a chat template is.

A tokenizer recognizes control tokens, such as ``</s>`` or ``<|im_end|>``, by their text. If the data contains that
text, it must be tokenized like any other text. Most tokenizers have a setting for this; models that look up whole
pieces (Unigram, WordLevel, BPE that ignores merges) produce the control token all the same. For those, and for text
that mixes a template's control words with data that contains the same words, a private copy of the tokenizer is made in
which each control token has a name that no data contains.
"""

from __future__ import annotations

import copy
import json
import re
import secrets
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from flantune.errors import ModelError
from flantune.packing.words import WordIds, word_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_MADE: WeakKeyDictionary[Any, dict[tuple[object, ...], TextTokenizer]] = WeakKeyDictionary()


def text_tokenizer(tokenizer: PreTrainedTokenizerBase, *, control: Sequence[int] = ()) -> TextTokenizer:
    """The ``TextTokenizer`` of a tokenizer; made once, and again if tokens are added to it.

    Args:
        tokenizer: A tokenizer of the transformers library.
        control: Ids that are control tokens in addition to the special ones, such as a chat's end of a turn.
    """
    made = _MADE.setdefault(tokenizer, {})
    key = (len(tokenizer), tuple(tokenizer.all_special_ids), tuple(control))
    if key not in made:
        made[key] = TextTokenizer(tokenizer, control=control)
    return made[key]


def decode(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int], *, shows_special: bool = False) -> str:
    """The text of token ids, by default without special tokens, with spaces unchanged.

    Some tokenizers remove spaces before punctuation when decoding ("did n't ." becomes "didn't."), which would lose
    exact matches of right answers.
    """
    plain: Any = tokenizer
    return str(plain.decode(list(tokens), skip_special_tokens=not shows_special, clean_up_tokenization_spaces=False))


def bos_added(tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """BOS if the tokenizer by default starts a text with it (found by trying); otherwise nothing."""
    bos = tokenizer.bos_token_id
    return (int(bos),) if bos is not None and list(tokenizer("a")["input_ids"])[:1] == [bos] else ()


def control_words(tokenizer: PreTrainedTokenizerBase, more: Iterable[int] = ()) -> dict[str, int]:
    """The text of each control token: all special ones, named or not, and the given ones."""
    found = {str(token): at for at, token in tokenizer.added_tokens_decoder.items() if token.special}
    named = zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True)
    found |= {str(word): int(at) for word, at in named}
    found |= {str(tokenizer.convert_ids_to_tokens(at)): at for at in more}
    return {word: at for word, at in found.items() if word}


class TextTokenizer:
    """Turns text into ids without adding anything, and distinguishes text of the data from that of a template.

    Args:
        tokenizer: A tokenizer of the transformers library; never changed.
        control: Ids that are control tokens beside the special ones.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, control: Sequence[int] = ()) -> None:
        # Without a reference to the tokenizer if its Rust copy is sufficient: this object lives as long as it does.
        self._backend = _own_copy(tokenizer)
        self._slow = tokenizer if self._backend is None else None
        self.words = control_words(tokenizer, control)
        self._extra = {word for word, at in self.words.items() if at in control}
        # No author of data can know these names; no id depends on them.
        nonce = secrets.token_hex(8)
        self._renamed = {word: f"\ue001{nonce}x{at}\ue002" for word, at in self.words.items()}
        self._guards = {word: f"\ue003{nonce}x{at}\ue004" for word, at in self.words.items()}
        self._unguarded = {mark: word for word, mark in self._guards.items()}
        longest_first = sorted(self.words, key=len, reverse=True)
        self._is_control = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")
        self._is_guard = re.compile(f"\ue003{nonce}x\\d+\ue004")

    def data(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of texts without control words."""
        if self._backend is None:
            return self._slowly(texts, is_data=True)
        backend, words = self._strict if self._leaks else self._spelling, self._word_ids
        if words is None:
            return _encode(backend, texts)
        found = [words.ids(text) for text in texts]
        others = iter(_encode(backend, [text for text, ids in zip(texts, found, strict=True) if ids is None]))
        return [next(others) if ids is None else ids for ids in found]

    def guard(self, text: str) -> str:
        """The text with its control words marked as plain text, for insertion into a template."""
        return self._is_control.sub(lambda found: self._guards[found[0]], text)

    def template(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of texts with control words, except those that ``guard`` has marked.

        Without marks they are the tokenizer's own.
        """
        if self._backend is None:
            return [self._in_pieces(text) for text in texts]
        found = [self._between_controls(text) for text in texts]
        others = iter(self._templates([text for text, ids in zip(texts, found, strict=True) if ids is None]))
        return [next(others) if ids is None else ids for ids in found]

    def _templates(self, texts: Sequence[str]) -> list[list[int]]:
        always = self._leaks or self._normalizes
        is_strict = [always or self._is_guard.search(text) is not None for text in texts]
        strict = iter(self._strictly([text for text, is_so in zip(texts, is_strict, strict=True) if is_so]))
        plain = iter(_encode(self._backend, [text for text, is_so in zip(texts, is_strict, strict=True) if not is_so]))
        return [next(strict) if is_so else next(plain) for is_so in is_strict]

    def _strictly(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids by the copy in which control tokens have other names."""
        if not texts:
            return []
        found = _encode(self._strict, [self._strict_text(text) for text in texts])
        control = set(self.words.values())
        for at, text in enumerate(texts):
            if sum(token in control for token in found[at]) < len(self._is_control.findall(text)):
                # The tokenizer itself does not always recognize its control words; then its own result counts.
                found[at] = self._in_pieces(text)
        return found

    def _strict_text(self, text: str) -> str:
        renamed = self._is_control.sub(lambda found: self._renamed[found[0]], text)
        return self._is_guard.sub(lambda found: self._unguarded[found[0]], renamed)

    @cached_property
    def _word_ids(self) -> WordIds | None:
        """Finds the same ids faster, for most texts and tokenizers."""
        return word_ids(self._strict if self._leaks else self._spelling)

    def _between_controls(self, text: str) -> list[int] | None:
        """Ids of a text with control words, word by word; None if that might not be the same."""
        words = self._words_between
        if words is None:
            return None
        ids: list[int] = []
        for part in self._parts(text):
            found = [self.words[part]] if part in self.words else words.ids(part)
            if found is None:
                return None
            ids += found
        return ids

    def _parts(self, text: str) -> list[str]:
        """Control words and the texts between them."""
        parts, end = list[str](), 0
        for found in self._is_control.finditer(text):
            parts += [text[end : found.start()], found[0]]
            end = found.end()
        return [*parts, text[end:]]

    @cached_property
    def _words_between(self) -> WordIds | None:
        """Finds the ids of texts between control words; None if a control word affects its neighbors."""
        words, added = self._word_ids, self._backend.get_added_tokens_decoder()
        plain = {one.content: at for at, one in added.items() if one.special and not (
            one.normalized or one.lstrip or one.rstrip or one.single_word)}  # fmt: skip
        is_known = words is not None and words.is_context_free and not self._extra
        return words if is_known and self.words.items() <= plain.items() else None

    @cached_property
    def _spelling(self) -> Any:
        """A copy that treats special tokens as text."""
        spelling = copy.deepcopy(self._backend)
        spelling.encode_special_tokens = True
        return spelling

    @cached_property
    def _leaks(self) -> bool:
        """Whether the text of a control token still produces that token, found by trying."""
        if self._extra:
            return True
        return any(
            at in ids
            for word, at in self.words.items()
            for ids in _encode(self._spelling, [word, f"a {word} a", f"a{word}a"])
        )

    @cached_property
    def _normalizes(self) -> bool:
        """Whether other text, such as full-width characters, is normalized to a control token."""
        added = self._backend.get_added_tokens_decoder().values()
        return self._backend.normalizer is not None and any(one.special and one.normalized for one in added)

    @cached_property
    def _strict(self) -> Any:
        """A copy in which control tokens have names that no data contains."""
        from tokenizers import Tokenizer

        described = json.loads(self._backend.to_str())
        strict = Tokenizer.from_str(json.dumps(_renamed(described, self._renamed)))
        wrong = [word for word, at in self.words.items() if strict.token_to_id(self._renamed[word]) != at]
        if wrong:
            hint = f"remove the words {', '.join(map(repr, wrong[:3]))} from the data, or use another tokenizer"
            raise ModelError("the tokenizer cannot tell control tokens from text", where="tokenizer", hint=hint)
        return strict

    def _slowly(self, texts: Sequence[str], *, is_data: bool) -> list[list[int]]:
        tokenizer: Any = self._slow
        if not texts:
            return []
        encoded = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=is_data)
        return [list(map(int, ids)) for ids in encoded["input_ids"]]

    def _in_pieces(self, text: str) -> list[int]:
        """Words that ``guard`` has marked are tokenized separately from the text around them."""
        ids: list[int] = []
        for part in filter(None, re.split(f"({self._is_guard.pattern})", text)):
            if part in self._unguarded:
                ids += self.data([self._unguarded[part]])[0]
            elif self._backend is None:
                ids += self._slowly([part], is_data=False)[0]
            else:
                ids += _encode(self._backend, [part])[0]
        return ids


def _own_copy(tokenizer: PreTrainedTokenizerBase) -> Any:
    """A private copy of the Rust tokenizer, without truncation and padding; None if there is none."""
    shared = getattr(tokenizer, "backend_tokenizer", None)
    if shared is None:
        return None
    backend = copy.deepcopy(shared)
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = False
    return backend


def _encode(backend: Any, texts: Sequence[str]) -> list[list[int]]:
    return [encoding.ids for encoding in backend.encode_batch_fast(list(texts), add_special_tokens=False)]


def _renamed(described: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """A tokenizer's description with new names for some tokens, and the same ids."""
    for token in described["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
    model = described["model"]
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        model["vocab"] = {names.get(piece, piece): at for piece, at in vocabulary.items()}
    else:
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in vocabulary]
    if model.get("unk_token") is not None:
        model["unk_token"] = names.get(model["unk_token"], model["unk_token"])
    if "merges" in model:
        model["merges"] = [merge for merge in model["merges"] if not _makes(merge, names)]
    # It would only add special tokens, under their old names.
    described["post_processor"] = None
    return described


def _makes(merge: Any, names: dict[str, str]) -> bool:
    """Whether a merge of two pieces uses or makes a renamed token."""
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left in names or right in names or left + right in names
