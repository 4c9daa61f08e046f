"""docs/splits.md: each command makes the splits that the page says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from flantune.cli.splits import command

PAGE = (Path(__file__).parents[2] / "docs/splits.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\|[^|]+\| `(--kind [^`]+)` \| ([^|]+) \|$", PAGE, flags=re.MULTILINE)


def test_the_page_has_every_kind() -> None:
    from flantune.studies.paper import KINDS

    assert {options.split()[1] for options, _ in ROWS} == set(KINDS)


@pytest.mark.parametrize(("options", "count"), ROWS)
def test_a_command_makes_as_many_splits_as_the_page_says(options: str, count: str, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('[data]\ncollection = "flan2021"\n')
    result = CliRunner().invoke(command, [str(tmp_path / "run.toml"), *options.split(), "--json"])
    assert result.exit_code == 0, result.output
    splits = json.loads(result.stdout)["splits"]
    number = int(re.search(r"\d+", count)[0])
    assert len(splits) <= number if count.startswith("up to") else len(splits) == number
    assert all(split["train"] and split["test"] for split in splits)
    if "within" in options or "super-glue" in options:
        assert all(split["hidden"] and split["breaks"] for split in splits)


def test_the_study_on_the_page_is_one(tmp_path: Path) -> None:
    from tests.end_to_end.small_world import write_small_world

    from flantune.settings.run_file import load_run_file
    from flantune.studies.study import arm_file
    from flantune.studies.study_file import ArmTable, StudyTable, read_study

    page = (Path(__file__).parents[2] / "docs/studies.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```toml\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "batch.toml").write_text(text, encoding="utf-8")
    study, file = read_study(tmp_path / "batch.toml"), load_run_file(write_small_world(tmp_path))
    budgets = {(c := arm_file(file, arm).config).packing.batch_tokens * c.training.steps for arm in study.arms}
    assert len(study.arms) == 3 and len(budgets) == 1
    known = {
        key for row in re.findall(r"^\| (`[^|]+`) \| ", page, flags=re.MULTILINE) for key in re.findall(r"`(\w+)`", row)
    }
    assert {*StudyTable.model_fields, *ArmTable.model_fields} - known == set()
