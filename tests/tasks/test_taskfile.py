"""A task file becomes a task, or says all that is wrong with it at once."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from flantune.errors import TaskError
from flantune.tasks.columns import ColumnAdapter, FieldColumn
from flantune.tasks.sources.files import FileSource
from flantune.tasks.sources.hub import HubSource
from flantune.tasks.taskfile import load_task_file
from flantune.tasks.taskfile_sections import METRICS
from flantune.types import Task, Template

WHOLE = '''
name = "my_entailment"
clusters = ["natural language inference", "stories"]
family = "my stories"
kind = "classification"
metrics = ["accuracy", "f1"]
licence = "CC0"
citation = "Me, 2024."
description = "Does it follow?"
[source]
files = { train = "train.csv", test = ["a.csv", "b-*.csv"] }
delimiter = ";"
[splits]
train = "train[:-200]"
dev = "train[-200:]"
test = "test"
[fields]
premise = "Satz 1"
hypothesis = { column = "parts", join = " " }
[options]
values = ["yes", "no"]
[answer]
column = "label"
map = { "0" = "no", "1" = "yes" }
drop = [-1, "-"]
[[templates]]
inputs = """
{premise}
{hypothesis}?
{options}"""
[[templates]]
name = "backwards"
inputs = "Write something that {answer} follows from: {{{premise}}}"
targets = "{hypothesis}"
inverted = true
'''

MINIMAL = """
name = "capitals"
clusters = ["closed-book QA"]
kind = "generation"
[source]
hub = "me/capitals"
[splits]
test = "validation"
[fields]
country = "country"
[answer]
column = "capital"
[[templates]]
inputs = "Capital of {country}?"
"""


def problems_of(load: Callable[..., Task], text: str) -> str:
    with pytest.raises(TaskError) as caught:
        load(text)
    return caught.value.message


def test_every_key_arrives(load_text: Callable[..., Task], tmp_path: Path) -> None:
    task = load_text(WHOLE)
    assert (task.name, task.source_family, task.kind) == ("my_entailment", "my stories", "classification")
    assert task.clusters == ("natural language inference", "stories")
    assert task.metrics == ("accuracy", "f1")
    assert (task.licence, task.citation, task.description) == ("CC0", "Me, 2024.", "Does it follow?")
    assert task.origin == str(tmp_path / "task.toml")
    assert task.splits == {"train": "train[:-200]", "dev": "train[-200:]", "test": "test"}
    assert isinstance(task.source, FileSource)
    assert task.source.root == tmp_path
    assert task.source.files["test"] == ("a.csv", "b-*.csv")
    assert task.source.form.delimiter == ";"
    assert isinstance(task.adapter, ColumnAdapter)
    assert task.adapter.fields["hypothesis"] == FieldColumn(column="parts", join=" ")
    assert task.adapter.answer.drop == ("-1", "-")
    assert task.adapter_fingerprint == task.adapter.fingerprint
    assert task.templates == (
        Template(name="t1", inputs="{premise}\n{hypothesis}?\n{options}"),
        Template(
            name="backwards",
            inputs="Write something that {answer} follows from: {{{premise}}}",
            targets="{hypothesis}",
            is_inverted=True,
        ),
    )


def test_the_adapter_of_a_whole_file_adapts(load_text: Callable[..., Task]) -> None:
    example = load_text(WHOLE).adapter({"Satz 1": "It rains.", "parts": ["It is", "wet."], "label": "1"})
    assert example is not None
    assert example.fields == {"premise": "It rains.", "hypothesis": "It is wet."}
    assert example.options[example.answer or 0] == "yes"


def test_defaults(load_text: Callable[..., Task]) -> None:
    task = load_text(MINIMAL, mirror=Path("mirror"))
    assert task.source_family == "capitals"
    assert task.metrics == ("exact_match",)
    assert task.source == HubSource(id="me/capitals", mirror=Path("mirror"))
    assert load_text(WHOLE.replace('metrics = ["accuracy", "f1"]', "")).metrics == ("accuracy",)


def test_tasks_pickle(load_text: Callable[..., Task], tmp_path: Path) -> None:
    task = load_text(WHOLE)
    assert pickle.loads(pickle.dumps(task)) == task


def test_all_problems_come_at_once(load_text: Callable[..., Task], tmp_path: Path) -> None:
    text = (
        WHOLE.replace("clusters =", "clutsers =")
        .replace('"f1"]', '"f7"]')
        .replace("delimiter =", "delimeter =")
        .replace("inverted = true", 'inverted = "yes"')
        .replace("{premise}\n", "{premis}\n{n}\n")
        .replace('dev = "train[-200:]"', 'dev = "trian[-200:]"\neval = "x"')
        .replace('"yes" }', '"yse" }')
    )
    with pytest.raises(TaskError) as caught:
        load_text(text)
    assert (
        str(caught.value)
        == f"""{tmp_path}/task.toml: 10 problems
  clusters: is missing
  metrics: unknown metric "f7"; known: {", ".join(METRICS)}
  clutsers: unknown key; did you mean "clusters"?
  source.delimeter: unknown key; did you mean "delimiter"?
  splits.eval: unknown key; known: train, dev, test
  splits.dev: source.files has no split "trian"; did you mean "train"?
  answer.map.1: "yse" is not an option; did you mean "yes"?
  templates[0].inputs: no field "premis"; did you mean "premise"?
  templates[0].inputs: no field "n"; available: premise, hypothesis
  templates[1].inverted: should be true or false, got \"yes\""""
    )


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('name = "my_entailment"', 'name = "my entailment"', "name: "),
        ('clusters = ["natural language inference", "stories"]', "clusters = []", "clusters: "),
        (
            'kind = "classification"',
            'kind = "classify"',
            'kind: should be "classification" or "generation", got "classify"',
        ),
        ('"f1"]', '"rouge"]', 'metrics: unknown metric "rouge"; did you mean "rougeL"?'),
        ("{premise}\n", "{premise:3}\n", "templates[0].inputs: a slot is a name alone; got {premise…}"),
        ('family = "my stories"', "family = 3", "family: should be text"),
        ("[options]", "[optoins]", 'optoins: unknown key; did you mean "options"?'),
        (
            'dev = "train[-200:]"',
            'dev = "trian"',
            'splits.dev: source.files has no split "trian"; did you mean "train"?',
        ),
        ('dev = "train[-200:]"', 'dev = "train[1.5%:]"', 'splits.dev: "train[1.5%:]" is not a slice'),
        ('train = "train.csv"', "train = 3", "source.files.train: should be text or a list or a table"),
        ('delimiter = ";"', 'hub = "x/y"', "source: set either files or hub"),
        ('delimiter = ";"', 'config = "x"', "source: config cannot be combined with files"),
        ('premise = "Satz 1"', 'answer = "Satz 1"', "fields.answer: is filled in by flantune; use another name"),
        ('values = ["yes", "no"]', 'values = ["yes", "yes"]', "options: values has the same option twice"),
        ('values = ["yes", "no"]', 'values = ["yes"]', "options.values: "),
        (
            'values = ["yes", "no"]',
            'values = ["yes", "no"]\ncolumn = "x"',
            "options: set exactly one of values, column, columns",
        ),
        ('"1" = "yes"', '"1" = "yse"', 'answer.map.1: "yse" is not an option; did you mean "yes"?'),
        ('map = { "0" = "no", "1" = "yes" }', 'keys = ["A"]', "answer.keys: got 1 keys for 2 options"),
        ("drop =", 'keys = ["0", "1"]\ndrop =', "answer: set either keys or map"),
        ("drop =", 'separator = ","\ndrop =', "answer.separator: is for several references"),
        ("{premise}\n", "{premis}\n", 'templates[0].inputs: no field "premis"; did you mean "premise"?'),
        ("{premise}\n", "{premise\n", "templates[0].inputs: "),
        ('name = "backwards"', 'name = "t1"', 'templates[1].name: there is another template "t1"'),
        ('targets = "{hypothesis}"', 'target = "x"', 'templates[1].target: unknown key; did you mean "targets"?'),
    ],
)
def test_each_problem_has_its_key_path(load_text: Callable[..., Task], old: str, new: str, problem: str) -> None:
    assert old in WHOLE
    assert problem in problems_of(load_text, WHOLE.replace(old, new, 1))


