"""A study by name that is added as docs/contributing.md says: a file with a function, and a line in the list."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.end_to_end.small_world import write_small_world

from flantune.settings.run_file import load_run_file
from flantune.settings.sections import Section
from flantune.settings.setting_types import Counts
from flantune.studies import catalog
from flantune.studies.study import Arm, NamedStudy, Study, arm_file
from flantune.tasks.load import load_tasks


class Options(Section):
    """Options of the study."""

    steps: Counts = (2, 4)
    """Numbers of optimizer steps."""


def make(file, tasks, options):
    """An arm a number of steps."""
    arms = tuple(
        Arm(name=f"{count} steps", settings={"training.steps": count}, x=count, label=f"{len(tasks)} tasks")
        for count in options.steps
    )
    return Study(name="steps", question="Do more steps help?", axis="steps", arms=arms, baseline=arms[0].name)


STUDY = NamedStudy(name="steps", help="More steps.", options=Options, make=make)


@pytest.fixture(autouse=True)
def _added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalog.STUDIES, "steps", STUDY)


def test_a_new_study_gives_arms(tmp_path: Path) -> None:
    file = load_run_file(write_small_world(tmp_path))
    tasks = load_tasks(file.config.data, root=file.root)
    study = catalog.make_study(catalog.named_study("steps"), file, tasks, options={"steps": [1, 3]})
    assert [arm_file(file, arm).config.training.steps for arm in study.arms] == [1, 3]


def test_the_command_lists_and_shows_it(tmp_path: Path) -> None:
    from flantune.cli.study import command

    listed = CliRunner().invoke(command, ["--list"]).output
    assert "steps: More steps." in listed and "--option steps=[2, 4]  Numbers of optimizer steps." in listed
    run_file, out = write_small_world(tmp_path), tmp_path / "out"
    shown = CliRunner().invoke(command, ["steps", str(run_file), "--dry-run", "--out", str(out)])
    assert shown.exit_code == 0 and "4 steps" in shown.stdout, shown.output
