"""A file of somebody's own becomes a project: whatever form other programs left it in, its task reads and asks it."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from flantune.cli.main import cli
from flantune.commands.check import check_run_file
from flantune.commands.init import write_project
from flantune.errors import ConfigError, SourceError
from flantune.prompts.render import render
from flantune.settings.run_file import load_run_file
from flantune.tasks.load import load_tasks
from flantune.tasks.prepare import prepare_task
from flantune.tasks.recognize import recognize

ROWS = 40


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def turn(who: str, text: str, *, keys: tuple[str, str] = ("role", "content")) -> dict[str, str]:
    return {keys[0]: who, keys[1]: text}


def openai(at: int) -> dict[str, Any]:
    said = [
        turn("system", "Be brief."),
        turn("user", f"Is {at} even?"),
        turn("assistant", "yes" if at % 2 == 0 else "no"),
    ]
    return {"messages": said}


def sharegpt(at: int) -> dict[str, Any]:
    keys = ("from", "value")
    said = [turn("human", f"Is {at} even?", keys=keys), turn("gpt", "yes" if at % 2 == 0 else "no", keys=keys)]
    return {"id": str(at), "conversations": said}


def trl_chat(at: int) -> dict[str, Any]:
    return {
        "prompt": [turn("user", f"Is {at} even?")],
        "completion": [turn("assistant", "yes" if at % 2 == 0 else "no")],
    }


def alpaca(at: int) -> dict[str, Any]:
    answer = "yes" if at % 2 == 0 else "no"
    return {"instruction": f"Is {at} even?", "input": "" if at < 30 else f"Hint {at}.", "output": answer}


def completion(at: int) -> dict[str, Any]:
    return {"prompt": f"Is {at} even?", "completion": "yes" if at % 2 == 0 else "no"}


def labels(at: int) -> dict[str, Any]:
    return {"id": at, "text": f"Is {at} even?", "label": "yes" if at % 2 == 0 else "no"}


def project(tmp_path: Path, data: Path, **values: Any):
    made = write_project(tmp_path / "mine", data=[data], **values)
    file = load_run_file(made.files[0])
    (task,) = load_tasks(file.config.data, root=file.root)
    return made, file, prepare_task(task, cache=tmp_path / "cache")


@pytest.mark.parametrize("row", [openai, sharegpt, trl_chat, alpaca, completion, labels])
def test_every_form_becomes_a_task_whose_rows_are_all_good(tmp_path: Path, row) -> None:
    made, file, prepared = project(tmp_path, lines(tmp_path / "own data.jsonl", [row(at) for at in range(ROWS)]))
    assert {role: len(store) for role, store in prepared.stores.items()} == {"train": 32, "dev": 4, "test": 4}
    assert all(not report.bad for report in prepared.reports.values())
    assert prepared.task.name == "own_data" and "40 rows" in made.notes[0]
    task = prepared.task
    prompt = render(task, prepared.stores["train"][1], task.templates[0], split="train")
    assert "Is 1 even?" in prompt.inputs and prompt.targets == "no"
    found = check_run_file(file, cache=tmp_path / "cache", contamination=False)
    assert [one for one in found.found if one.severity == "error"] == []


def test_an_empty_input_leaves_no_gap(tmp_path: Path) -> None:
    _, _, prepared = project(tmp_path, lines(tmp_path / "a.jsonl", [alpaca(at) for at in range(ROWS)]))
    task = prepared.task
    plain, hinted = (render(task, prepared.stores["train"][at], task.templates[0], split="train") for at in (1, 31))
    assert (plain.inputs, hinted.inputs) == ("Is 1 even?", "Is 31 even?\n\nHint 31.")


def test_a_csv_with_columns_of_other_names(tmp_path: Path) -> None:
    path = tmp_path / "tickets.csv"
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["message body", "team"])
        writer.writerows([f"My order {at} is late.", ("sales", "repairs")[at % 2]] for at in range(ROWS))
    _, _, prepared = project(tmp_path, path)
    assert prepared.stores["train"][0].options == ("sales", "repairs")


def test_labels_that_are_numbers_or_sorted_are_told(tmp_path: Path) -> None:
    made, _, _ = project(
        tmp_path, lines(tmp_path / "a.jsonl", [{"text": f"Row {at}.", "label": at // 100} for at in range(200)])
    )
    assert "labels are numbers" in made.notes[2] and "shuffle the file first" in made.notes[1]


def test_few_rows_all_train(tmp_path: Path) -> None:
    made, _, prepared = project(tmp_path, lines(tmp_path / "a.jsonl", [openai(at) for at in range(5)]))
    assert set(prepared.stores) == {"train"} and "nothing is measured" in made.notes[1]


def test_a_model_with_a_chat_template_is_asked_in_it(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "chat_template.jinja").write_text("{{ messages }}")
    data = lines(tmp_path / "a.jsonl", [openai(at) for at in range(ROWS)])
    config = load_run_file(write_project(tmp_path / "mine", data=[data], model=str(model)).files[0]).config
    assert config.prompts.chat and config.model.path == str(model) and config.model.scratch is None
    assert config.training.learning_rate == 5e-5
    other = load_run_file(write_project(tmp_path / "other", data=[data], model="org/base").files[0]).config
    assert not other.prompts.chat


def refused(tmp_path: Path, data: Path) -> SourceError:
    with pytest.raises(SourceError) as caught:
        write_project(tmp_path / "mine", data=[data])
    assert not (tmp_path / "mine").exists()
    return caught.value


def team(at: int, name: str) -> dict[str, Any]:
    return {"message": f"My order {at} is late.", "team": name}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"text": "Once upon a time."}], "has only texts"),
        ([{"picture": "a.png", "size": 3}] * 30, "all 30 rows are alike"),
        ([{"at": at, "text": f"Row {at}."} for at in range(30)], 'say nothing that is known here: "at", "text"'),
        ([], "has no rows"),
        ([{}, {}], "each is an empty object"),
        ([team(1, "sales")], 'has 1 row, too few to tell labels from texts: "message", "team"'),
        ([team(at, "abc"[at % 3]) for at in range(9)], 'column "team" has 3 different values in 9 rows: too few'),
        ([team(at, "sales") for at in range(30)], 'column "team" says the same in all 30 rows'),
        ([labels(1)], 'has 1 row, so its column "label" has only one label'),
        ([{**labels(at), "label": "yes"} for at in range(30)], 'column "label" says "yes" in all 30 rows'),
        ([{**labels(at), "label": str(at)} for at in range(30)], '"label" has 30 different values in 30 rows: too few'),
        ([{**labels(at), "label": str(at)} for at in range(60)], "60 different values, more than 50"),
        ([{**labels(at), "label": ""} for at in range(30)], 'column "label" is empty in every row'),
        ([{**completion(at), "completion": None} for at in range(30)], 'column "completion" is empty in every row'),
        ([{**alpaca(at), "output": " "} for at in range(30)], '"input", "output" are empty in every row'),
        ([{"messages": []} for at in range(30)], 'column "messages" is empty in every row'),
        (openai(1)["messages"], "its rows are 3 turns of one conversation"),
    ],
)
def test_what_is_not_recognized_is_told_as_it_is(tmp_path: Path, rows: list[dict[str, Any]], said: str) -> None:
    fault = refused(tmp_path, lines(tmp_path / "a.jsonl", rows))
    assert re.search(said, fault.message) and fault.hint


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "", "is empty: there is no header row"),
        ("a.csv", "message,team\n", "has no rows"),
        ("a.csv", "message,team\nMy order is late.,sales\n", "has 1 row, too few"),
        ("a.csv", "message,team\na,b,c\n", "its one row cannot be read: line 2: got 3, expected 2"),
        ("a.jsonl", "\n", "has no rows"),
        ("a.jsonl", "message\nhello\n", "none of its 2 rows can be read: line 1"),
        ("a.json", '{"text": "Good.", "label": "yes"}', "holds one object, and no list of rows"),
        ("a.json", json.dumps(openai(1)), "its rows are 3 turns of one conversation"),
        ("a.json", '{"a": 1}\n{"a": 2}\n', "is not valid JSON: Extra data"),
    ],
)
def test_a_file_with_next_to_nothing_in_it_is_told_as_it_is(tmp_path: Path, name: str, text: str, said: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    fault = refused(tmp_path, path)
    assert said in fault.message and fault.hint


def called(at: int) -> dict[str, Any]:
    return {"messages": [*openai(at)["messages"], {"role": "tool", "content": "7"}, turn("assistant", "7")]}


def test_chats_with_tools_are_left_out_and_told(tmp_path: Path) -> None:
    rows = [called(at) if at % 4 == 0 else openai(at) for at in range(ROWS)]
    made, _, prepared = project(tmp_path, lines(tmp_path / "a.jsonl", rows))
    assert any("10 chats have tools, whose calls cannot be taught: left out" in note for note in made.notes)
    assert prepared.reports["train"].dropped == 8 and not prepared.reports["train"].bad
    fault = refused(tmp_path / "b", lines(tmp_path / "b.jsonl", [called(at) for at in range(ROWS)]))
    assert "every one of its 40 conversations has tools" in fault.message


def test_one_row_of_a_known_form_is_enough(tmp_path: Path) -> None:
    made, _, prepared = project(tmp_path, lines(tmp_path / "a.jsonl", [completion(1)]))
    assert "1 row, prompts with their answers" in made.notes[0] and "nothing is measured" in made.notes[1]
    assert len(prepared.stores["train"]) == 1


def test_a_column_is_known_by_all_its_rows_and_not_by_the_first(tmp_path: Path) -> None:
    rows = [{"messages": None}, *(openai(at) for at in range(ROWS))]
    assert recognize(lines(tmp_path / "a.jsonl", rows)).form == "conversation"
    rows = [{"instruction": "Say so.", "input": None, "output": None}, *(alpaca(at) for at in range(ROWS))]
    assert recognize(lines(tmp_path / "b.jsonl", rows)).columns == ("instruction", "input", "output")


def test_rows_without_a_label_make_no_label_of_it(tmp_path: Path) -> None:
    rows = [labels(at) if at % 10 else {**labels(at), "label": ""} for at in range(ROWS)]
    assert set(recognize(lines(tmp_path / "a.jsonl", rows)).labels) == {"yes", "no"}


def test_a_column_called_label_needs_fewer_rows(tmp_path: Path) -> None:
    rows = [{"text": f"Row {at}.", "label": "abcd"[at % 4]} for at in range(8)]
    assert recognize(lines(tmp_path / "a.jsonl", rows)).form == "labels"


def test_two_files_of_one_name_and_a_papers_run_file_are_refused(tmp_path: Path) -> None:
    first = lines(tmp_path / "a.jsonl", [completion(at) for at in range(ROWS)])
    (tmp_path / "b").mkdir()
    second = lines(tmp_path / "b/a.jsonl", [completion(at) for at in range(ROWS)])
    with pytest.raises(ConfigError, match='two files would be the task "a"'):
        write_project(tmp_path / "mine", data=[first, second])
    with pytest.raises(ConfigError, match="cannot be combined with --like"):
        write_project(tmp_path / "mine", data=[first], like="t0")


def test_the_command_says_what_it_found(tmp_path: Path) -> None:
    data = lines(tmp_path / "chats.jsonl", [openai(at) for at in range(ROWS)])
    result = CliRunner().invoke(cli, ["init", str(tmp_path / "mine"), "--data", str(data)])
    assert result.exit_code == 0, result.output
    assert "40 rows, conversations" in result.stderr and "tasks/chats.toml" in result.stdout
