"""TOML files, read and written in one way: whoever wrote one hears of every fault in the same words."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flantune.errors import FlantuneError
from flantune.settings.toml_faults import explained
from flantune.system.files import read_text

_LONG_KEY = re.compile(r"""(?<![\w"'-])(?:["']?[\w-]++["']?\.){200}""")
_CONTROLS = re.compile("[\x7f\ud800-\udfff]")


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
    except (ValueError, OverflowError) as error:  # a number of thousands of digits, a date that there is not
        raise ValueError(str(error).partition(";")[0]) from None


def read_toml(
    path: Path, *, error: type[FlantuneError], what: str = "file", hint: str = ""
) -> tuple[str, dict[str, Any]]:
    """A file's text and its tables.

    Args:
        path: The file.
        error: What is raised.
        what: What it is, for the message that there is none.
        hint: What to do when nothing near is there either.

    Raises:
        FlantuneError: Of the kind asked for: the file is missing or cannot be read, or is not valid TOML.
    """
    text = read_text(path, error=error, what=what, hint=hint)
    try:
        return text, parse_toml(text)
    except ValueError as problem:
        what, mends = explained(text, str(problem))
        raise error(f"is not valid TOML: {what}", where=str(path), hint=mends) from None


def toml_value(value: object) -> str:
    r"""A value as TOML has it.

    >>> toml_value(("a", 1, True, 0.5)), toml_value(chr(127))
    ('["a", 1, true, 0.5]', '"\\u007F"')

    Raises:
        ValueError: Half of a surrogate pair, which TOML cannot say.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{toml_value(str(key))} = {toml_value(item)}" for key, item in value.items()) + " }"
    # JSON's escapes are a subset of those of TOML's basic strings, but it lets U+007F stand, which TOML does not.
    return _CONTROLS.sub(_escaped, json.dumps(str(value), ensure_ascii=False))


def _escaped(match: re.Match[str]) -> str:
    number = ord(match[0])
    if number != 0x7F:
        raise ValueError(f"U+{number:04X} is half of a surrogate pair, which TOML cannot say")
    return "\\u007F"
