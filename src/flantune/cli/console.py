"""Progress for people: bars on a terminal, plain lines elsewhere; always on stderr."""

from __future__ import annotations

import os
import shutil
import sys
import time
import unicodedata

from flantune.cli.terminal import redraw

_BAR = 24
_NARROW_BAR = 8
# What stands around bar and text: two blanks, the bar, a blank, "100%", two blanks.
_AROUND = 9


class Console:
    """Tells what a run is doing."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._is_terminal = sys.stderr.isatty()
        self._last_line = 0.0
        self._last_text = ""
        self._has_bar = False

    def stage(self, title: str) -> None:
        """A new part of the work begins."""
        self._print(title)
        self._last_line, self._last_text = 0.0, ""

    def note(self, message: str) -> None:
        """Something the user should know."""
        self._print(f"  note: {message}")

    def step(self, done: float, total: float, text: str) -> None:
        """Redraws the bar on a terminal, in one line of it; elsewhere prints a line every ten seconds."""
        if text == self._last_text and done >= total:
            return
        self._last_text = text
        if self._is_terminal:
            share = min(done / total, 1.0) if total else 1.0
            # The last column stays free: many terminals wrap when it is filled.
            redraw(bar_line(share, text, width=shutil.get_terminal_size().columns - 1))
            self._has_bar = True
            if done >= total:
                self._end_bar()
        elif time.monotonic() - self._last_line >= 10 or done >= total:
            self._last_line = time.monotonic()
            self._print(f"  {text}")

    def _print(self, text: str) -> None:
        self._end_bar()
        elapsed = time.monotonic() - self._start
        print(f"[{elapsed:6.1f} s] {text}", file=sys.stderr, flush=True)  # noqa: T201

    def _end_bar(self) -> None:
        if self._has_bar:
            sys.stderr.write("\n")
            self._has_bar = False


def starting() -> Console:
    """A console that has said that the program begins: what it imports takes some seconds, more where disks are slow.

    Of several processes under ``torchrun`` the first one speaks. Libraries that are imported afterwards keep quiet.
    """
    quiet_libraries()
    console = Console()
    if os.environ.get("RANK", "0") == "0":
        console.stage("load PyTorch and transformers")
    return console


def quiet_libraries() -> None:
    """Keeps libraries' own progress bars and hub look-ups off a run's output."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    # PyTorch otherwise prints its own call stack when another process is gone; flantune says it in a line.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def bar_line(share: float, text: str, *, width: int) -> str:
    """A bar, its share and what it is about, in one line that is never wider than a terminal.

    >>> bar_line(0.5, "step 7/9, loss 1.500, 1,234 tokens/s, 2 s left", width=50)
    '  ━━━━╌╌╌╌  50%  step 7/9, loss 1.500, 2 s left'
    """
    room = width - _AROUND
    bar = _BAR if columns(text) + _BAR <= room else _NARROW_BAR
    if room - bar < _NARROW_BAR:  # a terminal of a few columns
        return fitted(f"{share:4.0%}  {text}", width)
    filled = int(share * bar)
    return f"  {'━' * filled}{'╌' * (bar - filled)} {share:4.0%}  {fitted(text, room - bar)}"


def fitted(text: str, width: int) -> str:
    """A text cut to a number of columns; of its parts between commas the first and the last are kept longest.

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
    """Columns that a text takes on a terminal: wide characters take two, combining ones none.

    >>> columns("abc"), columns("推論"), columns("e\u0301")
    (3, 4, 1)
    """
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
