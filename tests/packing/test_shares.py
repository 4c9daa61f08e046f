"""Work divided among processes: all of it, once, evenly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.training.small import SIZES, make_batches, make_lm

from flantune.packing.bins import longest_prefix
from flantune.packing.shares import GOOD_BALANCE, assign, balance, cut_finer, filler, layout_cost, pack_cost

costs = st.lists(st.integers(1, 10_000), min_size=1, max_size=30)


@given(costs=costs, processes=st.integers(1, 8), in_rounds=st.booleans())
def test_everything_is_done_once(costs, processes, in_rounds):
    shares = assign(costs, processes, in_rounds=in_rounds)
    assert sorted(number for share in shares for number in share) == list(range(len(costs)))
    assert len(shares) == processes
    if in_rounds:
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(costs=costs, processes=st.integers(1, 8))
def test_the_busiest_has_little_more_than_its_share(costs, processes):
    """Less than one micro-batch beyond the mean: nobody takes one while somebody else has less to do."""
    loads = [sum(costs[at] for at in share) for share in assign(costs, processes)]
    assert max(loads) <= sum(costs) / processes + (1 - 1 / processes) * max(costs) + 1e-6
    assert 0 < balance(costs, assign(costs, processes)) <= 1


@given(
    sizes=st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1, max_size=40),
    processes=st.integers(1, 4),
    sides=st.integers(1, 2),
    is_padded=st.booleans(),
)
def test_cutting_finer_keeps_every_row_and_evens_the_work(sizes, processes, sides, is_padded):
    array = np.array(sizes, dtype=np.int32)[:, :sides]
    groups = longest_prefix(array, max_rows=8, capacity=64)
    cut = cut_finer(groups, array, processes=processes, is_padded=is_padded)
    rows = sorted(tuple(row) for group in groups for row in group)
    assert sorted(tuple(row) for group in cut for row in group) == rows
    if processes == 1:
        assert cut == groups
    if is_padded:
        widths = [[array[list(row)].sum(axis=0) for row in group] for group in cut]
        found = [layout_cost(len(group), np.max(group, axis=0).tolist()) for group in widths]
    else:
        found = [sum(layout_cost(1, array[at].tolist()) for row in group for at in row) for group in cut]
    shares = assign(found, processes)
    if balance(found, shares) < GOOD_BALANCE:
        busiest = max(shares, key=lambda share: sum(found[at] for at in share))
        assert all(len(cut[at]) == 1 for at in busiest)


def test_attention_makes_wide_rows_dearer_than_many_narrow_ones():
    """As many positions, but the square of the width counts: at a width of 6 hidden sizes it doubles the cost."""
    assert layout_cost(1, [600], hidden_size=100) == 2 * 600 * 600
    assert layout_cost(6, [100], hidden_size=100) == 600 * 600 + 6 * 100 * 100
    assert layout_cost(1, [100, 50], hidden_size=100) > layout_cost(1, [150], hidden_size=100) - 150 * 150


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_without_padding_prompts_cost_the_same_however_they_lie(architecture):
    lm = make_lm(architecture)
    layouts = [make_batches(lm, sizes=SIZES.model_copy(update={"enabled": given})).batch(0) for given in (True, False)]
    first, second = (sum(pack_cost(pack, is_padded=False) for pack in batch.packs) for batch in layouts)
    assert first == second
    prompts = [layouts[0].counts.input_tokens, layouts[0].counts.target_tokens]
    linear = layout_cost(1, prompts) - layout_cost(1, prompts, hidden_size=0)
    assert linear < first < sum(pack_cost(pack) for pack in layouts[0].packs)


def test_filler_asks_for_nothing():
    for architecture in ("llama", "t5"):
        pack = make_batches(make_lm(architecture)).batch(0).packs[0]
        empty = filler(pack)
        assert len(empty.targets.token) == 0 < len(pack.targets.token)
        assert pack_cost(empty) == pack_cost(pack) > 0


def test_two_processes_get_the_prompts_of_one():
    lm = make_lm("t5")
    one, two = make_batches(lm), make_batches(lm)
    two.processes = 2
    for cursor in (0, 40):
        mine, theirs = two.batch(cursor), one.batch(cursor)
        assert (mine.tasks, mine.rows, mine.next_cursor) == (theirs.tasks, theirs.rows, theirs.next_cursor)
        assert len(mine.packs) >= 2
        tokens = [
            sorted(int(token) for pack in batch.packs for token in pack.targets.token) for batch in (mine, theirs)
        ]
        assert tokens[0] == tokens[1]
