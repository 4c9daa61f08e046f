"""Pretraining: plain text as a stream of draws, which the batches and the training loop treat like prompts."""

from flantune.pretraining.corpus import Corpus, read_corpus
from flantune.pretraining.objectives import Causal, Chances, Objective
from flantune.pretraining.text_stream import TextStream

__all__ = ["Causal", "Chances", "Corpus", "Objective", "TextStream", "read_corpus"]
