"""Progress for people: bars on a terminal, plain lines elsewhere; always on stderr."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
import unicodedata
from contextlib import suppress
from typing import Self

import click

from flantune.cli.terminal import end_redrawn, has_printed_since, redraw

# Depends only on the terminal's width, so that the bar does not jump when its text grows.
_BAR, _WIDE = 16, 70
_NARROW_BAR = 8
# Width of everything but bar and text: two blanks, the bar, a blank, "100%", two blanks.
_AROUND = 9
# Without a terminal: seconds between two lines, in a command's first hour and later, when a log would grow long.
_LINE_EVERY, _FIRST_HOUR, _LATER_EVERY = 5.0, 3600.0, 30.0
# Age in seconds from which a step's age is shown.
_WORTH_SAYING = 2.0


class Console:
    """Reports what a run is doing; within ``with`` it is never silent for long.

    A background thread repeats the current stage if nothing was reported for some seconds.
    """

    def __init__(self) -> None:
        self._start = self._stage_start = self._told = self._said = time.monotonic()
        self._is_terminal = sys.stderr.isatty()
        self._title = self._text = ""
        self._share, self._is_new, self._is_done = 0.0, True, True
        self._lock, self._rest = threading.RLock(), threading.Event()

    def __enter__(self) -> Self:
        self._rest.clear()
        threading.Thread(target=self._keep_talking, name="progress", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.rest()

    def rest(self) -> None:
        """Stops repeating, because the work is done or input from a person is expected."""
        with self._lock:
            self._rest.set()
            end_redrawn()

    def stage(self, title: str) -> None:
        """Starts a new part of the work."""
        with self._lock:
            self._title, self._text, self._is_new, self._is_done = title, "", True, False
            self._stage_start = self._told = time.monotonic()
            self._print(title)

    def note(self, message: str) -> None:
        """Prints something the user should know."""
        with self._lock:
            self._print(f"  note: {message}")

    def step(self, done: float, total: float, text: str) -> None:
        """Redraws the bar on a terminal, in one line; elsewhere prints a line every few seconds."""
        with self._lock:
            if text == self._text and done >= total:
                return
            self._told = time.monotonic()
            self._share, self._text, self._is_done = min(done / total, 1.0) if total else 1.0, text, done >= total
            if self._is_terminal:
                self._draw(text)
                if self._is_done:
                    end_redrawn()
            elif self._is_new or self._is_done or self._told - self._said >= self._pause:
                self._print(f"  {text}")
            self._is_new = False

    @property
    def _pause(self) -> float:
        """Seconds between two lines of a log, or between two looks at a terminal's clock."""
        if self._is_terminal:
            return 1.0
        return _LINE_EVERY if time.monotonic() - self._start < _FIRST_HOUR else _LATER_EVERY

    def _keep_talking(self) -> None:
        while not self._rest.wait(0.25):
            # The reader of stderr may have closed it (`flantune … 2>&1 | head`).
            with self._lock, suppress(OSError, ValueError):
                is_due = time.monotonic() - self._said >= self._pause
                if is_due and self._title and not self._rest.is_set() and not has_printed_since(self._told):
                    self._say_again()

    def _say_again(self) -> None:
        """Reports the current work, and since when."""
        now = time.monotonic()
        if self._text and not self._is_done:
            ago = now - self._told
            text = f"{self._text} ({ago:.0f} s ago)" if ago >= _WORTH_SAYING else self._text
        else:
            text = f"{now - self._stage_start:.0f} s so far"
            text = text if self._is_terminal else f"{self._title}: {text}"
        if self._is_terminal:
            self._draw(text)
        else:
            self._print(f"  {text}")

    def _draw(self, text: str) -> None:
        # The last column stays free: many terminals wrap when it is filled.
        width = shutil.get_terminal_size().columns - 1
        has_bar = self._text and (text == self._text or not self._is_done)
        redraw(bar_line(self._share, text, width=width) if has_bar else fitted(f"  {text}", width))
        self._said = time.monotonic()

    def _print(self, text: str) -> None:
        end_redrawn()
        self._said = time.monotonic()
        print(f"[{self._said - self._start:6.1f} s] {text}", file=sys.stderr, flush=True)  # noqa: T201


def starting(title: str = "load PyTorch and transformers") -> Console:
    """A console that has announced the command, and reports progress until it ends.

    A command's imports take some seconds, more on slow disks. Of several processes under ``torchrun`` only the first
    one prints. Libraries imported afterwards are silenced.
    """
    quiet_libraries()
    console = Console()
    if os.environ.get("RANK", "0") == "0":
        console.stage(title)
    context = click.get_current_context(silent=True)
    return context.with_resource(console) if context is not None else console


def quiet_libraries() -> None:
    """Keeps libraries' own progress bars and hub look-ups off a run's output."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    # PyTorch otherwise prints its own call stack when another process is gone; flantune reports it in one line.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def bar_line(share: float, text: str, *, width: int) -> str:
    """A bar, its percentage and its text, in one line that is never wider than the terminal.

    >>> bar_line(0.5, "step 7/9, loss 1.500, 1,234 tokens/s, 2 s left", width=50)
    '  ━━━━╌╌╌╌  50%  step 7/9, loss 1.500, 2 s left'
    """
    room = width - _AROUND
    bar = _BAR if width >= _WIDE else _NARROW_BAR
    if room - bar < _NARROW_BAR:  # a very narrow terminal
        return fitted(f"{share:4.0%}  {text}", width)
    filled = int(share * bar)
    return f"  {'━' * filled}{'╌' * (bar - filled)} {share:4.0%}  {fitted(text, room - bar)}"


def fitted(text: str, width: int) -> str:
    """A text cut to a number of columns; of its comma-separated parts, the first and the last are dropped last.

    >>> fitted("step 7/9, loss 1.500, 1,234 tokens/s, 2 s left", 20), fitted("a-very-long-name", 8)
    ('step 7/9, 2 s left', 'a-very-…')
    """
    text = "".join(character if character.isprintable() else "�" for character in text)
    parts = text.split(", ")
    while len(parts) > 2 and columns(", ".join(parts)) > width:
        del parts[-2]
    text = ", ".join(parts)
    if columns(text) <= width:
        return text
    while text and columns(text) > width - 1:
        text = text[:-1]
    return f"{text}…" if width > 0 else ""


def columns(text: str) -> int:
    """Number of columns of a text on a terminal: wide characters take two, combining ones none.

    >>> columns("abc"), columns("推論"), columns("e\u0301")
    (3, 4, 1)
    """
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
