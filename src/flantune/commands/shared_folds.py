"""Tuned models that a run takes from another run of the same study with the same tuning."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from flantune.system.files import disk_explained, whole_folder

if TYPE_CHECKING:
    from pathlib import Path

    from flantune.runs.folder import FoldFolder, RunFolder

# What is made again when measuring with other settings.
_OWN = ("tuned",)


def share_tuning(first: RunFolder, later: RunFolder) -> None:
    """Gives a run the tuned models of another run, so that it only measures.

    The files are hard links, or copies if the file system does not support these. The record of the tasks' data is
    copied too: if tasks or rows have changed since, the run says so and stops.

    Args:
        first: A finished run.
        later: A run with the same settings for everything that determines the weights.

    Raises:
        FlantuneError: The disk is full or the folder cannot be written.
    """
    with disk_explained():
        for fold in first.folds():
            _share_fold(fold, later.fold_named(fold.root.name))
        if (first.base / "model").is_dir() and not (later.base / "model").exists():
            with whole_folder(later.base / "model") as draft:
                _link_all(first.base / "model", draft)
        if not later.data.exists():
            later.data.parent.mkdir(parents=True, exist_ok=True)
            _link(first.data, later.data)


def _share_fold(first: FoldFolder, later: FoldFolder) -> None:
    if later.training.exists():
        return
    shutil.rmtree(later.root, ignore_errors=True)
    with whole_folder(later.root) as draft:
        for path in sorted(first.root.iterdir()):
            if path.name in _OWN or path.name.startswith("."):
                continue
            if path.is_dir():
                (draft / path.name).mkdir()
                _link_all(path, draft / path.name)
            else:
                _link(path, draft / path.name)


def _link_all(source: Path, target: Path) -> None:
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            _link(path, place)


def _link(source: Path, target: Path) -> None:
    """A hard link; files of a run are always replaced completely when rewritten."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
