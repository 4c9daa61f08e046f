r"""All output to the terminal goes through here: escape sequences in data have no effect.

Labels, descriptions, columns, model names and file names come from others. An escape sequence in them could clear the
screen, rename the window or overwrite an error message. Therefore, while a command runs, both output streams write
every control character as ``\u001b``, which in JSON means the same character. Only flantune's own colors and redrawn
lines bypass this, through ``paint``, ``echo``, ``show`` and ``redraw``, which treat data in the same way.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO, cast

import click

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.console import ConsoleOptions, RenderableType, RenderResult

# Control characters except tab and line feed, changes of writing direction, and lone surrogates, which no stream can
# encode.
_UNSAFE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]|\r(?!\n)")


def visible(text: str) -> str:
    r"""A text with control characters made visible and ineffective.

    >>> visible("\x1b[2J"), visible("two\n\tlines"), visible("a\rb")
    ('\\u001b[2J', 'two\n\tlines', 'a\\u000db')
    """
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


class Painted(str):
    """Text with flantune's own colors; data in it has already been made safe."""

    __slots__ = ()


def paint(text: str, **style: Any) -> Painted:
    """Text in a color or style of ``click.style``."""
    return Painted(click.style(visible(text), **style))


def echo(*pieces: str, err: bool = False) -> None:
    """Prints pieces one after the other; in color on a terminal or under FORCE_COLOR, and never under NO_COLOR."""
    text = "".join(piece if isinstance(piece, Painted) else visible(piece) for piece in pieces)
    stream = _ready(sys.stderr if err else sys.stdout)
    is_colored = (stream.isatty() or bool(os.environ.get("FORCE_COLOR"))) and not os.environ.get("NO_COLOR")
    click.echo(text, file=stream, color=is_colored)


def echo_json(value: object, *, indent: int | None = None, default: Callable[[Any], object] | None = None) -> None:
    """Prints a value as JSON, in which every number that JSON lacks (NaN, infinite) is null."""
    import json

    from flantune.system.files import without_nan

    text = json.dumps(without_nan(value), ensure_ascii=False, indent=indent, default=default, allow_nan=False)
    click.echo(text)


def tell_next(*words: object) -> None:
    """Suggests the next command, quoted for a shell: a path with spaces stays one word."""
    click.echo(f"next: {shlex.join(map(str, words))}", err=True)


def redraw(text: str) -> None:
    """Overwrites the current line of stderr's terminal; later output starts on a new line."""
    with _live.lock:
        stream = _trusted(sys.stderr)
        stream.write(f"\r\x1b[2K{visible(text)}")
        stream.flush()
        _live.stream = stream


def end_redrawn() -> None:
    """Keeps the overwritten line as it is."""
    with _live.lock:
        if _live.stream is not None:
            _live.stream.write("\n")
            _live.stream.flush()
            _live.stream = None


@dataclass(slots=True)
class _Output:
    """The last use of both streams.

    Attributes:
        stream: The stream whose last line is being overwritten, if any.
        printed_at: Time of the last output on stdout, by the monotonic clock.
    """

    lock: threading.RLock
    stream: TextIO | None = None
    printed_at: float = 0.0


_live = _Output(threading.RLock())


def has_printed_since(moment: float) -> bool:
    """Whether stdout was used after a time of the monotonic clock, so that a command has begun to print results."""
    return _live.printed_at > moment


def show(*tables: RenderableType) -> None:
    """Prints ``rich`` tables, separated by empty lines; without a terminal, ``COLUMNS`` or else 132 wide."""
    from rich.console import Console

    stream = _ready(sys.stdout)
    width = None if stream.isatty() or "COLUMNS" in os.environ else 132
    console = Console(width=width, file=stream)
    console.print(*map(_VisibleTable, tables), sep="\n\n")


class _VisibleTable:
    """A table whose cells cannot affect the terminal."""

    def __init__(self, table: RenderableType) -> None:
        self._table = table

    def __rich_console__(self, console: RichConsole, options: ConsoleOptions) -> RenderResult:
        from rich.segment import Segment

        from flantune.cli.narrow import FittedTable

        for segment in console.render(FittedTable(self._table), options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


class _GuardedStream:
    """An output stream that makes control characters visible."""

    def __init__(self, stream: TextIO) -> None:
        self.trusted = stream

    def write(self, text: str | bytes) -> int:
        if isinstance(text, bytes):  # click writes shell completions as bytes
            if not text:
                raise TypeError("text is written here")  # so click tries whether the stream takes bytes
            text = text.decode()
        _ready(self.trusted)
        seen = visible(text)
        try:
            self.trusted.write(seen)
        except UnicodeEncodeError:
            encoding = self.trusted.encoding or "ascii"
            self.trusted.write(seen.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":  # bytes would bypass this
            raise AttributeError(name)
        return getattr(self.trusted, name)


def _ready(stream: TextIO) -> TextIO:
    """The stream itself, with no unfinished line."""
    trusted = _trusted(stream)
    end_redrawn()
    if trusted is _trusted(sys.stdout):
        _live.printed_at = time.monotonic()
    return trusted


def _trusted(stream: TextIO) -> TextIO:
    return stream.trusted if isinstance(stream, _GuardedStream) else stream


@contextmanager
def guarded() -> Iterator[None]:
    """Within the block, stdout and stderr print only safe text."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast("TextIO", _GuardedStream(_trusted(stream))) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
