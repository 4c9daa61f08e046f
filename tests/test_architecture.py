"""The straight line holds: stages import only to their left, files stay short, the command line stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src/flantune"
MAX_LINES = 400

# What everything may use: values, settings, files on disk, messages.
GROUND = {
    "__version__",
    "types",
    "errors",
    "config",
    "optimizer_settings",
    "setting_types",
    "plain_words",
    "toml_faults",
    "toml_file",
    "run_file",
    "files",
    "locking",
    "manifest",
    "digit_groups",
    "ascii_figures",
    "number_values",
    "numerals",
    "progress",
    "quiet_imports",
    "scoring_protocols",
}

# Who may import whom, besides the ground. Training and evaluation do not know each other.
LINE = ["tasks", "prompts", "mixture", "packing", "models"]
LEFT_OF = {stage: set(LINE[:place]) for place, stage in enumerate(LINE)}
LEFT_OF["training"] = set(LINE)
LEFT_OF["evaluation"] = set(LINE)
LEFT_OF["contamination"] = {"tasks", "prompts", "mixture"}
LEFT_OF["training_record"] = LEFT_OF["contamination"] | {"contamination"}
LEFT_OF["suites"] = {*LINE, "evaluation", "training_record"}
LEFT_OF["harness"] = LEFT_OF["suites"] | {"suites"}
LEFT_OF["report"] = {*LINE, "evaluation", "suites"}
LEFT_OF["judging"] = {*LINE, "evaluation", "report"}
LEFT_OF["collections"] = {"tasks"}
LEFT_OF["studies"] = {"tasks", "prompts", "mixture"}
LEFT_OF["demo"] = {*LINE, "training"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    file: str
    house: str
    target: str
    line: int
    is_for_types: bool
    is_at_start: bool


def house_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).parts
    return parts[0] if len(parts) > 1 else path.stem


def imports_of(path: Path) -> Iterator[Import]:
    """Every import of a module of flantune from another folder (or file) of the top level."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node, is_for_types, is_at_start in walk(tree, is_for_types=False, is_at_start=True):
        for name in imported_names(node):
            if not name.startswith("flantune."):
                continue
            target, house = name.split(".")[1], house_of(path)
            if target != house:
                file = path.relative_to(SOURCE).as_posix()
                yield Import(
                    file=file,
                    house=house,
                    target=target,
                    line=node.lineno,
                    is_for_types=is_for_types,
                    is_at_start=is_at_start,
                )


def walk(node: ast.AST, *, is_for_types: bool, is_at_start: bool) -> Iterator[tuple[ast.stmt, bool, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, is_for_types, is_at_start
            continue
        types = is_for_types or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test))
        start = is_at_start and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from walk(child, is_for_types=types, is_at_start=start)


def imported_names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module == "flantune":
        return [f"flantune.{alias.name}" for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []


FILES = sorted(SOURCE.rglob("*.py"))
IMPORTS = [found for path in FILES for found in imports_of(path)]


def test_imports_are_found_at_all():
    found = {(one.house, one.target) for one in IMPORTS}
    assert {("mixture", "prompts"), ("training", "models"), ("pipeline", "training")} <= found


def test_every_folder_has_its_place_in_the_line():
    folders = {path.name for path in SOURCE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert folders - set(LEFT_OF) == {"cli"}


def test_stages_import_only_stages_to_their_left():
    wrong = [
        f"{one.file}:{one.line} imports flantune.{one.target}" + (" (for types)" if one.is_for_types else "")
        for one in IMPORTS
        if one.house in LEFT_OF and one.target not in LEFT_OF[one.house] | GROUND
    ]
    assert wrong == []


def test_training_and_evaluation_do_not_know_each_other():
    pairs = {(one.house, one.target) for one in IMPORTS}
    assert not pairs & {("training", "evaluation"), ("evaluation", "training")}


def test_the_ground_stands_on_nothing():
    wrong = [
        f"{one.file}:{one.line} imports flantune.{one.target}"
        for one in IMPORTS
        if one.house in GROUND and one.target not in GROUND
    ]
    assert wrong == []


def test_nothing_but_the_command_line_imports_the_command_line():
    users = {one.file for one in IMPORTS if one.target == "cli"}
    assert users == {"__main__.py"}


def test_a_file_can_be_read_in_one_go():
    lines = {path.relative_to(SOURCE).as_posix(): path.read_text(encoding="utf-8").count("\n") for path in FILES}
    assert {name: count for name, count in lines.items() if count > MAX_LINES} == {}


HEAVY = ("torch", "transformers", "numpy", "pydantic", "pyarrow", "datasets", "scipy")


def test_importing_every_command_imports_nothing_heavy():
    modules = [f"flantune.cli.{path.stem}" for path in sorted((SOURCE / "cli").glob("*.py")) if path.stem != "__init__"]
    program = (
        "import importlib, sys\n"
        f"for name in {modules!r}:\n"
        "    importlib.import_module(name)\n"
        f"    heavy = [one for one in {HEAVY!r} if one in sys.modules]\n"
        "    assert not heavy, (name, heavy)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_names_say_what_is_in_a_file():
    vague = {"utils", "util", "helpers", "helper", "misc", "common", "manager", "base", "core"}
    assert [path.name for path in FILES if vague & set(path.stem.split("_"))] == []
