"""Python functions of task files run in a process of their own, and can do little else there."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from datetime import datetime
from pathlib import Path

import pytest

from flantune.errors import TaskError
from flantune.harness.task_code import Function, Limits, MissingModuleError, TaskCode, files_of

# Wide enough for any machine under any load: what must end does so by another limit first.
PATIENT = Limits(wall_s=600, cpu_s=300)
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="these limits are Linux's")


@pytest.fixture
def code(tmp_path):
    def made(text: str, *, limits=PATIENT, **others: str):
        for name, content in {"own": text, **others}.items():
            (tmp_path / f"{name}.py").write_text(textwrap.dedent(content), encoding="utf-8")
        return TaskCode(tmp_path / "task.yaml", limits), lambda name: Function(folder=tmp_path, name=f"own.{name}")

    yield made
    if TaskCode.process is not None:
        TaskCode.process.close()


def test_rows_become_a_dataset_that_functions_may_map_filter_and_select(code):
    tasks, named = code(
        """
        from functools import partial
        from .words import loud

        def process_docs(dataset, at_least):
            print("functions may print")
            kept = dataset.filter(lambda row: row["size"] >= at_least).select(range(2))
            return kept.map(lambda row: {"shout": loud(row["word"])}).remove_columns(["size"])

        big = partial(process_docs, at_least=2)
        """,
        words="def loud(word):\n    return word.upper() + '!'\n",
    )
    rows = [{"word": word, "size": len(word)} for word in ("a", "bee", "cat", "deer")]
    assert tasks.docs(named("big"), rows) == [{"word": "bee", "shout": "BEE!"}, {"word": "cat", "shout": "CAT!"}]


def test_files_above_the_folder_can_be_imported_from(tmp_path):
    inner = tmp_path / "some task" / "part.one"
    inner.mkdir(parents=True)
    (tmp_path / "some task" / "common.py").write_text("def double(n):\n    return 2 * n\n")
    (inner / "own.py").write_text("from ..common import double\n\n\ndef twice(doc):\n    return double(doc['n'])\n")
    assert TaskCode(inner / "t.yaml", PATIENT).value(Function(folder=inner, name="own.twice"), {"n": 21}) == 42


def test_a_row_is_asked_for_once_and_many_rows_at_once(code):
    tasks, named = code(
        """
        calls = []

        def count(doc):
            calls.append(doc["n"])
            return len(calls)
        """
    )
    rows = [{"n": n} for n in range(3)]
    tasks.prepare({"doc_to_text": named("count")}, rows)
    assert [tasks.value(named("count"), row) for row in (*rows, *rows)] == [1, 2, 3, 1, 2, 3]
    assert tasks.value(named("count"), {"n": 9}) == 4


def test_values_keep_their_kinds(code):
    tasks, named = code(
        """
        import numpy as np

        def kinds(doc):
            numbers = [np.int32(4), np.float64(0.5), np.array([1, 2])]
            return [doc["when"].year, *numbers, ("a", None), True, {1: doc["when"]}]
        """
    )
    when = datetime(2001, 2, 3, 4, 5)
    *made, last = tasks.value(named("kinds"), {"when": when})
    assert made == [2001, 4, 0.5, [1, 2], ["a", None], True] and last["1"]["text"] == when.isoformat()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "def f(doc):\n    raise ValueError('no such thing')\n",
            r"own\.f: ValueError: no such thing \(own\.py line 2\)",
        ),
        ("def g(doc): ...\n", r"own\.f: AttributeError"),
        ("def f(doc): return object()\n", "returns a value of the type object"),
        ("def f(doc:\n", "SyntaxError"),
        ("import os\n\n\ndef f(doc):\n    os._exit(7)\n", "its process ended with the exit code 7"),
    ],
)
def test_what_goes_wrong_is_said_with_its_place(code, text, said):
    tasks, named = code(text)
    with pytest.raises(TaskError, match=said) as error:
        tasks.value(named("f"), {"n": 1})
    assert "task.yaml" in error.value.render()


def test_the_last_lines_of_the_error_stream_are_in_the_error(code):
    tasks, named = code(
        """
        import sys

        def f(doc):
            print("row", doc["n"], file=sys.stderr)
            raise SystemError("broken")
        """
    )
    with pytest.raises(TaskError, match=r"\| SystemError: broken"):
        tasks.value(named("f"), {"n": 5})


def test_a_module_that_is_not_installed_is_named(code):
    tasks, named = code("import no_such_library_anywhere\n\n\ndef f(doc): ...\n")
    with pytest.raises(MissingModuleError, match="no_such_library_anywhere, which is not installed") as error:
        tasks.begin([named("f")])
    assert error.value.module == "no_such_library_anywhere"


def test_a_file_that_is_not_there_is_named(tmp_path):
    function = Function(folder=tmp_path, name="nowhere_to_be_found.f")
    with pytest.raises(TaskError, match=r"no file nowhere_to_be_found\.py"):
        TaskCode(tmp_path / "task.yaml", PATIENT).begin([function])


@pytest.mark.parametrize("body", ["while True: pass", "import time; time.sleep(10_000)"])
def test_what_hangs_is_stopped_and_the_next_function_runs(code, body):
    tasks, named = code(f"def f(doc):\n    {body}\n\n\ndef g(doc):\n    return 'here'\n", limits=Limits(wall_s=1))
    with pytest.raises(TaskError, match="did not end within 1 s"):
        tasks.value(named("f"), {"n": 1})
    assert TaskCode.process is None
    patient = TaskCode(tasks.path, PATIENT)
    assert patient.value(named("g"), {"n": 1}) == "here"


@LINUX
@pytest.mark.parametrize(
    ("body", "limits", "said"),
    [
        ("while True: pass", Limits(wall_s=600, cpu_s=1), "more than 1 s of processor time"),
        ("return len(b'x' * (64 << 30))", Limits(wall_s=600, memory_bytes=8 << 30), "more memory than the 8 GiB"),
        (
            "open('big', 'wb', 0).write(b'x' * (1 << 20)); open('big', 'ab', 0).write(b'x')",
            Limits(wall_s=600, file_bytes=1 << 16),
            "OSError|SIGXFSZ",
        ),
    ],
)
def test_time_memory_and_files_are_limited(code, body, limits, said):
    tasks, named = code(f"def f(doc):\n    {body}\n", limits=limits)
    with pytest.raises(TaskError, match=said):
        tasks.value(named("f"), {"n": 1})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("import socket; socket.create_connection(('127.0.0.1', 9))", "may not use the network"),
        ("import urllib.request; urllib.request.urlopen('http://127.0.0.1:9/')", "may not use the network"),
        ("import socket; socket.socket().bind(('127.0.0.1', 0))", "may not use the network"),
        ("import subprocess; subprocess.run(['true'])", "may not start programs"),
        ("import os; os.system('true')", "may not start programs"),
        ("open({outside!r}, 'w')", "may not change"),
        ("open({outside!r}, 'a')", "may not change"),
        ("import os; os.remove({inside!r})", "may not change"),
        ("import os; os.rename({inside!r}, 'here')", "may not change"),
        ("import os; open('own', 'w').close(); os.rename('own', {outside!r})", "may not change"),
        ("import os; os.symlink({inside!r}, {outside!r})", "may not change"),
        ("import os; os.mkdir({outside!r})", "may not change"),
        ("import os; os.open({outside!r}, os.O_CREAT | os.O_WRONLY)", "may not change"),
    ],
)
def test_network_programs_and_other_folders_are_out_of_reach(code, tmp_path, body, said):
    inside, outside = tmp_path / "kept.txt", tmp_path / "made.txt"
    inside.write_text("kept")
    tasks, named = code(f"def f(doc):\n    {body.format(inside=str(inside), outside=str(outside))}\n")
    with pytest.raises(TaskError, match=said):
        tasks.value(named("f"), {"n": 1})
    assert inside.read_text() == "kept" and not outside.exists()


@LINUX
def test_where_the_kernel_holds_the_walls_code_that_goes_round_python_finds_them_too(code, tmp_path):
    outside = tmp_path / "made.txt"
    tasks, named = code(
        f"""
        import ctypes

        def write(doc):
            return ctypes.CDLL(None).open({str(outside)!r}.encode(), 0o101, 0o644)

        def interfaces(doc):
            lines = open("/proc/net/dev").read().splitlines()[2:]
            return [line.partition(":")[0].strip() for line in lines]
        """
    )
    descriptor, names = tasks.value(named("write"), {"n": 1}), tasks.value(named("interfaces"), {"n": 1})
    held = TaskCode.process.held
    assert "memory" in held
    assert "files" not in held or (descriptor == -1 and not outside.exists())
    assert "network" not in held or names == ["lo"]


def test_its_own_folder_can_be_written_into_and_nothing_of_the_environment_is_seen(code, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "a secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    tasks, named = code(
        """
        import os, tempfile

        def f(doc):
            with open("note.txt", "w") as file:
                file.write("here")
            with tempfile.NamedTemporaryFile() as other:
                folder = os.path.dirname(other.name)
            return [open("note.txt").read(), os.path.samefile(folder, os.getcwd()), os.getcwd(), dict(os.environ)]
        """
    )
    text, is_own, folder, seen = tasks.value(named("f"), {"n": 1})
    assert text == "here" and is_own and not Path(folder).samefile(Path.cwd())
    assert "HF_TOKEN" not in seen and "secret" not in str(seen) and seen["HF_HUB_OFFLINE"] == "1"
    TaskCode.process.close()
    assert not Path(folder).exists()


def test_random_numbers_start_where_the_harness_starts_them(code):
    tasks, named = code(
        """
        import random
        import numpy

        def f(doc):
            return [random.random(), float(numpy.random.rand())]
        """
    )
    import random

    import numpy as np

    tasks.begin([named("f")])
    assert tasks.value(named("f"), {"n": 1}) == [random.Random(0).random(), float(np.random.RandomState(1234).rand())]


def test_the_files_of_functions_are_known_by_what_they_hold(code):
    _, named = code("def f(doc): ...\n", helper="A = 1\n")
    before = files_of([named("f")])
    assert [path.rpartition(os.sep)[2] for path in before] == ["helper.py", "own.py"]
    code("def f(doc): ...\n", helper="A = 2\n")
    after = files_of([named("f")])
    assert before.keys() == after.keys() and before != after


def test_a_process_that_cannot_start_is_said_at_once(code, monkeypatch):
    tasks, named = code("def f(doc): ...\n")
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(TaskError, match=r"did not start: its process ended with the exit code 1"):
        tasks.value(named("f"), {"n": 1})
