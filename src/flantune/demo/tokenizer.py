"""The demo's tokenizer: a small BPE with byte fallback.

A word includes the space before it, and is tokenized as if it had one at the start of a line. So an option in a list
and the same option as an answer are the same tokens. Nothing is added at the end, so inputs and targets have the same
tokens whether they are tokenized together or separately.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, EOS = "<pad>", "</s>"
_LINE_START = r"(?<=\n)(?=[^\n])|\A(?=[^\n])"
_PIECES = r"▁*[A-Za-z]+|▁*[0-9]|\n|▁*[^A-Za-z0-9▁\n]|▁+"


def train_tokenizer(texts: Iterable[str], *, vocabulary_size: int = 3_000) -> PreTrainedTokenizerFast:
    """A tokenizer that restores any text byte for byte, except that the character "▁" becomes a space."""
    import json

    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Replace(" ", "▁"), normalizers.Replace(Regex(_LINE_START), "▁")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_PIECES), "isolated")
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Replace("\n ", "\n"),
            decoders.Strip(" ", 1, 0),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        min_frequency=2,
        special_tokens=[PAD, EOS, *(f"<0x{byte:02X}>" for byte in range(256))],
        initial_alphabet=["▁", "\n", *(chr(code) for code in range(33, 127))],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    # The byte tokens must be in the vocabulary but not special, since decoding drops special tokens.
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = [token for token in state["added_tokens"] if token["content"] in (PAD, EOS)]
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        pad_token=PAD,
        eos_token=EOS,
        clean_up_tokenization_spaces=False,
        model_max_length=1_024,
    )
