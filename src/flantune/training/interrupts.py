"""Ctrl-C that waits for the end of the step, so that there is always something whole to save."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """Whether Ctrl-C was pressed, and whether this is a moment at which the weights can be saved.

    Attributes:
        is_requested: Ctrl-C was pressed.
        is_whole: The weights and the run's state are of the same step.
    """

    def __init__(self) -> None:
        self.is_requested = False
        self.is_whole = True

    def raise_if_requested(self) -> None:
        """Does now what Ctrl-C asked for.

        Raises:
            KeyboardInterrupt: It was pressed.
        """
        if self.is_requested:
            raise KeyboardInterrupt


@contextmanager
def deferred_interrupt() -> Iterator[Interrupt]:
    """Inside, the first Ctrl-C is only noted; a second one interrupts at once, as outside.

    A thread other than the main one never gets Ctrl-C; there, and where the caller has a handler of its own, nothing
    is changed.
    """
    interrupt = Interrupt()
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield interrupt
        return

    def note(number: int, frame: FrameType | None) -> None:
        if interrupt.is_requested:
            signal.default_int_handler(number, frame)
        interrupt.is_requested = True

    signal.signal(signal.SIGINT, note)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
