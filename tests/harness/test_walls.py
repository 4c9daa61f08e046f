"""Careless and hostile functions of task files end in an error that says what happened, or in the right answer."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from flantune.errors import TaskError
from flantune.harness.task_code import Function, Limits, TaskCode

PATIENT = Limits(wall_s=600, cpu_s=300)
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="these walls are Linux's")
POSIX = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and signals")


@pytest.fixture
def value(tmp_path):
    """What ``f`` of some code makes of a row."""

    def made(code: str, n: int = 1):
        (tmp_path / "own.py").write_text(textwrap.dedent(code), encoding="utf-8")
        tasks, function = TaskCode(tmp_path / "task.yaml", PATIENT), Function(folder=tmp_path, name="own.f")
        tasks.begin([function])
        return tasks.value(function, {"n": n})

    yield made
    if TaskCode.process is not None:
        TaskCode.process.close()


@POSIX
def test_a_function_that_forks_and_comes_back_twice_answers_once(value):
    code = """
        import os

        def f(doc):
            os.fork()
            return doc["n"]
        """
    assert [value(code, n) for n in range(5)] == [0, 1, 2, 3, 4]


ENDS = {
    "exit": ("import sys; sys.exit(3)", r"own\.f: SystemExit: 3 \(own\.py line 2\)"),
    "interrupt": ("raise KeyboardInterrupt", r"own\.f: KeyboardInterrupt \(own\.py line 2\)"),
    "mute": ("raise type('E', (Exception,), {'__str__': lambda e: 1 / 0})()", "E: its message cannot be read"),
    "circle": ("e = ValueError('round'); e.__cause__ = e; raise e", "ValueError: round"),
    "half a character": ("return 'a\\ud83d'", r"half a character \('\\ud83d'\)"),
    "deep": (
        "import sys; sys.setrecursionlimit(10**6); a = []\n    for _ in range(20_000): a = [a]\n    return a",
        "does not answer the request|RecursionError|SIGSEGV",
    ),
    "junk": ("import os; [os.write(n, b'7') for n in range(3, 6) if n in _open()]; return 1", "answer the request"),
    "orphan": ("import os, time; os.fork() or time.sleep(1000); os._exit(4)", "ended with the exit code 4"),
    "closed": ("import os, time; os.closerange(3, 99); time.sleep(1000)", "closed the pipe of its answers"),
    "nameless signal": ("import os; os.kill(os.getpid(), 40)", "ended by the signal 40"),
}
_OPEN = "import os\n\n\ndef _open():\n    return [n for n in range(3, 9) if os.path.exists(f'/proc/self/fd/{n}')]\n"


@LINUX
@pytest.mark.parametrize("case", ENDS, ids=list(ENDS))
def test_what_ends_or_confuses_the_process_is_an_error(value, case):
    body, said = ENDS[case]
    with pytest.raises(TaskError, match=said):
        value(f"def f(doc):\n    {body}\n{_OPEN}")


def test_an_error_is_never_longer_than_people_read(value):
    with pytest.raises(TaskError, match="ValueError: yyy") as error:
        value("def f(doc):\n    print('x' * 9_000_000)\n    raise ValueError('y' * 9_000_000)\n")
    assert len(error.value.render()) < 4_000 and "9,000,000 characters" in error.value.render()


@POSIX
@pytest.mark.parametrize("signal", ["os.kill(os.getppid(), 0)", "os.kill(-1, 0)", "os.killpg(os.getppid(), 0)"])
def test_other_processes_cannot_be_signaled(value, signal):
    with pytest.raises(TaskError, match="may not send signals"):
        value(f"import os\n\n\ndef f(doc):\n    {signal}\n")


@POSIX
def test_a_process_that_somebody_else_started_cannot_be_ended(value):
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            with pytest.raises(TaskError, match="may not send signals"):
                value(f"import os\n\n\ndef f(doc):\n    os.kill({other.pid}, 15)\n")
            assert other.poll() is None
        finally:
            other.kill()


@POSIX
def test_own_processes_can_be_ended_and_a_fork_bomb_ends_itself(value):
    assert value(
        """
        import os, signal, time

        def f(doc):
            child = os.fork() or time.sleep(1000)
            os.kill(child, signal.SIGTERM)
            return os.waitpid(child, 0)[1]
        """
    ) == 15  # fmt: skip
    with pytest.raises(TaskError, match="may not fork more than 256"):
        value("import os\n\n\ndef f(doc):\n    while True:\n        os.fork() or os._exit(0)\n")
    with pytest.raises(TaskError, match="may not fork more than 256"):
        value("import os\n\n\ndef f(doc):\n    while True:\n        os.fork()\n")


@POSIX
def test_other_programs_sockets_are_out_of_reach(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("door")
        server.listen()
        place = str(tmp_path / "door")
        with pytest.raises(TaskError, match=r"may not talk to other programs|path too long"):
            value(f"import socket\n\n\ndef f(doc):\n    socket.socket(socket.AF_UNIX).connect({place!r})\n")


@LINUX
@pytest.mark.parametrize(
    "change",
    ["os.utime({0!r}, (0, 0))", "os.chmod(os.open({0!r}, 0), 0)", "os.setxattr({0!r}, 'user.a', b'1')"],
)
def test_what_a_file_says_of_itself_is_not_changed(value, tmp_path, change):
    kept = tmp_path / "kept.txt"
    kept.write_text("kept")
    before = kept.stat()
    with pytest.raises(TaskError, match="may not change"):
        value(f"import os\n\n\ndef f(doc):\n    {change.format(str(kept))}\n")
    assert (kept.stat().st_mtime, kept.stat().st_mode) == (before.st_mtime, before.st_mode)


@LINUX
def test_the_kernel_stops_programs_and_signals_that_go_round_python(value):
    code = """
        import ctypes, os

        def f(doc):
            libc = ctypes.CDLL(None)
            return [libc.system(b"true"), libc.kill(os.getppid(), 0)]
        """
    program, signal = value(code)
    held = TaskCode.process.held
    assert "programs" not in held or program != 0
    assert "signals" not in held or signal == -1


@LINUX
def test_datasets_may_use_several_processes(value):
    pytest.importorskip("datasets")
    code = """
        from datasets import Dataset

        def f(doc):
            rows = Dataset.from_list([{"a": n} for n in range(6)])
            return list(rows.map(lambda row: {"b": 2 * row["a"]}, num_proc=2)["b"])
        """
    assert value(code) == [0, 2, 4, 6, 8, 10]


def test_a_task_file_runs_nothing_unless_told_to(tmp_path):
    from flantune.harness.harness_file import read_task_file

    mark = tmp_path / "ran"
    (tmp_path / "own.py").write_text(f"from pathlib import Path\n\nPath({str(mark)!r}).touch()\n\n\ndef f(doc): ...\n")
    (tmp_path / "base.txt").write_text("process_docs: !function own.f\ndoc_to_text: !function own.f\n")
    own = "include: base.txt\ntask: {0}\ntag: all\ndataset_path: json\ntest_split: test\ndoc_to_target: a\n"
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(own.format(name))
    (tmp_path / "by_name.yaml").write_text("group: g\ntask: [one, two]\n")
    (tmp_path / "by_tag.yaml").write_text("group: h\ntask: [all]\n")
    (tmp_path / "inside.yaml").write_text("group: i\ntask:\n  - task: one\n    process_results: !function own.f\n")
    for name in ("one", "by_name", "by_tag", "inside"):
        with pytest.raises(TaskError, match="trust-task-code"):
            read_task_file(tmp_path / f"{name}.yaml")
    assert not mark.exists() and isinstance(mark, Path)
