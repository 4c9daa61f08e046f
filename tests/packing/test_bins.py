from __future__ import annotations

import json
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flantune.packing.bins import (
    best_fit_decreasing,
    even_groups,
    fitting_rows,
    longest_prefix,
    micro_batches,
    widths,
)


def sizes_of(sides):
    size = st.tuples(*[st.integers(1, 40)] * sides)
    return st.lists(size, min_size=1, max_size=60).map(lambda rows: np.array(rows, dtype=np.int32))


def all_indices(groups):
    return sorted(at for rows in groups for row in rows for at in row)


@settings(max_examples=40)
@given(st.lists(st.integers(1, 50), max_size=80), st.integers(50, 120))
def test_best_fit_loses_nobody_and_overfills_no_row(sizes, capacity):
    rows = best_fit_decreasing(sizes, capacity)
    assert sorted(at for row in rows for at in row) == list(range(len(sizes)))
    assert all(sum(sizes[at] for at in row) <= capacity for row in rows)
    assert len(rows) <= max(1, 2 * sum(sizes) // capacity + 1)


@settings(max_examples=50)
@given(st.integers(1, 2).flatmap(sizes_of), st.integers(1, 6), st.integers(40, 90), st.sampled_from([0, 60, 200, 1000]))
def test_the_longest_prefix_is_a_prefix_each_prompt_once_within_bounds(sizes, max_rows, capacity, max_positions):
    groups = longest_prefix(sizes, max_rows=max_rows, capacity=capacity, max_positions=max_positions)
    taken = all_indices(groups)
    assert taken == list(range(len(taken))) and taken
    rows = [row for group in groups for row in group]
    assert len(rows) <= max_rows
    assert widths(sizes, rows).max() <= capacity
    for group in groups:
        positions = len(group) * widths(sizes, group).max(axis=0).sum()
        assert not max_positions or len(group) == 1 or positions <= max_positions
    assert longest_prefix(sizes, max_rows=max_rows, capacity=capacity, max_positions=max_positions) == groups


@settings(max_examples=40)
@given(st.integers(1, 2).flatmap(sizes_of), st.integers(1, 6), st.integers(40, 90))
def test_how_many_are_taken_does_not_depend_on_micro_batches(sizes, max_rows, capacity):
    counts = {
        len(all_indices(longest_prefix(sizes, max_rows=max_rows, capacity=capacity, max_positions=positions)))
        for positions in (0, 50, 500)
    }
    assert len(counts) == 1


@settings(max_examples=40)
@given(sizes_of(2), st.integers(1, 6), st.integers(40, 90))
def test_every_layout_found_fits(sizes, max_rows, capacity):
    for rows in fitting_rows(sizes, max_rows=max_rows, capacity=capacity):
        assert sorted(at for row in rows for at in row) == list(range(len(sizes)))
        assert len(rows) <= max_rows and widths(sizes, rows).max() <= capacity


@settings(max_examples=40)
@given(st.integers(1, 2).flatmap(sizes_of), st.sampled_from([0, 45, 120, 1000]))
def test_even_groups_hold_every_row_once_within_the_limit(sizes, max_tokens):
    groups = even_groups(sizes, [[at] for at in range(len(sizes))], max_tokens=max_tokens)
    assert all_indices(groups) == list(range(len(sizes))) and all(groups)
    tokens = [int(widths(sizes, group).sum()) for group in groups]
    assert not max_tokens or all(
        count <= max_tokens or len(group) == 1 for count, group in zip(tokens, groups, strict=True)
    )
    assert max_tokens or len(groups) == 1


def test_even_groups_share_out_both_sides():
    rng = np.random.default_rng(0)
    written = rng.permutation(np.repeat([400, 20, 20, 20], 4))
    sizes = np.stack([np.full(16, 500), written], axis=1).astype(np.int32)
    groups = even_groups(sizes, [[at] for at in range(16)], max_tokens=2_500)
    sums = np.array([widths(sizes, group).sum(axis=0) for group in groups])
    assert len(groups) == 4 and (sums == [2_000, 460]).all()


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=7), st.sampled_from([0, 30]))
def test_micro_batches_are_the_cheapest_cuts(loads, max_positions):
    sizes = 60 * np.array(loads, dtype=np.int32)
    limit = 60 * max_positions
    groups = micro_batches(sizes, [[at] for at in range(len(sizes))], max_positions=limit)
    assert all_indices(groups) == list(range(len(sizes)))
    order = [row[0] for group in groups for row in group]

    def cost(cuts):
        total = 0
        for start, end in zip([0, *cuts], [*cuts, len(order)], strict=True):
            positions = (end - start) * int(sizes[order[start:end]].max(axis=0).sum())
            if limit and end - start > 1 and positions > limit:
                return float("inf")
            total += 128 + positions
        return total

    every = [[at for at in range(1, len(order)) if mask >> (at - 1) & 1] for mask in range(2 ** (len(order) - 1))]
    ends = np.cumsum([len(group) for group in groups])[:-1].tolist()
    assert cost(ends) == min(map(cost, every))


