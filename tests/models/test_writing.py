"""Generation in batches equals the model's own ``generate`` on each prompt alone, whatever the rest of the batch."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from weakref import WeakKeyDictionary

import numpy as np
import pytest
import torch
from tests.models.plain import greedy_by_hand
from tests.models.written import generate
from tests.packing.made_tokenizers import ALL_MAKES, finished
from transformers import GenerationConfig

from flantune.errors import ModelError
from flantune.models import traits
from flantune.models.scoring.plan import shares_starts
from flantune.models.writing import step_writer, writers
from flantune.models.writing.check import writing_method
from flantune.models.writing.decoding import Decoding, TextWatch, cut_at_stop
from flantune.models.writing.endings import end_tokens
from flantune.models.writing.generate import write
from flantune.models.writing.sampling import choose_tokens, draw_key
from flantune.models.writing.shared_keys import can_share
from flantune.packing.tokenize import decode

STEPS = 12


def some_inputs(vocabulary, lengths=(5, 17, 9, 9, 30, 2, 21, 3, 12)):
    rng = np.random.default_rng(0)
    return [rng.integers(3, vocabulary, length).astype(np.int32) for length in lengths]


def hugging_face(lm, inputs, steps, **settings):
    """The answer of transformers' ``generate`` to one input; it does not support prefix attention."""
    if lm.reads_both_ways:
        return greedy_by_hand(lm, torch.from_numpy(inputs).long(), steps, {*end_tokens(lm)})
    config = GenerationConfig(
        do_sample=False, num_beams=1, max_new_tokens=steps, pad_token_id=0, eos_token_id=list(end_tokens(lm)),
        decoder_start_token_id=getattr(lm.model.config, "decoder_start_token_id", None), **settings,
    )  # fmt: skip
    ids = torch.from_numpy(inputs).long()[None]
    found = lm.model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=config)[0].tolist()
    found = found[1:] if lm.family == "encoder-decoder" else found[len(inputs) :]
    ends = [at for at, token in enumerate(found) if token in end_tokens(lm)]
    return found[: ends[0]] if ends else found


@contextmanager
def end_of_sequence(lm, token):
    before, lm.tokenizer.eos_token = lm.tokenizer.eos_token, lm.tokenizer.convert_ids_to_tokens(token)
    try:
        yield
    finally:
        lm.tokenizer.eos_token = before


@contextmanager
def often_ending(lm, inputs):
    """Makes a frequent token an end token, so that rows leave at different times."""
    seen = Counter(token for tokens in generate(lm, inputs, max_new_tokens=STEPS) for token in set(tokens))
    counted = [token for token, rows in seen.most_common() if rows < len(inputs)]
    with end_of_sequence(lm, counted[0]):
        yield


@pytest.mark.parametrize(
    ("budget", "method"), [(20, None), (90, None), (8_192, None), (90, "even"), (8_192, "even"), (90, "uncached")]
)
def test_token_by_token_what_hugging_face_generate_writes(lm, budget, method):
    inputs = some_inputs(len(lm.tokenizer))
    with often_ending(lm, inputs):
        expected = [hugging_face(lm, ids, STEPS) for ids in inputs]
        assert len(set(map(len, expected))) > 1, "rows leave at different times"
        found = {
            one.index: one
            for one in write(lm, inputs, Decoding(max_new_tokens=STEPS), batch_tokens=budget, method=method)
        }
    assert [list(found[at].tokens) for at in range(len(inputs))] == expected
    finishes = {found[at].finish: len(found[at].tokens) for at in range(len(inputs))}
    assert set(finishes) == {"eos", "length"}
    assert finishes["length"] == STEPS


def test_every_family_passes_the_start_up_test(lm):
    if lm.family == "encoder-decoder":
        assert writing_method(lm) == "joining"
    else:
        assert writing_method(lm) == ("shared" if can_share(lm) else "mixed")


@pytest.mark.parametrize("budget", [60, 8_192])
@pytest.mark.parametrize("samples", [1, 3])
def test_one_copy_of_what_rows_start_with_changes_no_answer(lm, budget, samples):
    if writing_method(lm) != "shared":
        pytest.skip("no start is read from one copy")
    shown = some_inputs(len(lm.tokenizer), lengths=(45,))[0]
    inputs = [np.concatenate([shown, ids]) for ids in some_inputs(len(lm.tokenizer))]
    inputs += some_inputs(len(lm.tokenizer), lengths=(7, 13))
    decoding = Decoding(max_new_tokens=8, temperature=0.7 if samples > 1 else 0.0)
    with often_ending(lm, inputs):
        expected, found = (
            {
                (one.index, one.sample): one.tokens
                for one in write(lm, inputs, decoding, samples=samples, batch_tokens=budget, method=method)
            }
            for method in ("mixed", "shared")
        )
    assert found == expected


