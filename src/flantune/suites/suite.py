"""The parts of a benchmark, and where its files are searched for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from flantune.errors import FlantuneError, MissingDataError
from flantune.evaluation.exams import Exam, MissingExam, Question, asked
from flantune.evaluation.statistics.averages import Averages
from flantune.settings.protocols import PRESETS, ProtocolName, ScoringProtocol
from flantune.tasks.sources.hub import HubSource
from flantune.types import Exemplar, Prompt

if TYPE_CHECKING:
    from flantune.types import Row

Mode = Literal["direct", "cot", "likelihood"]

Exams = Iterator[Exam | MissingExam]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A benchmark, with all that the rest of flantune needs to know about it.

    Attributes:
        name: Its name.
        modes: Whether the model answers directly, reasons first, or only ranks texts by likelihood; each mode has its
            own score ("mmlu_direct").
        parts: Reads its exams, one per subject, task or language, and mode.
        averages: How the exams of one score are averaged; several ways.
        families: Source families of its data, for checking what a model was trained on.
        protocol: Its default scoring protocol.
        help: A one-line description.
    """

    name: str
    modes: tuple[Mode, ...]
    parts: Callable[[SuiteData], Exams]
    averages: Averages
    families: tuple[str, ...] = ()
    protocol: ProtocolName = "flan2022"
    help: str = ""

    @property
    def scores(self) -> tuple[str, ...]:
        """Its scores, one per mode."""
        return tuple(f"{self.name}_{mode}" for mode in self.modes)

    def exams(self, data: SuiteData) -> Exams:
        """Its exams, each with the benchmark's common settings.

        Raises:
            flantune.errors.SourceError: Data exists but cannot be read.
        """
        for one in self.parts(data):
            yield one if isinstance(one, MissingExam) else self._own(one)

    def _own(self, exam: Exam) -> Exam:
        names = (self.name, f"{self.name}_{exam.name}", exam.name)
        made = replace(exam.made, tasks=names, families=self.families)
        return replace(exam, averages=self.averages, made=made)


class MissingSuiteDataError(FlantuneError):
    """Parts of a requested benchmark cannot be measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteData:
    """Where benchmarks are read from, and how much of them is used.

    Attributes:
        root: A folder with a mirror of the hub (itself, or its ``hub/``) and with files (itself, or its ``files/``).
            None: the hub; benchmarks that need files are then missing.
        limit: How many questions of each part to ask, from the first; 0: all.
        shots: Number of exemplars; None: as in the papers.
        seed: Seed for drawing exemplars, unless the papers fix them.
        protocol: Protocol for scoring options and truncating prompts.
        trigger: Text that ends chain-of-thought questions without exemplars; empty: none.
    """

    root: Path | None = None
    limit: int = 0
    shots: int | None = None
    seed: int = 0
    protocol: ScoringProtocol = PRESETS["flan2022"]
    trigger: str = ""

    def rows(self, hub_id: str, config: str | None, *, split: str) -> list[Row]:
        """All rows of a split of a hub dataset.

        Raises:
            MissingDataError: They are missing.
            flantune.errors.SourceError: The rows cannot be read.
        """
        return list(HubSource(id=hub_id, config=config, mirror=self.mirror()).rows(split))

    def find(self, *names: str) -> Path | None:
        """The first of these files or folders that exists, relative to the root or its ``files/``."""
        if self.root is None:
            return None
        places = (place / name for name in names for place in (self.root, self.root / "files"))
        return next((path for path in places if path.exists()), None)

    def asked(self, prompts: Iterable[Prompt], *, shots: int) -> tuple[Question, ...]:
        """The prompts to ask, as questions with ``shots`` exemplars."""
        return asked(map(self._triggered, islice(prompts, self.limit or None)), shots=shots)

    def _triggered(self, prompt: Prompt) -> Prompt:
        if not self.trigger or prompt.template != "cot" or prompt.exemplars:
            return prompt
        return replace(prompt, inputs=f"{prompt.inputs} {self.trigger}")

    def mirror(self) -> Path | None:
        """The folder that mirrors the hub; None: the hub itself."""
        if self.root is None:
            return None
        hub = self.root / "hub"
        return hub if hub.is_dir() else self.root


def wanted(error: MissingDataError) -> str:
    """One line on what a missing dataset is and where it was searched for."""
    return f"{error.message} ({error.where})" if error.where else error.message


def written_prompt(
    part: str,
    row: int,
    *,
    template: str,
    inputs: str,
    references: tuple[str, ...],
    exemplars: tuple[Exemplar, ...],
    preamble: str = "",
    group: str = "",
) -> Prompt:
    """A question of a part whose answer is generated, after a space."""
    return Prompt(
        task=part,
        split="test",
        row=row,
        template=template,
        inputs=inputs,
        targets=f" {references[0].strip()}",
        references=references,
        exemplars=exemplars,
        preamble=preamble,
        group=group,
    )
