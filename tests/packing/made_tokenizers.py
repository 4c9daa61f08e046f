"""Tokenizers of the usual makes, trained on the spot on sentences of our own."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

TEXTS = [
    "Is the lake deep? yes it is\nno\n\nWhich boat sails first? The red one.",
    "user assistant system model Answer the question in one word, please.",
    "[INST] [/INST] <think> </think> <|user|> <|assistant|> </s> ### { } | / \\ _",
    "Zoë lives in Malmö; 数 字 и слово. 0 1 2 3 4 5 6 7 8 9 + - = ( ) , . ; ! ?",
    "options: - maybe - never - always, a b c d e f g h i j k l m n o p q r s t u v w x y z",
] * 8
MARK = "\u2581"


def byte_level(special: Sequence[str], *, split: str = "") -> Tokenizer:
    """As GPT-2's; with a pattern of its own and whole words looked up, as Llama 3's."""
    made = Tokenizer(models.BPE(ignore_merges=bool(split)))
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not split)
    made.pre_tokenizer = (
        pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(split), "isolated"), level]) if split else level
    )
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=list(special), initial_alphabet=level.alphabet(), show_progress=False
    )
    made.train_from_iterator(TEXTS, trainer)
    return made


def metaspace_bpe(special: Sequence[str], *, scheme: str, joins_lines: bool = False) -> Tokenizer:
    """As SentencePiece's BPE, with bytes for what it does not know; pieces may hold a line break and more."""
    made = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    words = pre_tokenizers.Metaspace(replacement=MARK, prepend_scheme="always")
    lines = pre_tokenizers.Split("\n", "isolated")
    made.pre_tokenizer = words if joins_lines else pre_tokenizers.Sequence([lines, words])
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=_with_bytes(special), show_progress=False)
    made.train_from_iterator(TEXTS, trainer)
    made.pre_tokenizer = pre_tokenizers.Metaspace(replacement=MARK, prepend_scheme=scheme, split=False)
    made.decoder = _sentencepiece_decoder()
    return _without_bytes_as_special(made)


def prepended_bpe(special: Sequence[str]) -> Tokenizer:
    """As Llama 2's: a normalizer that puts a blank before every piece between control tokens."""
    made = metaspace_bpe(special, scheme="never")
    made.pre_tokenizer = None
    made.normalizer = normalizers.Sequence([normalizers.Prepend(MARK), normalizers.Replace(" ", MARK)])
    return made


def unigram(special: Sequence[str], *, scheme: str, normalizes: bool = False) -> Tokenizer:
    """As T5's or XLM-R's."""
    made = Tokenizer(models.Unigram())
    if normalizes:
        made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    made.pre_tokenizer = pre_tokenizers.Metaspace(replacement=MARK, prepend_scheme=scheme)
    made.decoder = decoders.Metaspace(replacement=MARK, prepend_scheme=scheme)
    trainer = trainers.UnigramTrainer(
        vocab_size=260, special_tokens=["<unk>", *special], unk_token="<unk>", show_progress=False
    )
    made.train_from_iterator(TEXTS, trainer)
    return made


def word_piece(special: Sequence[str]) -> Tokenizer:
    """As BERT's, but split at white space alone, so that a control word is looked up whole."""
    made = Tokenizer(models.WordPiece(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.decoder = decoders.WordPiece()
    made.train_from_iterator(
        TEXTS, trainers.WordPieceTrainer(vocab_size=300, special_tokens=["<unk>", *special], show_progress=False)
    )
    return made


def word_level(special: Sequence[str]) -> Tokenizer:
    """Whole words."""
    made = Tokenizer(models.WordLevel(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.train_from_iterator(TEXTS, trainers.WordLevelTrainer(special_tokens=["<unk>", *special], show_progress=False))
    return made


LLAMA3_SPLIT = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

MAKES = {
    "byte-level": byte_level,
    "byte-level, words looked up": lambda special: byte_level(special, split=LLAMA3_SPLIT),
    "byte-level, at white space": lambda special: byte_level(special, split=r"\s+"),
    "BPE, blank first": lambda special: metaspace_bpe(special, scheme="first"),
    "BPE, blank always": lambda special: metaspace_bpe(special, scheme="always"),
    "BPE, blank never": lambda special: metaspace_bpe(special, scheme="never"),
    "BPE, blank prepended": prepended_bpe,
    "Unigram, blank first": lambda special: unigram(special, scheme="first"),
    "Unigram, blank always": lambda special: unigram(special, scheme="always"),
    "Unigram, blank never": lambda special: unigram(special, scheme="never"),
    "Unigram, normalizing": lambda special: unigram(special, scheme="first", normalizes=True),
}
ALL_MAKES = {**MAKES, "WordPiece": word_piece, "WordLevel": word_level}


def finished(
    made: Tokenizer, *, bos: str | None = None, eos: str | None = "</s>", template: str | None = None, adds_bos=False
) -> PreTrainedTokenizerFast:
    """A tokenizer of the transformers library; control tokens that have no name stay special."""
    if adds_bos and bos:
        made.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, made.token_to_id(bos))]
        )
    names = {"unk_token": "<unk>"} if made.token_to_id("<unk>") is not None else {}
    wrapped = PreTrainedTokenizerFast(tokenizer_object=made, bos_token=bos, eos_token=eos, **names)
    wrapped.chat_template = template
    return wrapped


def _with_bytes(special: Sequence[str]) -> list[str]:
    return ["<unk>", *special, *(f"<0x{value:02X}>" for value in range(256))]


def _without_bytes_as_special(made: Tokenizer) -> Tokenizer:
    import json

    described = json.loads(made.to_str())
    described["added_tokens"] = [one for one in described["added_tokens"] if not one["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps(described))


def _sentencepiece_decoder():
    steps = [decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    return decoders.Sequence(steps)
