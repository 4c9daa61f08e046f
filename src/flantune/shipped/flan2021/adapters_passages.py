"""Row adapters for passages, dialogues, triples, pronouns and plain sentences, one short function a dataset.

As in ``adapters``: a raw row in the hub's schema goes in, an example comes out; None drops a row on purpose.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from urllib.parse import unquote

from flantune.tasks.columns import as_text, find_value
from flantune.tasks.labels import index_of
from flantune.tasks.rows import (
    BAD_OPTIONS,
    EMPTY_TARGET,
    MISSING_VALUE,
    NOT_AN_OPTION,
    NOT_TEXT,
    OUT_OF_RANGE,
    BadRow,
    short,
)
from flantune.types import Example, Row

UNANSWERABLE = "unanswerable"
"""What the templates of SQuAD 2 and QuAC ask for when a text does not tell."""
BLANK = "_____"

_QUAC_SILENCE = "CANNOTANSWER"
_RECORD_GAP = "@placeholder"
_RECORD_SUMMARY = re.compile(r"\s*@highlight\s*")
_POSSESSIVES = {"my", "his", "its", "our", "their"}
_POSSESSIVE_ENDS = ("'s", "’s", "'", "’")
_ARTICLES = {"The", "A", "An", "My", "His", "Her", "Their"}
_SENTENCE_END = (".", "!", "?")
_LITERAL = re.compile(r"b(['\"]).*\1", re.DOTALL)
_LABEL_COLUMN = "label"

# A mark inside a word or a number is spelling (don't, 3.5, well-known), not punctuation.
_MARKS = re.compile(r"(?<!\w)[.,;:!?\"“”‘’'()\[\]…–—-]+|[.,;:!?\"“”‘’'()\[\]…–—-]+(?!\w)")
_CLEAN_SENTENCE = re.compile(r"[A-Z][^|<>{}\\@#_*=]*[.!?]")
_SENTENCE_WORDS = range(5, 61)
_MAX_CAPITALS = 0.3
"""Share of letters; above it, a line is a heading or shouted."""


# Struct to text. -----------------------------------------------------------------------------------------------------


def common_gen(row: Row) -> Example:
    """CommonGen: the concepts in a line; the row's own sentence is trained on, other references count when scored."""
    concepts = _cells(row, "concepts")
    if not concepts:
        raise BadRow(MISSING_VALUE, "concepts is empty")
    return _written({"concepts": ", ".join(concepts)}, _own_and_others(row))


def dart(row: Row) -> Example:
    """DART: a line a triple, its three parts between bars."""
    triples = find_value(row, "tripleset")
    if not isinstance(triples, list):
        raise BadRow(NOT_TEXT, f"got {short(triples)} in column tripleset; expected a list of triples")
    return _from_triples(row, triples)


def web_nlg(row: Row) -> Example:
    """WebNLG: as DART, from texts like ``Aarhus_Airport | runwayLength | 2702.0``."""
    return _from_triples(row, [text.split(" | ") for text in _cells(row, "input")])


def _from_triples(row: Row, triples: Sequence[Sequence[str]]) -> Example:
    if not triples:
        raise BadRow(MISSING_VALUE, "got no triple")
    return _written({"triples": "\n".join(_triple(parts) for parts in triples)}, _own_and_others(row))


def _triple(parts: Sequence[str]) -> str:
    if len(parts) != 3:
        raise BadRow("not a triple", f"got {short(list(parts))}; expected subject, relation, object")
    return " | ".join(_one_line(part.replace("_", " ")).strip('"') for part in parts)


def _own_and_others(row: Row) -> list[str]:
    """The row's target, then its references; training rows of GEM's sets have none of the latter."""
    others = _cells(row, "references") if row.get("references") else []
    return [_one_line(text) for text in (_cell(row, "target"), *others)]


# Questions about passages. -------------------------------------------------------------------------------------------


def drop(row: Row) -> Example:
    """DROP: numbers, dates and names as text.

    The hub puts the spans of one answer and the answers of several people into the same list. Spans that occur
    equally often are taken for the parts of one answer, which is then trained on; each alone counts when scored.
    """
    spans = _cells(row, "answers_spans.spans")
    types = _cells(row, "answers_spans.types")
    tally = Counter(spans)
    answers = [span for span, _ in tally.most_common()]
    if len(answers) > 1 and set(types) == {"span"} and len(set(tally.values())) == 1:
        answers.insert(0, ", ".join(answers))
    return _written({"passage": _cell(row, "passage"), "question": _cell(row, "question")}, answers)


def squad_v1(row: Row) -> Example:
    """SQuAD 1.1: titles as they are read, every annotator's answer a reference."""
    return _written(_squad_fields(row), _cells(row, "answers.text"))


def squad_v2(row: Row) -> Example:
    """SQuAD 2.0: as 1.1, and one fixed word as the answer to questions without any."""
    return _written(_squad_fields(row), _cells(row, "answers.text") or [UNANSWERABLE])


