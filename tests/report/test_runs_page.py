"""One page over several runs."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from tests.report.html_pages import whole_page
from tests.runs.made_runs import make_run

from flantune.cli.main import cli
from flantune.errors import ConfigError
from flantune.report.runs_page import read_runs, render_runs, runs_plates


@pytest.fixture
def folders(tmp_path):
    return [make_run(tmp_path / f"seed-{seed}", seed=seed, tuned=0.6 + 0.1 * seed) for seed in range(3)]


def test_the_page_is_whole_and_has_every_run(folders):
    html = render_runs(read_runs(folders))
    text = whole_page(html, scripts=1).words
    assert all(folder.name in text for folder in folders)
    assert "All against seed-0" in text and "What tuning changed in each run" in text


def test_runs_that_differ_only_in_their_seed_stand_together_too(folders, tmp_path):
    assert "These runs differ only in their seed (0, 1, 2)" in render_runs(read_runs(folders))
    other = make_run(tmp_path / "other", seed=9, settings={"training": {"steps": 7}})
    html = render_runs(read_runs([*folders, other]))
    assert "differ only in their seed" not in html and "training.steps" in html


def test_runs_that_cannot_be_paired_still_have_their_page(folders, tmp_path):
    other = make_run(tmp_path / "other", templates=("a", "c"))
    found = read_runs([folders[0], other])
    assert found.compared is None
    assert "These runs cannot be paired" in render_runs(found)
    assert [plate.name for plate in runs_plates(found)] == ["gains"]


def test_a_run_given_twice_is_refused(folders):
    with pytest.raises(ConfigError, match="given twice"):
        read_runs([folders[0], folders[0]])


def test_the_command(folders, tmp_path):
    out = tmp_path / "page.html"
    arguments = ["report", *map(str, folders), "--out", str(out), "--figures", str(tmp_path / "f"), "--format", "svg"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    assert out.is_file() and (tmp_path / "f/gains.svg").is_file()
    refused = CliRunner().invoke(cli, ["report", str(folders[0]), "--out", str(out)])
    assert refused.exit_code != 0 and "only for a report over several runs" in str(refused.exception)
