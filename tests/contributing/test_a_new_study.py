"""A study of splits that is added as docs/contributing.md says: a function, and its name in two lists."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.end_to_end.small_world import write_small_world

from flantune.mixture.holdout import folds_of
from flantune.settings.run_file import load_run_file
from flantune.studies import split_files, splits
from flantune.studies.split_files import fragment, plan_splits, write_split


def first_cluster_out(tasks, rules, options):
    """Holds out the cluster of the first task, and no other."""
    return splits.SplitSet(kind="first-out", splits=(splits.without_clusters(tasks, rules, tasks[0].clusters[:1]),))


@pytest.fixture(autouse=True)
def _added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(split_files.MAKERS, "first-out", first_cluster_out)
    from flantune.cli.splits import command

    kind = next(one for one in command.params if one.name == "kind")
    monkeypatch.setattr(kind.type, "choices", (*kind.type.choices, "first-out"))


def test_a_new_study_gives_run_files(tmp_path: Path) -> None:
    file = load_run_file(write_small_world(tmp_path))
    planned = plan_splits(file, kind="first-out")
    (split,) = planned.study.splits
    written = load_run_file(write_split(split, planned, file=file, folder=tmp_path / "out"))
    assert [fold.clusters for fold in folds_of(written.config.holdout)] == [split.held_out]
    assert "[holdout]" in fragment(split, planned)


def test_the_command_makes_it(tmp_path: Path) -> None:
    from flantune.cli.splits import command

    result = CliRunner().invoke(command, [str(write_small_world(tmp_path)), "--kind", "first-out"])
    assert result.exit_code == 0 and result.stdout.startswith("# without-"), result.output
