"""Pages about the shipped collection that are made from it stay equal to it."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
MIRROR = ROOT / "../shared/data/hub"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / f"docs/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_collections_page_is_current() -> None:
    page = (ROOT / "docs/collection-flan2021.md").read_text(encoding="utf-8")
    assert page == script("generate_collection").collection_page()


def test_every_task_says_how_it_was_confirmed() -> None:
    from flantune.settings.config import DataSettings
    from flantune.tasks.load import load_tasks

    tasks = load_tasks(DataSettings(collection=("flan2021",)), root=Path())
    assert len(tasks) == 70
    for task in tasks:
        # A list of what was looked up, each with where: "id: …; columns …: …; licence: …".
        assert re.search(r"\b(id|columns)\b[^;]*: ", task.confirmed), task.name
        assert "licence" in task.confirmed, task.name


@pytest.mark.parametrize("role", [0, 1, 2])
def test_flans_slices_are_one_of_few_kinds(role: int) -> None:
    """A slip of the pen in the table would be a new kind."""
    kinds = {re.sub(r"\d+", "N", slices[role]) for slices in script("generate_collection").FLAN.values()}
    assert len(kinds) <= (8, 9, 10)[role], kinds


@pytest.mark.skipif(not MIRROR.is_dir(), reason="no real data here")
@pytest.mark.slow
def test_every_real_row_in_every_template(tmp_path: Path) -> None:
    """All rows adapt and render in all templates, and the mixture's rates are the paper's formula."""
    page = script("generate_real_rows").page(MIRROR.resolve(), tmp_path)
    assert (ROOT / "docs/real-rows.md").read_text(encoding="utf-8") == page


def test_the_page_of_flan_2022s_collection_is_current() -> None:
    page = (ROOT / "docs/collection-flan2022.md").read_text(encoding="utf-8")
    assert page == script("generate_collection_flan2022").collection_page()
