"""What a command that makes a run hands back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished run: the folder that is the product, and its headline numbers."""

    folder: Path
    results: Mapping[str, Any]
