"""Prompts become arrays: tokens, rows of several prompts, batches."""

from flantune.packing.arrays import pack_decoder_only, pack_encoder_decoder
from flantune.packing.batches import Batches
from flantune.packing.encode import Codec, border_mismatches
from flantune.packing.encoded import Encoded
from flantune.packing.stream import PromptStream

__all__ = [
    "Batches",
    "Codec",
    "Encoded",
    "PromptStream",
    "border_mismatches",
    "pack_decoder_only",
    "pack_encoder_decoder",
]
