"""The few frozen values that are passed between stages.

prompts ─▶ tasks ─▶ mixture ─▶ packing ─▶ models ─▶ training | evaluation ─▶ report
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    # Shapes in signatures; only tests compare them with real arrays.

Row = Mapping[str, Any]
"""One raw row of a dataset as its source yields it, columns by name."""

Kind = Literal["classification", "generation"]
Family = Literal["decoder-only", "encoder-decoder"]
Attention = Literal["causal", "prefix"]
"""How a decoder-only model reads its inputs: each token from those before it, or in both directions (prefix LM)."""
SplitRole = Literal["train", "dev", "test"]
Int32 = NDArray[np.int32]
Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Turn:
    """What one speaker says in a conversation before another speaks.

    Attributes:
        speaker: "system", "user", "assistant", or a name; "system" gives instructions and is not a participant.
        text: What is said.
    """

    speaker: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One adapted row: the texts that a template can use, and what counts as an answer.

    Attributes:
        row: Zero-based number of the raw row in its source split.
        fields: Slot name to text, for example ``{"premise": …, "hypothesis": …}``.
        options: The answer options of a classification example, in order; empty for generation.
        answer: Index of the gold option; None for generation.
        references: Acceptable answers, the first of which is trained on. For classification: the gold option, and any
            other option that is right as well.
        group: Rows of the same non-empty group belong together (the candidate answers to one question): metrics may
            score them as one, and intervals count them as one observation.
        turns: A whole conversation, of which one reply is asked for at a time; empty for most. Fields and references
            are then those of the last reply.
        replies: The places in ``turns`` of what may be asked for.
    """

    row: int
    fields: Mapping[str, str]
    options: tuple[str, ...] = ()
    answer: int | None = None
    references: tuple[str, ...]
    group: str = ""
    turns: tuple[Turn, ...] = ()
    replies: tuple[int, ...] = ()


Adapter = Callable[[Row], Example | None]
"""Raw row → Example (its ``row`` number is filled in by the caller). None drops the row on purpose (say, an
unlabeled one); raising ``flantune.tasks.BadRow(reason, detail)`` counts it as bad."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One way to phrase a task in words.

    ``inputs`` and ``targets`` are text with ``{slots}``: any field of the examples, ``{options}`` (the options
    block) and ``{answer}`` (the first reference). ``{{`` and ``}}`` stand for literal braces.

    Attributes:
        name: Unique within the task.
        is_inverted: The template asks for something other than the task's answer (the question, say). Such
            templates are trained on, never scored as the task. Paper: FLAN 2021, section 2.1.
        language: The language of both texts, if not text with slots; see ``flantune.prompts.compiled``.
        encoding: Which parts of the task's definition and exemplars surround ``inputs``, which are then only the
            query's input, such as "definition_pos2"; see ``flantune.prompts.instructions``.
        answer_choices: The choices, written in the template's language, if it supports them.
        shows_options: Its text lists the options without a slot; it is left out if options are hidden.
    """

    name: str
    inputs: str
    targets: str = "{answer}"
    is_inverted: bool = False
    language: str = "slots"
    encoding: str = ""
    answer_choices: str = ""
    shows_options: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HubDataset:
    """A dataset of the Hugging Face hub: ``<org>/<name>``, its configuration, and a commit.

    >>> str(HubDataset(id="aps/super_glue", config="rte", revision="0a1b2c3"))
    'aps/super_glue:rte@0a1b2c3'
    """

    id: str
    config: str | None = None
    revision: str | None = None

    @property
    def name(self) -> str:
        """The dataset and its configuration, without the revision."""
        return f"{self.id}:{self.config}" if self.config else self.id

    def __str__(self) -> str:
        return f"{self.name}@{self.revision}" if self.revision else self.name


