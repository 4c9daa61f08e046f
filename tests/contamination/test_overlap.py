from __future__ import annotations

import random
import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flantune.contamination import compared_rows as corpus
from flantune.contamination.compare import compare
from flantune.contamination.findings import Settings
from flantune.contamination.words import split_words

from .conftest import make_prepared

STORY = (
    "The lighthouse keeper counted seventeen gulls on the northern rail before the fog came in, "
    "and he wrote the number down in the blue book as he did every evening."
)
PARAPHRASE = (
    "Before fog rolled in, the man who kept the lighthouse saw seventeen gulls sitting on the rail to the north; "
    "as on any other evening, he noted how many there were in his blue book."
)
FILLER = "Nothing in this row has anything to do with the other ones that are given here at all"


def only(finding, task=0):
    return finding.tasks[task]


def test_a_copied_passage_is_found_with_its_place(prepared):
    train = prepared("books", train=[FILLER, {"text": f"Chapter 1. {STORY.upper()} The end."}])
    found = compare([train], [prepared("quiz", test=[{"text": "Unrelated."}, {"text": STORY}])])
    task = only(found)
    assert (task.rows, task.too_short, task.overlapping, task.dirty) == (2, 1, 1, (10,))
    assert task.fields == {"text": 1}
    assert [(one.task, one.overlapping) for one in task.training] == [("books", 1)]
    shown = task.examples[0]
    assert (shown.row, shown.field, shown.train_task, shown.train_row, shown.train_field) == (
        10,
        "text",
        "books",
        10,
        "text",
    )
    assert shown.words == len(split_words(STORY))
    assert shown.span.startswith("the lighthouse keeper counted seventeen gulls")
    assert [(one.task, one.dirty) for one in found.train] == [("books", (10,))]
    assert found.has_overlap


def test_a_paraphrase_is_not_flagged(prepared):
    found = compare([prepared("a", train=[PARAPHRASE])], [prepared("b", test=[STORY])])
    assert not found.has_overlap
    assert only(found).examples == ()


def test_twelve_shared_words_are_no_overlap_and_thirteen_are(prepared, sentence):
    for count, expected in ((12, 0), (13, 1)):
        train = prepared("a", train=[f"{sentence('x', 20)} {sentence('s', count)} {sentence('y', 20)}"])
        test = prepared("b", test=[f"{sentence('v', 20)} {sentence('s', count)} {sentence('w', 20)}"])
        assert only(compare([train], [test])).overlapping == expected


def test_short_texts_are_compared_whole_down_to_eight_words(prepared, sentence):
    for size, expected in ((7, 0), (8, 1), (11, 1)):
        train = prepared("a", train=[f"{sentence('x', 20)} {sentence('s', size)} {sentence('y', 20)}"])
        task = only(compare([train], [prepared("b", test=[{"text": sentence("s", size), "answer": ""}])]))
        assert task.overlapping == expected
        assert task.too_short == 1 - expected


def test_a_row_counts_once_however_many_references_overlap(prepared, sentence):
    answers = (sentence("s", 15), sentence("t", 15))
    test = prepared("b", test=["Why?"])
    test.stores["test"][0] = replace(test.stores["test"][0], references=answers)
    task = only(compare([prepared("a", train=list(answers))], [test]))
    assert (task.overlapping, task.fields) == (1, {"(answer)": 1})
    assert [(one.task, one.overlapping) for one in task.training] == [("a", 1)]


def test_grams_do_not_cross_the_border_of_rows_or_long_fields(prepared, sentence):
    text = sentence("s", 40)
    rows = [" ".join(text.split()[k : k + 12]) + f" {sentence(f'u{k}-', 20)}" for k in range(0, 36, 12)]
    assert not compare([prepared("a", train=rows)], [prepared("b", test=[text])]).has_overlap


def test_a_row_of_short_fields_is_compared_as_a_whole(prepared, sentence):
    row = {"premise": sentence("p", 6), "choice1": sentence("c", 5), "choice2": sentence("d", 5), "answer": "c0"}
    found = compare([prepared("a", train=[FILLER, row])], [prepared("b", test=[row])])
    assert only(found).fields == {"(row)": 1}
    assert only(found).examples[0].train_field == "(row)"


