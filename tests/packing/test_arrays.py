from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from flantune.packing.arrays import pack_decoder_only, pack_encoder_decoder
from flantune.packing.packs import EncodedPrompt

ids = st.lists(st.integers(3, 99), min_size=1, max_size=9).map(lambda tokens: np.array(tokens, dtype=np.int32))
prompts = st.builds(EncodedPrompt, inputs=ids, targets=st.lists(ids, min_size=1, max_size=4).map(tuple))


@st.composite
def layouts(draw):
    encoded = draw(st.lists(prompts, min_size=1, max_size=8))
    order = draw(st.permutations(range(len(encoded))))
    cuts = sorted(draw(st.sets(st.integers(1, len(encoded) - 1)))) if len(encoded) > 1 else []
    return encoded, [order[start:end] for start, end in zip([0, *cuts], [*cuts, len(order)], strict=True)]


def continuations(encoded):
    return [(prompt, target) for prompt in encoded for target in prompt.targets]


@settings(max_examples=50)
@given(layouts())
def test_decoder_only_rows_lose_no_token(made):
    encoded, rows = made
    pack = pack_decoder_only(encoded, rows)
    assert (pack.tokens > 0).sum() == sum(len(p.inputs) + sum(map(len, p.targets)) for p in encoded)
    assert ((pack.segments > 0) == (pack.tokens > 0)).all()
    expected = continuations(encoded)
    assert sorted(set(pack.targets.item.tolist())) == list(range(len(expected)))
    for item, (prompt, target) in enumerate(expected):
        mine = pack.targets.item == item
        row, position = pack.targets.row[mine], pack.targets.position[mine]
        assert pack.targets.token[mine].tolist() == target.tolist()
        # What a target token may see, read off the masks' rule, is its inputs and the target before it.
        for step in range(len(target)):
            assert visible(pack, row[step], position[step]) == [*prompt.inputs.tolist(), *target[:step].tolist()]


def visible(pack, row, position):
    segments, branches = pack.segments[row], pack.branches[row]
    seen = segments[: position + 1] == segments[position]
    seen &= (branches[: position + 1] == 0) | (branches[: position + 1] == branches[position])
    where = np.flatnonzero(seen)
    assert pack.positions[row][where].tolist() == list(range(len(where)))
    return pack.tokens[row][where].tolist()


@settings(max_examples=50)
@given(layouts())
def test_encoder_decoder_rows_lose_no_token(made):
    encoded, rows = made
    pack = pack_encoder_decoder(encoded, rows, start_token=1)
    assert (pack.encoder_tokens > 0).sum() == sum(len(prompt.inputs) for prompt in encoded)
    assert (pack.decoder_tokens > 0).sum() == sum(len(target) for _, target in continuations(encoded))
    for item, (prompt, target) in enumerate(continuations(encoded)):
        mine = pack.targets.item == item
        row, position = int(pack.targets.row[mine][0]), pack.targets.position[mine]
        assert pack.targets.token[mine].tolist() == target.tolist()
        assert position.tolist() == list(range(position[0], position[0] + len(target)))
        assert pack.decoder_tokens[row, position].tolist() == [1, *target[:-1].tolist()]
        segment = pack.decoder_segments[row] == pack.decoder_segments[row, position[0]]
        assert np.flatnonzero(segment).tolist() == position.tolist()
        context = pack.encoder_segments[row] == pack.decoder_contexts[row, position[0]]
        assert pack.encoder_tokens[row][context].tolist() == prompt.inputs.tolist()


@settings(max_examples=40)
@given(layouts())
def test_arrays_are_int32_of_one_shape(made):
    encoded, rows = made
    pack = pack_decoder_only(encoded, rows, pad_token=7)
    arrays = (pack.tokens, pack.positions, pack.segments, pack.branches)
    assert {(array.shape, array.dtype.name) for array in arrays} == {(pack.tokens.shape, "int32")}
    assert (pack.tokens[pack.segments == 0] == 7).all()
    targets = pack.targets
    parallel = (targets.row, targets.position, targets.token, targets.item)
    assert {(a.shape, a.dtype.name) for a in parallel} == {(targets.row.shape, "int32")}


def test_items_are_numbered_over_the_whole_batch():
    encoded = [
        EncodedPrompt(inputs=np.array([5]), targets=(np.array([1]), np.array([2]))),
        EncodedPrompt(inputs=np.array([6]), targets=(np.array([3]),)),
    ]
    assert pack_decoder_only(encoded, [[1]]).targets.item.tolist() == [2]
    assert pack_encoder_decoder(encoded, [[1]]).targets.item.tolist() == [2]
