"""The shape of a task file, checked section by section so that all its problems come at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
    field_validator,
    model_validator,
)

from flantune.errors import did_you_mean
from flantune.tasks.formats import FormatName, Quoting
from flantune.types import Kind, SplitRole

METRICS = (
    *("accuracy", "f1", "mcc", "pearson", "spearman", "group_exact_match"),
    *("exact_match", "token_f1", "trivia_exact_match", "trivia_f1", "drop_exact_match", "drop_f1", "number_match"),
    *("instruction_exact_match", "instruction_rougeL", "instruction_rougeL_xlingual"),
    *("rouge1", "rouge2", "rougeL", "rougeLsum", "bleu", "bleu_13a"),
    *("character_exact_match", "character_f1", "edit_similarity", "word_edit_similarity", "verbatim_match"),
    # With their setting: how words are told apart.
    *(f"bleu:{way}" for way in ("intl", "13a", "zh", "char", "ja-mecab", "ko-mecab", "flores101", "flores200")),
    *(
        f"{name}:{way}"
        for name in ("rouge1", "rouge2", "rougeL", "rougeLsum")
        for way in ("default", "words", "characters")
    ),
)
DEFAULT_METRICS: dict[Kind, tuple[str, ...]] = {"classification": ("accuracy",), "generation": ("exact_match",)}

Text = Annotated[str, Field(min_length=1)]
Prose = Annotated[str, AfterValidator(lambda text: " ".join(text.split()))]
"""Text whose line breaks are only the file's."""
Label = str | int | float | bool
Files = str | tuple[str, ...] | dict[str, str]


_ONLY_HUB = {"config", "revision", "manual"}
_ONLY_FILES = {"format", "columns", "header", "delimiter", "quoting", "encoding", "key"}


class Section(BaseModel):
    """A table of a task file: unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class HeadSection(Section):
    """The keys before the first table."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")]
    """Unique name, of letters, digits and _ . + -"""
    clusters: Annotated[tuple[Text, ...], Field(min_length=1)]
    """The kinds of task this is."""
    kind: Kind
    """ "classification" or "generation"."""
    family: str = ""
    """Tasks made from the same underlying data share one; by default the name."""
    metrics: tuple[str, ...] = ()
    """The first is the headline."""
    licence: str = ""
    """Of the data, as its authors state it."""
    citation: str = ""
    """Of the data."""
    description: str = ""
    """What the task is, in a sentence."""
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


class SourceSection(Section):
    """Where the rows are: files, or a dataset of the hub."""

    files: dict[str, Files] | None = None
    """Split → path or glob relative to the task file, a list of them, or column → text file (aligned lines)."""
    format: FormatName | None = None
    """Only needed when the files' names do not tell."""
    columns: tuple[str, ...] = ()
    """Column names of CSV or TSV files without a header."""
    header: StrictBool | None = None
    """Whether the first row is a header; by default, exactly when `columns` is not set."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """Between cells; by default a comma for CSV, a tab for TSV."""
    quoting: Quoting | None = None
    """ "standard" (default for CSV) or "none" (default for TSV): quote characters are text, a line is a row."""
    encoding: str = "utf-8"
    """The files' text encoding."""
    key: str = ""
    """The list of rows inside a JSON object, when it holds several lists."""
    hub: Annotated[str, Field(pattern=r"^[\w.-]+(/[\w.-]+)?$")] | None = None
    """Id of a dataset on the Hugging Face hub."""
    config: str | None = None
    """The dataset's configuration."""
    revision: str | None = None
    """Commit of the dataset; pin it to make a run repeatable."""
    manual: Prose = ""
    """For data that the hub does not give: where to get the files, where to put them, what is read of them."""

    @model_validator(mode="after")
    def _one_place(self) -> SourceSection:
        if (self.files is None) == (self.hub is None):
            raise ValueError("set either files or hub")
        foreign = _ONLY_FILES if self.hub is not None else _ONLY_HUB
        misplaced = sorted(self.model_fields_set & foreign)
        if misplaced:
            raise ValueError(f"{', '.join(misplaced)} cannot stand beside {'hub' if self.hub is not None else 'files'}")
        return self


