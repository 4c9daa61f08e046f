"""Row adapters of programs: what is to be written or fixed, and the program; None drops a row on purpose."""

from __future__ import annotations

from typing import Any

from flantune.tasks.columns import as_text, find_value
from flantune.tasks.rows import EMPTY_TARGET, MISSING_VALUE, NOT_TEXT, OUT_OF_RANGE, BadRow, short
from flantune.types import Example, Row

MBPP_TEST = range(11, 511)
"""MBPP's test split by task_id: a benchmark."""
MBPP_REPEATS = (602, 704, 872)
"""Other rows of MBPP that ask in the words of a test row (217, 248 and 216)."""
_PYTHON_3 = 3
_MOST_SOLUTIONS = 3
_INDENT = "    "


def mbpp(row: Row) -> Example | None:
    """MBPP: the sentence, the tests a line each, and the code; None for the benchmark's test rows and their repeats."""
    number = find_value(row, "task_id")
    if not isinstance(number, int):
        raise BadRow(NOT_TEXT, f"got {short(number)} in column task_id; expected a number")
    if number in MBPP_TEST or number in MBPP_REPEATS:
        return None
    tests = find_value(row, "test_list")
    if not isinstance(tests, list) or not tests:
        raise BadRow(MISSING_VALUE, f"got {short(tests)} in column test_list; expected some tests")
    # Some rows set up a class that the tests use.
    lines = [row.get("test_setup_code") or "", *tests]
    shown = "\n".join(_code(line) for line in lines if line.strip())
    problem = as_text(find_value(row, "text"), "text").strip()
    return _written({"problem": problem, "tests": shown}, as_text(find_value(row, "code"), "code"))


def dmcc_python(row: Row) -> Example | None:
    """CodeContests: the statement, and solutions in Python 3; None without any."""
    languages, programs = find_value(row, "solutions.language"), find_value(row, "solutions.solution")
    pairs = zip(languages, programs, strict=True)
    solutions = [_code(as_text(text, "solutions.solution")) for number, text in pairs if number == _PYTHON_3]
    found = tuple(dict.fromkeys(text for text in solutions if text))[:_MOST_SOLUTIONS]
    if not found:
        return None
    problem = as_text(find_value(row, "description"), "description").strip()
    if not problem:
        raise BadRow(MISSING_VALUE, "description is empty")
    return Example(row=0, fields={"problem": problem}, references=found)


def dr_repair_plain_code(row: Row) -> Example | None:
    """DrRepair: the broken program alone."""
    return _repair(row, {"program": "\n".join(_lines(row, "code_lines"))})


def dr_repair_no_errors(row: Row) -> Example | None:
    """DrRepair: the broken program, its lines numbered from 1."""
    return _repair(row, {"program": _numbered(_lines(row, "code_lines"))})


def dr_repair_line_numbers(row: Row) -> Example | None:
    """DrRepair: the same with the compiler's first message and the line it names."""
    lines = _lines(row, "code_lines")
    at, message = _error(row, lines)
    return _repair(row, {"program": _numbered(lines), "line": str(at + 1), "message": message})


def dr_repair_error_comments(row: Row) -> Example | None:
    """DrRepair: the broken program with the message as a comment after the line it names."""
    lines = _lines(row, "code_lines")
    at, message = _error(row, lines)
    lines[at] += f"  // error: {message}"
    return _repair(row, {"program": "\n".join(lines)})


def _lines(row: Row, column: str) -> list[str]:
    """The lines of a program, indented as they were."""
    lines = find_value(row, column)
    if not isinstance(lines, list) or not lines:
        raise BadRow(MISSING_VALUE, f"got {short(lines)} in column {column}; expected lines of code")
    return [_INDENT * _depth(line) + as_text(find_value(line, "code"), column).rstrip() for line in lines]


def _depth(line: Any) -> int:
    return int(find_value(line, "indent"))


def _error(row: Row, lines: list[str]) -> tuple[int, str]:
    """The line that the compiler names, from 0, and what it says."""
    at = find_value(row, "err_line.lineno")
    if not isinstance(at, int) or not 0 <= at < len(lines):
        raise BadRow(OUT_OF_RANGE, f"got line {short(at)} of {len(lines)} in err_line")
    return at, as_text(find_value(row, "err_line.msg"), "err_line.msg").strip()


def _repair(row: Row, fields: dict[str, str]) -> Example | None:
    """A program to fix; None where it is as it should be. Programs for the same problem belong together."""
    mended = _lines(row, "gold_code_lines")
    if mended == _lines(row, "code_lines"):
        return None
    group = as_text(find_value(row, "info.probid"), "info.probid")
    return _written(fields, "\n".join(mended), group=group)


def _numbered(lines: list[str]) -> str:
    return "\n".join(f"{number} {line}" for number, line in enumerate(lines, start=1))


def _code(text: str) -> str:
    """Code with plain line ends, and without blank ones around it."""
    return "\n".join(line.rstrip() for line in text.replace("\r\n", "\n").split("\n")).strip("\n")


def _written(fields: dict[str, str], program: str, *, group: str = "") -> Example:
    code = _code(program)
    if not code.strip():
        raise BadRow(EMPTY_TARGET, "got no code")
    return Example(row=0, fields=fields, references=(code,), group=group)