def test_bfloat16_arithmetic_writes_side_by_side(lm):
    # Autocast may give keys and values different dtypes, which a cache must support.
    half = replace(lm, compute_dtype=torch.bfloat16)
    inputs = some_inputs(len(lm.tokenizer))
    found = list(write(half, inputs, Decoding(max_new_tokens=4), batch_tokens=8_192))
    assert {one.index for one in found} == set(range(len(inputs)))
    drawn = write(half, inputs, Decoding(max_new_tokens=4, temperature=1.0), samples=2, batch_tokens=8_192)
    assert {(one.index, one.sample) for one in drawn} == {(at, each) for at in range(len(inputs)) for each in (0, 1)}


def test_a_model_that_ignores_position_ids_is_found_out_and_written_with_evenly(lm, monkeypatch):
    if lm.family == "encoder-decoder":
        pytest.skip("encoder-decoders are not given position ids")
    forward = lm.model.base_model.forward
    monkeypatch.setattr(
        lm.model.base_model,
        "forward",
        lambda *args, position_ids=None, **named: forward(*args, **named),
    )
    inputs = some_inputs(len(lm.tokenizer), lengths=(5, 17, 9, 9, 21))
    monkeypatch.setattr(traits, "_kept", WeakKeyDictionary())
    assert writing_method(lm) == "even"
    assert generate(lm, inputs, max_new_tokens=STEPS) == [hugging_face(lm, ids, STEPS) for ids in inputs]


def test_a_model_whose_cache_lies_is_written_with_without_one(lm, monkeypatch):
    monkeypatch.setattr(writers, "SlotDecoder", None)
    monkeypatch.setattr(step_writer, "DecoderBatch", None)
    monkeypatch.setattr(step_writer, "EncoderDecoderBatch", None)
    monkeypatch.setattr(traits, "_kept", WeakKeyDictionary())
    assert writing_method(lm) == "uncached"
    inputs = some_inputs(len(lm.tokenizer), lengths=(5, 9, 9))
    assert generate(lm, inputs, max_new_tokens=4) == [hugging_face(lm, ids, 4) for ids in inputs]


class Positions:
    """Counts the positions that a model reads."""

    def __init__(self, lm, monkeypatch):
        self.read = 0
        module = lm.model.base_model if lm.family == "decoder-only" else lm.model.get_encoder()
        forward = module.forward

        def counting(*args, **named):
            self.read += named["input_ids"].numel()
            return forward(*args, **named)

        monkeypatch.setattr(module, "forward", counting)


def test_a_common_prefix_is_read_once(lm, monkeypatch):
    if not shares_starts(lm):
        pytest.skip("what is read both ways depends on what follows")
    shown, *rests = some_inputs(len(lm.tokenizer), lengths=(40, 5, 9, 7, 2))
    inputs = [np.concatenate([shown, rest]) for rest in rests]
    expected = [hugging_face(lm, ids, 3) for ids in inputs]
    writing_method(lm)
    positions = Positions(lm, monkeypatch)
    assert generate(lm, inputs, max_new_tokens=3) == expected
    # 40 shared ones, the rests of four prompts padded to the longest, and two more tokens for each of the four.
    assert positions.read <= 40 + 4 * 9 + 4 * 2


def test_finished_rows_are_not_computed_any_more(lm, monkeypatch):
    inputs = some_inputs(len(lm.tokenizer))
    with often_ending(lm, inputs):
        lengths = [min(STEPS, len(tokens) + 1) for tokens in generate(lm, inputs, max_new_tokens=STEPS)]
        steps = 0
        forward = lm.model.get_decoder().forward if lm.family == "encoder-decoder" else lm.model.base_model.forward

        def counting(*args, **named):
            nonlocal steps
            steps += named["input_ids"].shape[0] if named["input_ids"].shape[1] == 1 else 0
            return forward(*args, **named)

        module = lm.model.get_decoder() if lm.family == "encoder-decoder" else lm.model.base_model
        monkeypatch.setattr(module, "forward", counting)
        generate(lm, inputs, max_new_tokens=STEPS)
    # Reading the prompt gives the first token; an encoder-decoder's first step reads its start token.
    needed = sum(lengths) - (0 if lm.family == "encoder-decoder" else len(inputs))
    assert needed <= steps <= needed + len(inputs)


