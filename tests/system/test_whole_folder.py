from __future__ import annotations

from pathlib import Path

import pytest

from flantune.system.files import whole_folder


def write(folder: Path, text: str) -> None:
    with whole_folder(folder) as draft:
        (draft / "deeper").mkdir()
        (draft / "deeper/file.txt").write_text(text)


def test_a_folder_is_the_old_one_until_the_new_one_is_whole(tmp_path):
    folder = tmp_path / "made/model"
    write(folder, "one")
    write(folder, "two")

    def fail() -> None:
        with whole_folder(folder) as draft:
            (draft / "other.txt").write_text("half")
            raise ValueError("a full disk")

    with pytest.raises(ValueError, match="full"):
        fail()
    assert [path.name for path in folder.rglob("*")] == ["deeper", "file.txt"]
    assert (folder / "deeper/file.txt").read_text() == "two"
    write(folder, "three")
    assert list(folder.parent.iterdir()) == [folder]


def test_the_current_folder_is_filled_if_it_is_empty(tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    with whole_folder(Path()) as draft:
        (draft / "file").write_text("text")
    assert Path("file").read_text() == "text"  # the shell that stands there sees it, too
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_a_folder_named_by_the_way_back_is_replaced(tmp_path, monkeypatch):
    (tmp_path / "model/below").mkdir(parents=True)
    (tmp_path / "model/old").touch()
    monkeypatch.chdir(tmp_path)
    with whole_folder(Path("model/below/..")) as draft:
        (draft / "file").touch()
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["file"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
