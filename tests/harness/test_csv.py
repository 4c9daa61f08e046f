"""CSV files of harness tasks: columns have the types that the harness's reader gives them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flantune.harness.csv_rows import typed_rows
from flantune.harness.docs import answers_of, choices_of, golds_of, load_rows, target_of, text_of
from flantune.harness.harness_file import HarnessTask, read_task_file
from flantune.suites.suite import SuiteData
from flantune.tasks.rows import BadRow, UnreadableRow


def cells(*column: str) -> list[object]:
    return [row["c"] for row in typed_rows([{"c": cell} for cell in column])]


# What pandas makes of such columns, through which the harness reads CSV.
@pytest.mark.parametrize(
    ("column", "values"),
    [
        (("1", "0"), [1, 0]), (("007", " 4", "-2"), [7, 4, -2]), (("1", ""), [1.0, None]), (("1.5", "2"), [1.5, 2.0]),
        (("1e3", "-.5"), [1000.0, -0.5]), (("True", "False"), [True, False]), (("true", "FALSE"), [True, False]),
        (("True", "NA"), [True, None]), (("True", "1"), ["True", "1"]), (("a", "NULL", "nan"), ["a", None, None]),
        (("1", "b"), ["1", "b"]), (("", ""), [None, None]), (("1,000", "2"), ["1,000", "2"]),
        (("1_000", "2"), ["1_000", "2"]),
        (("99999999999999999999",), ["99999999999999999999"]), (("2020-01-05",), ["2020-01-05"]), (("n.a.",), ["n.a."]),
    ],
)  # fmt: skip
def test_columns_have_types(column: tuple[str, ...], values: list[object]) -> None:
    found = cells(*column)
    assert found == values
    assert list(map(type, found)) == list(map(type, values))


def test_rows_that_cannot_be_parsed_keep_their_place() -> None:
    broken = UnreadableRow("broken quoting", "line 2")
    rows = typed_rows([{"c": "1"}, broken, {"c": "2"}])
    assert (rows[0], rows[1], rows[2]) == ({"c": 1}, broken, {"c": 2})
    with pytest.raises(BadRow):
        rows[1]["c"]
    assert typed_rows([]) == []


def made(folder: Path, table: str, more: str) -> HarnessTask:
    (folder / "rows.csv").write_text(table, encoding="utf-8")
    path = folder / "task.yaml"
    path.write_text(
        f"task: t\ndataset_path: csv\ndataset_kwargs:\n  data_files: {{test: rows.csv}}\ntest_split: test\n{more}",
        encoding="utf-8",
    )
    return read_task_file(path)[0]


@pytest.mark.parametrize(
    ("labels", "golds"),
    [
        (("1", "0"), [(1,), (0,)]),
        (("1.0", "0.0"), [(1,), (0,)]),
        (("True", "False"), [(1,), (0,)]),
        (("no", "yes"), [(0,), (1,)]),
    ],
)
def test_a_column_of_figures_names_places(
    tmp_path: Path, labels: tuple[str, ...], golds: list[tuple[int, ...]]
) -> None:
    table = "q,label\n" + "".join(f"Question {k}?,{label}\n" for k, label in enumerate(labels))
    more = 'output_type: multiple_choice\ndoc_to_text: q\ndoc_to_choice: ["no", "yes"]\ndoc_to_target: label\n'
    task = made(tmp_path, table, more)
    rows = load_rows(task, "test", SuiteData())
    assert [golds_of(target_of(task, row), choices_of(task, row)) for row in rows] == golds


def test_figures_are_texts_where_there_are_no_choices(tmp_path: Path) -> None:
    task = made(tmp_path, "q,a,b\n12,7,True\n", "output_type: generate_until\ndoc_to_text: q\ndoc_to_target: a\n")
    row = load_rows(task, "test", SuiteData())[0]
    assert (text_of(task, row), answers_of(target_of(task, row), ())) == ("12", ("7",))
    task = replace(task, values={**task.values, "doc_to_target": "b"})
    assert answers_of(target_of(task, row), ()) == ("True",)
