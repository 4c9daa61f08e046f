"""docs/exporting.md: its columns are the file's, and its Python reads the file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.end_to_end.small_world import write_small_world

from flantune.commands.export import _schema, export
from flantune.settings.run_file import load_run_file

PAGE = (Path(__file__).parents[2] / "docs/exporting.md").read_text(encoding="utf-8")


def test_the_page_names_every_column_in_order() -> None:
    table = PAGE.split("## Columns")[1].split("--format chat")[0]
    named = [
        name for row in re.findall(r"^\|([^|]+)\|", table, flags=re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    ]
    assert named == _schema().names


def test_the_pages_python_reads_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    monkeypatch.chdir(tmp_path)
    file = load_run_file(write_small_world(tmp_path))
    for name, form in (("mixture.jsonl", "jsonl"), ("mixture.parquet", "parquet")):
        export(file, path=tmp_path / name, count=30, form=form, cache=tmp_path / "cache")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    found: dict = {}
    exec(code, found)
    assert found["pairs"].column_names == ["prompt", "completion"]
    assert found["pairs"][0]["completion"] == found["rows"][0]["targets"]
    parquet = datasets.load_dataset("parquet", data_files="mixture.parquet", split="train")
    assert parquet.column_names == _schema().names
    assert parquet[0] == found["rows"][0]
