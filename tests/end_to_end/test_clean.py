"""[data] clean: rows that overlap with measured rows are not trained on."""

from __future__ import annotations

import json
from pathlib import Path

from flantune.commands.plan import make_mixture, prepare_tasks, split_fold
from flantune.settings.run_file import load_run_file
from tests.end_to_end.small_world import write_small_world


def plant_copies(folder: Path, count: int) -> None:
    """Rows of a held-out task's test split, put into a training split of another task."""
    test = [json.loads(line) for line in (folder / "mood/test.jsonl").read_text().splitlines()[:count]]
    for row in test:
        row["text"] = row["text"] * 3
    mine = [json.loads(line) for line in (folder / "mood/test.jsonl").read_text().splitlines()]
    for row, copy in zip(mine, test, strict=False):
        row["text"] = copy["text"]
    (folder / "mood/test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in mine))
    with (folder / "echo/train.jsonl").open("a") as file:
        file.writelines(json.dumps({**row, "answer": "nice"}) + "\n" for row in test)


def test_copied_rows_are_found_and_left_out_of_training(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from flantune.cli.main import cli

    run_file = write_small_world(tmp_path, rows=30)
    plant_copies(tmp_path, 4)
    found = CliRunner().invoke(
        cli, ["contamination", str(run_file), "--fold", "0", "--clean", str(tmp_path / "clean.json")]
    )
    assert found.exit_code == 1, found.output
    loaded = load_run_file(run_file, overrides=["data.clean=clean.json"])
    prepared, _ = prepare_tasks(loaded.config, root=tmp_path, cache=tmp_path / "data")
    split = split_fold(loaded.config, [p.task for p in prepared], ("sentiment",))
    portions = {p.task.name: p.examples for p in make_mixture(loaded.config, prepared, split).portions}
    assert portions == {"animal": 30, "echo": 30}  # 34 rows of echo, of which four are copies