def test_one_prompt_with_samples_is_read_once(lm, monkeypatch):
    writing_method(lm)
    positions = Positions(lm, monkeypatch)
    inputs = some_inputs(len(lm.tokenizer), lengths=(30,))
    decoding = Decoding(max_new_tokens=2, temperature=1.0)
    found = list(write(lm, inputs, decoding, samples=5))
    assert sorted(one.sample for one in found) == [0, 1, 2, 3, 4]
    assert positions.read <= 30 + 5


def test_samples_depend_on_their_prompt_and_number_alone(lm):
    inputs = some_inputs(len(lm.tokenizer))
    decoding = Decoding(max_new_tokens=6, temperature=0.8, seed=3)

    def drawn(chosen, *, budget, samples=3):
        found = write(lm, [inputs[at] for at in chosen], decoding, samples=samples, batch_tokens=budget)
        return {(chosen[one.index], one.sample): one.tokens for one in found}

    whole = drawn(range(len(inputs)), budget=8_192)
    assert len(set(whole.values())) > len(inputs), "samples differ"
    assert drawn(range(len(inputs)), budget=30) == whole
    part = drawn([7, 2], budget=8_192, samples=2)
    assert part == {key: whole[key] for key in part}
    other = Decoding(max_new_tokens=6, temperature=0.8, seed=4)
    assert {(one.index, one.sample): one.tokens for one in write(lm, inputs, other, samples=3)} != whole


def test_the_same_prompt_twice_is_computed_once_and_answered_twice(lm):
    inputs = some_inputs(len(lm.tokenizer), lengths=(5, 9))
    found = list(write(lm, [*inputs, inputs[0]], Decoding(max_new_tokens=3), samples=2))
    assert sorted((one.index, one.sample) for one in found) == [(at, sample) for at in range(3) for sample in range(2)]
    assert len({one.tokens for one in found if one.index != 1}) == 1


def test_noise_draws_from_the_softmax():
    logits = torch.log(torch.tensor([0.5, 0.3, 0.15, 0.05]))
    keys = [draw_key(0, np.array([1], dtype=np.int32), sample) for sample in range(20_000)]
    chosen = choose_tokens(logits.expand(len(keys), -1), temperature=1.0, keys=keys)
    shares = np.bincount(chosen, minlength=4) / len(keys)
    # Four standard errors, for the largest share.
    assert np.abs(shares - [0.5, 0.3, 0.15, 0.05]).max() < 4 * (0.25 / len(keys)) ** 0.5
    cold = choose_tokens(logits.expand(len(keys), -1), temperature=0.1, keys=keys)
    assert np.mean(np.array(cold) == 0) > 0.98


def test_out_of_memory_halves_the_batch_and_loses_nothing(lm, monkeypatch):
    inputs = some_inputs(len(lm.tokenizer))
    with often_ending(lm, inputs):
        expected = generate(lm, inputs, max_new_tokens=STEPS)
        whole = lm.model.get_decoder() if lm.family == "encoder-decoder" else lm.model.base_model
        forward, failures = whole.forward, []

        def small(*args, **named):
            if named["input_ids"].shape[0] > 2:
                failures.append(named["input_ids"].shape)
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 7 GiB.")
            return forward(*args, **named)

        monkeypatch.setattr(whole, "forward", small)
        writing_method(lm)
        assert generate(lm, inputs, max_new_tokens=STEPS) == expected
    assert failures


@pytest.mark.parametrize(
    ("error", "raised", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), ModelError, "one answer alone does not fit"),
        (RuntimeError("shapes do not match"), RuntimeError, "shapes"),
    ],
)
def test_out_of_memory_with_one_row_is_an_error_and_other_errors_are_not_taken_for_it(
    lm, monkeypatch, error, raised, said
):
    writing_method(lm)
    module = lm.model.get_encoder() if lm.family == "encoder-decoder" else lm.model.base_model

    def never(*_, **__):
        raise error

    monkeypatch.setattr(module, "forward", never)
    with pytest.raises(raised, match=said):
        generate(lm, some_inputs(len(lm.tokenizer)), max_new_tokens=3)


@pytest.fixture
def letters(lm, monkeypatch):
    """Decodes each token to two letters, for models whose text is mostly broken characters."""
    words = lambda tokens, **_: "".join(chr(97 + token % 26) + chr(65 + token % 7) for token in tokens)  # noqa: E731
    monkeypatch.setattr(lm.tokenizer, "decode", words)


