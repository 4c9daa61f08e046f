"""A folder of Natural-Instructions as tasks: made-up files here, the authors' where they are at hand."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from flantune.errors import ConfigError, MissingDataError, SourceError, TaskError
from flantune.mixture.mixture import Mixture
from flantune.settings.config import DataSettings, MixtureSettings
from flantune.settings.natural_instructions import NaturalInstructionsSettings
from flantune.tasks import instruction_index
from flantune.tasks.instruction_index import count_faults, read_index
from flantune.tasks.load import folder_notes, load_tasks
from flantune.tasks.natural_instructions import load_natural_instructions, read_track, split_track
from flantune.tasks.prepare import prepare_task
from flantune.tasks.sources.natural_instructions import InstructionSource, read_instruction_file

from .conftest import REAL_DATA

REAL = REAL_DATA / "flan2022/natural_instructions"
needs_real_files = pytest.mark.skipif(not REAL.is_dir(), reason="no real data here")


def task_file(category: str = "Sums", source: str = "numbers", *, instances: int = 4, **others: object) -> dict:
    return {
        "Categories": [category],
        "Source": [source],
        "Definition": ["Add the two numbers."],
        "Input_language": ["English"],
        "Output_language": ["English"],
        "Instance License": ["CC0"],
        "Positive Examples": [{"input": "1 1", "output": "2", "explanation": "One and one is two."}],
        "Negative Examples": [{"input": "1 2", "output": "4", "explanation": "It is three."}],
        "Instances": [
            {"id": f"{at}", "input": f"{at} {at + 1}", "output": [f"{2 * at + 1}"]} for at in range(1, instances + 1)
        ],
        **others,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    def make(tasks: dict[str, dict], *, train: str = "", test: str = "", excluded: str = "") -> Path:
        home = tmp_path / "ni"
        (home / "tasks").mkdir(parents=True)
        (home / "splits/default").mkdir(parents=True)
        for name, task in tasks.items():
            (home / "tasks" / f"{name}.json").write_text(json.dumps(task), encoding="utf-8")
        for part, names in (("train", train), ("test", test), ("excluded", excluded)):
            text = "\n".join(names.split()) + "\n"
            (home / f"splits/default/{part}_tasks.txt").write_text(text, encoding="utf-8")
        return home

    return make


def load(home: Path, **settings: object):
    wanted = NaturalInstructionsSettings(folder=home, **settings)
    return load_natural_instructions(wanted, root=Path(), cache=home.parent / "cache")


def test_a_file_is_a_task(folder, tmp_path: Path):
    home = folder({"task1_sums": task_file()}, train="task1_sums")
    (task,) = load(home)
    assert (task.name, task.clusters, task.source_family, task.licence) == ("task1_sums", ("Sums",), "numbers", "CC0")
    assert task.definition == "Add the two numbers." and task.languages == ("English",)
    assert [(one.inputs, one.targets, one.is_right) for one in task.exemplars] == [
        ("1 1", "2", True),
        ("1 2", "4", False),
    ]
    prepared = prepare_task(task, cache=tmp_path / "data")
    assert [one.fields["input"] for one in prepared.stores["train"]] == ["1 2", "2 3", "3 4", "4 5"]
    assert prepared.stores["train"][1].references == ("5",)


def test_a_track_says_what_is_trained_on_measured_and_left_out(folder):
    names = ("a", "b", "c")
    home = folder({name: task_file(source=name) for name in names}, train="a", test="b", excluded="c")
    assert {task.name: dict(task.splits) for task in load(home)} == {
        "a": {"train": "instances"},
        "b": {"test": "instances[:100]"},
    }
    everything = load(home, track="none", test_instances=3)
    assert {task.name for task in everything} == {"a", "b", "c"}
    assert dict(everything[0].splits) == {"test": "instances[:3]", "train": "instances[3:]"}


def test_all_tasks_of_a_track_can_be_trained_on_beyond_what_is_measured(folder):
    names = ("a", "b", "c", "d")
    home = folder({name: task_file(source=name) for name in names}, train="a", test="b d", excluded="c")
    found = {task.name: dict(task.splits) for task in load(home, train="all", test_instances=3)}
    assert found == {
        "a": {"train": "instances"},
        "b": {"test": "instances[:3]", "train": "instances[3:]"},
        "d": {"test": "instances[:3]", "train": "instances[3:]"},
    }
    few = {task.name: dict(task.splits) for task in load(home, train="all", test_instances=4)}
    assert few["b"] == {"test": "instances[:4]"}  # nothing is left to train on


def test_a_folder_is_narrowed_by_licence_and_language(folder):
    tasks = {
        "free": task_file(source="one"),
        "bound": task_file(source="two", **{"Instance License": ["CC BY-NC 4.0"]}),
        "silent": task_file(source="three", **{"Instance License": ["Unknown"]}),
        "german": task_file(source="four", Output_language=["German"]),
    }
    home = folder(tasks, train=" ".join(tasks))

    def names(**settings: object) -> set[str]:
        data = DataSettings(natural_instructions={"folder": home}, cache=home.parent / "cache", **settings)
        return {task.name for task in load_tasks(data, root=home.parent)}

    assert names() == {*tasks}
    assert names(licences="commercial") == {"free", "german"}
    assert names(languages=("en",)) == {"free", "bound", "silent"}
    assert names(languages=("English", "de"), licences="commercial") == {"free", "german"}


def test_fault_08_names_are_kept_whole_dots_and_dashes_too(folder):
    home = folder({"task2_a.b-c": task_file()}, train="task2_a.b-c")
    assert [task.name for task in load(home)] == ["task2_a.b-c"]


def test_fault_08_a_cap_is_each_tasks_own(folder, tmp_path: Path):
    names = ("a", "b", "c")
    home = folder({name: task_file(source=name, instances=30) for name in names}, train="a b c")
    prepared = [prepare_task(task, cache=tmp_path / "data") for task in load(home)]
    mixture = Mixture(prepared, seed=0, settings=MixtureSettings(max_examples=20))
    assert [(portion.examples, portion.capped) for portion in mixture.portions] == [(30, 20)] * 3


def test_a_run_file_names_the_folder(folder):
    home = folder({"a": task_file()}, train="a")
    data = DataSettings(natural_instructions={"folder": "ni"}, cache=home.parent / "cache")
    assert [task.name for task in load_tasks(data, root=home.parent)] == ["a"]


def test_checking_a_run_file_tells_what_is_odd_in_how_many_files(folder):
    home = folder({"a": task_file(), "b": task_file(Definition=["Add them"])}, train="a b")
    data = DataSettings(natural_instructions={"folder": home}, cache=home.parent / "cache")
    notes = list(folder_notes(data, root=Path()))
    assert "ni: in 1 of 2 files: the definition does not end in a mark" in notes
    assert "ni: in 2 of 2 files: fewer than 100 instances" in notes
    assert list(folder_notes(DataSettings(), root=Path())) == []


def test_instances_are_read_when_they_are_asked_for_and_files_looked_at_once(folder, monkeypatch):
    home = folder({"a": task_file(), "b": task_file(source="b")}, train="a b")
    load(home)
    looked: list[str] = []

    def look(path: Path) -> dict:
        looked.append(path.stem)
        return original(path)

    original = instruction_index._look
    monkeypatch.setattr(instruction_index, "_look", look)
    assert len(load(home)) == 2 and looked == []
    changed = home / "tasks/a.json"
    changed.write_text(json.dumps(task_file(category="Others")), encoding="utf-8")
    assert load(home)[0].clusters == ("Others",) and looked == ["a"]
    os.utime(home / "tasks/b.json", ns=(1, 1))
    load(home)
    assert looked == ["a", "b"]


@pytest.mark.parametrize("text", ["", "{", '{"version": 1}', '{"version": 1, "tasks": {"a": {}}}', "[]"])
def test_a_damaged_index_is_made_again(folder, text: str):
    home = folder({"a": task_file()}, train="a")
    load(home)
    (kept,) = (home.parent / "cache").glob("*.json")
    kept.write_text(text, encoding="utf-8")
    assert len(load(home)) == 1


def test_another_content_is_another_fingerprint(folder):
    home = folder({"a": task_file(), "b": task_file(instances=5)}, train="a b")
    prints = [InstructionSource(path=home / f"tasks/{name}.json").fingerprint("instances") for name in "aba"]
    assert prints[0] == prints[2] != prints[1]


def test_blank_answers_are_dropped_and_what_is_no_instance_is_a_bad_row(folder, tmp_path: Path):
    rows = [{"input": f"{at}", "output": [f"{at}"]} for at in range(400)]
    rows[3] = {"input": "x", "output": [" "]}
    rows[4] = {"input": "y", "output": ["z", "z", ""]}
    rows[5] = {"input": None, "output": ["z"]}
    rows[6] = {"input": "q"}
    rows[7] = {"input": "old", "output": "one text"}
    home = folder({"a": task_file(Instances=rows)}, train="a")
    (task,) = load(home)
    report = (prepared := prepare_task(task, cache=tmp_path / "data")).reports["train"]
    assert (report.kept, report.dropped, sum(report.bad.values())) == (397, 1, 2)
    by_row = {one.row: one for one in (prepared.stores["train"][at] for at in range(10))}
    assert by_row[4].references == ("z",) and by_row[7].references == ("one text",)


BROKEN = ["", "[]", "{}", '{"Definition": [1], "Instances": [], "Positive Examples": []}', "<html>"]


@pytest.mark.parametrize("text", BROKEN)
def test_what_is_no_task_file_is_said(folder, text: str):
    home = folder({"a": task_file()}, train="a")
    path = home / "tasks/a.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SourceError, match=r"a\.json"):
        read_instruction_file(path)


def test_what_is_not_there_is_said(folder, tmp_path: Path):
    with pytest.raises(MissingDataError):
        read_instruction_file(tmp_path / "none.json")
    with pytest.raises(SourceError, match="no task file"):
        load(tmp_path)
    home = folder({"a": task_file()}, excluded="a")
    with pytest.raises(TaskError, match='track "default"'):
        load(home)
    with pytest.raises(ConfigError, match="is not an encoding"):
        load(home, encodings=("definition_and_more",))
    (home / "splits/default/test_tasks.txt").unlink()
    with pytest.raises(SourceError, match=r"test_tasks\.txt"):
        load(home)


def test_the_rule_of_the_tracks():
    french = {"Input_language": ["French"]}
    files = {
        "measured": task_file("Word Analogy", "s"),
        "kin": task_file("Sums", "s"),
        "trained": task_file("Sums", "t"),
        "spelled_otherwise": task_file("Sums", "S"),
        "french": task_file("Sums", "u", **french),
        "french_measured": task_file("Textual Entailment", "v", **french),
        "french_kin": task_file("Sums", "v"),
    }
    index = {name: indexed(name, file) for name, file in files.items()}
    default, xlingual = split_track(index, "default"), split_track(index, "xlingual")
    assert default.test == {"measured"} and default.train == {"trained", "spelled_otherwise"}
    assert default.excluded == {"kin", "french", "french_measured", "french_kin"}
    assert xlingual.test == {"french_measured"} and xlingual.train == {"trained", "spelled_otherwise", "french"}


def indexed(name: str, file: dict):
    return instruction_index.IndexedTask(
        name=name,
        category=file["Categories"][0],
        source=file["Source"][0],
        input_languages=tuple(file["Input_language"]),
        output_languages=tuple(file["Output_language"]),
        licence="",
        definition="",
        examples=(),
        instances=1,
        faults=(),
    )


# The authors' files. -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return read_index(REAL, cache=tmp_path_factory.mktemp("index"))


@needs_real_files
@pytest.mark.parametrize(("track", "unexplained"), [("default", 16), ("xlingual", 17)])
def test_the_rule_gives_the_official_lists(index, track: str, unexplained: int):
    official, ours = read_track(REAL, track), split_track(index, track)
    here = index.keys()
    assert ours.test == official.test & here
    assert official.train & here <= ours.train and ours.excluded <= official.excluded
    # Excluded for tasks of a test category that are not among the files here.
    assert len(ours.train & official.excluded) == unexplained


@needs_real_files
def test_faults_are_counted_by_reason(index):
    assert len(index) == 1402
    assert count_faults(index) == {
        "an example is among the instances": 69,
        "all instances have one answer": 12,
        "an instance has a blank answer": 6,
        "an instance has a blank input": 1,
        "an instance has a reference twice": 28,
        "an answer begins or ends with white space": 61,
        "the definition does not end in a mark": 63,
        "the definition begins or ends with white space": 40,
        "the name has a dot in it": 6,
        "the name has a dash in it": 35,
        "fewer than two wrong examples": 87,
        "fewer than 100 instances": 16,
    }


@needs_real_files
def test_the_default_track_loads_whole(tmp_path: Path):
    tasks = load_natural_instructions(NaturalInstructionsSettings(folder=REAL), root=Path(), cache=tmp_path)
    assert len(tasks) == 642 + 102
    for task in (tasks[0], tasks[-1]):
        assert prepare_task(task, cache=tmp_path / "data").stores
    without = NaturalInstructionsSettings(folder=REAL, mmlu=False)
    left = {task.name for task in load_natural_instructions(without, root=Path(), cache=tmp_path)}
    gone = [task for task in tasks if task.name not in left]
    assert len(gone) == 57 and {task.source_family for task in gone} == {
        "measuring_massive_multitask_language_understanding"
    }