def test_short_titles_and_answers_are_not_looked_for(prepared, sentence):
    """A film's name of eight words says nothing about a row that has more to say."""
    title = sentence("film", 9)
    train = prepared("a", train=[f"{sentence('x', 9)} {title} {sentence('y', 9)}"])
    rows = [
        {"title": title, "passage": sentence("p", 20), "answer": "no"},
        {"question": sentence("q", 9), "answer": title},
    ]
    assert not compare([train], [prepared("b", test=rows)]).has_overlap


def test_a_short_question_is_found_whatever_its_answer(prepared, sentence):
    question = sentence("q", 9)
    train = prepared("a", train=[f"{sentence('x', 20)} {question} {sentence('y', 20)}"])
    found = compare([train], [prepared("b", test=[{"question": question, "answer": "forty two"}])])
    assert only(found).fields == {"question": 1}


def test_references_count_as_text(prepared, sentence):
    answer = sentence("long", 15)
    train = prepared("a", train=[{"text": f"in here {answer}"}])
    found = compare([train], [prepared("b", test=[{"text": "Why?", "answer": answer}])])
    assert only(found).fields == {"(answer)": 1}


@pytest.mark.parametrize("characters", [100, 1 << 20])
def test_grams_in_too_many_texts_are_ignored_and_counted(prepared, sentence, monkeypatch, characters):
    monkeypatch.setattr(corpus, "BLOCK_CHARACTERS", characters)
    common, own = sentence("boiler", 13), sentence("o", 15)
    texts = [f"{sentence(f'u{k}-', 10)} {common}" for k in range(11)]
    test = prepared("b", test=[f"{common} {sentence('t', 10)}", f"{common} {own}"])
    few = compare([prepared("a", train=texts[:10])], [test])
    many = compare([prepared("a", train=[*texts, f"{sentence('z', 5)} {own}"])], [test])
    assert (only(few).overlapping, few.common_grams) == (2, 0)
    assert (only(many).overlapping, only(many).common_only, many.common_grams) == (1, 1, 1)
    assert only(many).dirty == (10,)
    assert many.train[0].dirty == (110,)
    unlimited = compare([prepared("a", train=texts)], [test], settings=Settings(max_documents=None))
    assert only(unlimited).overlapping == 2


def test_a_passage_that_many_rows_share_is_one_text(prepared, sentence):
    """Counting rows, thirty questions about one paragraph would make the paragraph too common to be found."""
    rows = [{"context": STORY, "question": f"{sentence(f'q{k}-', 9)}"} for k in range(30)]
    test = [{"context": STORY, "question": f"{sentence(f'r{k}-', 9)}"} for k in range(5)]
    found = compare([prepared("a", train=rows)], [prepared("b", test=test)])
    assert only(found).overlapping == 5
    assert only(found).fields == {"context": 5}
    assert len(found.train[0].dirty) == 30


def test_each_training_task_is_named(prepared, sentence):
    shared = [sentence("one", 14), sentence("two", 14)]
    train = [prepared("b", train=[FILLER, shared[0]]), prepared("a", train=shared), prepared("c", train=[FILLER])]
    task = only(compare(train, [prepared("q", test=shared)]))
    assert [(one.task, one.overlapping) for one in task.training] == [("a", 2), ("b", 1)]


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_planted_13_gram_is_always_found(data):
    """And nothing else is, whatever surrounds it, wherever it lies."""
    words = st.sampled_from(["alpha", "Beta", "gamma,", "δέλτα", "(epsilon)", "zeta-eta", "中"])
    text = st.lists(words, max_size=30)
    test = data.draw(st.lists(text, min_size=1, max_size=4))
    train = data.draw(st.lists(text, min_size=1, max_size=4))
    gram = data.draw(st.lists(words, min_size=13, max_size=13))
    measured = data.draw(st.integers(0, len(test) - 1))
    trained = data.draw(st.integers(0, len(train) - 1))
    for rows, number in ((test, measured), (train, trained)):
        at = data.draw(st.integers(0, len(rows[number])))
        rows[number][at:at] = gram
    rows, train_rows = [" ".join(one) for one in test], [" ".join(one) for one in train]
    found = compare(
        [make_prepared("a", train=train_rows)],
        [make_prepared("b", test=rows)],
        settings=Settings(max_documents=None, jaccard=1.0),
    )
    expected = {
        10 * k for k, one in enumerate(rows) if any(_share_gram(_units(one), _units(other)) for other in train_rows)
    }
    assert 10 * measured in expected
    assert set(only(found).dirty) == expected
    assert 10 * trained in found.train[0].dirty


