"""The adapters of sentence pairs, reviews, tweets, stories and trivia, and what they make of rows with faults."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flantune.mixture.taxonomy import load_taxonomy
from flantune.shipped.flan2021 import adapters_sentences as adapters
from flantune.tasks.rows import BadRow
from flantune.tasks.taskfile import load_task_file
from flantune.types import Task

COLLECTION = Path(__file__).parents[2] / "src/flantune/shipped/flan2021"
PAIR = {"premise": "A dog runs.", "hypothesis": "A dog moves."}
STORY = {f"input_sentence_{number}": f"Sentence {number}." for number in range(1, 5)}
ENDINGS = {"sentence_quiz1": "They went home.", "sentence_quiz2": "They flew to the moon."}


def load(name: str) -> Task:
    return load_task_file(COLLECTION / f"{name}.toml")


@pytest.mark.parametrize("adapter", [adapters.anli, adapters.mnli, adapters.snli])
def test_inference_labels_are_entailment_neutral_contradiction(adapter) -> None:
    options = adapter({**PAIR, "label": 0}).options
    assert [adapter({**PAIR, "label": label}).references for label in range(3)] == [(option,) for option in options]


@pytest.mark.parametrize("adapter", [adapters.anli, adapters.mnli, adapters.snli])
def test_white_space_at_the_ends_of_a_pair_goes(adapter) -> None:
    example = adapter({"premise": " A dog runs.\t", "hypothesis": "A dog moves. ", "label": 0})
    assert dict(example.fields) == PAIR


def test_snli_pairs_without_agreement_are_left_out() -> None:
    assert adapters.snli({**PAIR, "label": -1}) is None


@pytest.mark.parametrize("label", [3, -2, 1.5, "entailment"])
def test_a_label_that_is_none_is_bad(label: object) -> None:
    with pytest.raises(BadRow, match="out of range"):
        adapters.snli({**PAIR, "label": label})


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("[header] How to nap [title] Lie down. [step] Close your eyes.", "How to nap. Lie down. Close your eyes."),
        ("[step] Pour it in. [substeps] Not all of it!", "Pour it in. Not all of it!"),
        ("A man [in red] climbs. he", "A man [in red] climbs. he"),
        ("two  spaces", "two spaces"),
    ],
)
def test_hellaswag_loses_the_tags_and_nothing_else(text: str, clean: str) -> None:
    row = {"activity_label": "Naps", "ctx": text, "endings": [text, "b", "c", "d"], "label": "0"}
    example = adapters.hellaswag(row)
    assert example is not None
    assert example.fields["context"] == clean
    assert example.options[0] == clean


def test_hellaswag_labels_are_text_and_hidden_in_the_test_split() -> None:
    row = {"activity_label": "Naps", "ctx": "He", "endings": ["a", "b", "c", "d"]}
    assert adapters.hellaswag({**row, "label": "3"}).answer == 3  # type: ignore[union-attr]
    assert adapters.hellaswag({**row, "label": ""}) is None


def test_hellaswag_without_a_list_of_endings_is_bad() -> None:
    with pytest.raises(BadRow, match="not text"):
        adapters.hellaswag({"activity_label": "Naps", "ctx": "He", "endings": "a", "label": "0"})


@pytest.mark.parametrize(("number", "ending"), [(1, "They went home."), (2, "They flew to the moon.")])
def test_story_endings_are_counted_from_one(number: int, ending: str) -> None:
    example = adapters.story_cloze({**STORY, **ENDINGS, "answer_right_ending": number})
    assert example is not None
    assert example.references == (ending,)
    assert example.fields["story"] == "Sentence 1. Sentence 2. Sentence 3. Sentence 4."
    assert (example.fields["opening"], example.fields["middle"]) == (
        "Sentence 1.",
        "Sentence 2. Sentence 3. Sentence 4.",
    )


@pytest.mark.parametrize("number", [3, -1, "first"])
def test_a_story_ending_that_is_none_is_bad(number: object) -> None:
    with pytest.raises(BadRow, match="out of range"):
        adapters.story_cloze({**STORY, **ENDINGS, "answer_right_ending": number})


def test_imdb_line_breaks_and_ends() -> None:
    example = adapters.imdb({"text": "Bad. Very bad!<br /><br />And long... <br/>Skip it. ", "label": 0})
    assert example is not None
    assert example.fields["text"] == "Bad. Very bad!\nAnd long...\nSkip it."
    assert (example.fields["opening"], example.fields["closing"]) == ("Bad.", "Skip it.")
    assert example.references == ("negative",)


def test_imdb_unlabeled_reviews_are_left_out() -> None:
    assert adapters.imdb({"text": "Fine.", "label": -1}) is None


def test_a_review_of_line_breaks_alone_is_bad() -> None:
    with pytest.raises(BadRow, match="missing value"):
        adapters.imdb({"text": "<br /><br />", "label": 0})


@pytest.mark.parametrize("quote", ['\\"', '\\""'])
def test_yelp_escapes_become_what_they_stand_for(quote: str) -> None:
    example = adapters.yelp({"text": f"So {quote}fresh{quote}.\\n\\nNo.", "label": 0})
    assert example is not None
    assert example.fields["text"] == 'So "fresh".\n\nNo.'


@pytest.mark.parametrize(("sentiment", "answer"), [(0, "negative"), (4, "positive")])
def test_tweet_labels(sentiment: int, answer: str) -> None:
    assert adapters.sentiment140({"text": "hm", "sentiment": sentiment}).references == (answer,)  # type: ignore[union-attr]


def test_neutral_tweets_are_left_out() -> None:
    assert adapters.sentiment140({"text": "hm", "sentiment": 2}) is None


def test_a_tweet_label_that_is_none_is_bad() -> None:
    with pytest.raises(BadRow, match="out of range"):
        adapters.sentiment140({"text": "hm", "sentiment": 1})


@settings(max_examples=50)
@given(words=st.lists(st.text("ab&;", min_size=1, max_size=3), min_size=1, max_size=9))
def test_tweet_halves_make_up_the_tweet(words: list[str]) -> None:
    fields = adapters.sentiment140({"text": " ".join(words), "sentiment": 4}).fields  # type: ignore[union-attr]
    opening, ending, whole = (fields[name].split() for name in ("opening", "ending", "text"))
    assert opening and ending
    assert whole in (opening + ending, opening + ending[1:])


@pytest.mark.parametrize(
    ("score", "answer"), [(0.0, "0"), (0.5, "1"), (1.49, "1"), (2.5, "3"), (4.4, "4"), (4.5, "5"), (5, "5")]
)
def test_similarity_scores_round_half_up(score: float, answer: str) -> None:
    example = adapters.stsb({"sentence1": "a", "sentence2": "b", "label": score})
    assert example is not None
    assert example.references == (answer,)
    assert example.options == ("0", "1", "2", "3", "4", "5")


def test_similarity_score_hidden_or_off_the_scale() -> None:
    assert adapters.stsb({"sentence1": "a", "sentence2": "b", "label": -1.0}) is None
    for score in (5.1, "5", -0.5, float("nan")):
        with pytest.raises(BadRow, match="out of range"):
            adapters.stsb({"sentence1": "a", "sentence2": "b", "label": score})


@pytest.mark.parametrize("missing", ["question1", "question2"])
def test_question_pairs_that_lack_a_question_are_left_out(missing: str) -> None:
    row = {"question1": "Why?", "question2": "How?", "label": 0}
    assert adapters.qqp(row) is not None
    assert adapters.qqp({**row, missing: " "}) is None


def test_natural_questions_become_questions_once() -> None:
    fields = adapters.natural_questions({"question": "who was first?", "answer": ["Ann"]}).fields
    assert fields["question"] == "Who was first?"


def test_natural_questions_answers_stand_once_and_in_order() -> None:
    row = {"question": "who was first", "answer": ["Bo", "Ann ", "Bo", ""]}
    assert adapters.natural_questions(row).references == ("Bo", "Ann")


@pytest.mark.parametrize(("answer", "reason"), [([], "empty target"), (["", " "], "empty target"), ("Bo", "not text")])
def test_natural_questions_without_answers_are_bad(answer: object, reason: str) -> None:
    with pytest.raises(BadRow, match=reason):
        adapters.natural_questions({"question": "who was first", "answer": answer})


def test_trivia_trains_on_the_quiz_s_answer_and_accepts_aliases() -> None:
    row = {"question": "Which metal?", "answer": {"value": "Mercury", "aliases": ["Hg", "Mercury"]}}
    assert adapters.trivia_qa(row).references == ("Mercury", "Hg")  # type: ignore[union-attr]


def test_trivia_with_a_hidden_answer_is_left_out() -> None:
    assert adapters.trivia_qa({"question": "Which?", "answer": {"value": "<unk>", "aliases": []}}) is None


@pytest.mark.parametrize("text", [None, " ", 7])
def test_a_column_without_text_is_bad(text: object) -> None:
    with pytest.raises(BadRow):
        adapters.anli({"premise": text, "hypothesis": "A dog moves.", "label": 0})


@pytest.mark.parametrize(
    ("one", "other"), [("anli_r1", "anli_r2"), ("anli_r1", "anli_r3"), ("mnli", "mnli_mismatched")]
)
def test_files_of_one_dataset_share_family_and_templates(one: str, other: str) -> None:
    assert load(one).source_family == load(other).source_family
    assert load(one).templates == load(other).templates


@pytest.mark.parametrize(
    ("one", "other"),
    [("anli_r1", "mnli"), ("snli", "mnli"), ("cb", "snli"), ("qqp", "paws"), ("stsb", "mrpc"), ("wnli", "wsc")],
)
def test_kin_are_known_to_the_taxonomy(one: str, other: str) -> None:
    assert load_taxonomy(None).kinship(load(one), load(other))


def test_no_shipped_row_gives_its_answer_away_by_place() -> None:
    """Three rows are few, but not all three may have the first option as the answer."""
    for name in ("hellaswag", "story_cloze", "cb", "snli", "mnli", "qqp", "paws"):
        rows = [json.loads(line) for line in (COLLECTION / "rows" / f"{name}.jsonl").read_text().splitlines()]
        task = load(name)
        assert len({example.answer for row in rows if (example := task.adapter(row)) is not None}) > 1
