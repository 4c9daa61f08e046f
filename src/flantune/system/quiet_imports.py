"""Libraries that talk at import, kept silent."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path


@contextmanager
def hushed() -> Iterator[None]:
    """Within the block, no warning, no log message up to a warning and nothing on stderr; errors still raise.

    Some libraries look at import for kernels that they can do without, and say so when they find none.
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
