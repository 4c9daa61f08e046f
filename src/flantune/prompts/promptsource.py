"""promptsource's templates: one Jinja text that gives inputs and targets of a row, separated by three bars.

Its answer choices are a second text. Bars in the data never split anything, random choices are made by a key, and a
template whose own ``if`` leaves a row empty does not accept it. Paper: Bach et al. 2022; Sanh et al. 2021.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from flantune.errors import NotAskedError, TemplateError
from flantune.prompts.language import Asked, Language, Span
from flantune.prompts.sandbox import JinjaProgram, read_jinja, tokens
from flantune.system.keyed_random import mix64

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flantune.prompts.language import Flaw, Side
    from flantune.prompts.sandbox_limits import Choose
    from flantune.types import Template

BARS = "|||"
"""Between inputs and targets, and between one answer choice and the next."""
CHOICES = "answer_choices"
"""The templates' name for their answer choices."""
Truncation = Literal["none", "expressions", "promptsource"]
TRUNCATED_CHARACTERS = 2_048
_NAMED_GUARD = re.compile(r"\b[0-9a-f]{32}\b")
_JSON = "json:"
"""Precedes a value of a row that is not text, or is text that begins like this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptsourceText:
    """The text of a template, compiled; both sides of a template are the same text."""

    program: JinjaProgram

    @property
    def slots(self) -> tuple[str, ...]:
        """The columns that it uses."""
        return tuple(name for name in self.program.names if name != CHOICES)

    @property
    def words(self) -> str:
        """Its own words."""
        return self.program.words

    def fill(self, values: Mapping[str, str]) -> str:
        """The rendered text with its bars, without answer choices and with the first of each random choice.

        Raises:
            TemplateError: It fails on the row.
        """
        return self.program.render(row_of(values), choose=lambda _: 0)

    def spans(self, values: Mapping[str, str]) -> Iterator[Span]:
        """The same as a single span: the output of a program cannot be attributed to its inputs."""
        yield Span(text=self.fill(values))

    def source(self) -> Iterator[Span]:
        """The source text."""
        yield Span(text=self.program.text)

    def without_options(self) -> PromptsourceText:
        """The same text: where it shows options cannot be determined."""
        return self


def compile_promptsource(text: str) -> PromptsourceText:
    """A template's text.

    Raises:
        TemplateError: It is not Jinja.
    """
    return PromptsourceText(program=_program(text))


_program = lru_cache(maxsize=16_384)(read_jinja)


def ask(template: Template, fields: Mapping[str, str], key: int) -> Asked:
    """The result of a template and a row.

    Args:
        template: The template.
        fields: The row, as ``fields_of`` writes it.
        key: The key of random choices.

    Raises:
        NotAskedError: It does not accept this row: inputs or targets are empty.
        TemplateError: It fails on the row.
    """
    parts, options = render_parts(template.inputs, template.answer_choices, row_of(fields), choose=keyed(key))
    if len(parts) != 2 or not all(parts):
        raise NotAskedError("the template does not ask this row: it says nothing of it")
    # Equal choices count once, and blank ones do not count.
    return Asked(inputs=parts[0], targets=parts[1], options=tuple(dict.fromkeys(filter(None, options))))


def keyed(key: int) -> Choose:
    """Successive random choices, each a pure function of the key and the number of earlier choices."""
    drawn = 0

    def choose(count: int) -> int:
        nonlocal drawn
        drawn += 1
        return mix64(key, drawn) % count

    return choose


def render_parts(
    text: str, answer_choices: str, row: Mapping[str, Any], *, choose: Choose
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The parts of a rendered text, and the answer choices.

    >>> text = "{{ question }} {{ answer_choices | join(' or ') }}? ||| {{ answer_choices[label] }}"
    >>> render_parts(text, "yes ||| no", {"question": "Is a||b three bars, as ||| is:", "label": 1}, choose=min)
    (('Is a||b three bars, as ||| is: yes or no?', 'no'), ('yes', 'no'))

    Args:
        text: The template.
        answer_choices: The text of its answer choices; empty for none.
        row: The row.
        choose: Makes random choices.

    Raises:
        TemplateError: A text is not Jinja, or fails on this row.
    """
    if CHOICES in row:
        raise TemplateError(f'the row has a column "{CHOICES}", which is what the template calls its answer choices')
    guard = _guard(row, text)
    guarded: dict[str, Any] = _replaced(row, BARS, guard) if guard else dict(row)
    options = _split(_program(answer_choices).render(guarded, choose=choose)) if answer_choices else []
    guarded[CHOICES] = options or None
    parts = _split(_program(text).render(guarded, choose=choose))
    if guard:
        parts, options = ([one.replace(guard, BARS) for one in texts] for texts in (parts, options))
    return tuple(parts), tuple(options)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(BARS)]