def test_generation_has_no_options(load_text: Callable[..., Task]) -> None:
    assert "options: is missing" in problems_of(load_text, MINIMAL.replace('"generation"', '"classification"'))
    with_options = MINIMAL.replace("[answer]", '[options]\nvalues = ["a", "b"]\n[answer]')
    assert 'options: belongs to kind = "classification" only' in problems_of(load_text, with_options)
    asks = MINIMAL.replace("{country}?", "{country}? {options}")
    assert "which a generation task does not have" in problems_of(load_text, asks)


@pytest.mark.parametrize("table", ["source", "splits", "fields", "answer"])
def test_missing_tables(load_text: Callable[..., Task], table: str) -> None:
    text = MINIMAL.replace(f"[{table}]", f"[other_{table}]")
    assert f"{table}: is missing" in problems_of(load_text, text)


def test_missing_templates(load_text: Callable[..., Task]) -> None:
    text = MINIMAL[: MINIMAL.index("[[templates]]")]
    assert problems_of(load_text, text) == "templates: is missing; write at least one [[templates]] table"


def test_not_toml_and_not_there(load_text: Callable[..., Task], tmp_path: Path) -> None:
    assert "is not valid TOML: " in problems_of(load_text, "name = moods")
    with pytest.raises(TaskError) as caught:
        load_task_file(tmp_path / "taks.toml")
    assert str(caught.value) == f'{tmp_path}/taks.toml: no such task file\nhint: did you mean "task.toml"?'


