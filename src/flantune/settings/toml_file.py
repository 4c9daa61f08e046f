"""The one place where TOML files are read and written, with uniform error messages."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from flantune.errors import FlantuneError
from flantune.settings.toml_faults import explained
from flantune.system.files import read_text

_LONG_KEY = re.compile(r"""(?<![\w"'-])(?:["']?[\w-]++["']?\.){200}""")
_HALF = re.compile("[\ud800-\udfff]")
_BRACKET_BREAK = re.compile(r"(?<=\[)\n +|,\n *(?=\])")  # only in arrays do lines end in [ or a comma


def parse_toml(text: str) -> dict[str, Any]:
    """The tables of a text.

    Raises:
        ValueError: It is not valid TOML; the message says where, in one line.
    """
    if _LONG_KEY.search(text):
        raise ValueError("a key has more than 200 parts")  # which would take minutes to read
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("tables or lists are nested too deeply") from None
    except tomllib.TOMLDecodeError:
        raise
    except (ValueError, OverflowError) as error:  # a number with thousands of digits, or an impossible date
        raise ValueError(str(error).partition(";")[0]) from None


def read_toml(
    path: Path, *, error: type[FlantuneError], what: str = "file", hint: str = ""
) -> tuple[str, dict[str, Any]]:
    """A file's text and its tables.

    Args:
        path: The file.
        error: What is raised.
        what: What the file is, for the message if it is missing.
        hint: What to do if no similar file exists either.

    Raises:
        FlantuneError: The class asked for: the file is missing or cannot be read, or is not valid TOML.
    """
    text = read_text(path, error=error, what=what, hint=hint)
    try:
        return text, parse_toml(text)
    except ValueError as problem:
        what, mends = explained(text, str(problem))
        raise error(f"is not valid TOML: {what}", where=str(path), hint=mends) from None


def toml_text(values: Mapping[str, object]) -> str:
    r"""Tables as the text of a TOML file.

    >>> print(toml_text({"name": "a\x7f", "training": {"steps": [3, 4], "rate": 1e-08}}), end="")
    name = "a\u007f"
    <BLANKLINE>
    [training]
    steps = [3, 4]
    rate = 1e-08

    Raises:
        ValueError: A text holds half of a surrogate pair, which TOML cannot represent.
    """
    text = re.sub(r",\n +", ", ", _BRACKET_BREAK.sub("", tomli_w.dumps(values)))  # an array is one line
    if half := _HALF.search(text):
        raise ValueError(f"U+{ord(half[0]):04X} is half of a surrogate pair, which TOML cannot represent")
    return text
