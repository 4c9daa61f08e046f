from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.task_files import task_text

from flantune.cli.contamination import command
from flantune.contamination.clean import read_clean

SHARED = "the ferry to the outer islands leaves at seven in the morning from the old stone pier"


@pytest.fixture
def run_file(tmp_path: Path, sentence) -> Path:
    for name, cluster in (("news", "summarization"), ("quiz", "questions")):
        files = {role: f"{name}_{role}.jsonl" for role in ("train", "test")}
        text = task_text(name, files, cluster=cluster, answer="answer")
        (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8")
        for role in ("train", "test"):
            rows = [{"text": sentence(f"{name}-{role}-{k}-", 20), "answer": "yes"} for k in range(4)]
            (tmp_path / f"{name}_{role}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with (tmp_path / "news_train.jsonl").open("a", encoding="utf-8") as file:
        file.write("\n" + json.dumps({"text": f"Timetable: {SHARED}.", "answer": "no"}))
    path = tmp_path / "run.toml"
    path.write_text(
        '[data]\ntasks = ["news.toml", "quiz.toml"]\ncache = "cache"\n'
        '[holdout]\nfolds = [["questions"], ["summarization"]]\n',
        encoding="utf-8",
    )
    return path


def plant(run_file: Path) -> None:
    with (run_file.parent / "quiz_test.jsonl").open("a", encoding="utf-8") as file:
        file.write("\n" + json.dumps({"text": f"[bold]When?[/bold] {SHARED.title()}", "answer": "seven"}))


def run(*args: object):
    return CliRunner(env={"COLUMNS": "200"}).invoke(command, [str(arg) for arg in args])


def test_a_clean_run_ends_with_code_0(run_file):
    result = run(run_file)
    assert result.exit_code == 0, result.output
    assert "no overlap: none of 8 test rows of 2 measured tasks" in result.stdout


def test_an_overlap_ends_with_code_1_and_says_where(run_file):
    plant(run_file)
    result = run(run_file)
    assert result.exit_code == 1, result.output
    assert "quiz test row 4 text = news train row 4 text, 17 words: “the ferry to the outer" in result.stdout
    assert "1 of 9 test rows (11.1%) in 1 of 2 measured tasks overlap with 1 training rows" in result.stdout
    assert "--clean" in result.stdout


def test_json_owns_stdout(run_file, tmp_path):
    plant(run_file)
    out, clean = tmp_path / "made" / "report.json", tmp_path / "clean.json"
    result = run(run_file, "--json", "--out", out, "--clean", clean)
    report = json.loads(result.stdout)
    assert json.loads(out.read_text(encoding="utf-8")) == report
    task = report["folds"][0]["tasks"][0]
    assert {key: task[key] for key in ("task", "rows", "dirty", "share", "overlapping", "duplicates")} == {
        "task": "quiz", "rows": 5, "dirty": 1, "share": 0.2, "overlapping": 1, "duplicates": 0,
    }  # fmt: skip
    folds = read_clean(clean)
    assert [dict(fold.test) for fold in folds] == [{"quiz": {4}}, {}]
    assert folds[0].train == {"news": {4}}


def test_one_fold_and_other_limits(run_file):
    plant(run_file)
    assert run(run_file, "--fold", 1).exit_code == 0
    assert run(run_file, "--fold", 0, "--ngram", 30).exit_code == 0
    assert run(run_file, "--fold", 0, "--max-documents", 0).exit_code == 1


def test_mistakes_are_named(run_file):
    assert "there is no fold 2" in str(run(run_file, "--fold", 2).exception)


def test_where_nothing_is_held_out_the_test_rows_of_what_is_trained_on_are_compared(run_file):
    plant(run_file)
    found = run(run_file, "--set", "holdout.folds=[]")
    assert found.exit_code in (0, 1) and "compare what is trained on with its own test rows" in found.stderr


def test_a_benchmarks_questions_are_looked_for_too_whether_anything_is_held_out_or_not(run_file, tmp_path):
    folder = tmp_path / "mirror/openai/gsm8k/main"
    folder.mkdir(parents=True)
    rows = [{"question": f"Problem {k}: how many ferries are {k} ferries?", "answer": f"#### {k}"} for k in range(3)]
    rows[2]["question"] = f"Say when {SHARED}, and how often."
    for split in ("train", "test"):
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    suite = ("--suite", "gsm8k", "--data", tmp_path / "mirror", "--clean", tmp_path / "clean.json")
    result = run(run_file, "--set", "holdout.folds=[]", *suite)
    assert result.exit_code == 1, result.output
    assert "gsm8k_cot/main test row 2 question = news train row 4 text, 17 words" in result.stdout
    (fold,) = read_clean(tmp_path / "clean.json")
    assert (fold.held_out, fold.train, fold.test) == ((), {"news": {4}}, {"gsm8k_cot/main": {2}})
    assert run(run_file, "--fold", 0, *suite).exit_code == 1
    folds = read_clean(tmp_path / "clean.json")
    assert [fold.held_out for fold in folds] == [("questions",)]
