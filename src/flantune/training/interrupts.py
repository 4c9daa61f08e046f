"""Ctrl-C (and SIGTERM) that waits for the end of the step, so that there is always something whole to save."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Interrupt:
    """Whether Ctrl-C was pressed, and whether the weights can be saved right now.

    Attributes:
        is_requested: Ctrl-C was pressed, or SIGTERM came.
        is_whole: The weights and the run's state are of the same step.
    """

    def __init__(self) -> None:
        self.is_requested = False
        self.is_whole = True


@contextmanager
def deferred_interrupt(*, is_alone: bool = True) -> Iterator[Interrupt]:
    """Within the block, the first Ctrl-C or SIGTERM is only noted; a second one interrupts at once.

    SIGTERM is what a cluster sends before it takes a machine away. A thread other than the main one never gets a
    signal; there, and where the caller has a handler of its own, nothing is changed.

    Args:
        is_alone: False for one of several processes: all stop at the same step, so a second Ctrl-C (a launcher passes
            on what the terminal sent already) changes nothing, and SIGTERM, by which a launcher ends those that are
            left, ends at once.
    """
    interrupt = Interrupt()

    def note(number: int, frame: FrameType | None) -> None:
        if interrupt.is_requested and is_alone:
            signal.default_int_handler(number, frame)
        interrupt.is_requested = True

    defaults: dict[signal.Signals, Any] = {signal.SIGINT: signal.default_int_handler}
    if is_alone:
        defaults[signal.SIGTERM] = signal.SIG_DFL
    is_main = threading.current_thread() is threading.main_thread()
    taken = {number: old for number, old in defaults.items() if is_main and signal.getsignal(number) is old}
    for number in taken:
        signal.signal(number, note)
    try:
        yield interrupt
    finally:
        for number, old in taken.items():
            signal.signal(number, old)
