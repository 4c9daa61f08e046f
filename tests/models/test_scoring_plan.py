from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flantune.models.scoring.plan import (
    cut_rows,
    forward_cost,
    plan_scoring,
    request_sizes,
    side_pack,
    tree_pack,
)
from flantune.models.scoring.shared_starts import shared_prefixes
from flantune.packing.packs import EncodedPrompt


def ids(*tokens: int) -> np.ndarray:
    return np.array(tokens, dtype=np.int32)


def requests(count: int, *, seed: int = 0, shared: int = 0) -> list[EncodedPrompt]:
    draw = random.Random(seed)
    start = [draw.randrange(100) for _ in range(shared)]

    def tokens(most: int) -> np.ndarray:
        return ids(*(draw.randrange(100) for _ in range(draw.randint(1, most))))

    return [
        EncodedPrompt(inputs=ids(*start, *tokens(60)), targets=tuple(tokens(9) for _ in range(draw.randint(1, 5))))
        for _ in range(count)
    ]


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 30),
    st.integers(0, 80),
    st.sampled_from(["prefix", "line", "tree", "cache"]),
    st.sampled_from(["decoder-only", "encoder-decoder"]),
    st.integers(1, 700),
)
def test_every_request_is_in_one_batch_within_the_budget(count, shared, layout, family, budget):
    if layout not in {"encoder-decoder": ("line", "tree"), "decoder-only": ("prefix", "line", "tree", "cache")}[family]:
        layout = "tree"
    units = requests(count, shared=shared)
    plan = plan_scoring(units, family=family, layout=layout, batch_tokens=budget)
    assert sorted(at for batch in plan for at in batch.units) == list(range(count))
    for batch in plan:
        assert len(batch.units) == 1 or batch.positions <= budget
        assert all((units[at].inputs[: len(batch.prefix)] == batch.prefix).all() for at in batch.units)
        assert all(len(units[at].inputs) > len(batch.prefix) for at in batch.units)
        if layout == "cache":
            assert len({len(units[at].inputs) for at in batch.units}) == 1


def test_a_plan_is_a_function_of_the_requests_alone():
    plans = [
        plan_scoring(requests(50, shared=40), family="decoder-only", layout="prefix", batch_tokens=500)
        for _ in range(2)
    ]
    assert [(b.units, b.positions, b.prefix.tolist()) for b in plans[0]] == [
        (b.units, b.positions, b.prefix.tolist()) for b in plans[1]
    ]


@pytest.mark.parametrize("family", ["decoder-only", "encoder-decoder"])
def test_the_longest_come_first(family):
    units = requests(60)
    plan = plan_scoring(units, family=family, layout="tree", batch_tokens=300)
    sizes = request_sizes(units, family).sum(axis=1)
    order = [int(sizes[at]) for batch in plan for at in batch.units]
    assert order == sorted(order, reverse=True)


def test_positions_are_close_to_what_must_be_read():
    units = requests(400)
    plan = plan_scoring(units, family="decoder-only", layout="tree", batch_tokens=4096)
    needed = int(request_sizes(units, "decoder-only").sum())
    assert needed <= sum(batch.positions for batch in plan) < 1.06 * needed


def test_a_prefix_is_shared_only_where_it_pays():
    few_shot = [ids(*[7] * 90, row) for row in range(9)]
    assert [(c.length, len(c.members)) for c in shared_prefixes(few_shot)] == [(90, 9)]
    # On an accelerator, another pass must save more.
    assert shared_prefixes(few_shot, pass_cost=forward_cost("cuda"))[0].length == 0
    assert shared_prefixes([ids(*[7] * 90, row) for row in range(1)])[0].length == 0
    assert shared_prefixes([ids(1, row) for row in range(9)])[0].length == 0


