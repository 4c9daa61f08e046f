"""Right answers that the stop texts of a benchmark or task file would cut are counted, and said beside the score."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flantune.commands.evaluation_exams import notes_of, read_exams
from flantune.commands.evaluation_request import EvaluationRequest

TASK = """
task: poems
dataset_path: json
dataset_kwargs: {data_files: {test: test.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{title}}:"
doc_to_target: "{{poem}}"
generation_kwargs: {until: UNTIL}
metric_list: [{metric: exact_match}]
metadata: {version: 1.0}
"""
POEMS = ["one line", "two\nlines", "a stanza\n\nand another", "\nbegins with a line break"]


def request(folder: Path, until: list[str], poems=POEMS) -> EvaluationRequest:
    rows = [json.dumps({"title": f"Poem {at}", "poem": poem}) + "\n" for at, poem in enumerate(poems)]
    (folder / "test.jsonl").write_text("".join(rows))
    (folder / "poems.yaml").write_text(TASK.replace("UNTIL", json.dumps(until)))
    return EvaluationRequest(models=("none",), harness=(folder / "poems.yaml",), root=folder, out=folder / "out")


@pytest.mark.parametrize(
    ("until", "said"),
    [
        (["\n"], r"writing stops at '\n', which 2 of 4 right answers contain (first in row 1)"),
        (["\n\n", "and"], r"writing stops at '\n\n', which 1 of 4 right answers contain (first in row 2)"),
    ],
)
def test_right_answers_that_hold_a_stop_text_are_counted(tmp_path, until, said):
    notes = list(notes_of(read_exams(request(tmp_path, until)).exams))
    assert any(said in note for note in notes), notes


@pytest.mark.parametrize("until", [["###"], ["Poem 9"]])
def test_where_none_does_nothing_is_said(tmp_path, until):
    assert not any("writing stops" in note for note in notes_of(read_exams(request(tmp_path, until)).exams))


def test_one_right_answer_that_can_be_written_is_enough(tmp_path):
    notes = notes_of(read_exams(request(tmp_path, ["\n"], ["a", "b"])).exams)
    assert not any("writing stops" in note for note in notes)
