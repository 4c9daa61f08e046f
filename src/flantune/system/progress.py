"""What a long job tells the person who waits for it."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Is told what happens: a terminal, a log, or nobody."""

    def stage(self, title: str) -> None:
        """A new part of the work begins."""

    def note(self, message: str) -> None:
        """Something the user should know."""

    def step(self, done: float, total: float, text: str) -> None:
        """Part of the present stage is done; ``text`` has the numbers worth seeing."""


class Silent:
    """Says nothing."""

    def stage(self, title: str) -> None:
        """Says nothing."""

    def note(self, message: str) -> None:
        """Says nothing."""

    def step(self, done: float, total: float, text: str) -> None:
        """Says nothing."""
