"""How long a trial's synthetic prompts must be to show what a model does differently with long ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flantune.models.rope import rope_border

if TYPE_CHECKING:
    from flantune.models.language_model import LanguageModel

MAX_WIDTH = 1_024
"""Trials exceed windows and original contexts up to this width; wider ones would make them slow."""


def window_width(lm: LanguageModel) -> int:
    """Width of the model's sliding window, if it has one that a trial's prompt may exceed; else 0."""
    config = lm.model.config.get_text_config()
    names = ("sliding_window", "window_size", "attention_chunk_size", "attention_window_size", "attention_window")
    windows = [getattr(config, name, None) for name in names]
    found = [each for window in windows for each in (window if isinstance(window, list) else [window])]
    return max((window for window in found if isinstance(window, int) and window <= MAX_WIDTH), default=0)


def outgrown(lm: LanguageModel) -> int:
    """The length that a trial's longer prompts must exceed: a window, a chunk, or the original context."""
    changed = rope_border(lm)
    return max(window_width(lm), changed if changed <= MAX_WIDTH else 0)
