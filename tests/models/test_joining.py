"""Prompts of an encoder-decoder join those in progress: answers do not depend on the others in the batch."""

from __future__ import annotations

import pytest
from tests.models.families import ENCODER_DECODERS, build
from tests.models.test_writing import STEPS, hugging_face, often_ending, some_inputs

from flantune.models.writing.check import writing_method
from flantune.models.writing.decoding import Decoding
from flantune.models.writing.generate import write
from flantune.models.writing.lockstep import EncoderDecoderBatch

FAMILIES = {one.name: one for one in ENCODER_DECODERS}


@pytest.fixture
def joins(monkeypatch):
    """Counts how often rows join others."""
    found: list[int] = []
    join = EncoderDecoderBatch.join

    def counting(batch, others):
        found.append(len(batch._begun))
        join(batch, others)

    monkeypatch.setattr(EncoderDecoderBatch, "join", counting)
    return found


@pytest.mark.parametrize(("family", "budget"), [("T5 1.1, Flan-T5", 45), ("T5 1.1, Flan-T5", 130), ("umT5", 45)])
def test_rows_that_join_write_what_hugging_face_generate_writes(tokenizer, joins, family, budget):
    t5 = build(FAMILIES[family], tokenizer)
    assert writing_method(t5) == "joining"
    inputs = some_inputs(len(t5.tokenizer), lengths=(5, 17, 9, 9, 30, 2, 21, 3, 12, 14, 26, 7))
    with often_ending(t5, inputs):
        expected = [hugging_face(t5, ids, STEPS) for ids in inputs]
        assert len({*map(len, expected)}) > 1, "rows leave at different times"
        joins.clear()
        found = {one.index: one for one in write(t5, inputs, Decoding(max_new_tokens=STEPS), batch_tokens=budget)}
    assert [list(found[at].tokens) for at in range(len(inputs))] == expected
    assert len(joins) > 1


def test_samples_join_as_well(tokenizer, joins):
    t5 = build(FAMILIES["T5 1.1, Flan-T5"], tokenizer)
    inputs = some_inputs(len(t5.tokenizer))
    decoding = Decoding(max_new_tokens=6, temperature=0.8)
    with often_ending(t5, inputs):
        expected, found = (
            {
                (one.index, one.sample): one.tokens
                for one in write(t5, inputs, decoding, samples=3, batch_tokens=130, method=method)
            }
            for method in ("mixed", "joining")
        )
    assert found == expected and joins


def test_a_decoder_that_counts_positions_from_the_first_column_is_not_joined(tokenizer):
    assert writing_method(build(FAMILIES["BART"], tokenizer)) == "mixed"
