"""Writes the demo as ordinary files, such as users write: rows, task files and run files."""

from __future__ import annotations

import json
from pathlib import Path
from string import Template

from flantune.demo.rows import MAKERS, task_rows
from flantune.settings.toml_file import toml_text
from flantune.system.files import write_text
from flantune.types import Family

HERE = Path(__file__).parent
TASK_FILES = HERE / "tasks"
RUN_FILES = HERE / "runs"
RUN_NAMES: dict[Family, str] = {"decoder-only": "decoder_only", "encoder-decoder": "encoder_decoder"}


def base_folder(family: Family) -> Path:
    """The shipped base model of a family, in Hugging Face form."""
    return HERE / "base" / RUN_NAMES[family]


def write_demo(folder: Path, *, seed: int = 0, train_rows: int = 240, dev_rows: int = 24, test_rows: int = 200) -> Path:
    """Writes all files of the demo; the same arguments write the same bytes.

    ``data/<task>/{train,dev,test}.jsonl`` contain the rows and ``tasks/`` the task files. ``decoder_only.toml`` and
    ``encoder_decoder.toml`` are run files, and ``effect.toml`` is a study of the demo's effect over several seeds.
    Existing run and study files are not overwritten, since they may have been edited.

    Args:
        folder: The folder to write; created if absent.
        seed: Seed of the rows. The facts of the world do not depend on it.
        train_rows: Number of training rows per task.
        dev_rows: Number of dev rows per task, for choosing templates.
        test_rows: Number of test rows per task.

    Returns:
        The folder.

    Raises:
        FlantuneError: The folder cannot be written.
    """
    for task in MAKERS:
        rows = task_rows(task, seed=seed, counts={"train": train_rows, "dev": dev_rows, "test": test_rows})
        for role, made in rows.items():
            write_text(
                folder / "data" / task / f"{role}.jsonl",
                "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in made),
            )
    for source in sorted(TASK_FILES.glob("*.toml")):
        write_text(folder / "tasks" / source.name, source.read_text(encoding="utf-8"))
    for family, name in RUN_NAMES.items():
        target = folder / f"{name}.toml"
        if not target.exists():
            text = Template((RUN_FILES / f"{name}.toml").read_text(encoding="utf-8"))
            write_text(target, text.substitute(path=toml_text({"path": base_folder(family).as_posix()}).strip()))
    if not (study := folder / "effect.toml").exists():
        write_text(study, (RUN_FILES / study.name).read_text(encoding="utf-8"))
    return folder
