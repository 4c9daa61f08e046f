"""Progress of long jobs."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Receives progress: a terminal, a log, or nothing."""

    def stage(self, title: str) -> None:
        """A new stage of the work begins."""

    def note(self, message: str) -> None:
        """Something the user should know."""

    def step(self, done: float, total: float, text: str) -> None:
        """Part of the current stage is done; ``text`` has the relevant numbers."""


class Silent:
    """Says nothing."""

    def stage(self, title: str) -> None:
        """Says nothing."""

    def note(self, message: str) -> None:
        """Says nothing."""

    def step(self, done: float, total: float, text: str) -> None:
        """Says nothing."""
