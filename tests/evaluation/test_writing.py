"""Answers to prompts: the store is asked first, samples vote, and nothing depends on what else is asked."""

from __future__ import annotations

import pytest

from flantune.evaluation.asking import answers as writing
from flantune.evaluation.asking.answers import write_answers
from flantune.evaluation.asking.score_store import ScoreStore
from flantune.models.scratch import build_model, train_tokenizer
from flantune.models.writing.decoding import Decoding
from flantune.models.writing.generate import write
from flantune.packing.encode import Codec
from flantune.prompts.layout import Layout
from flantune.settings.config import ScratchSettings
from flantune.types import Prompt

WORDS = ("Is the sky blue?", "Sort these words: b a c", "Name a river.", "Is the sky blue?")


@pytest.fixture(scope="module", params=["llama", "t5"])
def lm(request):
    tokenizer = train_tokenizer([*WORDS, "yes", "no"] * 5, 300)
    made = build_model(
        ScratchSettings(architecture=request.param, hidden_size=32, layers=2, heads=2), tokenizer, seed=1
    )
    for name, weight in made.model.named_parameters():
        if weight.ndim > 1 and "layer_norm" not in name:
            weight.data.mul_(3.0 if made.family == "decoder-only" else 1.5)
    return made


@pytest.fixture(scope="module")
def codec(lm):
    return Codec(tokenizer=lm.tokenizer, family=lm.family, layout=Layout(), max_input_tokens=40, max_target_tokens=8)


def prompts(words=WORDS):
    return [
        Prompt(task="t", split="test", row=row, template="x", inputs=text, targets="") for row, text in enumerate(words)
    ]


class Counted:
    """The writer, with a count of what it was asked."""

    def __init__(self):
        self.asked = 0

    def __call__(self, lm, inputs, decoding, **settings):
        self.asked += len(inputs)
        return write(lm, inputs, decoding, **settings)


def test_what_the_store_has_is_not_written_again(lm, codec, tmp_path):
    store, counted = ScoreStore(tmp_path), Counted()
    settings = {"codec": codec, "decoding": Decoding(max_new_tokens=5), "store": store, "writer": counted}
    part = write_answers(lm, prompts(WORDS[:2]), **settings)
    assert counted.asked == 2
    whole = write_answers(lm, prompts(), **settings)
    # The fourth is the first again.
    assert counted.asked == 3
    assert whole[:2] == part
    assert whole[3] == whole[0]
    again = Counted()
    fresh = write_answers(
        lm, prompts(), codec=codec, decoding=Decoding(max_new_tokens=5), store=ScoreStore(tmp_path), writer=again
    )
    assert fresh == whole
    assert again.asked == 0
    assert fresh == write_answers(lm, prompts(), codec=codec, decoding=Decoding(max_new_tokens=5))


@pytest.mark.parametrize(
    "other",
    [
        {"decoding": Decoding(max_new_tokens=4)},
        {"decoding": Decoding(max_new_tokens=5, stop=("x",))},
        {"fingerprint": "another model"},
        {"decoding": Decoding(max_new_tokens=5, temperature=1.0)},
    ],
)
def test_answers_written_in_another_way_are_not_taken(lm, codec, tmp_path, other):
    store, counted = ScoreStore(tmp_path), Counted()
    write_answers(lm, prompts(), codec=codec, decoding=Decoding(max_new_tokens=5), store=store, writer=counted)
    before = counted.asked
    write_answers(
        lm,
        prompts(),
        **{"codec": codec, "decoding": Decoding(max_new_tokens=5), "store": store, "writer": counted} | other,
    )
    assert counted.asked == before * 2


def test_a_killed_process_loses_the_last_seconds_only(lm, codec, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "_KEEP_EVERY_SECONDS", -1.0)

    def dying(lm, inputs, decoding, **settings):
        for at, one in enumerate(write(lm, inputs, decoding, **settings)):
            if at == 2:
                raise KeyboardInterrupt
            yield one

    with pytest.raises(KeyboardInterrupt):
        write_answers(
            lm, prompts(), codec=codec, decoding=Decoding(max_new_tokens=5), store=ScoreStore(tmp_path), writer=dying
        )
    counted = Counted()
    write_answers(
        lm, prompts(), codec=codec, decoding=Decoding(max_new_tokens=5), store=ScoreStore(tmp_path), writer=counted
    )
    assert 1 <= counted.asked <= 2


def test_more_samples_keep_those_there_are(lm, codec, tmp_path):
    store = ScoreStore(tmp_path)
    settings = {"codec": codec, "decoding": Decoding(max_new_tokens=5, temperature=1.5, seed=3), "store": store}
    two = write_answers(lm, prompts(), answers_each=2, **settings)
    four = write_answers(lm, prompts(), answers_each=4, **settings)
    assert [each[:2] for each in four] == two
    assert four == write_answers(lm, prompts(), answers_each=4, **settings | {"store": None, "batch_tokens": 20})
    assert len({one.tokens for one in four[0]}) > 1


def test_progress_and_each_answer_as_it_comes(lm, codec):
    seen, told = {}, []
    found = write_answers(
        lm, prompts(), codec=codec, decoding=Decoding(max_new_tokens=3), answers_each=2,
        each=lambda at, sample, one: seen.__setitem__((at, sample), one), progress=lambda *pair: told.append(pair),
    )  # fmt: skip
    assert seen == {(at, sample): one for at, each in enumerate(found) for sample, one in enumerate(each)}
    assert told[-1] == (8, 8)
