"""Errors of the TOML parser, with the line and how to fix it."""

from __future__ import annotations

import re
import unicodedata

_PLACE = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")
_TWICE = re.compile(r"Cannot (?:declare|mutate immutable namespace) \((?P<names>.*)\)(?: twice)?")
_WIDTH = 60

_CONSTANTS = {
    **{word: word.lower() for word in ("True", "False", "TRUE", "FALSE")},
    **dict.fromkeys(("yes", "on", "Yes", "On"), "true"),
    **dict.fromkeys(("no", "off", "No", "Off"), "false"),
}
_NOTHING = frozenset({"null", "None", "none", "nil", "NULL"})


def explained(text: str, problem: str) -> tuple[str, str]:
    """The problem with its line, and a hint.

    >>> message, hint = explained("steps = True", "Invalid value (at line 1, column 9)")
    >>> print(message)
    invalid value in line 1, column 9: steps = True
    >>> hint
    'write true'
    """
    match = _PLACE.search(problem)
    what = _what(problem[: match.start()] if match else problem)
    if match is None:
        return what, "fix it there"
    lines = text.split("\n")
    if match["line"] is None:
        return f"{what} at the end of the file", "close what is open: a quote, a bracket or a value"
    line = lines[int(match["line"]) - 1]
    return f"{what} in line {match['line']}, column {match['column']}: {_cut(line)}", _hint(line, problem)


def _what(problem: str) -> str:
    if match := _TWICE.match(problem):
        names = re.findall(r"'([^']*)'", match["names"])
        return f'the table "{".".join(names)}" occurs twice'
    if problem.startswith("Cannot overwrite a value"):
        return "the key occurs twice"
    return problem[:1].lower() + problem[1:]


def _hint(line: str, problem: str) -> str:
    if problem.startswith("Cannot"):
        return "keep one of the two, with the lines of both"
    if odd := next((one for one in line if one in "“”„‟‘’‚«»"), ""):
        return f'write straight quotes, "…", not {odd}'
    if odd := next((one for one in line if unicodedata.category(one) in ("Cf", "Zs") and one != " "), ""):
        return f"remove the invisible character U+{ord(odd):04X}, or write an ordinary blank"
    if "\\" in line and re.search(r"hex value|'\\\\'|escape", problem):
        return "in \"…\" a backslash begins an escape: write paths with /, or put the text into '…'"
    if line.lstrip().startswith("{"):
        return 'this looks like JSON; in TOML a line is: key = "value"'
    if re.match(r"\s*[\w\"'-]+\s*:", line):
        return 'this looks like YAML; in TOML a line is: key = "value"'
    value = line.partition("=")[2].partition("#")[0].strip()
    if value in _CONSTANTS:
        return f"write {_CONSTANTS[value]}"
    if value in _NOTHING or not value:
        return "give a value, or remove the line: a key that is left out has its default"
    if problem.startswith("Invalid value") and re.match(r"[^\W\d]", value):
        return f'text goes in quotes: "{_cut(value)}"'
    return "fix the line named above"


def _cut(text: str) -> str:
    text = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text.strip())
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
