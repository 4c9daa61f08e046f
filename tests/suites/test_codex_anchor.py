"""The program that compares with the authors' accuracies on BBH says where they differ, and fails then."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parents[2] / "benchmarks/bbh_codex_anchor.py"


@pytest.fixture(scope="module")
def anchor() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bbh_codex_anchor", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write(folder: Path, mode: str, task: str, answers: list[tuple[str, str]], accuracy: float) -> None:
    home = folder / f"code-davinci-002-{mode}"
    home.mkdir(parents=True, exist_ok=True)
    outputs = [{"input": "Q: ?\nA:", "prediction": said, "target": wanted} for said, wanted in answers]
    stem = f"{task}_few_shot_template_0-255000"
    (home / f"{stem}.json").write_text(json.dumps({"outputs": outputs}), encoding="utf-8")
    (home / f"{stem}_eval_metrics.jsonl").write_text(json.dumps({"accuracy": accuracy}), encoding="utf-8")


def test_equal_and_different_files_are_told_apart(anchor, tmp_path):
    write(tmp_path, "direct", "sums", [("24", "24"), ("24", "-24"), ("1,024", "1024"), ("0", "240")], 50.0)
    write(tmp_path, "cot", "sums", [("2 + 2 = 4. So the answer is 4.", "4"), ("So the answer is -4.", "4")], 100.0)
    found = anchor.measure(tmp_path)
    assert (found["files"], found["answers"], found["equal"]) == (2, 6, 1)
    assert found["different"] == ["cot/sums"]
    assert [row["flantune"] for row in found["rows"]] == [50.0, 50.0]
    assert not found["is_right"], "all 54 files are asked for"


def test_without_a_folder_it_is_passed_over(anchor, monkeypatch, capsys):
    monkeypatch.delenv(anchor.FOLDER, raising=False)
    assert anchor.measure() is None
    assert anchor.FOLDER in capsys.readouterr().out


def test_the_kept_result_is_right(anchor):
    kept = json.loads((FILE.parent / "results/bbh_codex_anchor.json").read_text(encoding="utf-8"))
    assert kept["is_right"] and kept["equal"] == kept["files"] == anchor.FILES == 54
    assert all(row["flantune"] == row["authors"] for row in kept["rows"])
