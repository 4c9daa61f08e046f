"""Right answers that hold the text at which writing stops: they must not be cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from flantune.evaluation.asking.task_questions import drawn_rows

if TYPE_CHECKING:
    from flantune.evaluation.asking.task_questions import Protocol
    from flantune.tasks.store import PreparedTask


def spared_separators(prepared: PreparedTask, protocol: Protocol, *, separator: str) -> int:
    """How many separators an answer may hold before the next one ends it: as many as the right answer with most.

    After exemplars a model that was never taught to stop goes on with the next example, so writing ends at their
    separator. A task of two paragraphs an answer would lose the second one to it. The number is the task's, the same
    for every prompt and every model, so that it tells nothing about one prompt's answer.

    Args:
        prepared: The task; only generation tasks with exemplars have something to spare.
        protocol: How it is asked.
        separator: What stands between exemplars.
    """
    if prepared.task.kind != "generation" or not separator or not any(protocol.evaluation.shots):
        return 0
    asked = drawn_rows(prepared, protocol).items()
    return most_in_answers(
        [separator],
        (answer for split, rows in asked for row in rows for answer in prepared.stores[split][row].references),
    )


def most_in_answers(stops: Sequence[str], answers: Iterable[str]) -> int:
    r"""The largest number of stop texts in one answer.

    >>> most_in_answers(["\n\n"], ["Tea.", "Tea is warm.\n\nIt is made of leaves.\n\n"])
    1
    """
    return max((sum(map(answer.strip().count, stops)) for answer in answers), default=0)