def test_stop_strings_end_an_answer_where_the_whole_text_says(lm, letters):
    inputs = some_inputs(len(lm.tokenizer))
    whole = {one.index: one.text for one in write(lm, inputs, Decoding(max_new_tokens=STEPS))}
    # A stop string from the middle of one token to the middle of the next.
    stop = tuple(text[7:9] for text in whole.values() if len(text) > 9)[:3]
    found = {one.index: one for one in write(lm, inputs, Decoding(max_new_tokens=STEPS, stop=stop), batch_tokens=80)}
    for at, text in whole.items():
        assert found[at].text == cut_at_stop(text, stop)
        assert (found[at].finish == "stop") == (found[at].text != text)
    stopped = [one for one in found.values() if one.finish == "stop"]
    assert len(stopped) >= 3
    assert all(len(one.tokens) == (len(one.text) + 3) // 2 for one in stopped), "not one token more than it took"


def test_a_turn_may_end_with_another_token_than_end_of_sequence(lm):
    inputs = some_inputs(len(lm.tokenizer))
    whole = generate(lm, inputs, max_new_tokens=STEPS)
    end = max(whole, key=len)[STEPS // 2]
    for one in write(lm, inputs, Decoding(max_new_tokens=STEPS, end_tokens=(end,))):
        before = whole[one.index]
        if end in before:
            assert (list(one.tokens), one.finish) == (before[: before.index(end)], "eos")


class TestTextWatch:
    @pytest.fixture(scope="class")
    def decode(self, tokenizer):
        return lambda tokens: tokenizer.decode(list(tokens), skip_special_tokens=True)

    @pytest.mark.parametrize(
        "text", ["The answer is 7.\n\nQ: next", "größer → 東京 🙂🙃 ok", "a\ufffdb", "  two  spaces ", "नमस्ते"]
    )
    def test_grows_to_the_whole_text(self, tokenizer, decode, text):
        tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
        watch = TextWatch(decode, stop=())
        for token in tokens:
            watch.push(token)
        assert watch.text == decode(tokens)

    @pytest.mark.parametrize("stop", ["\n\n", "🙂", "東京", "7.", "Q:", "京 🙂"])
    def test_finds_a_stop_string_with_the_token_that_completes_it(self, tokenizer, decode, stop):
        text = "The answer 東京 🙂 is 7.\n\nQ: next"
        tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
        watch = TextWatch(decode, stop=("never", stop))
        first = next(at for at, token in enumerate(tokens) if watch.push(token))
        assert stop in decode(tokens[: first + 1])
        assert stop not in decode(tokens[:first])

    def test_half_a_character_is_no_text_yet(self, tokenizer, decode):
        tokens = tokenizer("🙂", add_special_tokens=False)["input_ids"]
        assert len(tokens) > 1
        watch = TextWatch(decode, stop=("\ufffd",))
        assert [watch.push(token) for token in tokens] == [False] * len(tokens)
        assert watch.text == "🙂"

    def test_broken_bytes_do_not_pile_up(self, tokenizer, decode):
        half = tokenizer("🙂", add_special_tokens=False)["input_ids"][0]
        seen = []
        watch = TextWatch(lambda tokens: seen.append(len(tokens)) or decode(tokens), stop=("x",))
        for _ in range(200):
            watch.push(half)
        assert max(seen) <= 40

    @pytest.mark.parametrize("make", ["Unigram, blank first", "BPE, blank first", "WordPiece", "byte-level"])
    def test_a_space_behind_a_special_token_is_not_lost(self, make):
        made = finished(ALL_MAKES[make](["<s>", "</s>"]), bos="<s>")
        (one, other), seen = ([made.encode(word, add_special_tokens=False) for word in ("boat", "lake")], [])

        def decode_some(tokens):
            seen.append(len(tokens))
            return decode(made, tokens)

        for special in (1, 3, 200):
            tokens = [*one, *[made.bos_token_id] * special, *other, *made.encode(" ###", add_special_tokens=False)]
            watch = TextWatch(decode_some, stop=("\n",))
            for token in tokens:
                watch.push(token)
            assert watch.text == decode(made, tokens) or special > 100
        assert max(seen) < 100


def test_between_two_answers_the_model_is_as_it_was(lm):
    lm.model.train()
    try:
        answers = write(lm, some_inputs(len(lm.tokenizer)), Decoding(max_new_tokens=3), batch_tokens=40)
        next(answers)
        assert lm.model.training
        assert torch.is_grad_enabled()
        answers.close()
        assert all(module.training for module in lm.model.modules())
    finally:
        lm.model.eval()


@pytest.mark.parametrize("wrong", [{"max_new_tokens": 0}, {"temperature": -1.0}, {"stop": ("",)}])
def test_impossible_rules_are_refused(wrong):
    with pytest.raises(ModelError):
        Decoding(**{"max_new_tokens": 3} | wrong)
