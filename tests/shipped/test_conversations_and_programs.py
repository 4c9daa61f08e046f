"""The shipped conversations and programs: what their adapters make of rows, and of the authors' own files."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from flantune.mixture.mixture import Mixture
from flantune.prompts.render import render
from flantune.shipped.dialogue.adapters import qrecc
from flantune.shipped.programs import adapters
from flantune.tasks.prepare import prepare_task
from flantune.tasks.rows import BadRow, check_example
from flantune.tasks.shipped_files import collection_files
from flantune.tasks.sources.slices import parse_slice
from flantune.tasks.taskfile import load_task_file
from flantune.types import Task

REAL = Path(__file__).parents[2] / "../shared/data/flan2022"
TASKS = {path.stem: load_task_file(path) for path in collection_files(["dialogue", "programs"])}
with_data = pytest.mark.skipif(not REAL.is_dir(), reason="no real data here")


def mirrored(name: str, mirror: Path, rows: list[dict], split: str = "train") -> Task:
    """The shipped task over rows put where its mirror has them."""
    source = TASKS[name].source
    folder = mirror / source.id / (source.config or "default")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return load_task_file(Path(TASKS[name].origin), mirror=mirror)


def test_the_collections_are_these() -> None:
    assert sorted(TASKS) == [
        "dmcc_python", "dr_repair_error_comments", "dr_repair_line_numbers", "dr_repair_no_errors",
        "dr_repair_plain_code", "mbpp", "qrecc", "schema_guided", "task_master", "wiki_dialog",
    ]  # fmt: skip


def test_no_shipped_task_trains_on_a_benchmark_of_programs() -> None:
    """HumanEval is nowhere, and MBPP's test split is no split of its task."""
    for task in TASKS.values():
        assert "humaneval" not in str(task.source.hub).replace("_", "").lower()
    assert {parse_slice(text).source_split for text in TASKS["mbpp"].splits.values()} == {"train", "validation"}


@pytest.mark.parametrize(("number", "is_kept"), [(1, True), (10, True), (11, False), (510, False), (511, True)])
def test_mbpps_test_rows_are_dropped_from_any_file(number: int, is_kept: bool) -> None:
    row = {"task_id": number, "text": "Do.", "code": "x = 1", "test_list": ["assert x"], "test_setup_code": ""}
    assert (adapters.mbpp(row) is not None) == is_kept


def test_code_keeps_its_line_breaks_and_indentation() -> None:
    code = "def f(x):\r\n\tif x:  \r\n\t\treturn 1\r\n\r\n\treturn 2\r\n"
    row = {"task_id": 601, "text": "Do.", "code": code, "test_list": ["assert f(1)"], "test_setup_code": "x = 1"}
    example = adapters.mbpp(row)
    assert example.references == ("def f(x):\n\tif x:\n\t\treturn 1\n\n\treturn 2",)
    assert example.fields["tests"] == "x = 1\nassert f(1)"


def test_contest_problems_have_their_solutions_in_python_3() -> None:
    row = {"description": " P ", "solutions": {"language": [1, 3, 3, 3], "solution": ["old", "a\r\nb", "a\nb", "c"]}}
    assert adapters.dmcc_python(row).references == ("a\nb", "c")
    assert adapters.dmcc_python({"description": "P", "solutions": {"language": [2], "solution": ["x"]}}) is None
    with pytest.raises(BadRow, match="missing value"):
        adapters.dmcc_python({"description": " ", "solutions": {"language": [3], "solution": ["x"]}})


@pytest.mark.parametrize("change", [{"err_line": {"lineno": 9, "msg": "x"}}, {"code_lines": []}, {"code_lines": None}])
def test_a_broken_program_whose_message_names_no_line_of_it_is_bad(change: dict) -> None:
    lines = [{"text": "", "code": "int main() {", "indent": 0}, {"text": "", "code": "}", "indent": 0}]
    row = {
        "code_lines": lines[:1],
        "gold_code_lines": lines,
        "err_line": {"lineno": 0, "msg": "x"},
        "info": {"probid": 1},
    }
    assert adapters.dr_repair_line_numbers(row).fields["line"] == "1"
    assert adapters.dr_repair_plain_code(row | {"code_lines": lines}) is None
    with pytest.raises(BadRow):
        adapters.dr_repair_line_numbers(row | change)


def test_a_question_of_qrecc_asks_its_own_answer_and_one_without_is_dropped() -> None:
    row = {"Context": ["a?", "A."], "Question": "b?", "Rewrite": "", "Answer": "B."}
    example = qrecc(row)
    assert [turn.text for turn in example.turns] == ["a?", "A.", "b?", "B."] and example.replies == (3,)
    assert (example.references, example.fields["rewrite"]) == (("B.",), "b?")
    assert qrecc(row | {"Answer": " "}) is None
    with pytest.raises(BadRow, match="list of texts"):
        qrecc(row | {"Context": "a?"})


