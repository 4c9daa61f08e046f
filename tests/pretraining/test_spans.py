from __future__ import annotations

import csv
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.pretraining.test_text_stream import Numbers, whole_text
from tests.training.small import tokenizer as made_tokenizer

from flantune.errors import ConfigError
from flantune.models.scratch import train_tokenizer
from flantune.pretraining.choose import check_objective, choose_objective
from flantune.pretraining.marks import Marks, add_sentinels, marks_of, sentinel_name, sentinels_of
from flantune.pretraining.objectives import Chances
from flantune.pretraining.spans import SpanCorruption, hidden_spans, parts, sizes_for_inputs, span_sizes
from flantune.pretraining.text_stream import TextStream
from flantune.settings.pretraining import PretrainingSettings

LENGTHS = Path(__file__).parents[2] / "../shared/data/flan2022/pretraining/denoiser_lengths.tsv"


def with_sentinels(count=100):
    made = train_tokenizer((Numbers()[number] for number in range(50)), 300)
    add_sentinels(made, count)
    return made


def settings(**changes):
    return PretrainingSettings(files=("text",), **changes)


def drawn(objective_settings, *, family="encoder-decoder", count=20, made=None, row_tokens=1024):
    made = made or with_sentinels()
    objective = choose_objective(objective_settings, made, family, row_tokens=row_tokens)
    return made, TextStream(Numbers(), made, objective, row_tokens=row_tokens).draws(0, count)


@pytest.mark.skipif(not LENGTHS.exists(), reason="the authors' lengths are not here")
def test_lengths_are_those_of_the_authors_code():
    with LENGTHS.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    assert len(rows) == 28
    for row in rows:
        density, mean = float(row["noise_density"]), float(row["mean_span"])
        found = sizes_for_inputs(int(row["inputs_length"]), density=density, mean=mean)
        told = [int(row[name]) for name in ("tokens_length", "targets_length", "noise_tokens", "noise_spans")]
        assert [found.tokens, found.targets, found.hidden, found.spans] == told
        spans = hidden_spans(found, Chances(1))
        if found.spans > 1:
            assert (spans[0][0] == 0) is (row["first_is_noise"] == "True")
            assert (spans[-1][1] == found.tokens) is (row["last_is_noise"] == "True")


def test_t5s_lengths():
    found = sizes_for_inputs(512, density=0.15, mean=3)
    assert (found.tokens, found.inputs, found.targets, found.spans) == (568, 512, 114, 28)


@given(
    tokens=st.integers(2, 2_000),
    density=st.floats(0.01, 0.95),
    mean=st.floats(1, 200),
    key=st.integers(0, 2**60),
)
def test_spans_hide_what_they_should_and_never_touch(tokens, density, mean, key):
    sizes = span_sizes(tokens, density=density, mean=mean)
    spans = hidden_spans(sizes, Chances(key))
    assert len(spans) == sizes.spans
    assert sum(stop - first for first, stop in spans) == sizes.hidden
    assert all(first < stop for first, stop in spans)
    assert all(before[1] < after[0] for before, after in pairwise(spans))
    assert spans[0][0] >= 0
    assert spans[-1][1] <= tokens


def test_each_way_to_cut_is_as_likely():
    found = Counter(tuple(parts(6, 3, Chances(key))) for key in range(10_000))
    assert len(found) == 10
    assert all(850 < count < 1_150 for count in found.values())


@pytest.mark.parametrize("family", ["encoder-decoder", "decoder-only"])
def test_what_is_read_and_what_is_written_make_the_text_again(family):
    made, draws = drawn(settings(objective="span_corruption", input_tokens=64), family=family)
    sentinels, text = sentinels_of(made), []
    for draw in draws:
        inputs, targets = draw.prompt.inputs.tolist(), draw.prompt.targets[0].tolist()
        assert inputs[-1] == targets[-1] == made.eos_token_id
        assert len(inputs) == 64
        used = [one for one in targets if one in sentinels]
        # Numbered from the first on in order of appearance, on both sides; the targets begin with one.
        assert used == list(sentinels[: len(used)]) == [one for one in inputs if one in sentinels]
        assert targets[0] == sentinels[0]
        text += joined(inputs[:-1], targets[:-1], sentinels)
    eos = made.eos_token_id
    whole = [made(Numbers()[k]).input_ids for k in range(300)]
    words = [id_ for ids in whole for id_ in ids]
    assert eos not in text
    assert text == words[: len(text)]


