"""Published few-shot prompts, read from the user's files and split into header, exemplars and answers."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from flantune.errors import SourceError
from flantune.types import Exemplar

_QUESTION = re.compile(r"^Q:", flags=re.MULTILINE)
_ANSWER = re.compile(r"^A:", flags=re.MULTILINE)
_CONCLUSION = re.compile(r"(?:so\s+)?the\s+(?:final\s+)?answer\s+is\s*:?", flags=re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FewShotPrompt:
    """A published prompt.

    Attributes:
        preamble: The text before the first question, including white space.
        exemplars: Its solved examples: ``inputs`` from "Q:" to "A:", ``targets`` the rest, including the leading space.
    """

    preamble: str
    exemplars: tuple[Exemplar, ...]


def read_prompt(text: str) -> FewShotPrompt:
    r"""Splits a prompt of "Q: … A: …" blocks; the text above a line of dashes is a note, not part of the prompt.

    >>> found = read_prompt("do not train on this\n-----\nAdd.\n\nQ: 1+1?\nA: It is 2. So the answer is 2.\n")
    >>> found.preamble, [(one.inputs, one.targets) for one in found.exemplars]
    ('Add.\n\n', [('Q: 1+1?\nA:', ' It is 2. So the answer is 2.')])
    """
    body = re.split(r"^-{3,}\s*\n", text.replace("\r\n", "\n"), maxsplit=1, flags=re.MULTILINE)[-1]
    starts = [match.start() for match in _QUESTION.finditer(body)]
    preamble = body[: starts[0]] if starts else body.rstrip() + "\n\n"
    blocks = [body[start:stop].rstrip() for start, stop in zip(starts, [*starts[1:], None], strict=True)]
    return FewShotPrompt(preamble=preamble, exemplars=tuple(_exemplars(blocks)))


def _exemplars(blocks: list[str]) -> list[Exemplar]:
    """One exemplar per block; a block without an answer belongs to the one before it."""
    found: list[Exemplar] = []
    for block in blocks:
        answers = list(_ANSWER.finditer(block))
        if answers:
            at = answers[0].end()
            # Rows count down from −1, since they belong to no split.
            found.append(Exemplar(row=-1 - len(found), inputs=block[:at], targets=block[at:]))
        elif found:
            found[-1] = replace(found[-1], targets=f"{found[-1].targets}\n\n{block}")
    return found


def without_rationale(exemplar: Exemplar) -> Exemplar:
    r"""The exemplar with a direct answer: the text between "A:" and the conclusion is left out.

    >>> without_rationale(Exemplar(row=-1, inputs="Q: 1+1?\nA:", targets=" It is 2. So the answer is 2.")).targets
    ' 2'
    """
    found = list(_CONCLUSION.finditer(exemplar.targets))
    if not found:
        return exemplar
    answer = exemplar.targets[found[-1].end() :].strip()
    return replace(exemplar, targets=" " + answer.removesuffix("."))


def read_prompt_table(path: Path) -> Mapping[str, str]:
    """Reads a JSON file of prompts by name.

    Raises:
        SourceError: The file is not a table of prompts.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot be read: {error}", where=str(path)) from None
    if not isinstance(table, dict) or not all(isinstance(text, str) for text in table.values()):
        raise SourceError("is not a JSON object of name to prompt text", where=str(path))
    return table


def read_literal(path: Path, name: str) -> object:
    """The value of a JSON file, or of a constant in a Python file, which is parsed and never run.

    Raises:
        SourceError: It cannot be read, or has no such constant.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            value: object = json.loads(text)
            return value
        for node in ast.parse(text).body:
            targets = node.targets if isinstance(node, ast.Assign) else ()
            if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in targets):
                literal: object = ast.literal_eval(node.value)
                return literal
    except (OSError, ValueError, SyntaxError) as error:
        raise SourceError(f"cannot be read: {error}", where=str(path)) from None
    raise SourceError(f"has no constant {name}", where=str(path))
