from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flantune.errors import EvaluationError
from flantune.evaluation.asking.score_store import ScoreStore, content_key


def key_of(number: int) -> str:
    return content_key("test", np.array([number], dtype=np.int32))


def test_values_come_back_to_the_last_bit(tmp_path):
    values = {key_of(0): [[-0.1, 1e-300, 2 / 3], [True, False]], key_of(1): {"text": "é\u2028", "tokens": [1]}}
    store = ScoreStore(tmp_path)
    store.add(values)
    for opened in (store, ScoreStore(tmp_path)):
        assert opened.find([*values, key_of(2)]) == values
        assert len(opened) == 2
        assert key_of(2) not in opened


def test_an_empty_store_leaves_no_files(tmp_path):
    store = ScoreStore(tmp_path / "store")
    store.add({})
    assert not (tmp_path / "store").exists()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(-5, 2**31 - 1), max_size=4), min_size=2, max_size=2, unique_by=tuple))
def test_other_tokens_or_other_borders_are_other_keys(parts):
    one, two = (np.array(part, dtype=np.int32) for part in parts)
    assert content_key("a", one, two) != content_key("a", two, one)
    assert content_key("a", np.concatenate([one, two])) != content_key("a", one, two)
    assert content_key("a", one, two) != content_key("b", one, two)
    assert content_key("a", one.astype(np.int64), two) == content_key("a", one, two)


def test_the_first_value_stays(tmp_path):
    store = ScoreStore(tmp_path)
    store.add({key_of(0): 1})
    store.add({key_of(0): 2, key_of(1): 3})
    again = ScoreStore(tmp_path)
    again.add({key_of(0): 4})
    assert all(opened.find([key_of(0)]) == {key_of(0): 1} for opened in (store, again, ScoreStore(tmp_path)))
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("cut", [1, 7, 40])
def test_a_torn_tail_is_passed_over_and_what_follows_is_kept(tmp_path, cut):
    store = ScoreStore(tmp_path)
    store.add({key_of(0): "first"})
    store.add({key_of(1): "second" * 20})
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-cut])
    opened = ScoreStore(tmp_path)
    assert (key_of(0) in opened, key_of(1) in opened) == (True, False)
    opened.add({key_of(2): "third"})
    assert ScoreStore(tmp_path).find([key_of(0), key_of(2)]) == {key_of(0): "first", key_of(2): "third"}


def test_what_is_added_after_a_full_disk_is_found_again(tmp_path, monkeypatch):
    """A frame that was cut off ends what is read of its file, so nothing may be written behind it."""
    store = ScoreStore(tmp_path)
    store.add({key_of(0): "first"})

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EvaluationError, match="No space left"):
        store.add({key_of(1): "lost" * 20})
    monkeypatch.undo()
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-7])
    store.add({key_of(2): "third"})
    assert [key_of(at) in ScoreStore(tmp_path) for at in range(3)] == [True, False, True]


def test_a_flipped_bit_is_not_a_value(tmp_path):
    ScoreStore(tmp_path).add({key_of(0): list(range(50))})
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))
    assert key_of(0) not in ScoreStore(tmp_path)


def test_processes_write_to_one_folder_at_once(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_add_many, args=(tmp_path, number)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    store = ScoreStore(tmp_path)
    assert len(store) == 3 * 40 + 1
    added = {key_of(1000 * number + at): at for number in range(3) for at in range(40)}
    assert store.find(added) == added
    assert len(list(tmp_path.iterdir())) == 3


def _add_many(folder, number):
    store = ScoreStore(folder)
    for at in range(40):
        store.add({key_of(1000 * number + at): at, key_of(-1): number})


def test_refresh_shows_what_others_added_since(tmp_path):
    one, two = ScoreStore(tmp_path), ScoreStore(tmp_path)
    one.add({key_of(0): "a"})
    assert key_of(0) not in two
    two.refresh()
    one.add({key_of(1): "b"})
    two.refresh()
    assert two.find([key_of(0), key_of(1)]) == {key_of(0): "a", key_of(1): "b"}


def test_finding_reads_each_stretch_once(tmp_path, monkeypatch):
    writer = ScoreStore(tmp_path)
    for start in range(0, 60, 6):
        writer.add({key_of(at): at for at in range(start, start + 6)})
    store, reads = ScoreStore(tmp_path), []
    monkeypatch.setattr("flantune.evaluation.asking.score_store._read_frame", _counting(reads))
    found = store.find([key_of(at) for at in reversed(range(70))])
    assert found == {key_of(at): at for at in range(60)}
    assert len(reads) == 10


def _counting(reads):
    from flantune.evaluation.asking import score_store as store

    original = store._read_frame
    return lambda handle, frame: reads.append(frame) or original(handle, frame)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "store").write_text("a file")
    with pytest.raises(EvaluationError, match="store"):
        ScoreStore(tmp_path / "store").add({key_of(0): 1})


def test_a_killed_writer_loses_one_batch_at_most(tmp_path):
    program = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from flantune.evaluation.asking.score_store import ScoreStore, content_key\n"
        "store = ScoreStore(Path(sys.argv[1]))\n"
        "for at in range(100000):\n"
        "    store.add({content_key('test', np.array([at], dtype=np.int32)): at})\n"
        "    print(at, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 30:
            break
    os.kill(process.pid, signal.SIGKILL)
    told = int((line + process.stdout.read()).splitlines()[-1])
    process.wait()
    store = ScoreStore(tmp_path)
    assert told + 1 <= len(store) <= told + 2
    added = {key_of(at): at for at in range(len(store))}
    assert store.find(added) == added


def test_twenty_thousand_values_take_little_room(tmp_path):
    store = ScoreStore(tmp_path)
    for block in range(20):
        store.add({key_of(block * 1000 + at): [[-1.5, -2.25], [False, True]] for at in range(1000)})
    assert len(ScoreStore(tmp_path)) == 20_000
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 20_000 * 30
    assert json.dumps(store.find([key_of(19_999)])[key_of(19_999)]) == "[[-1.5, -2.25], [false, true]]"
