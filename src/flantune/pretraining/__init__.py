"""Pretraining: plain text becomes a stream of draws, for the same batches and the same loop as prompts."""

from flantune.pretraining.corpus import Corpus, read_corpus
from flantune.pretraining.objectives import Causal, Chances, Objective
from flantune.pretraining.text_stream import TextStream

__all__ = ["Causal", "Chances", "Corpus", "Objective", "TextStream", "read_corpus"]