class Source(ABC):
    """Where the raw rows of a task come from, and what is known about that place."""

    __slots__ = ()

    @abstractmethod
    def rows(self, split: str) -> Iterator[Row]:
        """All rows of a split, in order, in constant memory; raises ``SourceError``, or ``MissingDataError``."""

    @abstractmethod
    def fingerprint(self, split: str) -> str:
        """A string that changes when the rows of the split change."""

    @abstractmethod
    def describe(self, split: str, row: int | None = None) -> str:
        """The location of a split or one of its rows, for messages: a path or hub id."""

    def check_rows(self, split: str, wanted: int | None) -> None:  # noqa: B027 - for those that may hold a part
        """Raises ``MissingDataError`` if a split has fewer rows than wanted; None: all are wanted."""

    @property
    def hub(self) -> HubDataset | None:
        """The hub dataset behind this source, wherever its rows are read from."""
        return None

    def files_here(self) -> frozenset[Path]:
        """The existing files on this machine that are read, with links resolved."""
        return frozenset()

    @property
    def manual(self) -> str:
        """How to get data that cannot be downloaded automatically; empty for most."""
        return ""

    def places(self) -> tuple[tuple[str, str, str], ...]:
        """Label, text and link (if any) of each place the rows come from; no folders of this machine."""
        return (("source", type(self).__name__, ""),)

    def with_mirror(self, mirror: Path) -> Source:  # noqa: ARG002 - for those of the hub
        """The same source, read from this mirror of the hub unless it names another."""
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemplar:
    """A solved example before the query; those of a task's authors have no row, and may be explained, or wrong."""

    row: int
    inputs: str
    targets: str
    explanation: str = ""
    is_right: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A dataset plus the templates that ask it: the unit that is mixed, held out and measured.

    Attributes:
        name: Unique name; random streams are keyed by it.
        clusters: The kinds of task this is; held out when any of them is held out.
        source_family: Tasks made from the same underlying data share one (SNLI and e-SNLI).
        kind: Classification (with options) or generation.
        source: Where raw rows come from.
        adapter: Raw row → Example.
        splits: Role → slice of a source split, such as ``{"train": "train[:-200]", "test": "validation"}``.
        templates: The ways to ask it.
        metrics: Names of metrics, the first of which is the headline.
        origin: The file that defines the task, for messages.
        adapter_fingerprint: Changes when the adapter's code or column mapping changes.
        confirmed: Where the dataset's id, columns, splits and licence were looked up.
        definition: The task in its authors' words, for templates with an ``encoding``.
        exemplars: Its authors' solved examples, the right ones first.
        languages: Languages of its texts, if known.
        every_reply: Each reply of a conversation is a separate training example; otherwise one is drawn at each visit.
        collection: The collection it belongs to: a shipped one, "natural_instructions" …; parts of a mixture select by
            it.
        stored_as: Tasks with the same rows, kind and adapter store their examples under this name; empty: its own.
    """

    name: str
    clusters: tuple[str, ...]
    source_family: str
    kind: Kind
    source: Source
    adapter: Adapter
    splits: Mapping[SplitRole, str]
    templates: tuple[Template, ...]
    metrics: tuple[str, ...]
    licence: str = ""
    citation: str = ""
    description: str = ""
    origin: str = ""
    adapter_fingerprint: str = ""
    confirmed: str = ""
    definition: str = ""
    exemplars: tuple[Exemplar, ...] = ()
    languages: tuple[str, ...] = ()
    every_reply: bool = False
    collection: str = ""
    stored_as: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """The turns before the reply that a prompt asks for, and their place in its inputs.

    Attributes:
        turns: What was said, oldest first.
        shown: Each turn as it appears in the inputs, in direct succession.
        start: Character of the inputs at which the first begins.
        speaker: Who replies.
        is_bare: The inputs are only these turns, so that a chat template can write them as messages.
    """

    turns: tuple[Turn, ...]
    shown: tuple[str, ...]
    start: int
    speaker: str
    is_bare: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What a model is asked and what it should answer, as text, with its provenance.

    Attributes:
        inputs: The query, without exemplars.
        targets: The text trained on (for classification the gold option's text).
        options: Options in the order shown; rank classification scores each.
        answer: Index of the gold option in ``options``; None when the template is inverted or generation.
        references: Acceptable answers for generation metrics.
        exemplars: Solved examples before the query, in order.
        preamble: Text before the first exemplar (a benchmark's header), separator included; stays when exemplars go.
        group: The example's group; empty for most.
        order: Place in ``options`` → index in the example's own options; empty if the order is the same.
        frame: Characters at the start and the end of ``inputs`` that are never cut, like the preamble. All parts then
            include their separators, and the target follows directly; None: the layout separates them.
        conversation: The turns that the inputs show, if they are of a conversation.
        answer_marks: Words before and after the answer in a target with more than the answer, such as a rationale: what
            is between them is graded. Empty: the whole text is the answer.
        is_marked: ``options`` are the marks before the options, not their texts.
    """

    task: str
    split: SplitRole
    row: int
    template: str
    inputs: str
    targets: str
    options: tuple[str, ...] = ()
    answer: int | None = None
    references: tuple[str, ...] = ()
    exemplars: tuple[Exemplar, ...] = ()
    preamble: str = ""
    group: str = ""
    order: tuple[int, ...] = ()
    frame: tuple[int, int] | None = None
    conversation: Conversation | None = None
    answer_marks: tuple[str, ...] = ()
    is_marked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One scored prompt: everything needed to compute every metric again without the model.

    Attributes:
        scores: Summed log-likelihood of each option, natural log (rank classification); empty for generation.
        lengths: Scored tokens of each option.
        greedy: Whether every scored token of an option is the model's most likely one.
        prediction: Text the model wrote (generation); empty for rank classification. If several were sampled, the first
            one with the most common answer.
        group: Samples of one task with the same non-empty group belong to one question.
        predictions: All texts sampled for a vote, in order; empty if only one was written.
        confidence: The voted answer's share of them; None without a vote.
        baselines: What is subtracted from each option's score by a normalization that needs other contexts; empty if
            none is used.
        order: As of ``Prompt``, and so are ``answer_marks`` and ``is_marked``.
    """

    task: str
    split: SplitRole
    row: int
    template: str
    shots: int
    inputs: str
    options: tuple[str, ...] = ()
    answer: int | None = None
    references: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    lengths: tuple[int, ...] = ()
    greedy: tuple[bool, ...] = ()
    prediction: str = ""
    exemplar_rows: tuple[int, ...] = field(default=())
    group: str = ""
    predictions: tuple[str, ...] = ()
    confidence: float | None = None
    baselines: tuple[float, ...] = ()
    order: tuple[int, ...] = ()
    answer_marks: tuple[str, ...] = ()
    is_marked: bool = False
