"""Every file, function and test that a page names is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOMES = (ROOT / "src/flantune", ROOT / "tests", ROOT)
PAGES = ["paper-map.md", "how-it-works.md", "contributing.md"]
REFERENCE = re.compile(r"`((?:[\w-]+/)*[\w.-]+\.py|(?:[\w-]+/)+(?:[\w.-]+\.(?:toml|json))?)(?:: ([\w, ]+))?`")


def references(page: str) -> list[tuple[str, list[str]]]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [(path, names.split(", ") if names else []) for path, names in REFERENCE.findall(text)]


@cache
def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def missing(path: str, names: list[str]) -> list[str]:
    there = next((home / path for home in HOMES if (home / path).exists()), None)
    if there is None:
        return [path]
    return [f"{path}: {name}" for name in names if name not in names_in(there)]


# What a page calls a folder of a run, not of the project.
IN_A_RUN = {"base/", "data/", "samples/", "origins/", "store/"}


@pytest.mark.parametrize("page", PAGES)
def test_everything_a_page_names_exists(page: str):
    found = [one for path, names in references(page) if path not in IN_A_RUN for one in missing(path, names)]
    assert found == []


def test_a_name_that_is_not_there_would_be_found():
    assert missing("training/loop.py", ["tune", "tuned"]) == ["training/loop.py: tuned"]
    assert missing("training/nothing.py", []) == ["training/nothing.py"]


def test_the_map_names_code_and_test_of_each_claim():
    text = (ROOT / "docs/paper-map.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| ") and "| code |" not in line]
    assert len(rows) > 50
    for claim, code, test, note in rows:
        is_built = REFERENCE.search(code) and re.search(r"test_\w+\.py: test_\w+", test)
        is_owned_up_to = code.strip() == test.strip() == "—" and len(note) > 5
        assert is_built or is_owned_up_to, claim
