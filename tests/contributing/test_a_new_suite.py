"""A benchmark is added as docs/contributing.md says: a file with a ``Suite``, and a line in ``catalog.SUITES``."""

from __future__ import annotations

import json

import pytest
from tests.suites.world import make_model

from flantune.commands.evaluate import EvaluationRequest, evaluate
from flantune.errors import MissingDataError
from flantune.evaluation.exams import Exam, MissingExam, Writing
from flantune.evaluation.metrics.graders import text_grader
from flantune.evaluation.statistics.averages import by_group
from flantune.suites import catalog
from flantune.suites.suite import Exams, Suite, SuiteData, wanted
from flantune.types import Prompt


def parts(data: SuiteData) -> Exams:
    """Sums of two sizes, one exam each."""
    for size in ("small", "large"):
        try:
            rows = data.rows("toys/sums", size, split="test")
        except MissingDataError as error:
            yield MissingExam(score="sums_direct", name=size, needs=wanted(error))
            continue
        prompts = (
            Prompt(
                task=f"sums_direct/{size}", split="test", row=at, template="direct", inputs=f"{row['a']} + 1 =",
                targets=f" {row['a'] + 1}", references=(str(row["a"] + 1),),
            )
            for at, row in enumerate(rows)
        )  # fmt: skip
        yield Exam(
            score="sums_direct",
            name=size,
            questions=data.asked(prompts, shots=0),
            answering="text",
            grader=text_grader(),
            protocol=data.protocol,
            chance=0.0,
            writing=Writing(stop=("\n",), max_new_tokens=4),
        )


SUITE = Suite(name="sums", modes=("direct",), parts=parts, averages=by_group("sizes"), help="sums of toys")


@pytest.fixture(autouse=True)
def added(monkeypatch):
    """The one line of ``catalog.SUITES``."""
    monkeypatch.setattr(catalog, "SUITES", (*catalog.SUITES, SUITE))


def test_it_is_asked_graded_averaged_and_reported(tmp_path):
    for size, first in (("small", 1), ("large", 100)):
        folder = tmp_path / "hub/toys/sums" / size
        folder.mkdir(parents=True)
        (folder / "test.jsonl").write_text("".join(json.dumps({"a": first + n}) + "\n" for n in range(3)))
    make_model(tmp_path / "model")
    request = EvaluationRequest(
        models=(str(tmp_path / "model"),), suites=("sums",), root=tmp_path, out=tmp_path / "out"
    )
    evaluate(request)
    found = (tmp_path / "out" / "results.json").read_text()
    assert '"mean of 2 sizes"' in found and '"sums_direct"' in found
    assert "sums_direct" in (tmp_path / "out" / "report.html").read_text()


def test_a_name_that_is_near_is_said_and_so_is_what_is_missing(tmp_path):
    request = EvaluationRequest(models=("org/m",), suites=("sum",), root=tmp_path, out=tmp_path / "out")
    with pytest.raises(Exception, match='no suite "sum"') as error:
        evaluate(request)
    assert "sums" in error.value.hint
