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
