"""Flan 2022's chain-of-thought files as tasks: the shipped templates of nine datasets, with rows from a folder."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.errors import MissingDataError
from flantune.system.files import is_folder, near_file
from flantune.tasks.rows import MISSING_COLUMN, MISSING_VALUE, NOT_AN_OPTION, BadRow, short
from flantune.tasks.shipped_files import collection_files
from flantune.tasks.sources.files import FileSource
from flantune.tasks.sources.formats import FileFormat
from flantune.tasks.taskfile import load_task_file
from flantune.types import Example, Row, SplitRole, Task

if TYPE_CHECKING:
    from flantune.settings.chain_of_thought import ChainOfThoughtSettings

COLUMNS = ("question", "answer", "rationale")
"""The columns of a line; the files have no header."""
_FORM = FileFormat(columns=COLUMNS, written_line_breaks=True)
_ADAPTER = "chain-of-thought lines, 1"
_LISTED = re.compile(r"(?:- )?(?P<whole>\(?(?P<mark>[A-Z])\) .*|(?P<name>[^:]+): .*|.*)")


def load_chain_of_thought(settings: ChainOfThoughtSettings, *, root: Path) -> tuple[Task, ...]:
    """The nine tasks with the rows of Flan's files; a missing file is reported when its task is prepared.

    Args:
        settings: The run file's ``[data.chain_of_thought]``.
        root: The folder that relative paths are relative to.

    Raises:
        MissingDataError: There is no such folder, or none of the files in it.
    """
    folder = root / settings.folder.expanduser()
    tasks = tuple(_task(path, folder, settings.test_examples) for path in collection_files(["cot"]))
    if not is_folder(folder):
        raise MissingDataError("no such folder", where=str(folder), hint=near_file(folder))
    if not any(task.source.files_here() for task in tasks):
        hint = "name the folder that holds gsm8k_train.tsv and the like: flan/v2/cot_data in Flan's repository"
        raise MissingDataError("none of Flan's chain-of-thought files is here", where=str(folder), hint=hint)
    return tasks


def _task(path: Path, folder: Path, measured: int) -> Task:
    task = load_task_file(path)
    name = f"{task.source_family}_train.tsv"
    splits: dict[SplitRole, str] = {"train": "train"}
    if measured:
        splits = {"train": f"train[:-{measured}]", "test": f"train[-{measured}:]"}
    return replace(
        task,
        source=FileSource(files={"train": name}, form=_FORM, root=folder),
        adapter=adapt_line,
        splits=splits,
        adapter_fingerprint=_ADAPTER,
        confirmed="",
    )


def adapt_line(row: Row) -> Example:
    r"""A line as an example; if the question lists options, the answer is one of them, by its text or its letter.

    >>> found = adapt_line({"question": "Is it?\nOptions:\n- yes\n- no", "answer": "no", "rationale": "It isn't."})
    >>> found.references, dict(found.fields)
    (('no',), {'question': 'Is it?\nOptions:\n- yes\n- no', 'rationale': "It isn't."})

    Raises:
        BadRow: A cell is missing or blank, or the answer is not among the options.
    """
    missing = [name for name in COLUMNS if name not in row]
    if missing:
        raise BadRow(MISSING_COLUMN, f"expected {', '.join(COLUMNS)}; got {', '.join(map(str, row))}")
    question, answer, rationale = (str(row[name]).strip() for name in COLUMNS)
    for name, text in zip(COLUMNS, (question, answer, rationale), strict=True):
        if not text:
            raise BadRow(MISSING_VALUE, f"got no text as {name}")
    listed = question.partition("\nOptions:\n")[2].splitlines()
    options = [match for line in listed if (match := _LISTED.fullmatch(line.strip()))]
    if options and not any(_says(answer, match) for match in options):
        raise BadRow(NOT_AN_OPTION, f"got {short(answer)}; expected one of {', '.join(map(short, listed))}")
    return Example(row=0, fields={"question": question, "rationale": rationale}, references=(answer,))


def _says(answer: str, option: re.Match[str]) -> bool:
    return answer in (option["whole"], f"({option['mark']})", option["name"])
