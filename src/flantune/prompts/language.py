"""The definition of a template language: how its texts are read, filled and checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from flantune.types import Template

Side = Literal["inputs", "targets"]
"""One of the two texts of a template."""
SIDES: tuple[Side, Side] = ("inputs", "targets")
Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A span of rendered text.

    Attributes:
        text: The text.
        slot: The slot that it fills; empty for the template's own words.
    """

    text: str
    slot: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """A problem in a single text; the linter adds the template.

    Attributes:
        rule: Short name of the rule, explained in docs/templates.md.
        message: What is wrong.
        hint: What to do about it.
        severity: An error produces broken or useless prompts; a warning should be checked.
    """

    rule: str
    message: str
    hint: str = ""
    severity: Severity = "error"


class CompiledText(Protocol):
    """One text of a template, compiled."""

    @property
    def slots(self) -> tuple[str, ...]:
        """The slots it shows: fields, ``options`` and ``answer``, in order of appearance."""

    @property
    def words(self) -> str:
        """Its own words, with a space instead of each slot."""

    def fill(self, values: Mapping[str, str]) -> str:
        """The text with every slot filled. Values are never read as templates.

        Raises:
            KeyError: A slot has no value.
        """

    def spans(self, values: Mapping[str, str]) -> Iterator[Span]:
        """The same as spans."""

    def source(self) -> Iterator[Span]:
        """The source text as spans; each slot is a span with its name."""

    def without_options(self) -> CompiledText:
        """The same text without its options, and without the gap that they would leave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The result of a template and an example, in a language in which one text gives all of it.

    Attributes:
        inputs: The inputs.
        targets: The targets.
        options: The choices; empty if the answer is open.
    """

    inputs: str
    targets: str
    options: tuple[str, ...] = ()


Ask = Callable[["Template", Mapping[str, str], int], Asked]
"""A template, the fields of an example, and a key for random choices → the result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """A language of templates.

    Attributes:
        name: As named in templates.
        compile: Reads a text; raises ``TemplateError`` for one that cannot be read.
        flaws: Problems of a single readable text.
        ask: For languages in which ``inputs`` gives inputs, targets and options at once. Raises ``NotAskedError`` for
            an example that the template does not accept. None: the two texts are filled separately.
    """

    name: str
    compile: Callable[[str], CompiledText]
    flaws: Callable[[str, Side], Iterator[Flaw]]
    ask: Ask | None = None


def white_space_flaws(text: str, side: Side) -> Iterator[Flaw]:
    """Problems of white space, for languages that keep it."""
    inner = text.strip()
    if inner and text != inner:
        hint = "the layout sets what goes between parts"
        yield Flaw(rule="stray-space", message=f"the {side} begin or end with white space", hint=hint)
    for pattern, message, hint in (
        (r"[ \t]+\n", f"a line of the {side} ends with white space", "remove it"),
        (r"\t", f"the {side} contain a tab", "use a space or a line break"),
        (r"(?<=\S) {2,}(?=\S)", f"the {side} contain two spaces in a row", "leave one"),
    ):
        if re.search(pattern, inner):
            yield Flaw(rule="stray-space", message=message, hint=hint, severity="warning")
