"""The sections of a task file, checked one by one so that all problems are reported at once."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    field_validator,
    model_validator,
)

from flantune.errors import did_you_mean
from flantune.prompts import compiled
from flantune.settings.sections import Section
from flantune.tasks.languages import language_name
from flantune.types import Kind, SplitRole

METRICS = (
    *("accuracy", "f1", "mcc", "pearson", "spearman", "group_exact_match"),
    *("exact_match", "token_f1", "trivia_exact_match", "trivia_f1", "drop_exact_match", "drop_f1", "number_match"),
    *("instruction_exact_match", "instruction_rougeL", "instruction_rougeL_xlingual"),
    *("rouge1", "rouge2", "rougeL", "rougeLsum", "bleu", "bleu_13a"),
    *("character_exact_match", "character_f1", "edit_similarity", "word_edit_similarity", "verbatim_match"),
    # With their setting: how texts are split into words.
    *(f"bleu:{way}" for way in ("intl", "13a", "zh", "char", "ja-mecab", "ko-mecab", "flores101", "flores200")),
    *(
        f"{name}:{way}"
        for name in ("rouge1", "rouge2", "rougeL", "rougeLsum")
        for way in ("default", "words", "characters")
    ),
)
MOST_NAME = 120
DEFAULT_METRICS: dict[Kind, tuple[str, ...]] = {"classification": ("accuracy",), "generation": ("exact_match",)}

Text = Annotated[str, Field(min_length=1)]
Prose = Annotated[str, AfterValidator(lambda text: " ".join(text.split()))]
"""Text whose line breaks are only those of the file."""
Language = Annotated[Text, AfterValidator(language_name)]
Label = str | int | float | bool


def _name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]*", name):
        raise ValueError("should be made of letters, digits and _ . + -, a letter or digit first")
    if len(name) > MOST_NAME:
        raise ValueError(f"should have at most {MOST_NAME} characters: files are named after it")
    return name


class HeadSection(Section):
    """The keys before the first table."""

    name: Annotated[str, AfterValidator(_name)]
    """Unique name, of letters, digits and _ . + -"""
    clusters: Annotated[tuple[Text, ...], Field(min_length=1)]
    """The kinds of task this is."""
    kind: Kind
    """ "classification" or "generation"."""
    family: str = ""
    """Tasks made from the same underlying data share one; by default the name."""
    metrics: tuple[str, ...] = ()
    """The first is the headline."""
    tidy: StrictBool = False
    """Whether texts lose what files and tokenizers leave in them: HTML entities, doubled spaces, -LRB- ..."""
    licence: str = ""
    """Of the data, as its authors state it."""
    languages: tuple[Language, ...] = ()
    """Languages of its texts: "English", or a code, "en"."""
    citation: str = ""
    """Of the data."""
    description: str = ""
    """What the task is, in a sentence."""
    collection: str = ""
    """The collection it belongs to, by which parts of a mixture select. By default the shipped collection, or none."""
    confirmed: Prose = ""
    """Where the id, columns, splits and licence were looked up."""

    @field_validator("metrics")
    @classmethod
    def _known_metrics(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        for metric in metrics:
            if metric not in METRICS:
                near = did_you_mean(metric, METRICS) or f"known: {', '.join(METRICS)}"
                raise ValueError(f'unknown metric "{metric}"; {near}')
        return metrics


class JoinedColumn(Section):
    """A column with a list of texts, and the separator to join them with."""

    column: Text
    """Name or dotted path."""
    join: str
    """Between the texts."""


class OptionsSection(Section):
    """The answer options: exactly one of the three."""

    values: Annotated[tuple[str, ...], Field(min_length=2)] | None = None
    """The same for every row."""
    column: Text | None = None
    """A column with the list."""
    columns: Annotated[tuple[Text, ...], Field(min_length=2)] | None = None
    """One column for each."""

    @model_validator(mode="after")
    def _one_way(self) -> OptionsSection:
        if sum(way is not None for way in (self.values, self.column, self.columns)) != 1:
            raise ValueError("set exactly one of values, column, columns")
        if self.values is not None and len(set(self.values)) < len(self.values):
            raise ValueError("values has the same option twice")
        return self


class AnswerSection(Section):
    """Where the answer is, and how it is written."""

    column: Text
    """Name or dotted path."""
    read: Literal["text", "index"] | None = None
    """What its values are, if both are possible: texts of options, or indices from 0."""
    keys: str | tuple[str, ...] | None = None
    """Letters of the options: a list, or the column with the list."""
    map: dict[str, str] = Field(default_factory=dict)
    """Value → text of the answer."""
    separator: str = ""
    """Splits several references joined in one cell (generation)."""
    drop: tuple[Label, ...] = ()
    """Values whose rows are dropped on purpose."""
    group: tuple[Text, ...] = ()
    """Columns that together name what several rows share: a passage, a person, a question with several candidates."""


class AdapterSection(Section):
    """A Python function instead of columns."""

    python: Text
    """ "file.py:function" relative to the task file, or "package.module:function"."""


class TemplateSection(Section):
    """One way to phrase the task."""

    name: str = ""
    """Unique within the task; by default t1, t2 …"""
    inputs: Text
    """What the model reads, with {slots}."""
    targets: Text = "{answer}"
    """What it should write."""
    inverted: StrictBool = False
    """The template asks for something other than the task's answer."""
    language: str = "slots"
    """What it is written in: "slots" is text with {slots}; "promptsource" Jinja that gives inputs, bars and targets."""
    answer_choices: str = ""
    """In promptsource's language: the choices."""

    @field_validator("language")
    @classmethod
    def _known_language(cls, language: str) -> str:
        known = [one.name for one in compiled.LANGUAGES]
        if language not in known:
            near = did_you_mean(language, known) or f"known: {', '.join(known)}"
            raise ValueError(f'unknown language "{language}"; {near}')
        return language


class Fields(BaseModel):
    """Slot → column; any slot name."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, str | JoinedColumn]


class Splits(BaseModel):
    """Role → slice of a source split."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: str | None = None
    dev: str | None = None
    test: str | None = None

    def given(self) -> dict[SplitRole, str]:
        """The roles that are set."""
        roles: dict[SplitRole, str | None] = {"train": self.train, "dev": self.dev, "test": self.test}
        return {role: text for role, text in roles.items() if text is not None}
