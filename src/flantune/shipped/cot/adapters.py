"""Row adapters of the nine chain-of-thought sets: one question as text, the reasons for its answer, the answer.

Options are part of the question, since the answer is written after the reasons. Each takes the hub's schema, and the
authors' own where it differs in little; the lines of Flan's files are read by ``tasks/chain_of_thought.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from flantune.shipped.flan2021.adapters import gsm8k as gsm8k
from flantune.tasks.labels import find_label
from flantune.tasks.rows import BAD_OPTIONS, MISSING_COLUMN, MISSING_VALUE, NOT_AN_OPTION, NOT_TEXT, BadRow, short
from flantune.types import Example, Row

_LETTERED = re.compile(r"\s*\(?([A-Z])\)\s*(.*)", re.DOTALL)
_INFERENCES = ("yes", "maybe", "no")
_LABELS = ("entailment", "neutral", "contradiction")


def strategyqa(row: Row) -> Example:
    """StrategyQA: the facts are the reasons.

    >>> strategyqa({"question": "Can a whale drown?", "answer": True, "facts": ["It breathes.", "It dives."]}).fields
    {'question': 'Can a whale drown?', 'rationale': 'It breathes. It dives.'}
    """
    facts = _value(row, "facts")
    rationale = " ".join(map(_sentence, facts)) if isinstance(facts, list) else _text(row, "facts")
    return _example(_text(row, "question"), rationale, _yes_or_no(row, "answer"))


def creak(row: Row) -> Example:
    r"""CREAK: a claim, and why it holds or does not.

    >>> creak({"sentence": "Tea is a metal.", "explanation": "Tea is a drink.", "label": "false"}).fields["question"]
    'Claim: Tea is a metal.\nIs the claim true, yes or no?'
    """
    question = f"Claim: {_text(row, 'sentence')}\nIs the claim true, yes or no?"
    return _example(question, _text(row, "explanation"), _yes_or_no(row, "label"))


def qasc(row: Row) -> Example | None:
    """QASC: two facts and what they come to are the reasons; rows of the test split have no answer.

    >>> row = {"question": "What melts?", "choices": {"label": ["A", "B"], "text": ["stone", "ice"]}, "answerKey": "B",
    ...        "fact1": "heat melts ice", "fact2": "the sun is hot.", "combinedfact": "the sun melts ice"}
    >>> found = qasc(row)
    >>> found.fields["rationale"], found.references
    ('Heat melts ice. The sun is hot. The sun melts ice.', ('(B)',))
    """
    if not _value(row, "answerKey"):
        return None
    choices = _value(row, "choices")
    if not isinstance(choices, Mapping):
        raise BadRow(NOT_TEXT, f"got {short(choices)} as choices; expected label and text")
    facts = " ".join(_sentence(_text(row, name)) for name in ("fact1", "fact2", "combinedfact"))
    letters, texts = _texts(choices, "label"), _texts(choices, "text")
    return _lettered(_text(row, "question"), facts, _text(row, "answerKey"), letters, texts)


def esnli(row: Row) -> Example | None:
    """e-SNLI: the first explanation is the reason; pairs without a label are left out.

    >>> row = {"premise": "A dog runs.", "hypothesis": "A cat runs.", "label": 2, "explanation_1": "A dog is no cat."}
    >>> esnli(row).references
    ('no',)
    """
    label = _value(row, "label")
    place = find_label(label, ("0", "1", "2"))
    place = find_label(label, _LABELS) if place is None else place
    if place is None:
        if find_label(label, ("-1", "-")) is not None:
            return None
        raise BadRow(NOT_AN_OPTION, f"got {short(label)}; expected 0 to 2, or one of {', '.join(_LABELS)}")
    question = (
        f"Sentence 1: {_text(row, 'premise')}\nSentence 2: {_text(row, 'hypothesis')}\n"
        "If sentence 1 is true, is sentence 2 true as well?"
    )
    return _example(_listed(question, _INFERENCES), _text(row, "explanation_1"), _INFERENCES[place])


def ecqa(row: Row) -> Example:
    """ECQA: the explanation in free words is the reason.

    >>> row = {f"q_op{number}": text for number, text in enumerate(("cup", "sea", "sky", "ink", "jam"), start=1)}
    >>> ecqa({**row, "q_text": "Where is tea?", "q_ans": "cup", "taskB": "Tea is in cups."}).references
    ('cup',)
    """
    options = [_text(row, f"q_op{number}") for number in range(1, 6)]
    answer = _text(row, "q_ans")
    if answer not in options:
        raise BadRow(NOT_AN_OPTION, f"got {short(answer)}; expected one of {', '.join(map(short, options))}")
    return _example(_listed(_text(row, "q_text"), options), _text(row, "taskB"), answer)


def sensemaking(row: Row) -> Example:
    """Sensemaking: which of two sentences is against common sense.

    >>> row = {"sent0": "He ate soup.", "sent1": "He ate stones.", "label": 1, "reason": "Stones are too hard to eat."}
    >>> sensemaking(row).references
    ('Sentence B',)
    """
    place = find_label(_value(row, "label"), ("0", "1"))
    if place is None:
        raise BadRow(NOT_AN_OPTION, f"got {short(row['label'])}; expected 0 or 1")
    question = (
        "Which of the two sentences makes no sense?\n"
        f"Sentence A: {_text(row, 'sent0')}\nSentence B: {_text(row, 'sent1')}"
    )
    return _example(question, _text(row, "reason"), ("Sentence A", "Sentence B")[place])


def aqua(row: Row) -> Example:
    r"""AQuA: options with their letters in front ("A)21") become a list.

    >>> row = {"question": "What is 3 * 7?", "options": ["A)20", "B)21"], "rationale": "3 * 7 = 21", "correct": "B"}
    >>> aqua(row).fields["question"], aqua(row).references
    ('What is 3 * 7?\nOptions:\n(A) 20\n(B) 21', ('(B)',))
    """
    found = [_LETTERED.fullmatch(option) for option in _texts(row, "options")]
    if not all(found):
        raise BadRow(BAD_OPTIONS, f"got {short(row['options'])}; expected a letter before each")
    letters, texts = zip(*(match.groups() for match in found if match), strict=True)
    return _lettered(_text(row, "question"), _text(row, "rationale"), _text(row, "correct"), letters, texts)


def qed(row: Row) -> Example | None:
    """QED: the sentence that answers, and what its words stand for; rows that no single sentence answers are left out.

    >>> same = {"question_reference": {"string": "it"}, "sentence_reference": {"string": "The tea"}}
    >>> notes = {"explanation_type": "single_sentence", "selected_sentence": {"string": "The tea is hot."},
    ...          "referential_equalities": [same], "answer": [{"sentence_reference": {"string": "hot"}}]}
    >>> found = qed({"title_text": "Tea", "paragraph_text": "The tea is hot.", "question": "how is it",
    ...              "annotation": notes})
    >>> found.fields["rationale"]
    'The passage says: "The tea is hot." There, "The tea" is what the question calls "it".'
    """
    notes = _value(row, "annotation")
    if not isinstance(notes, Mapping) or notes.get("explanation_type") != "single_sentence":
        return None
    answers = [found for one in notes["answer"] if (found := _string(one.get("sentence_reference")))]
    if not answers:
        return None
    question = _text(row, "question" if "question" in row else "question_text")
    passage = f"{_text(row, 'title_text')}\n{_text(row, 'paragraph_text')}\n\nQuestion: {question}"
    pairs = [
        (_string(one.get("sentence_reference")), _string(one.get("question_reference")))
        for one in notes["referential_equalities"]
    ]
    named = [f'"{said}" is what the question calls "{asked}"' for said, asked in pairs if said and asked]
    there = f" There, {' and '.join(named)}." if named else ""
    return _example(passage, f'The passage says: "{_string(notes["selected_sentence"])}"{there}', ", ".join(answers))


def _example(question: str, rationale: str, answer: str) -> Example:
    return Example(row=0, fields={"question": question, "rationale": rationale}, references=(answer,))


def _lettered(question: str, rationale: str, letter: str, letters: Sequence[str], texts: Sequence[str]) -> Example:
    if letter not in letters or len(letters) != len(texts):
        raise BadRow(NOT_AN_OPTION, f"got {short(letter)}; expected one of {', '.join(letters)}")
    options = "\n".join(f"({name}) {text.strip()}" for name, text in zip(letters, texts, strict=True))
    return _example(f"{question}\nOptions:\n{options}", rationale, f"({letter})")


def _listed(question: str, options: Sequence[str]) -> str:
    return "\n".join([question, "Options:", *(f"- {option}" for option in options)])


def _sentence(text: str) -> str:
    """A fact with a capital letter first and a mark last."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text[-1:] in ".!?" else ".")


def _yes_or_no(row: Row, column: str) -> str:
    place = find_label(_value(row, column), ("false", "true"))
    if place is None:
        raise BadRow(NOT_AN_OPTION, f"got {short(row[column])} as {column}; expected true or false")
    return ("no", "yes")[place]


def _value(row: Row, column: str) -> Any:
    if column not in row:
        raise BadRow(MISSING_COLUMN, f"expected {column} among {', '.join(sorted(row))}")
    return row[column]


def _text(row: Row, column: str) -> str:
    value = _value(row, column)
    if not isinstance(value, str):
        raise BadRow(NOT_TEXT, f"got {short(value)} as {column}; expected text")
    if not value.strip():
        raise BadRow(MISSING_VALUE, f"got no text as {column}")
    return value.strip()


def _texts(row: Row, column: str) -> list[str]:
    value = _value(row, column)
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise BadRow(NOT_TEXT, f"got {short(value)} as {column}; expected a list of texts")
    return list(value)


def _string(value: Any) -> str:
    return str(value.get("string", "")).strip() if isinstance(value, Mapping) else ""
