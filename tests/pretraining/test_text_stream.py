from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.training.small import make_lm, tokenizer
from tokenizers import processors

from flantune.errors import PackingError
from flantune.models.forward import target_logprobs
from flantune.packing.batches import Batches
from flantune.packing.encoded import id_array
from flantune.packing.packs import EncodedPrompt
from flantune.pretraining.objectives import Causal, Chances
from flantune.pretraining.text_stream import TextStream
from flantune.pretraining.tokenized_corpus import PLACE_BITS, TextAhead, TokenizedCorpus
from flantune.settings.config import PackingSettings


@dataclass(frozen=True)
class Numbers:
    """Document k says k, and more or less behind it."""

    name: str = "numbers"
    identity: str = "numbers"
    size: None = None

    def __getitem__(self, number: int) -> str:
        return f"{number} " + "quick " * (number * 7 % 11)


@dataclass(frozen=True)
class Empty(Numbers):
    """A text without a token."""

    def __getitem__(self, number: int) -> str:
        return ""


@dataclass(frozen=True)
class OneLetter(Numbers):
    """A text whose documents have one token each."""

    def __getitem__(self, number: int) -> str:
        return "q"


@dataclass(frozen=True, kw_only=True)
class Half:
    """An objective of an encoder-decoder, as a user would add one: the second half from the first."""

    length: int = 12
    family: Literal["encoder-decoder"] = "encoder-decoder"

    def take(self, text, chances):
        ids = text.ids(self.length)
        cut = chances.between(1, self.length - 1)
        return EncodedPrompt(inputs=id_array(ids[:cut]), targets=(id_array(ids[cut:]),))


def stream(objective=Causal(lengths=(16,)), *, row_tokens=32, seed=0, made=None, corpus=Numbers()):  # noqa: B008 - frozen
    return TextStream(corpus, made or tokenizer(), objective, row_tokens=row_tokens, seed=seed)


def ids_of(draw):
    return [*draw.prompt.inputs.tolist(), *draw.prompt.targets[0].tolist()]


def whole_text(count):
    """The ids of the first documents, each with its end."""
    made = tokenizer()
    return [id_ for k in range(count) for id_ in [*made(Numbers()[k]).input_ids, made.eos_token_id]]


@pytest.mark.parametrize("objective", [Causal(lengths=(16,)), Causal(lengths=(5, 30)), Half()])
def test_draws_follow_each_other_and_lose_no_token(objective):
    drawn = stream(objective).draws(0, 40)
    read = [id_ for draw in drawn for id_ in ids_of(draw)]
    assert read == whole_text(200)[: len(read)]
    assert all(draw.counts.input_tokens + draw.counts.target_tokens == len(ids_of(draw)) for draw in drawn)
    assert all(draw.row == before.next >> PLACE_BITS for before, draw in pairwise(drawn))


def test_draws_that_keep_documents_apart_are_pieces_of_one():
    drawn = stream(Causal(lengths=(7,), documents_apart=True)).draws(0, 40)
    made = tokenizer()
    for number in range(drawn[-1].row):
        whole = [*made(Numbers()[number]).input_ids, made.eos_token_id]
        pieces = [whole[at : at + 7] for at in range(0, len(whole), 7)]
        assert [ids_of(draw) for draw in drawn if draw.row == number] == [piece for piece in pieces if len(piece) > 1]


def test_documents_apart_of_which_nothing_is_left_are_said_to_be_empty():
    with pytest.raises(PackingError, match="have no token"):
        stream(Causal(lengths=(7,), documents_apart=True), corpus=Empty()).draws(0, 1)


def test_the_rest_of_a_document_ends_with_it():
    documents = TokenizedCorpus(Numbers(), tokenizer(), "decoder-only")
    ahead = TextAhead(documents, 3 << PLACE_BITS)
    assert ahead.ids(2) + ahead.document() == [*documents[3]]
    assert ahead.place == 4 << PLACE_BITS


