"""A run folder belongs to one run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flantune.commands.rescore import rescore_run
from flantune.errors import ConfigError, FlantuneError
from flantune.report.page import write_report
from flantune.runs.files import read_results
from flantune.runs.folder import open_run_folder
from flantune.settings.config import EvaluationSettings, RunConfig, TrainingSettings
from flantune.settings.run_file import load_run_file, run_file_of
from flantune.system.files import write_text


def file_of(config: RunConfig, root: Path):
    return run_file_of(config, root=root, origin="test")


def test_the_same_run_joins_its_folder(tmp_path):
    open_run_folder(tmp_path / "run", file_of(RunConfig(), tmp_path))
    folder = open_run_folder(tmp_path / "run", file_of(RunConfig(), tmp_path))
    assert folder.fold(("closed-book QA", "nli")).root.name == "closed-book-qa+nli"


def test_another_run_is_refused_with_what_differs(tmp_path):
    folder = open_run_folder(tmp_path / "run", file_of(RunConfig(), tmp_path))
    folder.base.mkdir()
    with pytest.raises(ConfigError, match=r"training\.steps: 30000 there, 7 now"):
        open_run_folder(tmp_path / "run", file_of(RunConfig(training=TrainingSettings(steps=7)), tmp_path))


def test_a_run_that_stopped_over_its_run_file_has_no_claim(tmp_path):
    """A mended run file goes into the same folder."""
    folder = open_run_folder(tmp_path / "run", file_of(RunConfig(), tmp_path))
    folder.seconds.write_text("{}")
    open_run_folder(tmp_path / "run", file_of(RunConfig(training=TrainingSettings(steps=7)), tmp_path))
    assert json.loads(folder.kept_settings.read_text())["values"]["training"]["steps"] == 7


def test_what_is_measured_may_change(tmp_path):
    open_run_folder(tmp_path / "run", file_of(RunConfig(), tmp_path))
    changed = RunConfig(evaluation=EvaluationSettings(max_examples=3), name="other")
    open_run_folder(tmp_path / "run", file_of(changed, tmp_path))
    assert load_run_file(tmp_path / "run" / "config.toml").config.evaluation.max_examples == 3


def test_how_often_it_is_saved_may_change(tmp_path):
    open_run_folder(tmp_path / "run", file_of(RunConfig(), tmp_path))
    often = RunConfig(training=TrainingSettings(checkpoint_every=1, micro_batch_tokens=100))
    open_run_folder(tmp_path / "run", file_of(often, tmp_path))


def test_the_folder_of_another_version_is_refused_in_so_many_words(tmp_path):
    folder = open_run_folder(tmp_path / "run", file_of(RunConfig(), tmp_path))
    kept = json.loads(folder.kept_settings.read_text())
    folder.kept_settings.write_text(json.dumps({key: value for key, value in kept.items() if key != "schema"}))
    for meets in (
        lambda: open_run_folder(folder.root, file_of(RunConfig(), tmp_path)),
        lambda: rescore_run(folder.root),
        lambda: write_report(folder.root),
        lambda: read_results(folder.root),  # what `seeds` reads
    ):
        with pytest.raises(ConfigError, match=r"made by another version of flantune \(form 1; this one reads 2\)"):
            meets()


def test_an_unwritable_folder_is_a_message_not_a_traceback(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FlantuneError, match="cannot be written"):
        write_text(tmp_path / "file" / "x.txt", "text")


def test_a_failed_write_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(FlantuneError, match="No space left"):
        write_text(tmp_path / "x.txt", "text")
    assert list(tmp_path.iterdir()) == []
