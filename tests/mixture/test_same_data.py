"""Tasks on the same data are kin without being told, whatever their files are called."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from flantune.contamination.record_files import read_record, write_record
from flantune.contamination.training_record import Measured, check_seen, make_training_index, record_of
from flantune.errors import LeakError
from flantune.mixture.holdout import check_unseen, hold_out
from flantune.mixture.leaks import kin_groups
from flantune.mixture.taxonomy import load_taxonomy
from flantune.tasks.same_data import is_same_hub, same_source
from flantune.tasks.sources.files import FileSource
from flantune.tasks.sources.hub import HubSource
from flantune.types import Example, Task, Template

TAXONOMY = load_taxonomy(None)
TEXT = "".join(f'{{"q": "Where is pier {n}?", "a": "north {n}"}}\n' for n in range(3_000))


def task(name: str, source, *, cluster: str) -> Task:
    return Task(
        name=name,
        clusters=(cluster,),
        source_family="",
        kind="generation",
        source=source,
        adapter=lambda row: None,
        splits={"train": "train[:100]", "test": "test[:100]"},
        templates=(Template(name="a", inputs="{q}"),),
        metrics=("exact_match",),
    )


def files(root: Path, **names) -> FileSource:
    return FileSource(files=names, root=root)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "piers.jsonl").write_text(TEXT)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    return tmp_path


def _link(folder: Path) -> FileSource:
    (folder / "deep" / "linked.jsonl").symlink_to(folder / "piers.jsonl")
    return files(folder / "deep", train="linked.jsonl")


def _hard_link(folder: Path) -> FileSource:
    os.link(folder / "piers.jsonl", folder / "hard.jsonl")
    return files(folder, test="hard.jsonl")


def _copy(folder: Path) -> FileSource:
    (folder / "deep" / "copy.jsonl").write_text(TEXT)
    return files(folder, test="deep/*.jsonl")


def _packed(folder: Path) -> FileSource:
    with gzip.open(folder / "other.jsonl.gz", "wt") as handle:
        handle.write(TEXT)
    return files(folder, train="other.jsonl.gz")


def _mirror(folder: Path) -> HubSource:
    home = folder / "hub" / "org" / "piers" / "default"
    home.mkdir(parents=True)
    with gzip.open(home / "train.jsonl.gz", "wt") as handle:
        handle.write(TEXT)
    return HubSource(id="org/piers", mirror=folder / "hub")


def _written(name: str, change):
    """A copy whose bytes are others, though its text is not."""

    def made(folder: Path) -> FileSource:
        (folder / name).write_bytes(change(TEXT.encode()))
        return files(folder, train=name)

    return made


TWINS = {
    "line ends of another system": (
        _written("windows.jsonl", lambda text: text.replace(b"\n", b"\r\n")),
        "their files piers.jsonl and windows.jsonl hold the same rows",
    ),
    "a byte order mark": (_written("marked.jsonl", lambda text: b"\xef\xbb\xbf" + text), "hold the same rows"),
    "no last line end": (_written("cut.jsonl", lambda text: text.rstrip()), "hold the same rows"),
    "the same path": (lambda folder: files(folder, test="piers.jsonl"), "both read the same file, piers.jsonl"),
    "an absolute path": (lambda folder: files(Path(), test=str(folder / "piers.jsonl")), "both read the same file"),
    "a path around": (
        lambda folder: files(folder / "deep" / "er", train="../../piers.jsonl"),
        "both read the same file",
    ),
    "one of several": (lambda folder: files(folder, train=("none.jsonl", "piers.jsonl")), "both read the same file"),
    "lines of a table": (lambda folder: files(folder, train={"q": "piers.jsonl"}), "both read the same file"),
    "a link": (_link, "both read the same file"),
    "a hard link": (_hard_link, "hold the same rows"),
    "a copy": (_copy, "their files piers.jsonl and copy.jsonl hold the same rows"),
    "a compressed copy": (_packed, "their files piers.jsonl and other.jsonl.gz hold the same rows"),
    "a mirror of the hub": (_mirror, "hold the same rows"),
}


@pytest.mark.parametrize("twin", TWINS, ids=list(TWINS))
def test_files_are_the_same_whatever_they_are_called(folder, twin):
    make, said = TWINS[twin]
    own = task("piers", files(folder, train="piers.jsonl", test="piers.jsonl"), cluster="writing")
    other = task("harbor", make(folder), cluster="reading")
    assert said in TAXONOMY.kinship(own, other) and said.partition(",")[0] in TAXONOMY.kinship(own, other)
    assert TAXONOMY.kinship(other, own)


def test_of_files_that_begin_alike_each_is_looked_at(folder):
    start = "Terms of use. " * 6_000
    for name, end in {"a1": "one", "a2": "two", "b": "one", "c": "three"}.items():
        (folder / f"{name}.txt").write_text(f"{start}\n{end}\n")
    for pair in (("a1.txt", "a2.txt"), ("a2.txt", "a1.txt")):
        assert same_source(files(folder, train=pair), files(folder, train="b.txt")).startswith("their files a1.txt")
        assert same_source(files(folder, train=pair), files(folder, train="c.txt")) == ""


@pytest.mark.parametrize("name", ["header.csv", "header.tsv", "none.json", "none.jsonl", "blank.txt", "empty.txt.gz"])
def test_files_without_rows_are_no_kin_of_each_other(folder, name):
    for place in (folder, folder / "deep"):
        write = gzip.open if name.endswith(".gz") else open
        with write(place / name, "wt") as file:
            file.write({"header": "q,a\n", "none": "[]\n", "blank": " \n\n"}.get(name.partition(".")[0], ""))
    one, other = files(folder, train=name), files(folder / "deep", train=name)
    assert same_source(one, other) == "" == same_source(other, one)
    row = {"header": "q,a\nx,y\n"}.get(name.partition(".")[0], '[{"q": 1}]\n')
    for place in (folder, folder / "deep"):
        with write(place / name, "wt") as file:
            file.write(row)
    assert "hold the same rows" in same_source(one, other)


def test_other_files_are_no_kin(folder):
    (folder / "other.jsonl").write_text(TEXT.replace("pier 2999", "pier 3000"))
    (folder / "empty.jsonl").write_text("")
    (folder / "empty too.jsonl").write_text("")
    own, other = files(folder, train="piers.jsonl"), files(folder, train="other.jsonl")
    assert same_source(own, other) == "", "equal beginnings are not enough"
    assert same_source(files(folder, train="empty.jsonl"), files(folder, train="empty too.jsonl")) == ""
    assert same_source(files(folder, train="gone.jsonl"), files(folder, train="gone.jsonl")) == ""
    (folder / "other.jsonl").write_text(TEXT)
    assert same_source(own, other), "a file that has changed is looked at anew"


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (("org/set", "a", "main"), ("org/set", "a", "v2"), True),
        (("org/set", "a", None), ("Org/Set", "a", None), True),
        (("org/set", None, None), ("org/set", "a", None), True),
        (("org/set", "a", None), ("org/set", "b", None), False),
        (("org/set", "a", None), ("org/other", "a", None), False),
    ],
)
def test_hub_data_sets_are_the_same_by_id_and_configuration_whatever_the_revision(one, other, is_same):
    left, right = (HubSource(id=name, config=config, revision=revision) for name, config, revision in (one, other))
    assert bool(same_source(left, right)) == bool(same_source(right, left)) == is_same
    assert is_same_hub("", "") is False


def test_a_task_on_the_held_out_tasks_file_is_not_trained_on(folder):
    tasks = [
        task("piers", files(folder, test="piers.jsonl"), cluster="writing"),
        task("harbor", files(folder, train="piers.jsonl"), cluster="reading"),
        task("sea", HubSource(id="org/sea"), cluster="reading"),
    ]
    split = hold_out(tasks, ["writing"], taxonomy=TAXONOMY)
    assert [one.name for one in split.train] == ["sea"]
    (left_out,) = split.excluded
    assert left_out.task == "harbor" and "both read the same file, piers.jsonl" in left_out.reason
    with pytest.raises(LeakError, match="both read the same file"):
        check_unseen(tasks[1:2], tasks[:1], taxonomy=TAXONOMY)


def test_kin_by_data_are_listed_once(folder):
    (folder / "copy.jsonl").write_text(TEXT)
    tasks = [
        task("piers", files(folder, test="piers.jsonl"), cluster="a"),
        task("sea", HubSource(id="org/sea"), cluster="b"),
        task("harbor", files(folder, train="copy.jsonl"), cluster="c"),
        task("ocean", HubSource(id="org/sea", revision="v2"), cluster="d"),
    ]
    groups = {group.tasks: group.because for group in kin_groups(tasks, TAXONOMY)}
    assert set(groups) == {("piers", "harbor"), ("sea", "ocean")}
    assert "hold the same rows" in groups["piers", "harbor"] and "same source, org/sea" in groups["sea", "ocean"]


def test_a_tuned_model_remembers_its_files(folder, tmp_path_factory):
    from flantune.tasks.example_store import PreparedTask
    from flantune.tasks.same_data import contents_of

    rows = (Example(row=0, fields={"q": "Where?"}, references=("north",)),)
    own = task("piers", files(folder, train="piers.jsonl"), cluster="writing")
    prepared = PreparedTask(task=own, stores={"train": rows}, reports={})
    record = record_of([prepared], held_out=(), base="", fingerprint="f")
    model = tmp_path_factory.mktemp("model")
    write_record(model, record, make_training_index([prepared]))
    with gzip.open(folder / "elsewhere.jsonl.gz", "wt") as handle:
        handle.write(TEXT)
    measured = Measured(name="harbor", files=(folder / "elsewhere.jsonl.gz",))
    found = check_seen(read_record(model), make_training_index([prepared]), measured, TAXONOMY)
    assert found.reasons == ('harbor reads the same files as the task "piers" it was trained on',)
    assert contents_of([folder / "gone.jsonl"]) == ()
