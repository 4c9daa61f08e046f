"""A study of runs that is added as docs/contributing.md says: a file with a ``NamedStudy``, and a line in a list."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.end_to_end.small_world import write_small_world

from flantune.settings.sections import Section
from flantune.settings.setting_types import Counts
from flantune.studies import catalog
from flantune.studies.study import Arm, NamedStudy, Study


class Options(Section):
    """Options of the study."""

    batches: Counts = (256, 512)
    """Tokens of a step."""


def make(file, tasks, options):
    """An arm for each size of a step."""
    arms = tuple(Arm(name=str(size), x=size, settings={"packing.batch_tokens": size}) for size in options.batches)
    return Study(name="batches", question="Do larger steps help?", axis="tokens of a step", arms=arms, figure="line")


STUDY = NamedStudy(name="batches", help="Larger and smaller steps.", options=Options, make=make)


@pytest.fixture(autouse=True)
def _added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalog.STUDIES, "batches", STUDY)


def test_the_command_lists_it_and_shows_its_arms(tmp_path: Path) -> None:
    from flantune.cli.study import command

    listed = CliRunner().invoke(command, ["--list"]).stdout
    assert "batches: Larger and smaller steps." in listed and "--option batches=[256, 512]  Tokens of a step." in listed
    args = ["batches", str(write_small_world(tmp_path)), "--dry-run", "--on", "h100", "--option", "batches=[256, 1024]"]
    result = CliRunner().invoke(command, [*args, "--out", str(tmp_path / "out")])
    assert result.exit_code == 0 and "1024: packing.batch_tokens = 1024" in result.stdout, result.output
    assert "2 arms with 1 seed: 2, 2 to do" in result.stdout


def test_its_options_are_checked(tmp_path: Path) -> None:
    from flantune.cli.study import command

    result = CliRunner().invoke(
        command, ["batches", str(write_small_world(tmp_path)), "--dry-run", "--option", "batches=[-1]"]
    )
    assert result.exit_code != 0 and "batches[0]: should be at least 0, got -1" in str(result.exception)
