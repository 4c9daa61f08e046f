from __future__ import annotations

from collections import Counter

import pytest
from tests.pretraining.test_spans import settings, with_sentinels
from tests.pretraining.test_text_stream import Numbers, OneLetter

from flantune.errors import ConfigError, PackingError
from flantune.packing.tokenize import text_tokenizer
from flantune.pretraining.choose import check_objective, choose_objective
from flantune.pretraining.denoisers import EXTREME, REGULAR, SEQUENTIAL
from flantune.pretraining.marks import Marks, marks_of, sentinels_of
from flantune.pretraining.objectives import Chances
from flantune.pretraining.prefix import Prefix
from flantune.pretraining.text_stream import TextStream

DRAWS = 6_000


class Document:
    """Ten words of a document that goes on."""

    def words_of_one(self, longest, *, least):
        return list(range(100, 100 + min(10, longest))), False


def marks(family="encoder-decoder"):
    return Marks(family=family, begin=(), end=1, sentinels=())


def hidden_of(prefix, keys=range(DRAWS)):
    return [len(prefix.take(Document(), Chances(key)).targets[0]) for key in keys]


def test_the_prefix_is_cut_anywhere_as_likely():
    found = Counter(hidden_of(Prefix(tokens=11, marks=marks())))
    assert sorted(found) == list(range(1, 10))
    assert all(DRAWS / 9 * 0.85 < count < DRAWS / 9 * 1.15 for count in found.values())


def test_fault_20_the_denoiser_that_goes_on_hides_a_quarter_on_average_and_not_always_the_last():
    found = Counter(hidden_of(Prefix(tokens=11, marks=marks(), hidden=0.25)))
    assert len(found) > 2
    assert abs(sum(size * count for size, count in found.items()) / DRAWS / 10 - 0.25) < 0.02


@pytest.mark.parametrize("family", ["encoder-decoder", "decoder-only"])
def test_a_prefix_is_of_one_document_and_ends_where_it_ends(family):
    made = with_sentinels()
    prefix = Prefix(tokens=8, marks=marks_of(made, family))
    after, eos = ([made.eos_token_id] if family == "encoder-decoder" else []), made.eos_token_id
    ended = 0
    for draw in TextStream(Numbers(), made, prefix, row_tokens=32).draws(0, 60):
        inputs, targets = draw.prompt.inputs.tolist(), draw.prompt.targets[0].tolist()
        assert inputs[len(inputs) - len(after) :] == after
        read = inputs[: len(inputs) - len(after)] + targets
        assert len(read) <= 8
        # A single token that is left of a document is passed over.
        documents = [[*made(Numbers()[draw.row + more]).input_ids, eos] for more in (0, 1)]
        assert any(ids[at : at + len(read)] == read for ids in documents for at in range(len(ids)))
        assert eos not in read[:-1]
        ended += read[-1] == eos
    assert 0 < ended < 60


def test_documents_of_one_token_have_no_prefix_and_are_refused():
    made = with_sentinels()
    prefix = Prefix(tokens=8, marks=marks_of(made, "decoder-only"))
    with pytest.raises(PackingError, match="fewer than 2 tokens"):
        TextStream(OneLetter(), made, prefix, row_tokens=32).draws(0, 1)


def kinds(objective, count=3_000, **changes):
    made = with_sentinels(200)
    asked = settings(objective=objective, input_tokens=256, sentinels=200, **changes)
    objective = choose_objective(asked, made, "encoder-decoder", row_tokens=1_024)
    spelled = {word: text_tokenizer(made).data([word])[0] for word in (REGULAR, EXTREME, SEQUENTIAL)}
    found, sentinels = Counter(), set(sentinels_of(made))
    for draw in TextStream(Numbers(), made, objective, row_tokens=1_024).draws(0, count):
        inputs, targets = draw.prompt.inputs.tolist(), draw.prompt.targets[0].tolist()
        assert len(inputs) <= 256
        mode = [word for word, ids in spelled.items() if inputs[: len(ids)] == list(ids)]
        found[(mode[0] if mode else "", bool(sentinels & {*targets}))] += 1
    return found


def test_ul2_has_seven_denoisers_each_as_often_and_tells_their_kind():
    found = kinds("ul2")
    assert set(found) == {(REGULAR, True), (EXTREME, True), (SEQUENTIAL, False)}
    shares = [found[REGULAR, True] / 3_000, found[EXTREME, True] / 3_000, found[SEQUENTIAL, False] / 3_000]
    assert shares == pytest.approx([2 / 7, 4 / 7, 1 / 7], abs=0.04)


def test_ul2r_goes_on_half_of_the_time():
    found = kinds("ul2r")
    shares = [found[REGULAR, True] / 3_000, found[EXTREME, True] / 3_000, found[SEQUENTIAL, False] / 3_000]
    assert shares == pytest.approx([0.25, 0.25, 0.5], abs=0.04)


def test_mode_words_can_be_left_out():
    assert {mode for mode, _ in kinds("ul2r", 200, mode_tokens=False)} == {""}


def test_causal_is_for_decoders_alone():
    with pytest.raises(ConfigError, match='"causal" is for decoder-only models'):
        check_objective(settings(), "encoder-decoder", row_tokens=1_024)
