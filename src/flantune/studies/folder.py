"""The paths in a study's folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flantune.runs.folder import RunFolder
from flantune.studies.study import Arm


@dataclass(frozen=True, slots=True)
class StudyFolder:
    """The folder of a study."""

    root: Path

    @property
    def plan(self) -> Path:
        """The plan recorded before the first run (``Plan``)."""
        return self.root / "plan.json"

    @property
    def plan_sha256(self) -> Path:
        """The SHA-256 of the plan, as ``sha256sum -c`` reads it."""
        return self.root / "plan.json.sha256"

    @property
    def outcome(self) -> Path:
        """The outcome (``StudyOutcome``)."""
        return self.root / "outcome.json"

    @property
    def table(self) -> Path:
        """The same as a table, with one line per arm."""
        return self.root / "outcome.csv"

    @property
    def report(self) -> Path:
        """The page."""
        return self.root / "report.html"

    @property
    def figures(self) -> Path:
        """The figures as files."""
        return self.root / "figures"

    @property
    def rows(self) -> Path:
        """The tasks' adapted rows for all runs, unless the run file names another cache."""
        return self.root / "data"

    @property
    def store(self) -> Path:
        """Scores and answers of all runs, by content."""
        return self.root / "store"

    def run(self, arm: Arm, seed: int) -> RunFolder:
        """The run of an arm with a seed."""
        return RunFolder(self.root / "arms" / arm.slug / f"seed-{seed}")

    def runs(self) -> Iterator[RunFolder]:
        """All existing runs."""
        return (RunFolder(path) for path in sorted((self.root / "arms").glob("*/seed-*")) if path.is_dir())
