"""One command at a time in a folder."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from flantune.errors import FlantuneError
from flantune.system.locking import BusyFolderError, locked

HOLDER = """
import sys
from pathlib import Path
from flantune.system.locking import locked
with locked(Path(sys.argv[1])):
    print("mine", flush=True)
    sys.stdin.read()  # until the test is over, also when it fails
"""


def test_a_second_command_is_told_who_holds_the_folder(tmp_path):
    with locked(tmp_path), pytest.raises(BusyFolderError) as caught, locked(tmp_path):
        pass
    assert f"process {os.getpid()} on {socket.gethostname()} since 20" in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "hint:" in str(caught.value)


def test_afterwards_nothing_is_left(tmp_path):
    for _ in range(2):
        with locked(tmp_path):
            assert (tmp_path / ".lock").exists()
        assert list(tmp_path.iterdir()) == []


def test_a_folder_made_for_nothing_goes_again(tmp_path):
    with pytest.raises(ValueError, match="too early"), locked(tmp_path / "runs" / "new"):
        raise ValueError("too early")
    assert list(tmp_path.iterdir()) == []
    with locked(tmp_path / "runs" / "new"):
        (tmp_path / "runs" / "file").write_text("something")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["file"]


def test_a_killed_holder_locks_nobody_out(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "mine\n"
    with pytest.raises(BusyFolderError, match=f"process {holder.pid} on"), locked(tmp_path):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / ".lock").exists()
    with locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_something_else_left_locks_nobody_out(tmp_path):
    (tmp_path / ".lock").write_text('{"pid": 1, "host": "long gone", "since": "yesterday"}')
    with locked(tmp_path), pytest.raises(BusyFolderError, match=f"process {os.getpid()} on"), locked(tmp_path):
        pass


def test_of_many_at_once_one_holds_the_folder(tmp_path):
    """Claims and ends follow each other closely, so that some open the file just as its holder removes it."""
    inside, most = [], []

    def work(number: int) -> None:
        for _ in range(30):
            with suppress(BusyFolderError), locked(tmp_path):
                inside.append(number)
                most.append(len(inside))
                inside.remove(number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert set(most) == {1}


def test_a_file_system_without_locks_says_so(tmp_path, monkeypatch):
    """Some clusters mount theirs without them."""

    def refuse(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(pytest.importorskip("fcntl"), "flock", refuse)
    with pytest.raises(FlantuneError, match="cannot be locked: Function not implemented") as caught, locked(tmp_path):
        pass
    assert "another file system" in caught.value.hint


def test_a_folder_that_cannot_be_made_says_so(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FlantuneError, match="cannot be written"), locked(tmp_path / "file" / "run"):
        pass
