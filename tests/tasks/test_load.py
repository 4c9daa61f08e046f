"""All tasks of a run come from files, globs, Python and collections, chosen by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from flantune.errors import ConfigError, TaskError
from flantune.settings.config import DataSettings
from flantune.tasks import shipped_files
from flantune.tasks.load import load_tasks
from flantune.tasks.sources.hub import HubSource

TASK = """
name = "NAME"
clusters = ["closed-book QA"]
kind = "generation"
[source]
hub = "me/NAME"
[splits]
test = "validation"
[fields]
country = "country"
[answer]
column = "capital"
[[templates]]
inputs = "Capital of {country}?"
"""

PYTHON = """
from flantune.tasks import FileSource, HubSource
from flantune.types import Example, Task, Template

def adapter_of(word):
    def adapt(row):
        return Example(row=0, fields={"q": row["q"] + word}, references=(row["a"],))
    return adapt

def tasks():
    for name in ("rivers", "lakes"):
        yield Task(
            name=name,
            clusters=("closed-book QA",),
            source_family=name,
            kind="generation",
            source=HubSource(id="me/water"),
            adapter=adapter_of(name),
            splits={"train": "train"},
            templates=(Template(name="t1", inputs="{q}"),),
            metrics=("exact_match",),
        )
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("norway", "sweden", "chile"):
        (tmp_path / f"{name}.toml").write_text(TASK.replace("NAME", name))
    (tmp_path / "water.py").write_text(PYTHON)
    return tmp_path


def names(folder: Path, **settings: object) -> list[str]:
    return [task.name for task in load_tasks(DataSettings(**settings), root=folder)]  # type: ignore[arg-type]


def test_files_and_globs_in_order_each_once(folder: Path) -> None:
    assert names(folder, tasks=("sweden.toml", "*.toml")) == ["sweden", "chile", "norway"]
    assert names(folder, tasks=(str(folder / "norway.toml"),)) == ["norway"]


def test_include_and_exclude(folder: Path) -> None:
    assert names(folder, tasks=("*.toml",), include=("norway", "chile")) == ["chile", "norway"]
    assert names(folder, tasks=("*.toml",), include=("nor*", "ch*"), exclude=("*ile",)) == ["norway"]
    assert names(folder, tasks=("*.toml",), exclude=("norway",)) == ["chile", "sweden"]
    with pytest.raises(ConfigError) as caught:
        names(folder, tasks=("*.toml",), include=("norwey",), exclude=("atlantis",))
    assert 'data.include: no task "norwey"; did you mean "norway"?' in str(caught.value)
    assert 'data.exclude: no task "atlantis"' in str(caught.value)
    with pytest.raises(ConfigError, match="leave no task"):
        names(folder, tasks=("norway.toml",), exclude=("norway",))


def test_mirror_is_relative_to_the_run_file(folder: Path) -> None:
    settings = DataSettings(tasks=("norway.toml", "water.py"), mirror=Path("hub"))
    for task in load_tasks(settings, root=folder):
        assert isinstance(task.source, HubSource)
        assert task.source.mirror == folder / "hub"


def test_python_files(folder: Path) -> None:
    rivers, lakes = load_tasks(DataSettings(tasks=("water.py",)), root=folder)
    assert rivers.origin == str(folder / "water.py")
    # Same code, same file, but made with another word.
    assert rivers.adapter_fingerprint != lakes.adapter_fingerprint
    (again, _) = load_tasks(DataSettings(tasks=("water.py",)), root=folder)
    assert again.adapter_fingerprint == rivers.adapter_fingerprint
    (folder / "water.py").write_text(PYTHON + "\n# changed\n")
    (changed, _) = load_tasks(DataSettings(tasks=("water.py",)), root=folder)
    assert changed.adapter_fingerprint != rivers.adapter_fingerprint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "has no function tasks()"),
        ("def tasks():\n    return [1]", "tasks() gave int; expected Task"),
        ("def tasks():\n    return 1 / 0", "tasks() fails: ZeroDivisionError: division by zero (bad.py line 2)"),
        ("import nothing_like_it", "fails to load: ModuleNotFoundError"),
        (PYTHON.replace('"rivers"', '"my rivers"'), '"my rivers" is not a name'),
        (PYTHON.replace('splits={"train": "train"}', "splits={}"), "rivers: needs clusters, splits and templates"),
        (PYTHON.replace('("closed-book QA",)', '"closed-book QA"'), "rivers: clusters is a text; expected a tuple"),
    ],
)
def test_python_files_that_are_wrong(folder: Path, text: str, message: str) -> None:
    (folder / "bad.py").write_text(text)
    with pytest.raises(TaskError) as caught:
        names(folder, tasks=("bad.py",))
    assert caught.value.where == str(folder / "bad.py")
    assert message in caught.value.message


def test_problems_of_all_files_come_at_once(folder: Path) -> None:
    (folder / "one.toml").write_text("name = 1")
    (folder / "two.toml").write_text("= 1")
    with pytest.raises(TaskError) as caught:
        names(folder, tasks=("*.toml",))
    assert "one.toml: 8 problems" in str(caught.value)
    assert "two.toml: is not valid TOML" in str(caught.value)


def test_names_are_unique(folder: Path) -> None:
    (folder / "other.toml").write_text(TASK.replace("NAME", "norway"))
    with pytest.raises(TaskError) as caught:
        names(folder, tasks=("norway.toml", "other.toml"))
    assert str(folder / "norway.toml") in str(caught.value)
    assert str(folder / "other.toml") in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("norwey.toml", 'did you mean "norway.toml"?'),
        ("nothing/*.toml", "no such task file"),
        (".", "is a folder"),
        ("notes.txt", "is neither a .toml nor a .py file"),
    ],
)
def test_files_that_are_not_there(folder: Path, pattern: str, message: str) -> None:
    (folder / "notes.txt").write_text("x")
    with pytest.raises(TaskError) as caught:
        names(folder, tasks=(pattern,))
    assert message in str(caught.value)


def test_no_tasks_at_all(folder: Path) -> None:
    with pytest.raises(ConfigError, match="no tasks"):
        names(folder)


class TestCollections:
    @pytest.fixture
    def shipped(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        (folder / "shipped/atlas").mkdir(parents=True)
        (folder / "shipped/atlas/peru.toml").write_text(TASK.replace("NAME", "peru"))
        monkeypatch.setattr(shipped_files, "SHIPPED", folder / "shipped")
        return folder

    def test_come_first(self, shipped: Path) -> None:
        assert names(shipped, collection="atlas", tasks=("chile.toml",)) == ["peru", "chile"]

    def test_unknown(self, shipped: Path) -> None:
        with pytest.raises(ConfigError) as caught:
            names(shipped, collection="atals")
        assert str(caught.value) == 'data.collection: no collection "atals"\nhint: did you mean "atlas"?'


def test_a_shipped_collection_loads() -> None:
    found = shipped_files.collections()
    if not found:
        pytest.skip("no collection here")
    for name in found:
        assert load_tasks(DataSettings(collection=name), root=Path())
