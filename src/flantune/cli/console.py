"""Progress for people: bars on a terminal, plain lines elsewhere; always on stderr."""

from __future__ import annotations

import sys
import time

from flantune.cli.terminal import redraw


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
        """Redraws the bar on a terminal; elsewhere prints a line every ten seconds."""
        if text == self._last_text and done >= total:
            return
        self._last_text = text
        if self._is_terminal:
            share = done / total if total else 1.0
            filled = int(share * 24)
            bar = "━" * filled + "╌" * (24 - filled)
            redraw(f"  {bar} {share:4.0%}  {text}")
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
