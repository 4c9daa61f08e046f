"""Silences libraries that print at import."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path


@contextmanager
def hushed() -> Iterator[None]:
    """Within the block there are no warnings, no log messages up to warnings and nothing on stderr; errors are raised.

    Some libraries look for optional kernels at import, and report that they are missing.
    """
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            Path(os.devnull).open("w", encoding="utf-8") as nowhere,
            redirect_stderr(nowhere),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
