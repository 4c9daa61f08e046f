"""Documentation that is made from code stays equal to it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", ["settings", "commands"])
def test_page_made_from_code_is_current(page: str):
    spec = importlib.util.spec_from_file_location(f"generate_{page}", ROOT / f"docs/generate_{page}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = getattr(module, f"{page}_page")()
    assert (ROOT / f"docs/{page}.md").read_text(encoding="utf-8") == made, f"run python docs/generate_{page}.py"
