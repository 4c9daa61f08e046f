"""A finished run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flantune.evaluation.results import Results


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The folder of a run, and its scores."""

    folder: Path
    results: Results
