"""Row adapters for sentence pairs, reviews, tweets, short stories and trivia: one short function a dataset.

Each takes a raw row in the hub's schema and returns an example, or None for a row that is left out on purpose, mostly
because its label is hidden. Columns keep their hub names here; the slot names on the left are what templates say.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from typing import Any

from flantune.tasks.columns import as_text, find_value
from flantune.tasks.labels import index_of
from flantune.tasks.rows import EMPTY_TARGET, MISSING_VALUE, NOT_TEXT, OUT_OF_RANGE, BadRow, short
from flantune.types import Example, Row

_HIDDEN = (None, -1, "", "-1")
_SCORES = ("0", "1", "2", "3", "4", "5")
_VERDICTS = ("negative", "positive")
_TWEET_LABELS = {0: 0, 4: 1}
_NEUTRAL_TWEET = 2
_HIDDEN_TRIVIA = "<unk>"

_WIKIHOW_TAG = re.compile(r"\s*\[(?:header|title|step|substeps)\]\s*")
_LINE_BREAK = re.compile(r"\s*(?:<br\s*/?>\s*)+")
_ESCAPED_QUOTE = re.compile(r'\\"+')
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def anli(row: Row) -> Example | None:
    """ANLI: premise and hypothesis as they are, without the white space that typing leaves at their ends."""
    return _entailment(row, ("true", "unknown", "false"))


def mnli(row: Row) -> Example | None:
    """MultiNLI: premise and hypothesis as they are, without white space at their ends."""
    return _entailment(row, ("yes", "maybe", "no"))


def snli(row: Row) -> Example | None:
    """SNLI: as they are; rows on which the annotators could not agree (label -1) are left out.

    >>> snli({"premise": "A cat naps. ", "hypothesis": "A cat is awake.", "label": 2}).references
    ('false',)
    """
    return _entailment(row, ("definitely true", "possibly true", "false"))


def hellaswag(row: Row) -> Example | None:
    """HellaSwag: context and endings without WikiHow's tags in square brackets.

    >>> row = {"activity_label": "Tea", "ctx": "[header] How to make tea [title] Boil water.", "label": "1"}
    >>> example = hellaswag({**row, "endings": ["[step] Use sand.", "[step] Fill a kettle."]})
    >>> example.fields["context"], example.references
    ('How to make tea. Boil water.', ('Fill a kettle.',))
    """
    endings = find_value(row, "endings")
    if not isinstance(endings, list):
        raise BadRow(NOT_TEXT, f"got {short(endings)} in column endings; expected a list of texts")
    fields = {"activity": _text(row, "activity_label"), "context": _untag(_text(row, "ctx"))}
    return _choice(fields, tuple(_untag(as_text(ending, "endings")) for ending in endings), find_value(row, "label"))


def story_cloze(row: Row) -> Example | None:
    """Story Cloze: the four sentences joined; the first, and the three after it, are slots of their own, too."""
    first, *others = (_text(row, f"input_sentence_{number}") for number in range(1, 5))
    middle = " ".join(others)
    fields = {"story": f"{first} {middle}", "opening": first, "middle": middle}
    number = find_value(row, "answer_right_ending")
    label = number - 1 if isinstance(number, int) else number
    return _choice(fields, (_text(row, "sentence_quiz1"), _text(row, "sentence_quiz2")), label)


def imdb(row: Row) -> Example | None:
    r"""IMDB: the review with line breaks for HTML's; its first and its last sentence are slots of their own.

    >>> imdb({"text": "I slept.<br /><br />Twice! Avoid it.", "label": 0}).fields["text"]
    'I slept.\nTwice! Avoid it.'
    """
    text = _LINE_BREAK.sub("\n", _text(row, "text")).strip()
    return _choice(_with_ends(text), _VERDICTS, find_value(row, "label"))


def yelp(row: Row) -> Example | None:
    r"""Yelp: the review with real line breaks and quotes where the data have escaped ones; its ends, too.

    >>> yelp({"text": 'So \\""good\\"".\\nI will be back.', "label": 1}).fields["text"]
    'So "good".\nI will be back.'
    """
    text = _ESCAPED_QUOTE.sub('"', _text(row, "text").replace("\\n", "\n")).strip()
    return _choice(_with_ends(text), _VERDICTS, find_value(row, "label"))


def sentiment140(row: Row) -> Example | None:
    """Sentiment140: the tweet in one line and without HTML entities; its two halves are slots of their own.

    The test split has neutral tweets, too, which fit neither option: they are left out.

    >>> sentiment140({"text": "fish &amp; chips  again, yes!", "sentiment": 4}).fields["opening"]
    'fish & chips'
    """
    sentiment = find_value(row, "sentiment")
    if sentiment == _NEUTRAL_TWEET:
        return None
    if sentiment not in _TWEET_LABELS:
        raise BadRow(OUT_OF_RANGE, f"got sentiment {short(sentiment)}; expected 0, 2 or 4")
    words = html.unescape(_text(row, "text")).split()
    # Of an odd number of words, the middle one is in both halves; so neither is ever empty.
    opening, ending = words[: (len(words) + 1) // 2], words[len(words) // 2 :]
    fields = {"text": " ".join(words), "opening": " ".join(opening), "ending": " ".join(ending)}
    return _choice(fields, _VERDICTS, _TWEET_LABELS[sentiment])


def qqp(row: Row) -> Example | None:
    """Quora question pairs: as they are; the few rows that lack one of the questions are left out."""
    questions = [as_text(find_value(row, column), column).strip() for column in ("question1", "question2")]
    if not all(questions):
        return None
    return _choice(dict(zip(("question1", "question2"), questions, strict=True)), ("no", "yes"), row.get("label"))


def stsb(row: Row) -> Example | None:
    """STS-B: the mean score of the annotators as the nearest whole number, halves upwards.

    >>> stsb({"sentence1": "It rains.", "sentence2": "Rain falls.", "label": 4.5}).references
    ('5',)
    """
    score = find_value(row, "label")
    fields = {"sentence1": _text(row, "sentence1"), "sentence2": _text(row, "sentence2")}
    if score in _HIDDEN:
        return None
    if not isinstance(score, int | float) or not 0 <= score <= 5:
        raise BadRow(OUT_OF_RANGE, f"got score {short(score)}; expected a number from 0 to 5")
    # Not round(), which takes halves to the even neighbor: 0.5 would count as no similarity at all.
    return _choice(fields, _SCORES, int(score + 0.5))


def natural_questions(row: Row) -> Example:
    """Natural Questions: the query written as a question; every answer counts.

    >>> natural_questions({"question": "who painted guernica", "answer": ["Picasso", "Pablo Picasso"]}).fields
    {'question': 'Who painted guernica?'}
    """
    query = _text(row, "question").rstrip(" ?")
    question = f"{query[:1].upper()}{query[1:]}?"
    return _written({"question": question}, _list(find_value(row, "answer")))


def trivia_qa(row: Row) -> Example | None:
    """TriviaQA: the answer as the quiz gives it is trained on; its aliases count as right, too."""
    answer = _text(row, "answer.value")
    if answer == _HIDDEN_TRIVIA:
        return None
    return _written({"question": _text(row, "question")}, [answer, *_list(find_value(row, "answer.aliases"))])


def _entailment(row: Row, options: tuple[str, ...]) -> Example | None:
    """A pair of sentences; the options are in the order entailment, neutral, contradiction."""
    label = find_value(row, "label")
    if index_of(label, len(options)) is None:
        return None
    return _choice({"premise": _text(row, "premise"), "hypothesis": _text(row, "hypothesis")}, options, label)


def _choice(fields: Mapping[str, str], options: tuple[str, ...], label: Any) -> Example | None:
    """A classification example; None when the label is hidden, as in the test splits of benchmarks."""
    index = index_of(label, len(options))
    if index is None:
        return None
    return Example(row=0, fields=fields, options=options, answer=index, references=(options[index],))


def _written(fields: Mapping[str, str], references: Iterable[str]) -> Example:
    """A generation example, its references in order and each one once."""
    texts = tuple(dict.fromkeys(text.strip() for text in references if text.strip()))
    if not texts:
        raise BadRow(EMPTY_TARGET, "got no answer")
    return Example(row=0, fields=fields, references=texts)


def _with_ends(text: str) -> dict[str, str]:
    """A review, its first and its last sentence.

    >>> _with_ends("Good soup! Slow staff.")
    {'text': 'Good soup! Slow staff.', 'opening': 'Good soup!', 'closing': 'Slow staff.'}
    """
    if not text:
        raise BadRow(MISSING_VALUE, "the review is empty")
    sentences = _SENTENCE_END.split(text)
    return {"text": text, "opening": sentences[0], "closing": sentences[-1]}


def _untag(text: str) -> str:
    """A text without WikiHow's tags; what stood before one ends with a period, unless it has its own end.

    >>> _untag("[header] How to nap [title] Lie down! [step] Close your eyes")
    'How to nap. Lie down! Close your eyes'
    """
    parts = [" ".join(part.split()) for part in _WIKIHOW_TAG.split(text) if part.strip()]
    ended = [part if part[-1] in ".!?:;," else f"{part}." for part in parts[:-1]]
    return " ".join([*ended, *parts[-1:]])


def _text(row: Row, path: str) -> str:
    """A column that must hold text, without white space around it.

    Raises:
        BadRow: It is missing, not text, or empty.
    """
    value = find_value(row, path)
    if value is not None and not isinstance(value, str):
        raise BadRow(NOT_TEXT, f"got {short(value)} in column {path}")
    text = as_text(value, path).strip()
    if not text:
        raise BadRow(MISSING_VALUE, f"{path} is empty")
    return text


def _list(value: Any) -> list[str]:
    """A column that must hold a list of texts."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadRow(NOT_TEXT, f"got {short(value)}; expected a list of texts")
    return value