def joined(inputs, targets, sentinels):
    hidden, at = {}, None
    for one in targets:
        if one in sentinels:
            hidden[at := one] = []
        else:
            hidden[at].append(one)
    return [id_ for one in inputs for id_ in (hidden.get(one, [one]))]


@pytest.mark.parametrize(
    ("objective", "input_tokens", "spans"),
    [("span_corruption", 2_048, 114), ("ul2", 512, 127), ("ul2r", 512, 127)],
)
def test_fault_19_more_spans_than_sentinels_is_an_error_before_anything_runs(objective, input_tokens, spans):
    asked = settings(objective=objective, input_tokens=input_tokens)
    for check in (
        lambda: check_objective(asked, "encoder-decoder", row_tokens=4_096),
        lambda: choose_objective(asked, with_sentinels(), "encoder-decoder", row_tokens=4_096),
    ):
        with pytest.raises(ConfigError, match="100 sentinels") as caught:
            check()
        assert "pretraining.sentinels = " in caught.value.hint
    more = settings(objective=objective, input_tokens=input_tokens, sentinels=spans + 2)
    check_objective(more, "encoder-decoder", row_tokens=4_096)
    assert choose_objective(more, with_sentinels(spans + 2), "encoder-decoder", row_tokens=4_096)


@given(input_tokens=st.integers(16, 3_000), density=st.floats(0.05, 0.9), mean=st.floats(1, 100))
def test_fault_19_no_sentinel_is_a_word_whatever_the_sizes(input_tokens, density, mean):
    marks = Marks(family="encoder-decoder", begin=(), end=0, sentinels=tuple(range(5_000, 4_900, -1)))
    made = SpanCorruption(input_tokens=input_tokens, density=density, mean=mean, marks=marks)
    if made.sizes.spans > 100:
        with pytest.raises(ValueError, match="zip"):
            made.take(Counting(), Chances(3))
        return
    targets = made.take(Counting(), Chances(3)).targets[0].tolist()
    assert sum(one > 4_900 for one in targets) == made.sizes.spans


class Counting:
    """Text of one and the same word."""

    def words(self, count):
        return [1] * count


def test_fault_20_a_denoiser_of_one_span_does_not_always_hide_the_end():
    sizes = sizes_for_inputs(512, density=0.15, mean=64)
    assert sizes.spans == 1
    begins = {hidden_spans(sizes, Chances(key))[0][0] for key in range(4_000)}
    assert min(begins) == 0
    assert max(begins) == sizes.tokens - sizes.hidden
    assert len(begins) > 490


def test_sentinels_are_numbered_downwards_from_the_top():
    made = with_sentinels(5)
    assert sentinels_of(made) == tuple(len(made) - 1 - number for number in range(5))
    assert made.convert_ids_to_tokens(len(made) - 1) == sentinel_name(0)
    assert add_sentinels(made, 5) == 0
    assert add_sentinels(made, 7) == 2
    assert len(sentinels_of(made)) == 7


def test_a_text_that_names_a_sentinel_stays_text():
    made = with_sentinels()

    class Named(Numbers):
        def __getitem__(self, number):
            return "quick <extra_id_0> slow </s> "

    objective = choose_objective(
        settings(objective="span_corruption", input_tokens=64), made, "encoder-decoder", row_tokens=128
    )
    draw = TextStream(Named(), made, objective, row_tokens=128).draws(0, 1)[0]
    assert draw.prompt.inputs.tolist().count(sentinels_of(made)[0]) == 1
    assert draw.prompt.inputs.tolist().count(made.eos_token_id) == 1


def test_a_row_without_room_is_told_before_anything_runs():
    asked = settings(objective="span_corruption", input_tokens=512)
    check_objective(asked, "encoder-decoder", row_tokens=512)
    with pytest.raises(ConfigError, match="626 tokens does not fit a row of 512"):
        check_objective(asked, "decoder-only", row_tokens=512)


def test_what_the_mark_of_a_document_is_does_not_depend_on_the_text():
    made = made_tokenizer()
    assert marks_of(made, "decoder-only").end == whole_text(1)[-1]
