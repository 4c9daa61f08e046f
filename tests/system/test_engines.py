"""Pieces of work by many processes: each is made, whoever dies on the way."""

from __future__ import annotations

import multiprocessing
import os
from importlib.util import find_spec

import pytest
from tests.system import pieces

from flantune.errors import FlantuneError, SourceError
from flantune.system.engines import LocalEngine, RayEngine

NUMBERS = [0, 3, 5, 8, 13]
SQUARES = [number * number for number in NUMBERS]
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")


@pytest.fixture(
    params=[LocalEngine(workers=1), LocalEngine(workers=2), pytest.param(RayEngine(workers=2), marks=needs_ray)],
    ids=["one", "two", "ray"],
)
def engine(request):
    return request.param


def test_every_piece_is_made_once(engine, tmp_path):
    assert sorted(engine.make(pieces.square, tmp_path, NUMBERS)) == SQUARES
    assert sorted(int(path.name.partition("-")[0]) for path in tmp_path.iterdir()) == NUMBERS
    assert list(engine.make(pieces.square, tmp_path, [])) == []


def test_an_error_comes_back_as_it_was(engine, tmp_path):
    with pytest.raises(SourceError, match="no such row") as found:
        list(engine.make(pieces.fail, tmp_path, NUMBERS))
    assert found.value.where.startswith("row ") and found.value.hint == "mend it"


def test_one_worker_works_in_this_process(tmp_path):
    list(LocalEngine(workers=1).make(pieces.square, tmp_path, [2]))
    assert [path.name for path in tmp_path.iterdir()] == [f"2-{os.getpid()}"]


def test_what_a_killed_worker_leaves_is_made_by_others(tmp_path):
    notes = []
    engine = LocalEngine(workers=2, note=notes.append)
    assert sorted(engine.make(pieces.square_or_die_once, tmp_path, NUMBERS)) == SQUARES
    assert (tmp_path / "died").exists() and "a worker was killed" in notes[0]


@needs_ray
def test_ray_makes_the_piece_of_a_killed_worker_again(tmp_path):
    assert sorted(RayEngine(workers=2).make(pieces.square_or_die_once, tmp_path, NUMBERS)) == SQUARES
    assert (tmp_path / "died").exists()


def test_work_that_kills_every_process_ends_in_an_error(tmp_path):
    with pytest.raises(FlantuneError, match="killed 3 times in a row") as found:
        list(LocalEngine(workers=2).make(pieces.die, tmp_path, NUMBERS))
    assert "--workers" in found.value.hint


def test_leaving_early_ends_the_workers(tmp_path):
    made = LocalEngine(workers=2).make(pieces.square, tmp_path, NUMBERS)
    next(made)
    made.close()
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(("there", "threads"), [(1, 1), (2, 1), (7, 3)])
def test_workers_share_the_cores(tmp_path, monkeypatch, there, threads):
    monkeypatch.setattr("flantune.system.engines.cores", lambda: there)
    assert set(LocalEngine(workers=2).make(pieces.tell_threads, tmp_path, [0, 1])) == {f"{threads}false"}


def test_without_ray_it_is_said_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(FlantuneError, match="Ray is not installed") as found:
        list(RayEngine(workers=1).make(pieces.square, tmp_path, [0]))
    assert "flantune" not in found.value.message and "[ray]" in found.value.hint
