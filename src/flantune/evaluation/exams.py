"""What a model is asked, from any provider: a task in its templates, a part of a benchmark, a harness file.

An exam defines its prompts, how they are answered, what counts as right, and which average its score goes into. One
asker (``asking.ask``) and one grader (``statistics.grades``) do the rest, so that all kinds of exam are asked and
reported in the same way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from flantune.contamination.training_record import Measured
from flantune.evaluation.statistics.averages import Averages, pooled
from flantune.prompts.layout import Layout

if TYPE_CHECKING:
    from flantune.evaluation.metrics.graders import Grader
    from flantune.settings.protocols import ScoringProtocol
    from flantune.types import Prompt

Answering = Literal["options", "text"]

NO_SEPARATOR = Layout(target_separator="", exemplar_separator="\n\n")
"""Benchmarks write the space before an answer themselves: a query ends in "A:", and its answer begins with a space."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A prompt and its intended number of exemplars; it may have fewer."""

    prompt: Prompt
    shots: int


class Questions(Protocol):
    """Questions that can be counted, and iterated over any number of times, without being held in memory."""

    def __len__(self) -> int:
        """Their number."""

    def __iter__(self) -> Iterator[Question]:
        """Each of them, in the order of its samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """Where a generated answer ends.

    Attributes:
        max_new_tokens: Its maximum length.
        stop: Texts at which it ends.
        ends_at_separator: It also ends at the separator of exemplars, if some are shown. A model that was never taught
            to stop continues with another example; without this, teaching it to stop would look like teaching it
            answers.
        spared: How many of these texts an answer may contain before the next one ends it.
        is_trimmed: Whether white space around it is dropped.
    """

    max_new_tokens: int = 16
    stop: tuple[str, ...] = ()
    ends_at_separator: bool = False
    spared: int = 0
    is_trimmed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RowGap:
    """Two groups of an exam's rows, such as the same sentences with "he" and with "she", whose scores are compared.

    Rows of the two with the same ``Prompt.group`` are pairs: what they have in common cancels out of the difference.

    Attributes:
        first: Name of the first group.
        second: Name of the second one; the gap is the first's score minus the second's.
        first_rows: Source rows of the first.
        second_rows: Source rows of the second.
    """

    first: str
    second: str
    first_rows: frozenset[int]
    second_rows: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """Questions that are asked in the same way, and graded together.

    Attributes:
        name: The task, subject or language.
        score: The benchmark that it is averaged into ("mmlu_direct"); empty for a task.
        groups: The groups that it is averaged within, from small to large: a benchmark's categories, a task's clusters.
        questions: The questions; empty for an exam whose answers are only graded again.
        answering: By ranking the prompts' options, or by generation.
        grader: What counts as right.
        protocol: How options are scored and prompts cut.
        chance: The score of guessing; None: by the headline metric, for each row.
        layout: Separators of its prompts.
        max_input_tokens: Longest inputs, if the protocol does not set it.
        max_target_tokens: Longest option, if the protocol does not set it.
        writing: For generation: where answers end.
        is_voted: Whether answers can be sampled and voted on: those after reasoning, which are read by rules.
        averages: The ways in which the exams of its score are averaged.
        made: What it was made from, for the check of what a model was trained on; without rows: the questions' lines.
        code: Python files that affect its prompts or scores: path → SHA-256 of their content.
        notes: What a reader of its score should know.
        stands_for: Number of rows that it represents, if its questions are a draw (``evaluation.budget``); 0: its own.
        blank: Replaces the question by a text without content, for contextual calibration; None: not possible.
        gaps: Groups of its rows whose scores are compared.
    """

    name: str
    score: str = ""
    groups: tuple[str, ...] = ()
    questions: Questions
    answering: Answering
    grader: Grader
    protocol: ScoringProtocol
    chance: float | None = None
    layout: Layout = NO_SEPARATOR
    max_input_tokens: int = 2048
    max_target_tokens: int = 512
    writing: Writing = Writing()
    is_voted: bool = False
    averages: Averages = pooled
    made: Measured = field(default_factory=Measured)
    code: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    stands_for: int = 0
    blank: Callable[[Prompt, str], Prompt] | None = None
    gaps: tuple[RowGap, ...] = ()

    @property
    def key(self) -> str:
        """Its unique name."""
        return f"{self.score}/{self.name}" if self.score else self.name

    @property
    def prompts(self) -> Iterator[Prompt]:
        """The prompts of its questions, in order."""
        return (question.prompt for question in self.questions)


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingExam:
    """An exam whose data or prompts are missing.

    Attributes:
        score: As in ``Exam``; for a task, its name.
        name: The subject, task or language; empty: all of them.
        needs: The file or dataset that is needed, and its format.
    """

    score: str
    name: str
    needs: str


def asked(prompts: Iterable[Prompt], *, shots: int) -> tuple[Question, ...]:
    """Prompts as questions, each intended to have ``shots`` exemplars."""
    return tuple(Question(prompt=prompt, shots=shots) for prompt in prompts)


def content_name(text: str) -> str:
    """A short name of a text, by content, for groups of rows.

    >>> content_name("a passage") == content_name(" a  passage"), content_name("")
    (True, '')
    """
    plain = " ".join(text.split())
    return hashlib.sha256(plain.encode("utf-8", "replace")).hexdigest()[:16] if plain else ""
