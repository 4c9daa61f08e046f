"""What a language for templates is: how its texts are read, filled, and found wrong."""

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
    """A piece of rendered text.

    Attributes:
        text: The piece.
        slot: The slot it fills; empty for the template's own words.
    """

    text: str
    slot: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """What looks wrong with a text by itself; the linter says of which template it is.

    Attributes:
        rule: Short name of the rule, explained in docs/templates.md.
        message: What is wrong.
        hint: What to do about it.
        severity: An error makes broken or useless prompts; a warning is worth a look.
    """

    rule: str
    message: str
    hint: str = ""
    severity: Severity = "error"


class CompiledText(Protocol):
    """One text of a template, read once."""

    @property
    def slots(self) -> tuple[str, ...]:
        """What it shows of an example: fields, ``options`` and ``answer``, in order of appearance."""

    @property
    def words(self) -> str:
        """Its own words alone, a blank in place of a slot."""

    def fill(self, values: Mapping[str, str]) -> str:
        """The text with every slot filled. Values are never read as templates.

        Raises:
            KeyError: A slot has no value.
        """

    def spans(self, values: Mapping[str, str]) -> Iterator[Span]:
        """The same in pieces."""

    def source(self) -> Iterator[Span]:
        """The text as it is written, in pieces: its slots are those places that name one."""

    def without_options(self) -> CompiledText:
        """The same text without its options, and without the gap that they would leave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a template makes of an example, in a language where one text gives all of it.

    Attributes:
        inputs: What is asked.
        targets: The answer.
        options: What there is to choose from; empty where the answer is open.
    """

    inputs: str
    targets: str
    options: tuple[str, ...] = ()


Ask = Callable[["Template", Mapping[str, str], int], Asked]
"""A template, the fields of an example, and a key for what is drawn → what is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """What templates can be written in.

    Attributes:
        name: As templates say it.
        compile: Reads a text; raises ``TemplateError`` for one that cannot be read.
        flaws: What looks wrong with a text by itself, although it can be read.
        ask: Where the template's ``inputs`` give inputs, targets and options at once: does so. Raises
            ``NotAskedError`` for an example that the template does not ask. None: the two texts are filled apart.
    """

    name: str
    compile: Callable[[str], CompiledText]
    flaws: Callable[[str, Side], Iterator[Flaw]]
    ask: Ask | None = None


def white_space_flaws(text: str, side: Side) -> Iterator[Flaw]:
    """White space that is not part of the words, in any language that shows it as it stands."""
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
