from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from flantune.models.scoring.forest_layout import cut_line
from flantune.models.scoring.option_tries import option_trie
from flantune.models.scoring.plan import plan_scoring

options = st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=6), min_size=1, max_size=7)


@settings(max_examples=80, deadline=None)
@given(options)
def test_each_token_is_asked_where_just_what_stands_before_it_is_seen(texts):
    trie = option_trie([np.array(text, dtype=np.int32) for text in texts])
    asked = iter(trie.asked.tolist())
    for text in texts:
        for place in range(len(text)):
            seen = np.flatnonzero(trie.sees[next(asked)])
            assert trie.tokens[seen].tolist() == [0, *text[:place]]
            assert trie.depths[seen].tolist() == list(range(place + 1))
    assert next(asked, None) is None


@given(options)
def test_every_start_is_a_node_once(texts):
    starts = {tuple(text[:end]) for text in texts for end in range(len(text))}
    assert len(option_trie([np.array(text, dtype=np.int32) for text in texts]).tokens) == len(starts)


def test_a_request_longer_than_a_line_has_one_of_its_own():
    assert cut_line([90, 20, 10, 5], [0] * 4, max_positions=30) == ([0, 1, 3, 4], [90, 30, 5])
    nothing = plan_scoring([], family="encoder-decoder", layout="line", batch_tokens=30)
    assert nothing == plan_scoring([], family="decoder-only", layout="line", batch_tokens=30) == []
