"""Answers that a tokenizer cannot write are found before anything is measured, counted, and shown."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.evaluation.made import make_task
from tests.packing.made_tokenizers import MAKES, finished
from tokenizers import normalizers

from flantune.commands.answer_check import answer_faults, check_answers
from flantune.errors import ModelError
from flantune.evaluation.metrics.by_name import find_metric
from flantune.packing.encode import Codec
from flantune.prompts.layout import Layout
from flantune.prompts.styles import Style
from flantune.types import Example, Prompt, Sample, Template


def codec(make: str, family="encoder-decoder", *, lower=False, **changes) -> Codec:
    made = MAKES[make](["</s>", "<pad>"])
    if lower:
        made.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.NFD(), normalizers.StripAccents()])
    limits = {"max_input_tokens": 99, "max_target_tokens": 50, **changes}
    return Codec(tokenizer=finished(made), family=family, layout=Layout(), **limits)


def choices(*options: tuple[str, ...]):
    rows = tuple(
        Example(row=at, fields={"text": f"a {at}"}, options=one, answer=0, references=(one[0],))
        for at, one in enumerate(options)
    )
    return make_task({"test": rows}, kind="classification")


def answers(*references: tuple[str, ...], metric: str = "verbatim_match"):
    rows = tuple(Example(row=at, fields={"text": f"a {at}"}, references=one) for at, one in enumerate(references))
    made = make_task({"test": rows}, kind="generation")
    return replace(made, task=replace(made.task, metrics=(metric,)))


def found(prepared, one: Codec) -> list[tuple[str, int, str, str]]:
    return [(f.reason, f.rows, f.text, f.becomes) for f in answer_faults(prepared, one, style=Style())]


def test_options_with_the_same_tokens_are_refused_and_named():
    prepared = choices(*[("\u4e0a", "\u4e0b")] * 3)
    assert ("same tokens", 3, "\u4e0a", "\u4e0b") in found(prepared, codec("Unigram, blank always"))
    with pytest.raises(ModelError, match=r"the options '上' and '下' have the same tokens.*3 of 3 rows"):
        check_answers([prepared], codec("Unigram, blank always"), style=Style(), note=lambda _: None)
    assert found(prepared, codec("byte-level")) == []


@pytest.mark.parametrize(
    ("pair", "lower"), [(("Yes", "yes"), True), (("Malm\u00f6", "Malmo"), True), (("yes  no", "yes no"), False)]
)
@pytest.mark.parametrize("family", ["decoder-only", "encoder-decoder"])
def test_what_a_normalizing_tokenizer_makes_the_same_is_the_same(pair, lower, family):
    one = codec("Unigram, normalizing", family, lower=lower)
    assert [(reason, text, other) for reason, _, text, other in found(choices(pair), one)] == [("same tokens", *pair)]
    with pytest.raises(ModelError, match="always tie"):
        check_answers([choices(pair)], one, style=Style(), note=lambda _: None)


def test_options_of_the_same_text_are_the_datas_own_doing():
    assert found(choices(("yes", "yes")), codec("byte-level")) == []


def test_a_rare_row_with_such_options_is_noted_and_counted_but_refuses_no_task():
    rows = [("yes", "no")] * 199 + [("\u4e0a", "\u4e0b")]
    said: list[str] = []
    check_answers([choices(*rows)], codec("Unigram, blank always"), style=Style(), note=said.append)
    assert any("always tie; 1 of 200 rows" in one for one in said)


def test_jointly_tokenized_options_are_looked_at_with_their_own_context():
    one = codec("byte-level", "decoder-only", tokenization="joint", score_eos=False)
    assert found(choices(("yes", " yes")), one) == []


def test_an_unknown_token_in_every_right_answer_is_said():
    prepared = answers(("{\u4e0a}",), ("yes", "\u4e0a"), ("\u4e0a", "\u4e0b"))
    reason, rows, text, becomes = found(prepared, codec("Unigram, blank always"))[0]
    assert (reason, rows, text) == ("unknown token", 2, "{\u4e0a}") and "<unk>" in becomes
    assert found(prepared, codec("BPE, blank first")) == []


def test_what_other_templates_teach_is_looked_at_too():
    """A target may hold more than the answer; an inverted template teaches another text than the answer."""
    rows = tuple(
        Example(row=at, fields={"text": f"b {odd}"}, options=("yes", "no"), answer=0, references=("yes",))
        for at, odd in enumerate("a\u4e0b")
    )
    words = (
        Template(name="words", inputs="{text}?"),
        Template(name="arrow", inputs="{text}?", targets="\u4e0a {answer}"),
    )
    inverted = Template(name="invert", inputs="Say it: {answer}", targets="{text}", is_inverted=True)
    one = codec("Unigram, blank always")

    def said(*templates: Template, split: str = "train", inverted: bool = True) -> list[tuple[str, int, str]]:
        prepared = make_task({split: rows}, templates=templates)
        faults = answer_faults(prepared, one, style=Style(), teaches_inverted=inverted)
        return [(fault.reason, fault.rows, fault.text) for fault in faults]

    assert said(words[0]) == said(words[0], inverted, inverted=False) == said(words[0], inverted, split="test") == []
    assert said(*words) == said(*words, split="test") == [("unknown token", 2, "\u4e0a yes")]
    assert said(words[0], inverted) == [("unknown token", 1, "b \u4e0b")]
    assert found(make_task({"train": rows}, templates=words), codec("byte-level")) == []


def test_what_is_only_taught_is_not_held_against_a_metric():
    rows = (Example(row=0, fields={"text": "a  b"}, references=("yes",)),)
    templates = (
        Template(name="arrow", inputs="{text}?", targets="so:  {answer}"),
        Template(name="invert", inputs="Say it: {answer}", targets="{text}", is_inverted=True),
    )
    prepared = make_task({"train": rows}, kind="generation", metrics=("verbatim_match",), templates=templates)
    one = codec("Unigram, normalizing")
    assert list(answer_faults(prepared, one, style=Style(), teaches_inverted=True)) == []


@pytest.mark.parametrize(
    ("text", "metric", "is_said"),
    [
        ("two\n\nparagraphs  of text", "verbatim_match", False),
        ("a  b", "verbatim_match", True),
        ("a  b", "exact_match", False),
        ("\ufb01n", "exact_match", True),
        ("Zoe\u0308", "verbatim_match", True),
        ("Zoe\u0308", "exact_match", False),
        ("Zoe\u0308", "edit_similarity", False),
    ],
)
def test_text_that_does_not_come_back_is_said_where_the_metric_minds(text, metric, is_said):
    make = "byte-level" if "paragraphs" in text else "Unigram, normalizing"
    said = [reason for reason, *_ in found(answers((text,), metric=metric), codec(make))]
    assert said == (["changed text"] if is_said else [])


def test_every_encoded_prompt_is_counted_under_its_reason():
    one = codec("Unigram, blank always")
    odd = Prompt(
        task="t", split="test", row=0, template="t", inputs="a", targets="\u4e0a", options=("\u4e0a", "\u4e0b")
    )
    plain = replace(odd, targets="yes", options=("yes", "no"))
    counts = one.encode_prompts([odd, plain, odd], continuations="options").counts
    assert (counts.options_alike, counts.answers_unknown, counts.prompts) == (2, 2, 3)
    counts = one.encode_prompts([odd, plain], continuations="target").counts
    assert (counts.options_alike, counts.answers_unknown) == (0, 1)
    counts = codec("byte-level").encode_prompts([odd, plain], continuations="options").counts
    assert (counts.options_alike, counts.answers_unknown) == (0, 0)


@pytest.mark.parametrize(
    "metric", ["exact_match", "token_f1", "trivia_exact_match", "rougeL", "edit_similarity", "bleu"]
)
def test_an_accent_matches_in_either_form_of_unicode(metric):
    forms = ("caf\u00e9 Zo\u00eb au lait", "cafe\u0301 Zoe\u0308 au lait")
    for said, wanted in (forms, forms[::-1]):
        sample = Sample(task="t", split="test", row=0, template="t", shots=0, inputs="", references=(wanted,))
        notes = [
            find_metric(metric, "generation").noted(replace(sample, prediction=text), "sum", "first")
            for text in (said, wanted)
        ]
        assert notes[0] == notes[1]
    verbatim = find_metric("verbatim_match", "generation")
    assert verbatim.noted(replace(sample, prediction=forms[1], references=forms[:1]), "sum", "first") == (0.0,)