ADAPTER = """
from flantune.tasks import BadRow
from flantune.types import Example

def capital(row):
    if row["capital"] == "?":
        return None
    return Example(row=0, fields={"country": row["country"].title()}, references=(row["capital"],))
"""
WITH_ADAPTER = (
    MINIMAL[: MINIMAL.index("[fields]")] + '[adapter]\npython = "mine.py:capital"\n' + MINIMAL[MINIMAL.index("[[tem") :]
)


class TestPythonAdapter:
    def test_adapts_and_pickles(self, load_text: Callable[..., Task], tmp_path: Path) -> None:
        (tmp_path / "mine.py").write_text(ADAPTER)
        task = load_text(WITH_ADAPTER)
        for adapter in (task.adapter, pickle.loads(pickle.dumps(task.adapter))):
            example = adapter({"country": "norway", "capital": "Oslo"})
            assert example is not None
            assert example.fields == {"country": "Norway"}
            assert adapter({"country": "x", "capital": "?"}) is None

    def test_changed_text_is_loaded_anew_and_changes_the_fingerprint(
        self, load_text: Callable[..., Task], tmp_path: Path
    ) -> None:
        (tmp_path / "mine.py").write_text(ADAPTER)
        before = load_text(WITH_ADAPTER)
        (tmp_path / "mine.py").write_text(ADAPTER.replace("title", "upper"))
        after = load_text(WITH_ADAPTER)
        assert before.adapter_fingerprint != after.adapter_fingerprint
        example = after.adapter({"country": "norway", "capital": "Oslo"})
        assert example is not None
        assert example.fields == {"country": "NORWAY"}

    def test_importable_function(
        self, load_text: Callable[..., Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        package = tmp_path / "atlas_for_tests"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "cities.py").write_text(ADAPTER)
        monkeypatch.syspath_prepend(str(tmp_path))
        text = WITH_ADAPTER.replace("mine.py:capital", "atlas_for_tests.cities:capital")
        task = load_text(text)
        assert task.adapter({"country": "norway", "capital": "Oslo"}) is not None
        # Its neighbors count too: adapters of a package share them.
        (package / "words.py").write_text("x = 1")
        assert load_text(text).adapter_fingerprint != task.adapter_fingerprint

    @pytest.mark.parametrize(
        ("reference", "problem"),
        [
            ("mine.py:captal", '"mine.py" has no function "captal"; hint: did you mean "capital"?'),
            ("mien.py:capital", 'mien.py: no such file; hint: did you mean "mine.py"?'),
            ("mine.py", '"mine.py" names no function'),
            ("no_such_module:f", 'no module "no_such_module"'),
            ("broken.py:f", "fails to load: ZeroDivisionError: division by zero (line 2)"),
        ],
    )
    def test_problems(self, load_text: Callable[..., Task], tmp_path: Path, reference: str, problem: str) -> None:
        (tmp_path / "mine.py").write_text(ADAPTER)
        (tmp_path / "broken.py").write_text("\n1 / 0\n")
        assert problem in problems_of(load_text, WITH_ADAPTER.replace("mine.py:capital", reference))

    def test_stands_alone(self, load_text: Callable[..., Task], tmp_path: Path) -> None:
        (tmp_path / "mine.py").write_text(ADAPTER)
        text = WITH_ADAPTER.replace("[adapter]", '[fields]\nx = "y"\n[adapter]')
        assert "fields: cannot be combined with adapter" in problems_of(load_text, text)
