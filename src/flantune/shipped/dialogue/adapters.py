"""Row adapters of conversations that no table of columns describes."""

from __future__ import annotations

from flantune.tasks.columns import as_text, find_value
from flantune.tasks.conversations import ASSISTANT, USER, conversation_example, merged
from flantune.tasks.rows import NOT_TEXT, BadRow, short
from flantune.types import Example, Row, Turn


def qrecc(row: Row) -> Example | None:
    """QReCC: what was said before, the question, and its answer; None where there is no answer."""
    context = find_value(row, "Context")
    if not isinstance(context, list):
        raise BadRow(NOT_TEXT, f"got {short(context)} in column Context; expected a list of texts")
    question, answer = _text(row, "Question"), _text(row, "Answer")
    if not answer:
        return None
    said = [Turn((USER, ASSISTANT)[at % 2], as_text(text, "Context")) for at, text in enumerate(context)]
    turns = merged([*said, Turn(USER, question), Turn(ASSISTANT, answer)])
    return conversation_example(turns, [len(turns) - 1], fields={"rewrite": _text(row, "Rewrite") or question})


def _text(row: Row, column: str) -> str:
    return as_text(find_value(row, column), column).strip()