def _guard(row: Mapping[str, Any], text: str) -> str:
    """A placeholder for bars in the data during rendering, which occurs nowhere in the row; empty without bars.

    Some texts refer to promptsource's own placeholder, a hexadecimal number, to restore the bars; then it is used.
    """
    whole = json.dumps(row, ensure_ascii=False, default=str)
    if BARS not in whole:
        return ""
    named = _NAMED_GUARD.search(text)
    if named and named[0] not in whole:
        return named[0]
    return next(three for three in (chr(0xE000 + at) * len(BARS) for at in range(6_400)) if three[0] not in whole)


def _replaced(value: Any, old: str, new: str) -> Any:
    """A value with a text replaced in all of its texts, at any depth."""
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, list | tuple):
        return [_replaced(one, old, new) for one in value]
    if isinstance(value, dict):
        return {key: _replaced(one, old, new) for key, one in value.items()}
    return value


def fixed_choices(answer_choices: str) -> tuple[str, ...]:
    """The choices of a template that are the same for every row; empty for others.

    >>> fixed_choices("yes ||| no"), fixed_choices("{{ left }} ||| {{ right }}")
    (('yes', 'no'), ())

    Raises:
        TemplateError: The text is not Jinja.
    """
    program = _program(answer_choices)
    if not answer_choices or program.names:
        return ()
    return tuple(_split(program.render({}, choose=lambda _: 0)))


def fields_of(row: Mapping[str, Any]) -> dict[str, str]:
    """A row as texts: texts unchanged, everything else as JSON after a mark; ``row_of`` reverses it.

    >>> fields_of({"text": "It rains.", "label": 1})
    {'text': 'It rains.', 'label': 'json:1'}
    """
    return {name: _as_text(value) for name, value in row.items()}


def _as_text(value: Any) -> str:
    if isinstance(value, str) and not value.startswith(_JSON):
        return value
    return _JSON + json.dumps(value, ensure_ascii=False, default=str)


def row_of(fields: Mapping[str, str]) -> dict[str, Any]:
    """The row that ``fields_of`` encoded, a new copy each time, since a template may change its lists.

    >>> row_of({"text": "It rains.", "label": "json:1"})
    {'text': 'It rains.', 'label': 1}
    """
    return {
        name: json.loads(text.removeprefix(_JSON)) if text.startswith(_JSON) else text for name, text in fields.items()
    }


def without_content(fields: Mapping[str, str], text: str) -> dict[str, str]:
    """A row with each of its texts replaced; labels and other numbers stay, so that it can still be rendered.

    >>> without_content({"claim": "It rains.", "label": "json:1", "more": 'json:["a", 2]'}, "N/A")
    {'claim': 'N/A', 'label': 'json:1', 'more': 'json:["N/A", 2]'}
    """
    return fields_of({name: _emptied(value, text) for name, value in row_of(fields).items()})


def _emptied(value: Any, text: str) -> Any:
    if isinstance(value, list):
        return [_emptied(one, text) for one in value]
    if isinstance(value, dict):
        return {key: _emptied(one, text) for key, one in value.items()}
    return text if isinstance(value, str) else value


def truncated(text: str, how: Truncation) -> str:
    """A template's text with every printed expression truncated to some 2,048 characters, at a word boundary.

    "promptsource": like its authors' code, for equal texts; this only truncates the last part of
    ``a if b else c``, of ``a or b`` and of ``a + b``. "expressions": the whole of each expression.

    >>> truncated("{{ a or b }}", "expressions"), truncated("{{ a or b }}", "promptsource")
    ('{{(a or b) | string | truncate(2048) }}', '{{ a or b  | string | truncate(2048) }}')
    """
    cut = f" | string | truncate({TRUNCATED_CHARACTERS}) }}}}"
    if how == "promptsource":
        return text.replace("}}", cut)
    return _cut_expressions(text, cut) if how == "expressions" else text


def _cut_expressions(text: str, cut: str) -> str:
    pieces: list[str] = []
    inner: list[str] | None = None
    for kind, piece in tokens(text):
        if kind == "variable_begin":
            inner = []
            pieces.append(piece)
        elif kind == "variable_end" and inner is not None:
            pieces.append(
                f"({''.join(inner).strip()}){cut}" if piece == "}}" else f"({''.join(inner)}){cut[:-2]}{piece}"
            )
            inner = None
        else:
            (pieces if inner is None else inner).append(piece)
    return "".join(pieces)


def _no_flaws(text: str, side: Side) -> Iterator[Flaw]:  # noqa: ARG001 - its authors' words are not ours to mend
    return iter(())


PROMPTSOURCE = Language(name="promptsource", compile=compile_promptsource, flaws=_no_flaws, ask=ask)
