from __future__ import annotations

import threading
import time
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from tests.conftest import HUNG_AFTER_S

from flantune.errors import PackingError
from flantune.packing.batches import Batches, pack_positions
from flantune.packing.encode import Codec
from flantune.packing.packs import Counts, DecoderPack
from flantune.packing.stream import PromptStream
from flantune.prompts.layout import Layout
from flantune.settings.config import PackingSettings

FAMILIES = ["decoder-only", "encoder-decoder"]


class FakeMixture:
    """An endless, index-addressed stream of prompts of very uneven lengths; every seventh target is too long."""

    def __init__(self, make_prompt, *, too_long=7):
        self.make_prompt, self.too_long, self.asked = make_prompt, too_long, []

    def __getitem__(self, index):
        self.asked.append(index)
        rng = np.random.default_rng(index)
        targets = "yes " * (60 if self.too_long and index % self.too_long == 3 else int(rng.integers(1, 8)))
        text = f"{index} " + "words " * int(rng.exponential(14))
        return self.make_prompt(text, targets, row=index, task=f"task{index % 3}", shots=index % 2)


def make_batches(
    make_prompt, tokenizer, family, *, enabled=True, micro=0, too_long=7, batch=512, row=128, is_padded=True
):
    codec = Codec(
        tokenizer=tokenizer, family=family, layout=Layout(), max_input_tokens=100, max_target_tokens=40
    )  # fmt: skip
    settings = PackingSettings(
        max_input_tokens=100, max_target_tokens=40, row_tokens=row, batch_tokens=batch, enabled=enabled
    )
    mixture = FakeMixture(make_prompt, too_long=too_long)
    return Batches(
        PromptStream(mixture, codec, row_tokens=row), settings, micro_batch_tokens=micro, is_padded=is_padded
    )


def items(batch):
    """Each continuation's tokens, by item."""
    found = {}
    for pack in batch.packs:
        for item in np.unique(pack.targets.item):
            assert int(item) not in found, "an item lies in two packs"
            found[int(item)] = pack.targets.token[pack.targets.item == item].tolist()
    return found


@pytest.fixture(params=FAMILIES)
def batches(request, make_prompt, tokenizer):
    return make_batches(make_prompt, tokenizer, request.param)


def test_a_batch_is_a_pure_function_of_its_cursor(batches, make_prompt, tokenizer):
    walked, cursor = [], 0
    for _ in range(4):
        walked.append(batches.batch(cursor))
        cursor = walked[-1].next_cursor
    fresh = make_batches(make_prompt, tokenizer, batches.stream.codec.family)
    for batch in reversed(walked):
        for again in (fresh.batch(batch.cursor), batches.batch(batch.cursor)):
            assert again.rows == batch.rows and again.counts == batch.counts
            for left, right in zip(again.packs, batch.packs, strict=True):
                for name in type(left).__slots__:
                    if name != "targets":
                        assert (getattr(left, name) == getattr(right, name)).all()


def test_no_draw_is_skipped_or_repeated(batches):
    cursor, rows, dropped = 0, [], 0
    for _ in range(6):
        batch = batches.batch(cursor)
        assert batch.cursor == cursor
        assert batch.counts.prompts + batch.counts.prompts_dropped == batch.next_cursor - cursor
        rows += batch.rows
        dropped += batch.counts.prompts_dropped
        cursor = batch.next_cursor
    assert rows == [index for index in range(cursor) if index % 7 != 3]
    assert dropped == cursor - len(rows) > 0


def test_trap_01_every_target_is_whole_and_ends(batches, tokenizer):
    batch = batches.batch(0)
    found = items(batch)
    assert sorted(found) == list(range(len(batch.rows)))
    for item, row in enumerate(batch.rows):
        target = batches.stream.mixture[row].targets
        assert found[item] == [*tokenizer(target).input_ids, tokenizer.eos_token_id]
    assert batch.counts.target_tokens == sum(map(len, found.values()))
    assert batch.tasks == tuple(f"task{row % 3}" for row in batch.rows)


