from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import replace

import pyarrow as pa
import pytest
from pyarrow import parquet

from flantune.errors import EvaluationError
from flantune.evaluation.samples import (
    Origin,
    origin_path,
    read_origin,
    read_samples,
    samples_path,
    write_origin,
    write_samples,
)
from flantune.packing.packs import Counts
from flantune.system.files import file_sha256
from flantune.types import Sample

from .made import choice_sample


def full_sample(row: int) -> Sample:
    return Sample(
        task="naïve/task",
        split="dev",
        row=row,
        template="täsk",
        shots=2,
        inputs="one\r\ntwo\u2028three</script> 🦊",
        options=("ja", "nein"),
        answer=0,
        references=("ja", "jawohl"),
        scores=(-1.25, -0.1),
        lengths=(2, 3),
        greedy=(False, True),
        prediction="",
        exemplar_rows=(7, 9),
    )


def origin_of(path) -> Origin:
    return Origin(fingerprint="a", samples=2, sha256=file_sha256(path), counts=Counts(prompts=2), seconds=0.5)


def test_samples_come_back_as_they_were(tmp_path):
    path = samples_path(tmp_path, "naïve/task")
    assert path.parent == tmp_path / "samples"
    samples = [full_sample(row) for row in range(3)]
    assert write_samples(path, samples) == 3
    assert list(read_samples(path)) == samples


def test_the_same_samples_give_the_same_bytes(tmp_path):
    write_samples(tmp_path / "a.parquet", [full_sample(0)])
    write_samples(tmp_path / "b.parquet", [full_sample(0)])
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_any_program_reads_the_matrix(tmp_path):
    path = tmp_path / "t.parquet"
    write_samples(path, [full_sample(0), full_sample(1)])
    row = parquet.read_table(path).to_pylist()[1]
    assert (row["row"], row["template"], row["options"], row["exemplar_rows"]) == (1, "täsk", ["ja", "nein"], [7, 9])
    assert (row["scores"], row["lengths"], row["greedy"]) == ([-1.25, -0.1], [2, 3], [False, True])
    assert (row["characters"], row["bytes"]) == ([2, 4], [2, 4])


def test_long_prompts_that_repeat_are_kept_once(tmp_path):
    start = " ".join(f"word{number}" for number in range(2_000))
    few = write_samples(tmp_path / "few.parquet", [replace(full_sample(0), inputs=start)])
    many = write_samples(tmp_path / "many.parquet", [replace(full_sample(0), inputs=start) for _ in range(500)])
    assert (few, many) == (1, 500)
    assert (tmp_path / "many.parquet").stat().st_size < 1.5 * (tmp_path / "few.parquet").stat().st_size


def test_half_characters_become_question_marks(tmp_path):
    write_samples(tmp_path / "t.parquet", [replace(full_sample(0), inputs="a\ud800b", options=("\udfff", "no"))])
    (sample,) = read_samples(tmp_path / "t.parquet")
    assert (sample.inputs, sample.options) == ("a?b", ("?", "no"))


def test_reading_holds_one_sample_at_a_time(tmp_path):
    path = tmp_path / "t.parquet"
    write_samples(path, (choice_sample(row, right=True) for row in range(1000)))
    assert [s.row for s in itertools.islice(read_samples(path), 2)] == [0, 1]


def test_a_broken_off_write_leaves_nothing_that_looks_whole(tmp_path):
    path = samples_path(tmp_path, "t")
    write_samples(path, [full_sample(0)])
    before = path.read_bytes()

    def breaks_off():
        yield full_sample(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_samples(path, breaks_off())
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_file_counts_as_complete_only_with_its_own_origin(tmp_path):
    path = samples_path(tmp_path, "t")
    assert read_origin(path) is None
    write_samples(path, [full_sample(0), full_sample(1)])
    assert read_origin(path) is None
    write_origin(path, origin_of(path))
    assert read_origin(path) == origin_of(path)
    path.write_bytes(path.read_bytes()[:-1])
    assert read_origin(path) is None
    write_samples(path, [full_sample(2)])
    assert not origin_path(path).exists()


@pytest.mark.parametrize("damage", ["cut", "text", "missing", "fields"])
def test_damaged_samples_are_named(tmp_path, damage):
    path = tmp_path / "t.parquet"
    write_samples(path, [full_sample(row) for row in range(50)])
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    elif damage == "text":
        path.write_bytes(b"no parquet")
    elif damage == "fields":
        parquet.write_table(pa.table({"task": ["t"]}), path)
    else:
        path.unlink()
    with pytest.raises(EvaluationError, match=r"t\.parquet"):
        list(read_samples(path))


def test_scores_that_are_no_numbers_are_refused(tmp_path):
    bad = Sample(
        task="t", split="test", row=4, template="a", shots=0, inputs="", options=("x",), scores=(float("nan"),)
    )
    with pytest.raises(EvaluationError, match="t/a/row 4"):
        write_samples(tmp_path / "t.parquet", [bad])
    assert list(tmp_path.iterdir()) == []


def test_fields_of_a_later_version_are_passed_over(tmp_path):
    path = tmp_path / "t.parquet"
    write_samples(path, [full_sample(0)])
    table = parquet.read_table(path)
    parquet.write_table(table.append_column("novel", pa.array([1])).drop_columns(["greedy"]), path)
    assert list(read_samples(path)) == [replace(full_sample(0), greedy=())]


def test_scoring_again_needs_no_torch():
    code = (
        "import flantune.evaluation.run_samples, flantune.evaluation.asking.ask, sys; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
