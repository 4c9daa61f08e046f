"""``flantune mixture``: the tree as text, values and a page; names of trees; the list of tasks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from flantune.cli.mixture import command
from flantune.errors import ConfigError

TASK = """
name = "{name}"
collection = "{collection}"
clusters = ["{cluster}"]
kind = "classification"
licence = "{licence}"
[source]
files = {{ train = "{name}.jsonl" }}
[splits]
train = "train"
[fields]
text = "text"
[options]
values = ["yes", "no"]
[answer]
column = "answer"
[[templates]]
name = "asked"
inputs = "{{text}}{options}"
[[templates]]
name = "turned"
inputs = "{{answer}}"
targets = "{{text}}"
inverted = true
"""
RUN = """
name = "two parts"
[data]
tasks = ["*_task.toml"]
cache = "cache"
[mixture]
max_rate = 0
max_examples = 30
[mixture.parts.first]
share = 0.6
collections = ["one"]
[mixture.parts.first.parts.shown]
share = 1
[mixture.parts.first.parts.hidden]
share = 1
show_options = false
[mixture.parts.second]
share = 0.4
collections = ["two"]
[mixture.parts.third]
share = 1
collections = ["dialogue"]
"""


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    for name, collection, cluster, licence, rows, options in (
        ("big", "one", "reading", "CC BY 4.0", 90, "\\n{{options}}"),
        ("small", "one", "<b>reading</b>", "", 10, ""),
        ("other", "two", "counting", "CC BY-NC 4.0", 20, "\\n{{options}}"),
    ):
        text = TASK.format(name=name, collection=collection, cluster=cluster, licence=licence, options=options)
        (tmp_path / f"{name}_task.toml").write_text(text.replace("{{", "{").replace("}}", "}"), encoding="utf-8")
        lines = [json.dumps({"text": f"{name} {k}", "answer": ("yes", "no")[k % 2]}) for k in range(rows)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "run.toml").write_text(RUN, encoding="utf-8")
    return tmp_path / "run.toml"


def run(*args: object):
    return CliRunner().invoke(command, [str(arg) for arg in args], catch_exceptions=False)


def test_the_tree_is_shown_with_shares_rows_epochs_licences_and_warnings(run_file: Path) -> None:
    lines = run("show", run_file, "--draws", 1_000).stdout.splitlines()
    assert lines[0] == "3 tasks; epochs are those of 1,000 draws"
    assert [line.split()[:2] for line in lines[1:5]] == [
        ["60.00%", "first"],
        ["30.00%", "hidden"],
        ["30.00%", "shown"],
        ["40.00%", "second"],
    ]
    assert "2 tasks" in lines[1] and "40 rows" in lines[1] and "15 epochs" in lines[1]
    big = next(line for line in lines if " big " in line)
    assert " ".join(big.split()) == "45.0000% big 30 of 90 rows 15 epochs CC BY 4.0"
    assert "  45.00%  CC BY 4.0" in lines and "  40.00%  CC BY-NC 4.0" in lines and "  15.00%  not stated" in lines
    uses = next(line for line in lines if line.startswith("licences, by share of the draws"))
    assert uses.endswith("use is commercial 45.0%, non-commercial 40.0%, unknown 15.0%")
    warnings = [line for line in lines if line.startswith("warning: ")]
    assert any("no task is in third; those beside it have that share" in line for line in warnings)
    alike = '"first.shown" and "first.hidden" ask 1 task the same: no options to hide in small'
    assert any(alike in line for line in warnings)
    assert any("rows beyond the cap are never drawn, in 1 task: big" in line for line in warnings)
    assert not any(" big " in line for line in run("show", run_file, "--no-tasks").stdout.splitlines())


def test_tasks_that_train_on_the_same_rows_are_named_for_files_too(run_file: Path) -> None:
    assert "read the same training rows" not in run("show", run_file).stdout
    twin = (run_file.parent / "big_task.toml").read_text(encoding="utf-8").replace('name = "big"', 'name = "twin"')
    (run_file.parent / "twin_task.toml").write_text(twin, encoding="utf-8")
    lines = run("show", run_file).stdout.splitlines()
    assert "warning: big, twin read the same training rows, which are 51.43% of the draws together" in lines


def test_it_is_there_as_values_and_as_a_page_in_which_data_is_text(run_file: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = run("show", run_file, "--json", "--page", page, "--set", 'mixture.only=["second"]')
    sheet = json.loads(result.stdout)
    (part,) = sheet["tree"]["parts"]
    assert (part["path"], part["rate"], part["tasks"]) == ("second", pytest.approx(1), ["other"])
    assert "wrote" in result.stderr
    run("show", run_file, "--page", page)
    text = page.read_text(encoding="utf-8")
    assert "<b>reading" not in text and "&lt;b&gt;reading" in text
    assert "hidden" in text and "no options to hide" in text


def test_a_tree_by_name_is_printed_to_be_pasted(run_file: Path) -> None:
    assert run("proportions").stdout.split() == ["flan2022_paper_a", "flan2022_paper_b", "flan2022_released"]
    text = run("proportions", "flan2022_released").stdout
    assert "[mixture.parts.cot.parts.few_shot.parts.inverted.parts.five]" in text
    with pytest.raises(ConfigError, match='no tree is named "flan2022"'):
        run("proportions", "flan2022")


def test_the_list_of_flan_2022_is_there() -> None:
    listed = {task["name"]: task for task in json.loads(run("collection", "--json").stdout)}
    assert len(listed) == 1_838
    assert "stanford question answering" in listed["squad_v2"]["kin"]
    assert listed["squad_v2"]["how"] == "task squad_v2"
    assert listed["task062_bigbench_repeat_copy_logic"]["benchmarks"] == ["bbh"]
    result = run("collection", "--submixture", "t0_sf")
    assert len(result.stdout.splitlines()) == 193 and "the paper counts 193" in result.stderr
