"""How long made-up prompts must be so that a trial shows what a model does differently with long ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flantune.models.rope import rope_border

if TYPE_CHECKING:
    from flantune.models.language_model import LanguageModel

MAX_WIDTH = 1_024
"""Windows and original contexts up to this width are outgrown in trials; wider ones would make them slow."""


def window_width(lm: LanguageModel) -> int:
    """Width of the model's sliding window, where it has one that a trial's prompt may outgrow; else 0."""
    config = lm.model.config.get_text_config()
    names = ("sliding_window", "window_size", "attention_chunk_size", "attention_window_size", "attention_window")
    windows = [getattr(config, name, None) for name in names]
    found = [each for window in windows for each in (window if isinstance(window, list) else [window])]
    return max((window for window in found if isinstance(window, int) and window <= MAX_WIDTH), default=0)


def outgrown(lm: LanguageModel) -> int:
    """What a trial's longer prompts must be longer than: a window, a chunk, the border of an original context."""
    changed = rope_border(lm)
    return max(window_width(lm), changed if changed <= MAX_WIDTH else 0)
