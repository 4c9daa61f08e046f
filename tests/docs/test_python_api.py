"""``import flantune``: what a program may use, as docs/python-api.md shows it."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import flantune

PAGE = (Path(__file__).parents[2] / "docs/python-api.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```)?", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_code_of_the_page_does_what_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for code, said in BLOCKS:
        exec(compile(code, "docs/python-api.md", "exec"), names)
        assert capsys.readouterr().out == said


def test_the_page_has_every_name():
    table = re.findall(r"^\| (`.*?) \|", PAGE, flags=re.MULTILINE)
    listed = [name for cell in table for name in re.findall(r"`(\w+)`", cell)]
    assert sorted([*listed, "FlantuneError", "__version__"]) == flantune.__all__ == dir(flantune)
    code = "\n".join(code for code, _ in BLOCKS)
    shown = {name for name in flantune.__all__ if f"flantune.{name}" in code}
    assert set(flantune.__all__) - shown == {"Task", "Template", "Example", "Prompt", "__version__"}


def test_every_name_is_there_and_is_documented():
    for name in flantune.__all__:
        found = getattr(flantune, name)
        assert name == "__version__" or inspect.getdoc(found), name
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = flantune.nothing_like_it


def test_type_checkers_see_the_names_that_are_given():
    tree = ast.parse(Path(flantune.__file__).read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and "flantune" in str(node.module)]
    typed = {alias.name: node.module for node in imports for alias in node.names}
    assert typed == {name: f"flantune.{home}" for name, home in flantune._HOMES.items()}
    assert sorted([*typed, "__version__"]) == flantune.__all__


def test_importing_the_package_imports_nothing_else_of_it():
    program = (
        "import sys, flantune; print([m for m in sys.modules if m.partition('.')[0] in HEAVY or 'flantune.' in m])"
    )
    heavy = ("torch", "transformers", "numpy", "pydantic", "pyarrow", "click", "json", "dataclasses")
    run = [sys.executable, "-c", program.replace("HEAVY", repr(heavy))]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == "[]\n"
