"""The straight line holds: rooms import only rooms above them, no circle, files stay short, the shell stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src/flantune"
MAX_LINES = 400

# Each room may import the rooms before it in this list, and none behind it; for types and inside functions, too.
ORDER = (
    "errors",
    "types",
    "system",
    "numerals",
    "settings",
    "prompts",
    "tasks",
    "shipped",
    "mixture",
    "packing",
    "pretraining",
    "models",
    "training",
    "contamination",
    "evaluation",
    "suites",
    "harness",
    "runs",
    "studies",
    "report",
    "judging",
    "tracking",
    "commands",
    "demo",
    "cli",
    "__main__",
)
PLACE = {room: place for place, room in enumerate(ORDER)}

# Rooms that stand side by side, though the list has one behind the other.
STRANGERS = {("evaluation", "training"), ("contamination", "training"), ("contamination", "models")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One module of flantune that another one imports, wherever the statement stands."""

    module: str
    target: str
    file: str
    line: int

    @property
    def rooms(self) -> tuple[str, str]:
        return room_of(self.module), room_of(self.target)

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.target}"


def room_of(module: str) -> str:
    return module.split(".")[1]


def module_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(("flantune", *(parts[:-1] if parts[-1] == "__init__" else parts)))


FILES = sorted(SOURCE.rglob("*.py"))
MODULES = {module_of(path): path for path in FILES}
ROOMS = {path.name: path for path in SOURCE.iterdir() if path.is_dir() and any(path.glob("*.py"))}


def imports_of(module: str) -> Iterator[Import]:
    path = MODULES[module]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for target in targets_of(node):
            if target != module and target.startswith("flantune."):
                yield Import(module=module, target=target, file=path.relative_to(SOURCE).as_posix(), line=node.lineno)


def targets_of(node: ast.AST) -> list[str]:
    """The modules that a statement imports; of ``from a import b`` it is ``a.b`` where that is a module, else ``a``."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        inner = [f"{node.module}.{alias.name}" for alias in node.names]
        return [one if one in MODULES else node.module for one in inner]
    return []


# The package itself is its public face: it names what lies in all rooms, and only for them who ask.
@pytest.fixture(scope="module")
def imports() -> list[Import]:
    return [found for module in MODULES if module != "flantune" for found in imports_of(module)]


def test_imports_are_found_at_all(imports):
    found = {one.rooms for one in imports}
    assert {("mixture", "prompts"), ("training", "models"), ("commands", "training")} <= found


def test_every_room_has_its_place_in_the_line():
    loose = {path.stem for path in SOURCE.glob("*.py")} - {"__init__"}
    assert {*ROOMS, *loose} == set(ORDER)
    assert loose == {"errors", "types", "__main__"}


def test_rooms_import_only_rooms_before_them(imports):
    assert [str(one) for one in imports if PLACE[one.rooms[1]] > PLACE[one.rooms[0]]] == []


def test_strangers_do_not_know_each_other(imports):
    assert [str(one) for one in imports if {one.rooms, one.rooms[::-1]} & STRANGERS] == []


def test_no_modules_import_each_other_in_a_circle(imports):
    graph: dict[str, set[str]] = {module: set() for module in MODULES}
    for one in imports:
        graph[one.module] |= {one.target} & graph.keys()
    assert circles(graph) == []


def test_a_circle_would_be_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Modules that can be reached from each other: what is left when all without a way in or out are taken away."""
    left = {module: set(targets) for module, targets in graph.items()}
    while True:
        reached = set().union(*left.values()) if left else set()
        ends = {module for module, targets in left.items() if not targets & left.keys() or module not in reached}
        if not ends:
            break
        left = {module: targets - ends for module, targets in left.items() if module not in ends}
    found: list[list[str]] = []
    while left:
        start = min(left)
        ring = reachable(left, start) & {module for module in left if start in reachable(left, module)}
        if ring:
            found.append(sorted(ring))
        left = {module: targets - ring - {start} for module, targets in left.items() if module not in ring | {start}}
    return found


def reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    todo = [start]
    while todo:
        new = graph[todo.pop()] & graph.keys() - found
        found |= new
        todo += new
    return found


def test_nothing_but_the_command_line_imports_the_command_line(imports):
    assert {one.file for one in imports if one.rooms[1] == "cli" != one.rooms[0]} == {"__main__.py"}


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
