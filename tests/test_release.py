"""A release: both archives are built without network, hold what belongs in them, and work without the sources."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

import flantune

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel and the source archive, built from a copy of the tracked files."""
    tree, built = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("built")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("the files of a release are those that git tracks, and this is no git checkout")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(built)], cwd=tree, check=True)
    return {path.suffix: path for path in built.iterdir()}


def wheel_names(archives: dict[str, Path]) -> set[str]:
    with zipfile.ZipFile(archives[".whl"]) as wheel:
        return {name for name in wheel.namelist() if ".dist-info/" not in name}


def test_the_wheel_holds_every_file_of_the_package(archives: dict[str, Path]) -> None:
    tracked = subprocess.run(["git", "ls-files", "src"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    there = {name.removeprefix("src/") for name in tracked.splitlines() if (ROOT / name).is_file()}
    assert wheel_names(archives) == there
    assert "flantune/py.typed" in there


def test_the_source_archive_holds_what_the_readme_s_commands_need(archives: dict[str, Path]) -> None:
    with tarfile.open(archives[".gz"]) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    assert {"Makefile", "README.md", "LICENSE", "constraints.txt", "tests/conftest.py", "docs/README.md"} <= names
    assert not [name for name in names if name.startswith((".ci", ".venv", "runs/"))]


def test_it_works_where_the_sources_are_not(archives: dict[str, Path], tmp_path: Path) -> None:
    """Installed by pip alone, it says its version, finds its tasks and writes a project that its own check passes."""
    site = tmp_path / "site"
    install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--target",
        str(site),
        str(archives[".whl"]),
    ]
    subprocess.run([sys.executable, *install], check=True)

    def told(*arguments: str, program: tuple[str, ...] = ("-m", "flantune")) -> str:
        command = [sys.executable, *program, *arguments]
        environment = {**os.environ, "PYTHONPATH": str(site)}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert told(program=("-c", "import flantune; print(flantune.__file__)")).startswith(str(site))
    assert told("--version").split()[-1] == flantune.__version__
    assert "rte" in told("tasks", "list", "--collection", "flan2021")
    told("init", "project")
    assert "nothing would stop a run" in told("check", "project/run.toml")


def test_one_version_stands_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == flantune.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", flantune.__version__)


def test_every_library_the_package_imports_is_declared() -> None:
    """As a dependency where a module imports it at its top, as one or as an extra elsewhere."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {_plain(one) for one in project["dependencies"]}
    extras = {_plain(one) for name, ones in project["optional-dependencies"].items() if name != "dev" for one in ones}
    homes = packages_distributions()
    undeclared = set()
    for path in sorted((ROOT / "src").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        checked = {id(node) for block in tree.body if _is_for_types(block) for node in ast.walk(block)}
        for node in ast.walk(tree):
            if id(node) in checked:
                continue
            allowed = declared if node in tree.body else declared | extras
            for module in _imported(node):
                libraries = {_plain(name) for name in homes.get(module, [module])}
                if module not in {*sys.stdlib_module_names, "flantune"} and not libraries & allowed:
                    undeclared.add(f"{path.relative_to(ROOT)} imports {module}")
    assert not undeclared


def _is_for_types(block: ast.stmt) -> bool:
    return isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.split(".")[0] for alias in node.names]
    return [node.module.split(".")[0]] if isinstance(node, ast.ImportFrom) and node.module else []


def _plain(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")


def test_a_commit_is_checked_as_the_makefile_checks() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    hooked = [" ".join([hook["entry"], *hook.get("args", ())]) for hook in hooks]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("$(BIN)", ".venv/bin")
    check = makefile.split("check: $(STAMP)\n")[1].split("\n\n")[0]
    assert hooked == [line.strip() for line in check.splitlines()]
