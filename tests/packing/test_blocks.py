"""Draws kept in blocks: all of a draw comes back, and training from them is the same computation."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import islice

import numpy as np
import pytest

from flantune.errors import PackingError
from flantune.packing import blocks, prepared
from flantune.packing.batches import Batches
from flantune.packing.blocks import BrokenBlockError, block_bytes, block_path, read_block, read_head, write_block
from flantune.packing.encode import Codec
from flantune.packing.packs import Counts, EncodedPrompt
from flantune.packing.prepared import PreparedStream, same_draw
from flantune.packing.stream import EncodedDraw, PromptStream
from flantune.prompts.layout import Layout
from flantune.settings.config import PackingSettings

SIZE = 100
IDENTITY = {"the tokenizer": "a", "[prompts]": "b"}
SETTINGS = PackingSettings(max_input_tokens=100, max_target_tokens=40, row_tokens=128, batch_tokens=512)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_DRAWS", SIZE)
    monkeypatch.setattr(prepared, "BLOCK_DRAWS", SIZE)


class Prompts:
    """Prompts of uneven lengths, some with exemplars; every seventh target is too long. Counts what it is asked."""

    def __init__(self, make_prompt):
        self.make_prompt, self.asked = make_prompt, []

    def __getitem__(self, index):
        self.asked.append(index)
        targets = "yes " * (60 if index % 7 == 3 else index % 5 + 1)
        return self.make_prompt(f"{index} " + "words é " * (index % 40), targets, row=index, task=f"task{index % 3}",
                                shots=index % 2)  # fmt: skip


@pytest.fixture(params=["decoder-only", "encoder-decoder"])
def stream(request, make_prompt, tokenizer):
    codec = Codec(
        tokenizer=tokenizer, family=request.param, layout=Layout(), max_input_tokens=100, max_target_tokens=40
    )  # fmt: skip
    return PromptStream(Prompts(make_prompt), codec, row_tokens=128)


def write(stream, folder, numbers, *, identity=IDENTITY):
    for number in numbers:
        write_block(
            block_path(folder, number),
            block_bytes(number, stream.draws(number * SIZE, SIZE), identity=identity),
        )
    return PreparedStream(stream, folder, identity=IDENTITY)


def test_every_field_of_a_draw_is_kept_or_known():
    """A new field of these values must be written to blocks, or trained models would depend on what was prepared."""
    assert {one.name for one in fields(EncodedDraw)} == {"prompt", "counts", "task", "row", "next", "broken"}
    assert {one.name for one in fields(EncodedPrompt)} == {"inputs", "targets", "contexts"}
    assert {one.name for one in fields(Counts)} == {*blocks._COUNTED, "positions"}


def test_draws_come_back_to_the_last_id(stream, tmp_path):
    ahead = write(stream, tmp_path, [0, 1])
    live = stream.draws(0, 2 * SIZE)
    for left, right in zip(live, ahead.draws(0, 2 * SIZE), strict=True):
        assert same_draw(left, right) and left.broken == right.broken
        if left.prompt is not None:
            assert [ids.dtype for ids in (right.prompt.inputs, *right.prompt.targets)] == [np.int32] * 2
    assert any(draw.prompt is None for draw in live) and any(draw.counts.exemplars_dropped for draw in live)


def test_the_same_draws_are_the_same_bytes(stream):
    made = [block_bytes(2, stream.draws(2 * SIZE, SIZE), identity=IDENTITY) for _ in range(2)]
    assert made[0] == made[1]
    in_pieces = [draw for at in range(2 * SIZE, 3 * SIZE, 7) for draw in stream.draws(at, min(7, 3 * SIZE - at))]
    assert block_bytes(2, in_pieces, identity=IDENTITY) == made[0]


def test_other_programs_can_read_a_block(stream, tmp_path):
    import pyarrow.parquet as pq

    write(stream, tmp_path, [1])
    table = pq.read_table(block_path(tmp_path, 1))
    assert table.column_names[:5] == ["draw", "task", "row", "inputs", "targets"]
    assert table.column("draw").to_pylist() == list(range(SIZE, 2 * SIZE))
    assert table.column("prompts_dropped").to_pylist() == [int(at % 7 == 3) for at in range(SIZE, 2 * SIZE)]


@pytest.mark.parametrize("there", [[0, 1, 2, 3], [0, 2], [1]])
def test_batches_are_the_same_from_blocks_wherever_some_lack(stream, tmp_path, there):
    ahead = Batches(write(stream, tmp_path, there), SETTINGS)
    live = Batches(stream, SETTINGS)
    for cursor in (0, SIZE - 3, 2 * SIZE - 20):
        for left, right in islice(zip(live.iterate(cursor), ahead.iterate(cursor), strict=True), 4):
            assert (left.cursor, left.next_cursor, left.tasks, left.rows, left.counts) == (
                right.cursor, right.next_cursor, right.tasks, right.rows, right.counts
            )  # fmt: skip
            for one, other in zip(left.packs, right.packs, strict=True):
                for name in type(one).__slots__:
                    if name == "targets":
                        pairs = [(getattr(one.targets, n), getattr(other.targets, n)) for n in one.targets.__slots__]
                    else:
                        pairs = [(getattr(one, name), getattr(other, name))]
                    assert all(np.array_equal(*pair) for pair in pairs)


def test_nothing_is_tokenized_but_three_draws_a_block(stream, tmp_path):
    ahead = write(stream, tmp_path, [0, 1])
    stream.mixture.asked.clear()
    ahead.draws(0, 2 * SIZE)
    assert stream.mixture.asked == [0, SIZE // 2, SIZE - 1, SIZE, SIZE + SIZE // 2, 2 * SIZE - 1]


def test_it_says_how_many_follow_each_other(stream, tmp_path):
    assert write(stream, tmp_path, [0, 1, 3]).check() == 2


def test_an_empty_folder_is_refused(stream, tmp_path):
    with pytest.raises(PackingError, match="no prepared draws") as found:
        PreparedStream(stream, tmp_path / "absent", identity=IDENTITY).check()
    assert "flantune prepare" in found.value.hint


def test_blocks_made_from_something_else_are_refused(stream, tmp_path):
    ahead = write(stream, tmp_path, [0], identity={**IDENTITY, "the tokenizer": "another"})
    for asks in (ahead.check, lambda: ahead.draws(0, 1)):
        with pytest.raises(PackingError, match="made from other inputs: the tokenizer") as found:
            asks()
        assert "block-0000000.parquet" in found.value.where and "prepare again" in found.value.hint


def test_stale_blocks_whose_fingerprints_agree_are_refused(stream, tmp_path):
    draws = stream.draws(0, SIZE)
    first = replace(draws[0], prompt=replace(draws[0].prompt, inputs=draws[0].prompt.inputs[::-1].copy()))
    write_block(block_path(tmp_path, 0), block_bytes(0, [first, *draws[1:]], identity=IDENTITY))
    with pytest.raises(PackingError, match="draw 0 is different now"):
        PreparedStream(stream, tmp_path, identity=IDENTITY).draws(5, 1)


def test_a_block_under_another_name_is_refused(stream, tmp_path):
    ahead = write(stream, tmp_path, [1])
    block_path(tmp_path, 1).rename(block_path(tmp_path, 0))
    with pytest.raises(PackingError, match="another block"):
        ahead.draws(0, 1)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text", "another table"])
def test_a_damaged_block_counts_as_not_there(stream, tmp_path, damage):
    ahead, notes = write(stream, tmp_path, [0]), []
    ahead.note = notes.append
    path = block_path(tmp_path, 0)
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "flipped":
        content[len(content) // 8] ^= 0x20
    elif damage == "empty":
        content = bytearray()
    elif damage == "text":
        content = bytearray(b"once upon a time")
    path.write_bytes(content)
    if damage == "another table":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"draw": [1, 2]}), path)
    for left, right in zip(stream.draws(0, 20), ahead.draws(0, 20), strict=True):
        assert same_draw(left, right)
    assert len(notes) == 1 and "damaged" in notes[0]
    with pytest.raises(BrokenBlockError):
        read_block(path)


def test_the_head_is_read_without_the_draws(stream, tmp_path):
    write(stream, tmp_path, [2])
    head = read_head(block_path(tmp_path, 2))
    assert (head.number, dict(head.identity)) == (2, IDENTITY)
    assert head.counts == sum((draw.counts for draw in stream.draws(2 * SIZE, SIZE)), Counts())
