"""What a benchmark is made of, and where its files are looked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from flantune.errors import FlantuneError, MissingDataError
from flantune.prompts.layout import Layout
from flantune.tasks.sources.hub import HubSource

if TYPE_CHECKING:
    from flantune.evaluation.metrics.graders import Grader
    from flantune.types import Prompt, Row

SuiteName = Literal["mmlu", "bbh", "tydiqa", "mgsm", "natural_instructions", "gsm8k", "harness"]
Mode = Literal["direct", "cot"]
Answering = Literal["options", "text"]

NO_SEPARATOR = Layout(target_separator="", exemplar_separator="\n\n")
"""Benchmarks write the space before an answer themselves: a query ends in "A:", and its answer begins with a space."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The questions of one subject, task or language, asked in one way.

    Attributes:
        suite: The benchmark.
        mode: Whether the model answers at once or reasons first ("direct", "cot").
        name: The subject, task or language.
        prompts: The questions, in the order of the data.
        answering: By ranking the prompts' options, or by writing.
        grader: What counts as right.
        chance: What guessing scores.
        shots: Exemplars each prompt was to have.
        headline: The metric that stands for the part.
        layout: Separators of its prompts.
        groups: What it is averaged within, from small to large.
        stop: Texts at which the model's writing ends.
        max_new_tokens: Longest answer.
        hub_id: Where its rows come from, for the check of what a model was trained on.
        files: Files that its rows come from, for the same check.
        notes: What a reader of its score should know.
        blank: The question with a text without content in its place, for contextual calibration; None: there is no way.
        code: Python files that had a hand in its prompts or scores: path → SHA-256 of what they hold.
        label: Replaces benchmark and mode as the name of what parts are averaged into.
    """

    suite: SuiteName
    mode: str
    name: str
    prompts: tuple[Prompt, ...]
    answering: Answering
    grader: Grader
    chance: float
    shots: int
    headline: str = "accuracy"
    layout: Layout = NO_SEPARATOR
    groups: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    max_new_tokens: int = 16
    hub_id: str = ""
    files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    blank: Callable[[Prompt, str], Prompt] | None = None
    label: str = ""
    code: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_voted(self) -> bool:
        """Whether answers can be sampled and voted on: written after reasoning, and read by rules."""
        return self.mode == "cot" and self.answering == "text"

    @property
    def score(self) -> str:
        """The benchmark and the way of asking: what its parts are averaged into."""
        return self.label or f"{self.suite}_{self.mode}"

    @property
    def key(self) -> str:
        """A name no other part has."""
        return f"{self.score}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingPart:
    """A part whose data or prompts are not there.

    Attributes:
        score: As of ``Part``.
        name: The subject, task or language; empty: all of them.
        needs: The file or data set that is wanted, and its form.
    """

    score: str
    name: str
    needs: str


class MissingSuiteDataError(FlantuneError):
    """Parts of a benchmark that was asked for cannot be measured."""

    is_missing = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteData:
    """Where benchmarks are read from, and how much of them.

    Attributes:
        root: A folder with a mirror of the hub (itself, or its ``hub/``) and with files (itself, or its ``files/``).
            None: the hub; benchmarks that live in files are missing then.
        limit: Only the first so many questions of each part; 0 means all.
        shots: Exemplars; None: as many as the papers show.
        seed: Draws exemplars where the papers do not fix them.
    """

    root: Path | None = None
    limit: int = 0
    shots: int | None = None
    seed: int = 0

    def rows(self, hub_id: str, config: str | None, *, split: str) -> list[Row]:
        """All rows of a split of a hub data set.

        Raises:
            MissingDataError: They are not there.
            flantune.errors.SourceError: They cannot be read.
        """
        return list(HubSource(id=hub_id, config=config, mirror=self._mirror()).rows(split))

    def find(self, *names: str) -> Path | None:
        """The first of these files or folders that is there, relative to the root or its ``files/``."""
        if self.root is None:
            return None
        places = (place / name for name in names for place in (self.root, self.root / "files"))
        return next((path for path in places if path.exists()), None)

    def cut(self, prompts: Iterator[Prompt] | list[Prompt]) -> tuple[Prompt, ...]:
        """The prompts that are asked."""
        kept = tuple(prompts)
        return kept[: self.limit] if self.limit else kept

    def _mirror(self) -> Path | None:
        if self.root is None:
            return None
        hub = self.root / "hub"
        return hub if hub.is_dir() else self.root


def wanted(error: MissingDataError) -> str:
    """What a missing data set is and where it was looked for, in a line."""
    return f"{error.message} ({error.where})" if error.where else error.message
