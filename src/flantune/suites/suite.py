"""What a benchmark is made of, and where its files are looked for."""

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
    """A benchmark: all that the rest of flantune needs to know of it.

    Attributes:
        name: What it is called.
        modes: Whether the model answers at once, reasons first, or only says which text is likelier: each has a score
            of its own ("mmlu_direct").
        parts: Reads its exams, one a subject, task or language and mode.
        averages: The ways in which the exams of one score are averaged.
        families: Source families of its data, for the check of what a model was trained on.
        protocol: How it is scored unless told otherwise.
        help: A line on what it is.
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
        """Its scores, one a mode."""
        return tuple(f"{self.name}_{mode}" for mode in self.modes)

    def exams(self, data: SuiteData) -> Exams:
        """Its exams, each with what the benchmark says of all.

        Raises:
            flantune.errors.SourceError: Data is there but cannot be read.
        """
        for one in self.parts(data):
            yield one if isinstance(one, MissingExam) else self._own(one)

    def _own(self, exam: Exam) -> Exam:
        names = (self.name, f"{self.name}_{exam.name}", exam.name)
        made = replace(exam.made, tasks=names, families=self.families)
        return replace(exam, averages=self.averages, made=made)


class MissingSuiteDataError(FlantuneError):
    """Parts of a benchmark that was asked for cannot be measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteData:
    """Where benchmarks are read from, and how much of them.

    Attributes:
        root: A folder with a mirror of the hub (itself, or its ``hub/``) and with files (itself, or its ``files/``).
            None: the hub; benchmarks that live in files are missing then.
        limit: How many questions of each part to ask, from the first on; 0 means all.
        shots: Exemplars; None: as many as the papers show.
        seed: Draws exemplars where the papers do not fix them.
        protocol: How options are scored and prompts cut.
        trigger: Ends questions that are to be reasoned about, where no exemplar shows it; none when empty.
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
            MissingDataError: They are not there.
            flantune.errors.SourceError: The rows cannot be read.
        """
        return list(HubSource(id=hub_id, config=config, mirror=self.mirror()).rows(split))

    def find(self, *names: str) -> Path | None:
        """The first of these files or folders that is there, relative to the root or its ``files/``."""
        if self.root is None:
            return None
        places = (place / name for name in names for place in (self.root, self.root / "files"))
        return next((path for path in places if path.exists()), None)

    def asked(self, prompts: Iterable[Prompt], *, shots: int) -> tuple[Question, ...]:
        """The prompts that are asked, as questions meant to show ``shots`` exemplars."""
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
    """What a missing dataset is and where it was looked for, in a line."""
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
    """A question of a part that is answered in words, after a space."""
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
