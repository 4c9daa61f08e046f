"""The starting point of the demo's base models: text files about the micro-world, and two untrained models.

``flantune demo text`` writes them; ``flantune pretrain`` trains on them as on any other text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import torch
from transformers import LlamaConfig, T5Config

from flantune.demo.text import DemoText, asked_text
from flantune.demo.text_scenes import words_twice
from flantune.demo.tokenizer import train_tokenizer
from flantune.demo.write import RUN_FILES, RUN_NAMES
from flantune.models.load import load_model, save_model
from flantune.models.scratch import made_up_model
from flantune.models.stored.quiet import quiet_library
from flantune.system.files import whole_folder, write_text

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

    from flantune.models.language_model import LanguageModel
    from flantune.types import Family

FILE_DOCUMENTS = 20_000
OF_WORDS = 12
"""For this many documents there is one more, in which words are repeated. These come first: once a model can repeat, it
learns to look up facts in a scene. Without them it had learned neither after four million tokens."""
ASKED_IN_PERCENT = 32
"""Number of documents of the second text, in percent of the first."""
TOKENIZER_DOCUMENTS = 30_000
MAX_POSITIONS = 1_024
CARD = "An untrained model: the starting point of a base model of flantune's demo.\n"


def write_start(folder: Path, *, documents: int, seed: int = 0) -> Path:
    """Writes everything that the two base models are pretrained from; the same arguments write the same bytes.

    ``text/*.jsonl`` contains the first text: repeated words, then the other documents. ``questions/*.jsonl`` contains
    the second text, for afterwards: questions about the same world with their answers, between more documents of the
    first kind. ``start/`` contains the untrained models with their tokenizer. ``pretrain_decoder_only.toml`` and
    ``pretrain_encoder_decoder.toml`` are run files for ``flantune pretrain`` on the first text,
    ``questions_decoder_only.toml`` and ``questions_encoder_decoder.toml`` on the second. Existing run files are not
    overwritten, since they may have been edited.

    Args:
        folder: The folder to write; created if absent.
        documents: Number of documents in the first text, besides those of repeated words.
        seed: Seed of the text and of the weights. The world and its facts never change.

    Raises:
        FlantuneError: The folder cannot be written.
    """
    text = DemoText(seed=seed)
    words = (words_twice(Random(f"words/{seed}/{number}")) for number in range(documents // OF_WORDS))
    _write_texts(folder / "text/000.jsonl", words)
    for at, first in enumerate(range(0, documents, FILE_DOCUMENTS), start=1):
        numbers = range(first, min(first + FILE_DOCUMENTS, documents))
        _write_texts(folder / f"text/{at:03}.jsonl", (text[number] for number in numbers))
    count = documents * ASKED_IN_PERCENT // 100
    for at, first in enumerate(range(0, count, FILE_DOCUMENTS)):
        numbers = range(first, min(first + FILE_DOCUMENTS, count))
        _write_texts(folder / f"questions/{at:03}.jsonl", (asked_text(number, seed=seed) for number in numbers))
    tokenizer = train_tokenizer(text[number] for number in range(min(documents, TOKENIZER_DOCUMENTS)))
    for family, name in RUN_NAMES.items():
        save_model(untrained(family, tokenizer, seed=seed), folder / "start" / name, card=CARD)
        for target in (folder / f"pretrain_{name}.toml", folder / f"questions_{name}.toml"):
            if not target.exists():
                write_text(target, (RUN_FILES / target.name).read_text(encoding="utf-8"))
    return folder


def _write_texts(path: Path, texts: Iterable[str]) -> None:
    write_text(path, "".join(f"{json.dumps({'text': text})}\n" for text in texts))


def untrained(family: Family, tokenizer: PreTrainedTokenizerBase, *, seed: int = 0) -> LanguageModel:
    """A model with random weights, of about 1.4 million (decoder-only) or 2.0 million (encoder-decoder) parameters."""
    lm = made_up_model(_config(family, len(tokenizer)), tokenizer, seed=seed)
    if family == "encoder-decoder":
        # T5 initializes embeddings with a standard deviation of 1. Adafactor's steps are relative to the size of the
        # weights, so smaller ones are learned sooner.
        model: Any = lm.model
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model.get_input_embeddings().weight.normal_(std=0.02)
    return lm


def _config(family: Family, vocabulary_size: int) -> PretrainedConfig:
    if family == "decoder-only":
        return LlamaConfig(
            vocab_size=vocabulary_size,
            hidden_size=128,
            intermediate_size=352,
            num_hidden_layers=5,
            num_attention_heads=4,
            max_position_embeddings=MAX_POSITIONS,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=1,
            pad_token_id=0,
        )
    return T5Config(
        vocab_size=vocabulary_size,
        d_model=128,
        d_kv=32,
        d_ff=256,
        num_layers=4,
        num_decoder_layers=4,
        num_heads=4,
        feed_forward_proj="gated-gelu",
        dropout_rate=0.0,
        tie_word_embeddings=False,  # type: ignore[call-arg]  # tied still; but the logits are not scaled down
        decoder_start_token_id=0,
        eos_token_id=1,
        pad_token_id=0,
    )


def ship(model: Path, folder: Path) -> Path:
    """Writes a pretrained base model in the form included in the demo: bfloat16 weights, config and tokenizer.

    Raises:
        FlantuneError: There is no such model, or the folder cannot be written.
    """
    lm = load_model(model)
    weights: Any = lm.model
    with whole_folder(folder) as draft, quiet_library():
        weights.to(torch.bfloat16).save_pretrained(draft)
        lm.tokenizer.save_pretrained(draft)
    return folder
