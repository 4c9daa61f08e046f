"""What the page on promptsource's templates says holds."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from flantune.settings.run_file import load_run_file, validated
from flantune.tasks.load import load_tasks
from flantune.tasks.promptsource_rows import read_rows_file

from .conftest import REAL_DATA

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/promptsource.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```toml\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_its_settings_are_settings():
    runs = [tomllib.loads(text) for text in BLOCKS if not text.startswith('["')]
    assert len(runs) == 4
    for block in runs:
        validated(block, where="the page")


def test_its_file_of_rows_can_be_read(tmp_path: Path):
    (text,) = (text for text in BLOCKS if text.startswith('["'))
    (tmp_path / "rows.toml").write_text(text, encoding="utf-8")
    (rows,) = read_rows_file(tmp_path / "rows.toml").values()
    assert rows.licence == "CC BY 4.0" and len(rows.columns) == 3


@pytest.mark.skipif(not (REAL_DATA / "flan2022/promptsource").is_dir(), reason="no real data here")
def test_the_examples_files_are_there():
    path = ROOT / "examples/t0_small.toml"
    tasks = load_tasks(load_run_file(path).config.data, root=path.parent)
    assert [task.name for task in tasks] == ["glue_mrpc", "glue_cola", "e2e_nlg_cleaned", "snli"]
    assert [len(task.templates) for task in tasks] == [7, 5, 12, 15]
