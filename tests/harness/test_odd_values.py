"""Values that templates and functions of task files should not make are errors that say which and where."""

from __future__ import annotations

import json

import pytest

from flantune.errors import FlantuneError, TaskError
from flantune.harness.code_grading import AGGREGATIONS, CodeMetric, HarnessCodeGrader
from flantune.harness.grading import HarnessOptionGrader
from flantune.harness.read import harness_exams
from flantune.harness.task_code import Limits, TaskCode
from flantune.suites.suite import SuiteData
from flantune.types import Sample

LIMITS = Limits(wall_s=600, cpu_s=300)


@pytest.fixture
def ask(tmp_path):
    def asked(code: str = "", **fields: str):
        rows = [{"q": f"Is {n} odd?", "c": ["no", "yes"], "l": n % 2} for n in range(4)]
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (tmp_path / "own.py").write_text(code)
        settings = {"doc_to_text": "q", "doc_to_choice": "c", "doc_to_target": "l"} | fields
        (tmp_path / "odd.yaml").write_text(
            "task: odd\ndataset_path: json\ndataset_kwargs: {data_files: {test: rows.jsonl}}\ntest_split: test\n"
            "output_type: multiple_choice\n" + "".join(f"{key}: {value}\n" for key, value in settings.items())
        )
        return harness_exams([tmp_path / "odd.yaml"], SuiteData(), limits=LIMITS)

    yield asked
    if TaskCode.process is not None:
        TaskCode.process.close()


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ q + 1 }}", "TypeError"),
        ("{{ q | regex_replace('(', '') }}", "unterminated subpattern"),
        ("{{ c[9].lower() }}", "UndefinedError"),
        ("{{ 'x' * 10 ** 20 }}", "Error"),
        ("{{ q.encode('ascii').decode('nonsense') }}", "LookupError"),
    ],
)
@pytest.mark.parametrize("key", ["doc_to_text", "doc_to_target", "doc_to_choice", "description"])
def test_a_template_that_cannot_be_computed_is_an_error(ask, template, said, key):
    with pytest.raises(FlantuneError, match=said) as error:
        ask(**{key: json.dumps(template)})
    assert "odd.yaml" in error.value.render() and key in error.value.render()


@pytest.mark.parametrize(
    ("key", "body", "said"),
    [
        ("doc_to_choice", "return [float('nan'), 'b']", "a choice has no text"),
        ("doc_to_choice", "return [None, 'b']", "a choice has no text"),
        ("doc_to_target", "return float('nan')", "no question has a right choice"),
        ("doc_to_text", "return float('nan')", "which is not text"),
        ("process_docs", "return doc.select([])", "leaves none of the 4 rows of the split test"),
    ],
)
def test_a_function_that_makes_nothing_of_use_is_an_error(ask, key, body, said):
    if key == "process_docs":
        pytest.importorskip("datasets")
    with pytest.raises(TaskError, match=said):
        ask(f"def f(doc):\n    {body}\n", **{key: "!function own.f"})


@pytest.mark.parametrize("aggregation", list(AGGREGATIONS))
@pytest.mark.parametrize("item", [float("nan"), float("inf"), "good", [1]])
def test_a_score_that_is_no_number_is_never_averaged(tmp_path, aggregation, item):
    import numpy as np

    metric = CodeMetric(name="own", aggregation=aggregation)
    grader = HarnessCodeGrader(
        base=HarnessOptionGrader(names=("acc",), golds={}), names=("own",), made={"own": metric},
        code=TaskCode(tmp_path / "t.yaml", LIMITS), rows={}, targets={}, items=[0.5, item, 0.5],
    )  # fmt: skip
    score, notes, weights = grader.columns.headline.metric.score, np.arange(3.0)[:, None], np.ones((1, 3))
    if aggregation == "nanmean" and item != item:
        assert score(notes, weights).tolist() == [0.5]
    else:
        with pytest.raises(TaskError, match="but the mean needs numbers"):
            score(notes, weights)


def test_a_metric_that_names_its_score_otherwise_is_no_zero(ask):
    code = "def own(references, predictions):\n    return {'other': 1.0}\n"
    metrics = "\n  - {metric: !function own.own, aggregation: mean, higher_is_better: true}"
    (one,) = ask(code, output_type="generate_until", metric_list=metrics)
    answer = Sample(task="t", split="test", row=0, template="harness", shots=0, inputs="", prediction="no")
    with pytest.raises(TaskError, match="own: its function returns other instead"):
        one.exam.grader.grade(answer)