@given(
    first=st.integers(0, 10**6), skipped=st.integers(0, 5), objective=st.sampled_from([Causal(lengths=(5, 30)), Half()])
)
def test_a_draw_is_a_pure_function_of_its_number(first, skipped, objective):
    drawn = stream(objective).draws(first << PLACE_BITS, 8)
    place = drawn[skipped].next
    again = stream(objective).draws(place, 7 - skipped)
    assert [(ids_of(one), one.next, one.row) for one in again] == [
        (ids_of(one), one.next, one.row) for one in drawn[skipped + 1 :]
    ]


def test_another_seed_draws_otherwise():
    lengths = [[len(ids_of(one)) for one in stream(Causal(lengths=(5, 30)), seed=seed).draws(0, 30)] for seed in (0, 1)]
    assert lengths[0] != lengths[1]
    assert stream(seed=0).identity != stream(seed=1).identity != stream(Causal(lengths=(8,)), seed=1).identity


def test_bos_stands_where_the_tokenizer_puts_it():
    from transformers import PreTrainedTokenizerFast

    backend = tokenizer().backend_tokenizer.from_str(tokenizer().backend_tokenizer.to_str())
    backend.add_special_tokens(["<s>"])
    bos = backend.token_to_id("<s>")
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", bos)])
    made = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    read = [id_ for draw in stream(made=made).draws(0, 20) for id_ in ids_of(draw)]
    ends = [at for at, id_ in enumerate(read) if id_ == made.eos_token_id]
    assert read[0] == bos and all(read[at + 1] == bos for at in ends[:-1])
    plain = [id_ for draw in stream(Half(), made=made).draws(0, 20) for id_ in ids_of(draw)]
    assert bos not in plain


def test_trap_11_batches_of_text_go_on_where_they_stopped():
    sizes = PackingSettings(row_tokens=32, batch_tokens=128)
    batches, cursor, seen = Batches(stream(Causal(lengths=(7, 16, 30))), sizes), 0, []
    for _ in range(6):
        batch = batches.batch(cursor)
        again = Batches(stream(Causal(lengths=(7, 16, 30))), sizes).batch(cursor)
        for left, right in zip(batch.packs, again.packs, strict=True):
            assert np.array_equal(left.tokens, right.tokens) and np.array_equal(left.segments, right.segments)
        assert batch.counts == again.counts and batch.next_cursor == again.next_cursor
        seen += batch.rows
        cursor = batch.next_cursor
    assert seen == sorted(seen)


def test_the_loss_of_a_draw_is_the_models_own():
    lm = make_lm("llama")
    batch = Batches(stream(), PackingSettings(row_tokens=32, batch_tokens=96)).batch(0)
    nll = -float(sum(target_logprobs(lm, pack).logprobs.sum() for pack in batch.packs).detach())
    alone = 0.0
    for draw in stream().draws(0, len(batch.rows)):
        ids = torch.tensor([ids_of(draw)])
        alone += float(lm.model(input_ids=ids, labels=ids).loss.detach()) * (ids.numel() - 1)
    assert nll == pytest.approx(alone, rel=1e-5)


def test_a_draw_longer_than_a_row_is_an_error_not_a_hang():
    with pytest.raises(PackingError, match="40 tokens does not fit a row of 32") as caught:
        stream(Causal(lengths=(40,))).draws(0, 1)
    assert caught.value.where == "packing.row_tokens"


def test_a_document_of_too_many_tokens_is_an_error():
    @dataclass(frozen=True)
    class Long(Numbers):
        def __getitem__(self, number):
            return "!" * (1 << PLACE_BITS) if number == 3 else "short"

    with pytest.raises(PackingError, match="a document has"):
        TextStream(Long(), tokenizer(), Causal(lengths=(4,)), row_tokens=8).draws(0, 1)


def test_chances_are_even():
    chances = Chances(3)
    drawn = [chances.between(1, 3) for _ in range(3_000)]
    assert set(drawn) == {1, 2, 3} and all(900 < drawn.count(value) < 1_100 for value in (1, 2, 3))
    assert 650 < sum(Chances(key).happens(0.25) for key in range(3_000)) < 850