def flan_like(rng, count, longest):
    """Mean 142 tokens, 15% of them targets."""
    total = np.clip(rng.lognormal(4.6, 0.85, count), 8, None)
    share = rng.beta(0.9, 5.1, count)
    inputs, targets = np.clip(total * (1 - share), 5, longest), np.clip(total * share, 2, min(256, longest // 2))
    return np.stack([inputs, targets], axis=1).astype(np.int32)


def uneven(rng, count, longest):
    """60% short classification, 20% summaries of long texts, 20% long answers to short questions."""
    kind = rng.choice(3, count, p=[0.6, 0.2, 0.2])
    inputs = np.exp(rng.normal(np.array([4.5, 6.3, 3.2])[kind], np.array([0.8, 0.5, 0.5])[kind]))
    targets = np.exp(rng.normal(np.array([1.0, 4.2, 4.3])[kind], np.array([0.3, 0.5, 0.9])[kind]))
    both = [np.clip(inputs, 5, longest), np.clip(targets, 2, min(256, longest // 2))]
    return np.stack(both, axis=1).astype(np.int32)


@pytest.mark.parametrize("lengths", [flan_like, uneven])
@pytest.mark.parametrize("family", ["decoder-only", "encoder-decoder"])
@pytest.mark.parametrize(("batch", "row"), [(4096, 512), (4096, 1280), (8192, 256), (8192, 1024), (8192, 1280)])
def test_fill_of_at_least_95_percent(lengths, family, batch, row):
    sizes = lengths(np.random.default_rng(0), 3000, min(row, 1024))
    if family == "decoder-only":
        sizes = np.minimum(sizes.sum(axis=1), row)[:, None].astype(np.int32)
    cursor = tokens = positions = 0
    while cursor < 600:
        window = sizes[cursor : cursor + 400]
        groups = longest_prefix(window, max_rows=batch // row, capacity=row)
        tokens += sum(widths(window, group).sum() for group in groups)
        positions += sum(len(group) * widths(window, group).max(axis=0).sum() for group in groups)
        cursor += len(all_indices(groups))
    assert tokens / positions >= 0.95


def test_layouts_stay_as_they_are():
    """Which prompts stand together decides the order of sums: another layout would end at other bits."""
    at = np.arange(500)
    found = []
    for rows, capacity in ((6, 1_280), (16, 512), (40, 256)):
        read = np.minimum(8 + (at * 7_919 % 331) ** 2 // 500, capacity // 2)
        written = np.minimum(1 + (at * 6_101 % 97) ** 2 // 150, capacity // 2)
        sizes = np.stack([read, written], axis=1).astype(np.int32)
        for sides in (sizes, sizes[:, :1]):
            layout = longest_prefix(sides, max_rows=rows, capacity=capacity, max_positions=2 * capacity)
            kept = [row for group in layout for row in group]
            found += [layout, even_groups(sides, kept, max_tokens=2 * capacity)]
    assert sha256(json.dumps(found).encode()).hexdigest()[:16] == "65076cf123b37ba2"