def test_of_wikidialog_the_greeting_goes_and_only_the_writer_is_asked(tmp_path: Path) -> None:
    said = [f"{('answer', 'question')[at % 2]} {at}" for at in range(101)]
    task = mirrored("wiki_dialog", tmp_path, [{"title": "T", "utterances": said}] * 3)
    example = next(iter(map(task.adapter, task.source.rows("train"))))
    asked = [example.turns[at] for at in example.replies]
    assert {turn.text.split()[0] for turn in asked} == {"answer"} and "answer 0" not in str(example.turns)
    # At most 39 turns of context: the replies with 1, 3 … 39 turns before them.
    assert list(example.replies) == list(range(1, 40, 2))


@with_data
@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("task_master", "dialogue/taskmaster/TM-4-2024_data_07.json"),
        ("task_master", "dialogue/taskmaster/TM-1-2019_sample.json"),
        ("schema_guided", "dialogue/schema_guided/train/dialogues_033.json"),
    ],
)
def test_authors_dialogues_become_examples(name: str, files: str, tmp_path: Path) -> None:
    rows = json.loads((REAL / files).read_text(encoding="utf-8"))
    rows = rows if isinstance(rows, list) else [rows]
    task = mirrored(name, tmp_path, rows)
    for number, example in enumerate(map(task.adapter, task.source.rows("train"))):
        check_example(example, task.kind)
        for key, template in enumerate(task.templates, start=number):
            prompt = render(task, example, template, split="train", options_key=key)
            assert prompt.inputs == prompt.inputs.strip() and prompt.targets == prompt.targets.strip() != ""
            if prompt.conversation is not None:
                said = [turn.text for turn in prompt.conversation.turns]
                assert said == [turn.text for turn in example.turns[: len(said)]]
                assert prompt.targets == example.turns[len(said)].text
                assert (len(said) <= 19) or name != "task_master"


@with_data
def test_mbpps_own_file_trains_on_no_row_of_the_benchmark(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (REAL / "program/mbpp.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 974
    for split in ("train", "validation"):
        mirrored("mbpp", tmp_path, rows, split)
    prepared = prepare_task(mirrored("mbpp", tmp_path, rows), cache=tmp_path / "cache")
    report = prepared.reports["train"]
    # Three more rows repeat the words of a test row, one of them its code as well.
    assert (report.raw_rows, report.kept, report.dropped, dict(report.bad)) == (974, 471, 503, {})
    numbers = {rows[example.row]["task_id"] for example in prepared.stores["train"]}
    assert not numbers & {*adapters.MBPP_TEST}
    test = {row["code"].replace("\r\n", "\n").strip() for row in rows if row["task_id"] in adapters.MBPP_TEST}
    asked = {row["text"].strip().lower() for row in rows if row["task_id"] in adapters.MBPP_TEST}
    for example in prepared.stores["train"]:
        assert example.references[0] not in test and example.fields["problem"].lower() not in asked


@with_data
def test_every_broken_program_of_the_authors_adapts_in_each_view(tmp_path: Path) -> None:
    path = REAL / "program/dr_repair_spoc_err-dev.1000.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for name in ("plain_code", "no_errors", "line_numbers", "error_comments"):
        adapt = getattr(adapters, f"dr_repair_{name}")
        found = Counter()
        for row in rows:
            if (example := adapt(row)) is None:  # one of them was never broken
                found["whole"] += 1
                continue
            check_example(example, "generation")
            broken, mended = example.fields["program"], example.references[0]
            found["changed"] += broken != mended
            found["lines"] += broken.count("\n") == mended.count("\n")
        assert found == {"changed": 999, "lines": 999, "whole": 1}


@with_data
def test_a_file_of_the_authors_is_a_task_of_five_lines(tmp_path: Path) -> None:
    (tmp_path / "coffee.toml").write_text(
        'name = "coffee"\nclusters = ["dialogue"]\n'
        f'source.files.train = "{(REAL / "dialogue/taskmaster/TM-4-2024_data_07.json").resolve()}"\n'
        'splits.train = "train"\n'
        'conversation = { column = "utterances", replies_of = "anyone", trains_on = "drawn", max_turns = 19 }\n'
    )
    task = load_task_file(tmp_path / "coffee.toml")
    prepared = prepare_task(task, cache=tmp_path / "cache", max_bad_share=0.0)
    assert len(prepared.stores["train"]) == 210
    mixture = Mixture([prepared], seed=0)
    drawn = [mixture[number] for number in range(3 * 210)]
    assert len({(one.row, one.targets) for one in drawn}) > 300
    assert {one.conversation.speaker for one in drawn} == {"user", "assistant"}
