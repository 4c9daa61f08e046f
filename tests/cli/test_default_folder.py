"""Runs of several projects, each with a run.toml, do not share a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from flantune.cli.options import default_folder, prepared_data


def test_a_run_is_named_after_its_file_or_its_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    assert default_folder(None, Path("run.toml")) == Path("runs/run")
    assert default_folder(None, tmp_path / "run.toml") == Path("runs/run")
    assert default_folder(None, Path("mine/run.toml")) == Path("runs/mine")
    assert prepared_data(None, Path("mine/run.toml")) == Path("runs/mine/data")
    assert default_folder(None, Path("mine/other.toml")) == Path("runs/other")
    assert default_folder(Path("x"), Path("mine/run.toml")) == Path("x")
    assert default_folder(None, Path("/run.toml")) == Path("runs/run")
    monkeypatch.chdir(tmp_path / "mine")
    assert default_folder(None, Path("run.toml")) == Path("runs/run")
    assert default_folder(None, Path("../run.toml")) == Path("runs") / tmp_path.name