def test_a_query_with_an_exemplar_of_its_own_does_not_spoil_the_prefix_of_the_others():
    """A query that is among the exemplars is shown another one in its place."""
    usual = [ids(*range(100, 220), row) for row in range(30)]
    odd = ids(*range(100, 160), *range(300, 360), 5)
    clusters = shared_prefixes([*usual[:7], odd, *usual[7:]])
    assert (120, 30) in {(cluster.length, len(cluster.members)) for cluster in clusters}


def test_questions_about_one_passage_share_it():
    contexts = [ids(*[1] * 20, *[10 + passage] * 150, 1000 + question) for passage in range(4) for question in range(5)]
    clusters = shared_prefixes(contexts)
    assert sorted((cluster.length, len(cluster.members)) for cluster in clusters) == [(170, 5)] * 4


def test_a_context_that_is_the_prefix_of_others_keeps_its_last_token():
    contexts = [ids(*range(200)), *(ids(*range(200), 900 + row) for row in range(8))]
    (cluster,) = shared_prefixes(contexts)
    assert cluster.length == 199


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=40), st.integers(1, 2000), st.integers(0, 200))
def test_cuts_keep_to_the_limit_and_beat_one_row_a_batch(lengths, limit, cost):
    widths = np.array(sorted(lengths, reverse=True))[:, None]
    cuts = cut_rows(widths, max_positions=limit, pass_cost=cost)
    pairs = list(pairwise(cuts))
    assert cuts[0] == 0
    assert cuts[-1] == len(lengths)
    assert all(end == start + 1 or (end - start) * widths[start, 0] <= limit for start, end in pairs)
    total = sum((end - start) * widths[start, 0] + cost for start, end in pairs)
    assert total <= widths.sum() + cost * len(lengths)


def test_the_last_token_of_an_option_is_never_fed():
    units = requests(20)
    pack = tree_pack(units)
    needed = sum(len(unit.inputs) + sum(len(target) - 1 for target in unit.targets) for unit in units)
    assert int((pack.segments > 0).sum()) == needed
    assert len(pack.targets.token) == sum(len(target) for unit in units for target in unit.targets)


def test_options_of_one_token_take_no_position():
    letters = EncodedPrompt(inputs=ids(5, 6, 7), targets=tuple(ids(token) for token in (1, 2, 3, 4)))
    pack = tree_pack([letters])
    assert pack.tokens.tolist() == [[5, 6, 7]]
    assert not pack.branches.any()
    assert pack.targets.position.tolist() == [2, 2, 2, 2]
    side = side_pack([letters])
    assert side.decoder_tokens.shape == (1, 1)
    assert side.targets.position.tolist() == [0, 0, 0, 0]


def test_rows_behind_a_prefix_go_on_with_its_positions():
    unit = EncodedPrompt(inputs=ids(1, 2, 3, 4, 5), targets=(ids(6, 7), ids(8, 9, 9)))
    pack = tree_pack([unit], prefix=3)
    assert pack.tokens.tolist() == [[4, 5, 6, 8, 9]]
    assert pack.positions.tolist() == [[3, 4, 5, 5, 6]]
    assert pack.branches.tolist() == [[0, 0, 1, 2, 2]]
    assert pack.targets.position.tolist() == [1, 2, 1, 3, 4]


def test_a_mixed_encoder_decoder_row_reads_each_longer_option_once():
    unit = EncodedPrompt(inputs=ids(1, 2), targets=(ids(6), ids(7, 8), ids(9), ids(3, 4, 5)))
    pack = side_pack([unit])
    assert pack.decoder_tokens.tolist() == [[0, 7, 0, 3, 4]]
    assert pack.decoder_segments.tolist() == [[1, 1, 2, 2, 2]]
    order = np.argsort(pack.targets.item, kind="stable")
    assert pack.targets.token[order].tolist() == [6, 7, 8, 9, 3, 4, 5]
    starts = pack.decoder_tokens[0, pack.targets.position[pack.targets.item == 2]]
    assert starts.tolist() == [0]
