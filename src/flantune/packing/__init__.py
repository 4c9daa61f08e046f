"""Prompts become arrays: tokens, rows of several prompts, batches."""

from flantune.packing.arrays import pack_decoder_only, pack_encoder_decoder
from flantune.packing.batches import Batches, ScoringPack, pack_for_scoring
from flantune.packing.encode import Codec, Encoded, border_mismatches

__all__ = [
    "Batches",
    "Codec",
    "Encoded",
    "ScoringPack",
    "border_mismatches",
    "pack_decoder_only",
    "pack_encoder_decoder",
    "pack_for_scoring",
]