class JoinedColumn(Section):
    """A column that holds a list of texts, and what to put between them."""

    column: Text
    """Name or dotted path."""
    join: str
    """Between the texts."""


class OptionsSection(Section):
    """The answer options: exactly one of the three."""

    values: Annotated[tuple[str, ...], Field(min_length=2)] | None = None
    """The same for every row."""
    column: Text | None = None
    """A column that holds the list."""
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
    """Where the answer is, and how it is written there."""

    column: Text
    """Name or dotted path."""
    keys: str | tuple[str, ...] | None = None
    """Letters that stand for the options: a list, or the column that holds it."""
    map: dict[str, str] = Field(default_factory=dict)
    """Value → text of the answer."""
    separator: str = ""
    """Splits several references joined in one cell (generation)."""
    drop: tuple[Label, ...] = ()
    """Values whose rows are left out on purpose."""
    group: tuple[Text, ...] = ()
    """Columns that together name the question, when its candidate answers are rows of their own (classification)."""


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
    """The template asks for something else than the task's answer."""


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


@dataclass(frozen=True, slots=True)
class Problems:
    """Gathers what is wrong with a file, by key path."""

    lines: list[str] = field(default_factory=list)

    def add(self, path: str, message: str) -> None:
        """Notes one problem."""
        self.lines.append(f"{path}: {message}" if path else message)


Model = TypeVar("Model", bound=BaseModel)


def check_section(
    model: type[Model], value: Any, path: str, *, problems: Problems, neighbors: Iterable[str] = ()
) -> Model | None:
    """A section's values if they are right; else None, and what is wrong with them is noted.

    Args:
        model: The section's shape.
        value: What the file has.
        path: Key path of the section.
        problems: Where problems are noted.
        neighbors: Further names that may have been meant by an unknown key.
    """
    if not isinstance(value, Mapping):
        problems.add(path, f"got {type(value).__name__}; expected a table")
        return None
    try:
        return model.model_validate(value)
    except ValidationError as error:
        for place, message in _messages(error, [*model.model_fields, *neighbors]).items():
            problems.add(".".join(part for part in (path, place) if part), message)
        return None


def require_section(model: type[Model], tree: Mapping[str, Any], key: str, *, problems: Problems) -> Model | None:
    """Like ``check_section`` for a table that a task file must have."""
    if key not in tree:
        problems.add(key, "is missing")
        return None
    return check_section(model, tree[key], key, problems=problems)


def _messages(error: ValidationError, known: list[str]) -> dict[str, str]:
    gathered: dict[str, list[str]] = {}
    for one in error.errors():
        place = _place(one["loc"])
        if one["type"] == "extra_forbidden":
            near = did_you_mean(str(one["loc"][-1]), known)
            text = "unknown key; " + (near or f"known: {', '.join(known)}")
        elif one["type"] == "missing":
            text = "is missing"
        else:
            text = _in_toml_words(one["msg"])
            if one["type"] == "literal_error":
                text += f", got {one['input']!r}"
        gathered.setdefault(place, []).append(text)
    return {place: " or ".join(dict.fromkeys(texts)) for place, texts in gathered.items()}


def _place(loc: tuple[int | str, ...]) -> str:
    """A pydantic location as a key path; the branches it tried of a union are no part of one."""
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part not in _UNION_BRANCHES:
            path += f".{part}" if path else part
    return path


_UNION_BRANCHES = {"str", "int", "float", "bool", "JoinedColumn", "tuple[str, ...]", "dict[str,str]"}

_WORDS = {
    "Value error, ": "",
    "Input should be a valid string": "should be text",
    "Input should be a valid dictionary": "a table",
    "Input should be a valid tuple": "a list",
    "Input should be a valid boolean": "should be true or false",
    "Input should be": "should be",
}


def _in_toml_words(message: str) -> str:
    for pydantic_words, ours in _WORDS.items():
        message = message.replace(pydantic_words, ours)
    return message