def _squad_fields(row: Row) -> dict[str, str]:
    title = unquote(_cell(row, "title")).replace("_", " ")
    return {"title": title, "context": _cell(row, "context"), "question": _one_line(_cell(row, "question"))}


def record(row: Row) -> Example | None:
    """ReCoRD: the entities of the passage are the options for the blank in the query; the first answer is the gold one.

    Other right answers (a name and its short form) are references and options, too: metrics by reference count them.
    """
    answers = list(dict.fromkeys(_cells(row, "answers")))
    if not answers:
        return None  # the test split hides them
    options = tuple(dict.fromkeys(_cells(row, "entities")))
    if answers[0] not in options:
        raise BadRow(NOT_AN_OPTION, f"got answer {short(answers[0])}, which is not an entity of the passage")
    if set(options) <= set(answers):
        return None  # every entity is right, so there is nothing to choose
    query = _cell(row, "query")
    if _RECORD_GAP not in query:
        raise BadRow("no blank", f"expected {_RECORD_GAP} in the query {short(query)}")
    fields = {
        "passage": _RECORD_SUMMARY.sub("\n- ", _cell(row, "passage")).strip(),
        "query": _one_line(query.replace(_RECORD_GAP, BLANK)),
    }
    answer = options.index(answers[0])
    return Example(row=0, fields=fields, options=options, answer=answer, references=tuple(answers))


# Conversations. ------------------------------------------------------------------------------------------------------


def coqa(row: Row) -> Example:
    """CoQA: a whole dialogue at once, numbered questions to numbered answers."""
    questions, answers = _cells(row, "questions"), _cells(row, "answers.input_text")
    if len(questions) != len(answers):
        raise BadRow("unequal turns", f"got {len(questions)} questions and {len(answers)} answers")
    return _written({"story": _cell(row, "story"), "questions": _numbered(questions)}, [_numbered(answers)])


def quac(row: Row) -> Example:
    """QuAC: the first question of each dialogue, the only one that can be understood without the turns before it."""
    questions = _cells(row, "questions")
    if not questions:
        raise BadRow(MISSING_VALUE, "the dialogue has no question")
    answers = [*_first_turn(row, "orig_answers.texts"), *_first_turn(row, "answers.texts")]
    fields = {
        "background": (row.get("background") or "").strip() or _cell(row, "wikipedia_page_title"),
        # The dataset appends the word to every context, so that "no answer" can be pointed at.
        "context": _cell(row, "context").removesuffix(_QUAC_SILENCE).strip(),
        "question": questions[0],
    }
    return _written(fields, [UNANSWERABLE if answer == _QUAC_SILENCE else answer for answer in answers])


def _first_turn(row: Row, path: str) -> list[str]:
    """The answers to the first question: a text, or a list of them when several people answered."""
    turns = find_value(row, path)
    first = turns[0] if isinstance(turns, list) and turns else []
    return [as_text(answer, path).strip() for answer in (first if isinstance(first, list) else [first])]


def _numbered(texts: Sequence[str]) -> str:
    return "\n".join(f"{number}. {_one_line(text)}" for number, text in enumerate(texts, start=1))


# Pronouns. -----------------------------------------------------------------------------------------------------------


def dpr(row: Row) -> Example | None:
    """DPR: asterisks around the pronoun's first occurrence, which is the one asked about; the candidates as options."""
    sentence, pronoun = _one_line(_cell(row, "sentence")), _cell(row, "pronoun")
    marked, found = re.subn(rf"\b{re.escape(pronoun)}\b", r"*\g<0>*", sentence, count=1, flags=re.IGNORECASE)
    if not found:
        raise BadRow("pronoun not in text", f"got {short(pronoun)} for {short(sentence)}")
    return _chosen(row, {"text": marked, "pronoun": pronoun}, options=_cells(row, "candidates"))


def winogrande(row: Row) -> Example | None:
    """Winogrande: the text up to the blank; the options are its two ways to go on, each with the rest of the text."""
    before, blank, after = _one_line(_cell(row, "sentence")).partition("_")
    if not blank:
        raise BadRow("no blank", f"expected _ in {short(before)}")
    if not before:
        return None  # the blank comes first: nothing is left to go on from
    options = [f"{_cell(row, column)}{after}" for column in ("option1", "option2")]
    answer = find_value(row, "answer")
    if answer == "":
        return None  # the test split hides it
    if answer not in ("1", "2"):
        raise BadRow(OUT_OF_RANGE, f"got {short(answer)}; expected 1 or 2")
    return _chosen({_LABEL_COLUMN: int(answer) - 1}, {"context": before.rstrip()}, options=options)