def _units(text):
    """What is compared of a row of one text and the reference "yes": the text, and the row if the text is short."""
    words = split_words(text)
    return [words, [*words, "yes"]] if 0 < len(words) < 13 else [words]


def _share_gram(measured, trained):
    grams = set()
    for unit in measured:
        if len(unit) >= 8:
            size = min(13, len(unit))
            grams |= {tuple(unit[k : k + size]) for k in range(len(unit) - size + 1)}
    return any(
        tuple(unit[k : k + size]) in grams
        for unit in trained
        for size in range(8, 14)
        for k in range(len(unit) - size + 1)
    )


def _random_tasks(seed, *, rows=40, vocabulary=6):
    draw = random.Random(seed)
    text = lambda: " ".join(draw.choice("abcdefghijkl"[:vocabulary]) for _ in range(draw.randint(5, 30)))  # noqa: E731
    train = [make_prepared(f"train {k}", train=[text() for _ in range(rows)]) for k in range(3)]
    unseen = [make_prepared(f"unseen {k}", test=[text() for _ in range(rows)]) for k in range(2)]
    return train, unseen


def test_a_short_gram_is_no_part_of_a_long_one(prepared, sentence):
    """With one hash for all grams, the first eight words of a longer gram look like a match of eight words."""
    rows = [sentence("s", 20), {"text": sentence("t", 8), "answer": ""}]
    train = prepared("a", train=[f"{sentence('s', 8)} {sentence('x', 9)}", FILLER])
    settings = Settings(max_documents=None)
    assert not compare([train], [prepared("b", test=rows)], settings=settings, hash_bits=0).has_overlap


@pytest.mark.parametrize("seed", range(3))
def test_colliding_hashes_change_nothing(seed):
    """With eight bits a hash, nearly every look-up hits something; the words decide."""
    train, unseen = _random_tasks(seed, vocabulary=3)
    settings = Settings(ngram=9, min_ngram=8, max_documents=None, jaccard=1.0, examples=0)
    exact = compare(train, unseen, settings=settings)
    assert any(0 < len(task.dirty) < task.rows for task in exact.tasks)
    assert compare(train, unseen, settings=settings, hash_bits=8) == exact


def test_the_order_of_tasks_changes_nothing():
    train, unseen = _random_tasks(7, vocabulary=2)
    settings = Settings(ngram=9, jaccard=0.6)
    assert compare(train[::-1], unseen[::-1], settings=settings) == compare(train, unseen, settings=settings)


def test_block_size_changes_nothing(monkeypatch):
    train, unseen = _random_tasks(8, vocabulary=3)
    settings = Settings(ngram=9, jaccard=0.6, max_documents=3)
    whole = compare(train, unseen, settings=settings)
    monkeypatch.setattr(corpus, "BLOCK_CHARACTERS", 200)
    assert compare(train, unseen, settings=settings) == whole


class _Endless:
    """Rows that are made when asked for, so that only what a comparison keeps takes memory."""

    def __init__(self, rows):
        self._rows = rows

    def __len__(self):
        return self._rows

    def __getitem__(self, number):
        if number >= self._rows:
            raise IndexError(number)
        draw = random.Random(number)
        text = " ".join(f"w{draw.randrange(5000)}" for _ in range(60))
        return make_prepared("x", train=[text]).stores["train"][0]


def test_memory_does_not_grow_with_training_rows(prepared, sentence, monkeypatch):
    monkeypatch.setattr(corpus, "BLOCK_CHARACTERS", 20_000)
    test = prepared("b", test=[sentence("s", 30)])

    def peak(rows):
        train = prepared("a", train=[FILLER])
        train.stores["train"] = _Endless(rows)
        tracemalloc.start()
        compare([train], [test])
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(100)  # tables that are made once
    # The 5,700 more rows have 2 MB of text; the room is for what other threads of this process allocate.
    assert peak(6000) < peak(300) + 700_000


def test_empty_sides_are_no_overlap(prepared):
    assert not compare([], [prepared("b", test=[STORY])]).has_overlap
    assert compare([prepared("a", train=[STORY])], []).tasks == ()
    assert not compare([prepared("a", train=[""])], [prepared("b", test=["", "?!"])]).has_overlap