def test_counts_of_a_batch(batches):
    batch = batches.batch(0)
    assert batch.counts.positions == sum(map(pack_positions, batch.packs))
    assert batch.counts.fill == (batch.counts.input_tokens + batch.counts.target_tokens) / batch.counts.positions
    real = 0
    for pack in batch.packs:
        if isinstance(pack, DecoderPack):
            real += int((pack.segments > 0).sum())
        else:
            real += int((pack.encoder_segments > 0).sum() + (pack.decoder_segments > 0).sum())
    assert real == batch.counts.input_tokens + batch.counts.target_tokens
    assert batch.counts.fill > 0.8


@pytest.mark.parametrize("family", FAMILIES)
def test_without_padding_micro_batches_are_few_and_even(family, make_prompt, tokenizer):
    made = make_batches(make_prompt, tokenizer, family, micro=300, is_padded=False)
    for batch in islice(made.iterate(0), 4):
        real = [pack_positions(pack, is_padded=False) for pack in batch.packs]
        assert batch.counts.positions == sum(real) == batch.counts.input_tokens + batch.counts.target_tokens
        assert max(real) <= 300 and len(real) <= -(-sum(real) // 300) + 1
        assert min(real) > 0.5 * max(real)


def test_rows_stay_within_their_bounds(batches):
    for batch in islice(batches.iterate(0), 4):
        rows = sum(pack.targets.row.max() + 1 for pack in batch.packs)
        assert rows <= 512 // 128
        for pack in batch.packs:
            shape = pack.tokens.shape if isinstance(pack, DecoderPack) else pack.encoder_tokens.shape
            assert shape[1] <= 128


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("micro", [1, 150, 300])
@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("is_padded", [True, False])
def test_layout_and_micro_batches_change_no_prompt(family, micro, enabled, is_padded, make_prompt, tokenizer):
    plain = make_batches(make_prompt, tokenizer, family)
    other = make_batches(make_prompt, tokenizer, family, enabled=enabled, micro=micro, is_padded=is_padded)
    cursor = 0
    for _ in range(3):
        left, right = plain.batch(cursor), other.batch(cursor)
        assert (left.next_cursor, left.rows, left.tasks) == (right.next_cursor, right.rows, right.tasks)
        assert items(left) == items(right)
        assert replace(left.counts, positions=0) == replace(right.counts, positions=0)
        for pack in right.packs:
            assert pack_positions(pack, is_padded=is_padded) <= micro or pack.targets.row.max() == 0
            segments = pack.segments if isinstance(pack, DecoderPack) else pack.encoder_segments
            assert enabled or segments.max() == 1
        cursor = left.next_cursor


def test_iterate_gives_the_same_batches_and_stops_its_thread(batches):
    iterator = batches.iterate(5)
    found = list(islice(iterator, 4))
    cursor = 5
    for batch in found:
        assert batch.rows == batches.batch(cursor).rows
        cursor = batch.next_cursor
    iterator.close()
    deadline = time.monotonic() + HUNG_AFTER_S
    while any(thread.name == "flantune-packing" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_errors_of_the_background_thread_reach_the_reader(batches):
    class Broken:
        def __getitem__(self, index):
            raise PackingError("no such draw")

    batches.stream.mixture = Broken()
    with pytest.raises(PackingError, match="no such draw"):
        next(batches.iterate(0))


def test_what_was_tokenized_for_one_batch_is_not_tokenized_again(batches):
    cursor = 0
    for _ in range(5):
        cursor = batches.batch(cursor).next_cursor
    assert len(batches.stream.mixture.asked) == len(set(batches.stream.mixture.asked))


def test_only_too_long_targets_is_an_error_not_a_hang(make_prompt, tokenizer):
    class Endless:
        def __getitem__(self, index):
            return make_prompt(targets="yes it is blue")

    codec = Codec(tokenizer=tokenizer, family="decoder-only", layout=Layout(), max_input_tokens=9, max_target_tokens=2)
    with pytest.raises(PackingError, match="max_target_tokens"):
        Batches(PromptStream(Endless(), codec, row_tokens=12), PackingSettings(row_tokens=12, batch_tokens=12)).batch(0)


def test_prompts_longer_than_a_row_are_shortened_to_it(make_prompt, tokenizer):
    batches = make_batches(make_prompt, tokenizer, "decoder-only", row=48, batch=96, too_long=0)
    total = Counts()
    for batch in islice(batches.iterate(0), 10):
        total += batch.counts
        assert all(pack.tokens.shape[1] <= 48 for pack in batch.packs)
    assert total.inputs_shortened > 0
