"""Small models and tokenizers built from scratch, the same for the same seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    PreTrainedTokenizerFast,
    T5Config,
)

from flantune.errors import ModelError
from flantune.models.language_model import LanguageModel
from flantune.models.load import detect_family, with_best_attention

if TYPE_CHECKING:
    from collections.abc import Iterable

    from transformers import PretrainedConfig, PreTrainedTokenizerBase

    from flantune.settings.config import ScratchSettings

PAD, EOS, UNK = "<pad>", "</s>", "<unk>"
MAX_POSITIONS = 2_048


def train_tokenizer(texts: Iterable[str], vocabulary_size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer learned from texts: any text survives encoding and decoding.

    It has padding, end-of-sequence and unknown tokens and no beginning-of-sequence token.

    Args:
        texts: What to learn from.
        vocabulary_size: Largest number of tokens; the 256 bytes and the three special tokens are always included.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[PAD, EOS, UNK],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer=trainer)
    wrap: Any = PreTrainedTokenizerFast
    wrapped: PreTrainedTokenizerFast = wrap(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        unk_token=UNK,
        clean_up_tokenization_spaces=False,
    )
    return wrapped


def build_model(
    scratch: ScratchSettings,
    tokenizer: PreTrainedTokenizerBase,
    *,
    seed: int,
    compute_dtype: torch.dtype = torch.float32,
    device: torch.device | None = None,
) -> LanguageModel:
    """A random model of one of the supported architectures; the same weights for the same seed, on any device.

    The global random state does not change. Dropout is off; ``training.dropout`` turns it on.

    Raises:
        ModelError: The width is not divisible by the number of heads.
    """
    if scratch.hidden_size % scratch.heads:
        raise ModelError(
            f"hidden_size {scratch.hidden_size} is not divisible by {scratch.heads} heads",
            where="model.scratch",
            hint=f"set model.scratch.hidden_size = {scratch.heads * (scratch.hidden_size // scratch.heads + 1)}",
        )
    return made_up_model(
        scratch_config(scratch, tokenizer), tokenizer, seed=seed, compute_dtype=compute_dtype, device=device
    )


def made_up_model(
    config: PretrainedConfig,
    tokenizer: PreTrainedTokenizerBase,
    *,
    seed: int,
    compute_dtype: torch.dtype = torch.float32,
    device: torch.device | None = None,
    trust_remote_code: bool = False,
) -> LanguageModel:
    """A model with a configuration's shapes and random weights, the same for the same seed, on any device.

    The global random state does not change.
    """
    family = detect_family(config)
    auto: Any = AutoModelForSeq2SeqLM if family == "encoder-decoder" else AutoModelForCausalLM
    own_code = {"trust_remote_code": True} if trust_remote_code else {}

    def make(attention: str) -> Any:
        return auto.from_config(config, attn_implementation=attention, dtype=torch.float32, **own_code)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = with_best_attention(make, config)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    device = device or torch.device("cpu")
    return LanguageModel(
        model=model.to(device).eval(), tokenizer=tokenizer, family=family, device=device, compute_dtype=compute_dtype
    )


def scratch_config(scratch: ScratchSettings, tokenizer: PreTrainedTokenizerBase) -> PretrainedConfig:
    """The configuration from which transformers builds such a model."""
    width, layers, heads = scratch.hidden_size, scratch.layers, scratch.heads
    tokens = {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
    }
    gated = 64 * max(1, round(width * 8 / 3 / 64))
    if scratch.architecture == "llama":
        return LlamaConfig(
            hidden_size=width,
            intermediate_size=gated,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            max_position_embeddings=MAX_POSITIONS,
            tie_word_embeddings=True,
            **tokens,
        )
    if scratch.architecture == "gpt_neox":
        return GPTNeoXConfig(
            hidden_size=width,
            intermediate_size=4 * width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            max_position_embeddings=MAX_POSITIONS,
            tie_word_embeddings=True,
            **tokens,
        )
    if scratch.architecture == "gpt2":
        return GPT2Config(
            n_embd=width,
            n_layer=layers,
            n_head=heads,
            n_positions=MAX_POSITIONS,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            **tokens,
        )
    t5: Any = T5Config
    config: PretrainedConfig = t5(
        d_model=width,
        d_kv=width // heads,
        d_ff=gated,
        num_layers=layers,
        num_decoder_layers=layers,
        num_heads=heads,
        dropout_rate=0.0,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=True,
        decoder_start_token_id=tokenizer.pad_token_id,
        **tokens,
    )
    return config
