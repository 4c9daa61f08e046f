"""The form of a source in a task file."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from flantune.settings.sections import Section

if TYPE_CHECKING:
    from pathlib import Path

    from flantune.types import Source


class SourceSection(Section):
    """The table ``[source]`` for one kind of source: its keys, and the source they describe."""

    @abstractmethod
    def source(self, folder: Path) -> Source:
        """The source; ``folder`` is that of the task file."""
