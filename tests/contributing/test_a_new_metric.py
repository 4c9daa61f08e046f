"""A metric is added as docs/contributing.md says: a function and a line, and every exam can be graded by it."""

from __future__ import annotations

import pytest

from flantune.evaluation.metrics import by_name
from flantune.evaluation.metrics.graders import MetricGrader, columns_of
from flantune.evaluation.statistics.grades import grade
from flantune.evaluation.statistics.pairs import template_scores
from flantune.types import Sample


def same_length(prediction: str, references) -> float:
    """Whether an answer has as many words as a right one."""
    return float(any(len(prediction.split()) == len(reference.split()) for reference in references))


@pytest.fixture(autouse=True)
def added(monkeypatch):
    """The one line of ``by_name._METRICS``."""
    metric = by_name._text_metric("same_length", same_length, is_binary=True)
    known = {**by_name._METRICS["generation"], "same_length": metric}
    monkeypatch.setitem(by_name._METRICS, "generation", known)


def said(row: int, text: str) -> Sample:
    return Sample(
        task="t", split="test", row=row, template="a", shots=0, inputs="?", references=("two words",), prediction=text
    )


def test_a_task_is_graded_by_it():
    grader = MetricGrader(columns=columns_of("generation", ("exact_match", "same_length"), normalization="sum"))
    (table,) = grade([said(0, "two words"), said(1, "other words"), said(2, "one")], grader).values()
    scores = {column.metric.name: template_scores(table, column) for column in table.columns.all}
    assert scores == {"exact_match": pytest.approx([1 / 3]), "same_length": pytest.approx([2 / 3])}