def wsc273(row: Row) -> Example | None:
    """WSC273: the text up to the pronoun; the options put each candidate in its place and add the rest of the text."""
    text, pronoun, start = _cell(row, "text", keep_edges=True), _cell(row, "pronoun"), find_value(row, "pronoun_loc")
    if not isinstance(start, int) or text[start : start + len(pronoun)] != pronoun:
        raise BadRow("pronoun not in text", f"got {short(pronoun)} at {start} of {short(text)}")
    before, after = _one_line(text[:start]), text[start + len(pronoun) :].rstrip()
    if not before:
        return None
    options = [
        _one_line(_in_place(candidate, pronoun, before=before, after=after) + after)
        for candidate in _cells(row, "options")
    ]
    return _chosen(row, {"context": before}, options=options)


def _in_place(candidate: str, pronoun: str, *, before: str, after: str) -> str:
    """A candidate as it has to be written in place of the pronoun."""
    # "her" is both "his" and "him"; a word right after it tells.
    if pronoun.lower() in _POSSESSIVES or (pronoun.lower() == "her" and re.match(r" \w", after)):
        candidate += "" if candidate.endswith(_POSSESSIVE_ENDS) else "'" if candidate.endswith("s") else "'s"
    if before.endswith(_SENTENCE_END):
        return candidate[:1].upper() + candidate[1:]
    if candidate.split()[0] in _ARTICLES:
        return candidate[:1].lower() + candidate[1:]
    return candidate


# Algebra. ------------------------------------------------------------------------------------------------------------


def math_dataset(row: Row) -> Example:
    r"""Mathematics dataset: texts without the ``b'…\n'`` that its loading script left around them."""
    return _written({"question": _unwrapped(_cell(row, "question"))}, [_unwrapped(_cell(row, "answer"))])


def _unwrapped(text: str) -> str:
    if not _LITERAL.fullmatch(text):
        return text
    try:
        return str(ast.literal_eval(text).decode()).strip()
    except (SyntaxError, ValueError):
        raise BadRow("unreadable literal", f"got {short(text)}") from None


# Text formatting: clean English sentences, spoiled here. -------------------------------------------------------------


def fix_punct(row: Row) -> Example | None:
    """A sentence without its punctuation, which is to be restored."""
    sentence = _english_sentence(row)
    if sentence is None:
        return None
    return _written({"unpunctuated": _one_line(_MARKS.sub(" ", sentence))}, [sentence])


def true_case(row: Row) -> Example | None:
    """A sentence in lowercase, whose capitals are to be restored."""
    sentence = _english_sentence(row)
    return None if sentence is None else _written({"lowercase": sentence.lower()}, [sentence])


def word_segment(row: Row) -> Example | None:
    """A sentence without its spaces, which are to be restored."""
    sentence = _english_sentence(row)
    return None if sentence is None else _written({"joined": sentence.replace(" ", "")}, [sentence])


def _english_sentence(row: Row) -> str | None:
    """The English side of a sentence pair; None when it is not a clean sentence, so that spoiling it can be undone."""
    text = _one_line(_cell(row, "translation.en"))
    letters = [letter for letter in text if letter.isalpha()]
    if len(text.split()) not in _SENTENCE_WORDS or not _CLEAN_SENTENCE.fullmatch(text):
        return None
    is_shouted = sum(letter.isupper() for letter in letters) > _MAX_CAPITALS * len(letters)
    return None if is_shouted else text


# Shared. -------------------------------------------------------------------------------------------------------------


def _chosen(row: Row, fields: Mapping[str, str], *, options: Sequence[str]) -> Example | None:
    """A classification example; None when the row's label is hidden."""
    index = index_of(row.get(_LABEL_COLUMN), len(options))
    if index is None:
        return None
    if len(set(options)) < 2:
        raise BadRow(BAD_OPTIONS, f"got {short(list(options))}; expected at least two")
    return Example(row=0, fields=fields, options=tuple(options), answer=index, references=(options[index],))


def _written(fields: Mapping[str, str], references: Sequence[str]) -> Example:
    """A generation example, its references in order and each one once."""
    texts = tuple(dict.fromkeys(text for text in references if text))
    if not texts:
        raise BadRow(EMPTY_TARGET, "got no answer in words")
    return Example(row=0, fields=fields, references=texts)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _cell(row: Row, path: str, *, keep_edges: bool = False) -> str:
    """The text at a column or dotted path, without white space around it; an empty one is a bad row."""
    text = as_text(find_value(row, path), path)
    if not text.strip():
        raise BadRow(MISSING_VALUE, f"{path} is empty")
    return text if keep_edges else text.strip()


def _cells(row: Row, path: str) -> list[str]:
    """The texts of a list at a column or dotted path, without white space around them; empty ones are left out."""
    values = find_value(row, path)
    if not isinstance(values, list):
        raise BadRow(NOT_TEXT, f"got {short(values)} in column {path}; expected a list of texts")
    return [text for value in values if (text := as_text(value, path).strip())]
