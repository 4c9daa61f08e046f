from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from flantune.models.scoring.forest_layout import SHORTEST, STEP, cut_forest, forest
from flantune.models.scoring.shared_starts import token_order
from flantune.packing.packs import EncodedPrompt


def ids(*tokens: int) -> np.ndarray:
    return np.array(tokens, dtype=np.int32)


token = st.integers(1, 3)
option = st.lists(token, min_size=1, max_size=4)
tail = st.lists(token, min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), tail, st.lists(option, min_size=1, max_size=4)), min_size=1, max_size=8),
    st.sampled_from([0, 5]),
)
def test_each_token_sees_its_own_text_and_nothing_else(drawn, known):
    """The tokens that a place attends to are the context and the option up to there."""
    units = [
        EncodedPrompt(
            inputs=ids(*[9] * known, *[7 + start] * (start * SHORTEST), *rest), targets=tuple(ids(*t) for t in options)
        )
        for start, rest, options in drawn
    ]
    order = token_order([unit.inputs for unit in units])
    units = [units[at] for at in order]
    laid = forest(units, known=known)
    assert len(laid.tokens) % (STEP // 2) == 0
    asked = iter(zip(laid.targets.position.tolist(), laid.targets.token.tolist(), strict=True))
    for unit, request in zip(units, laid.requests, strict=True):
        before = [place for start, end in request.seen for place in range(start, end)]
        own = np.arange(request.start, request.end)
        for target in unit.targets:
            for place_in_option, expected in enumerate(target.tolist()):
                place, wanted = next(asked)
                assert wanted == expected
                seen = [*before, *own[request.sees[place - request.start]].tolist()]
                text = [*[9] * known, *laid.tokens[seen].tolist()]
                assert text == [*unit.inputs.tolist(), *target[:place_in_option].tolist()]
                assert laid.positions[seen].tolist() == list(range(known, len(text)))


def test_a_start_in_common_is_read_once():
    start = list(range(100, 130))
    units = [EncodedPrompt(inputs=ids(*start, row), targets=(ids(1, 2), ids(1, 3))) for row in range(5)]
    laid = forest(units)
    assert laid.requests[-1].end == 30 + 5 * 2
    assert all(request.seen == ((0, 30),) for request in laid.requests[1:])


def test_lines_keep_to_the_limit_and_say_their_tokens():
    units = [
        EncodedPrompt(inputs=ids(*[7] * 20, row, *range(row)), targets=(ids(1, 2, 3), ids(4))) for row in range(30)
    ]
    cuts, sizes = cut_forest(units, max_positions=100)
    assert (cuts[0], cuts[-1], len(sizes)) == (0, 30, len(cuts) - 1)
    for (start, end), size in zip(pairwise(cuts), sizes, strict=True):
        assert forest(units[start:end]).requests[-1].end == size
        assert size <= 100 or end == start + 1
