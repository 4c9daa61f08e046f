"""A right answer is never cut at the separator of exemplars that it holds; what follows an answer still is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from flantune.evaluation.samples import read_samples
from flantune.models.writing.decoding import Decoding, TextWatch, cut_at_stop
from flantune.settings.config import PromptSettings

from .made import generation_examples, make_model, make_task, run, saying

POEM = "one line\n\nanother line"
NEXT = "\n\nAnimal 9 is"


@pytest.fixture(scope="module")
def lm():
    return make_model()


def answered(lm, folder, said: str, answers, *, separator="\n\n", **prompts) -> set[tuple[int, str]]:
    """(exemplars, answer) of a task asked with none and one."""
    tests = [replace(one, references=(answer,)) for one, answer in zip(generation_examples(9), answers, strict=False)]
    prepared = make_task({"train": generation_examples(9, start=50), "test": tuple(tests)}, kind="generation")
    own = PromptSettings(exemplar_separator=separator, **prompts)
    (done,) = run(lm, prepared, folder, shots=(0, 1), max_new_tokens=32, prompts=own, engine=saying(said))
    return {(sample.shots, sample.prediction) for sample in read_samples(done.path)}


def test_an_answer_with_the_separator_in_it_is_whole_and_what_follows_it_is_cut(lm, tmp_path):
    found = answered(lm, tmp_path, POEM + NEXT, [POEM, "a cat", "a dog"])
    assert found == {(0, POEM + NEXT), (1, POEM)}


def test_where_no_right_answer_has_it_an_answer_ends_at_the_first(lm, tmp_path):
    assert answered(lm, tmp_path, POEM + NEXT, ["a cat", "a dog"]) == {(0, POEM + NEXT), (1, "one line")}


@pytest.mark.parametrize(
    ("separator", "answer"), [("\n", "a\nb\nc"), (" ### ", "a ### b ### c"), ("\n\n", "a\n\n\n\nb\n\nc")]
)
def test_as_many_are_spared_as_the_longest_right_answer_has(lm, tmp_path, separator, answer):
    found = answered(lm, tmp_path, f"{answer}{separator}rest", ["x", answer, f"y{separator}z"], separator=separator)
    assert (1, answer) in found


def test_the_separator_at_the_ends_of_an_answer_spares_none(lm, tmp_path):
    assert (1, "a cat") in answered(lm, tmp_path, "a cat\n\nand more", ["\n\na cat\n\n"])


def test_exemplars_that_are_turns_have_no_separator_to_stop_at(lm, tmp_path):
    chat = replace(lm, tokenizer=type(lm.tokenizer)(tokenizer_object=lm.tokenizer.backend_tokenizer, eos_token="</s>"))
    chat.tokenizer.chat_template = "{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ eos_token }}{% endfor %}"
    for exemplars, said in (("turns", POEM), ("message", "one line")):
        found = answered(chat, tmp_path / exemplars, POEM, ["a cat"], chat=True, chat_exemplars=exemplars)
        assert (1, said) in found


def test_a_watch_waits_for_the_stop_that_is_not_spared():
    watch = TextWatch(lambda tokens: "".join(map(chr, tokens)), stop=("\n\n", "##"), spared=1)
    pushed = [watch.push(ord(letter)) for letter in "a\n\nb##c"]
    assert pushed == [False, False, False, False, False, True, False]
    assert watch.again().push(ord("#")) is False
    assert np.cumsum(pushed)[-1] == 1


def test_the_model_itself_writes_on_until_the_spared_ones_are_spent(tmp_path, lm):
    """Through the loop that writes: stops are looked for as the text grows."""
    from flantune.models.writing.generate import write

    inputs = [np.arange(5, 12, dtype=np.int32)]
    whole = next(write(lm, inputs, Decoding(max_new_tokens=12))).text
    letter = max(set(whole.strip()), key=whole.count)
    assert whole.count(letter) >= 2
    for spared in (0, 1):
        one = next(write(lm, inputs, Decoding(max_new_tokens=12, stop=(letter,), spared=spared)))
        assert one.text == cut_at_stop(whole, (letter,), spared=spared) and one.finish == "stop"
        assert one.text.count(letter) == spared
