"""Silences what transformers prints while it loads and saves models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from transformers import modeling_gguf_pytorch_utils
from transformers.utils import logging


@contextmanager
def quiet_library() -> Iterator[None]:
    """No progress bars (the command line has its own) and no hints; missing weights raise flantune's own error."""
    messages: Any = logging
    # The reader of GGUF files has its own progress bar, which cannot be switched off.
    gguf: Any = modeling_gguf_pytorch_utils
    had_bars, verbosity, bar = messages.is_progress_bar_enabled(), messages.get_verbosity(), gguf.tqdm
    messages.disable_progress_bar()
    messages.set_verbosity_error()
    gguf.tqdm = partial(bar, disable=True)
    try:
        yield
    finally:
        gguf.tqdm = bar
        messages.set_verbosity(verbosity)
        if had_bars:
            messages.enable_progress_bar()
