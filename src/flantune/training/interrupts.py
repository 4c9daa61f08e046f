"""Ctrl-C (and SIGTERM) that waits for the end of the step, so that the state can be saved."""

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
        is_whole: The weights and the run's state belong to the same step.
    """

    def __init__(self) -> None:
        self.is_requested = False
        self.is_whole = True


@contextmanager
def deferred_interrupt(*, is_alone: bool = True) -> Iterator[Interrupt]:
    """Within the block, the first Ctrl-C or SIGTERM is only recorded; a second one interrupts immediately.

    Clusters send SIGTERM before they take a machine away. Threads other than the main one never get signals; there, and
    if the caller has its own handler, nothing is changed.

    Args:
        is_alone: False for one of several processes: all stop at the same step, so a second Ctrl-C (a launcher also
            forwards the terminal's) is ignored, and SIGTERM, with which a launcher ends remaining processes, ends them
            immediately.
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
